//! Where words go: data to standard output, messages to standard error.

use crate::error::{Error, Result};
use serde_json::Value;
use std::io::Write as _;

/// How the user wants to be told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Out {
    /// One JSON object a line.
    pub(crate) json: bool,
    /// Nothing but what went wrong.
    pub(crate) quiet: bool,
}

impl Out {
    /// Data as it is.
    ///
    /// # Errors
    /// [`Error::Output`] when nobody reads it any more.
    pub(crate) fn data(self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// One object on its line.
    ///
    /// # Errors
    /// As [`Out::data`].
    pub(crate) fn object(self, value: &Value) -> Result<()> {
        self.data(format!("{value}\n").as_bytes())
    }

    /// A message that may be left out.
    pub(crate) fn message(self, text: &str) {
        if !self.quiet {
            self.trouble(text);
        }
    }

    /// A message that is always said.
    pub(crate) fn trouble(self, text: &str) {
        // Whoever closed standard error does not want to hear it.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Columns as wide as their widest cell.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

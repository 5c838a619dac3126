//! Where words go: data to standard output, messages to standard error.

use crate::error::{Error, Result};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};

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

    /// Text of others, such as what containers wrote: as it is to a file or a pipe, and without
    /// power over a terminal.
    ///
    /// # Errors
    /// As [`Out::data`].
    pub(crate) fn foreign(self, bytes: &[u8]) -> Result<()> {
        match std::io::stdout().is_terminal() {
            true => self.data(tame(&String::from_utf8_lossy(bytes)).as_bytes()),
            false => self.data(bytes),
        }
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

/// Control characters made visible: a container that writes escape sequences must not be able to
/// change what the terminal shows of others, or what it answers.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => tamed.push(c),
            c if c.is_control() => tamed.extend(c.escape_default()),
            c => tamed.push(c),
        }
    }
    tamed
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_shown_and_not_done() {
        let check = |text: &str, want: &str| assert_eq!(tame(text), want);
        check("a\tgröße\n", "a\tgröße\n");
        check("\x1b[2Jx\x1b]0;title\x07", "\\u{1b}[2Jx\\u{1b}]0;title\\u{7}");
        check("50%\r100%\n", "50%\\r100%\n");
        check("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}");
    }
}

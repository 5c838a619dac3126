//! What an edge writes into its `ack`, line by line.

use thiserror::Error;

/// Bytes a line may have.
pub const LINE_BYTES_MAX: usize = 1_024;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// `serves 17`: every listener serves that table.
    Serves(u64),
    /// `began 17`: the same, of a process that never had a table before it; `began 0`: no table
    /// yet.
    Began(u64),
    /// `drained web-17`: no request is in flight to it, and none will be.
    Drained(String),
    /// `cut web-17 3 REASON`: so many requests of it were ended.
    Cut {
        /// The instance's container.
        container: String,
        /// How many.
        requests: u64,
        /// Why.
        reason: String,
    },
    /// `told TEXT`: something that whoever looks after the machine should know.
    Told(String),
}

/// A line that is none of these.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "invalid argument: \"{0}\": say: serves GENERATION | began GENERATION | drained INSTANCE | \
     cut INSTANCE COUNT REASON | told TEXT"
)]
pub struct Strange(String);

impl Word {
    /// Reads a line.
    ///
    /// # Errors
    /// It is none of the above.
    pub fn parse(line: &str) -> Result<Word, Strange> {
        read(line).ok_or_else(|| Strange(line.chars().take(200).collect()))
    }

    /// The table that it says is served.
    #[must_use]
    pub fn table(&self) -> Option<u64> {
        match self {
            Word::Serves(table) | Word::Began(table) => Some(*table),
            Word::Drained(_) | Word::Cut { .. } | Word::Told(_) => None,
        }
    }
}

fn read(line: &str) -> Option<Word> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    match words.as_slice() {
        ["serves", table] => table.parse().ok().map(Word::Serves),
        ["began", table] => table.parse().ok().map(Word::Began),
        ["drained", container] if !container.is_empty() => {
            Some(Word::Drained((*container).to_string()))
        }
        ["cut", container, requests, reason] => Some(Word::Cut {
            container: (*container).to_string(),
            requests: requests.parse().ok()?,
            reason: plain(reason),
        }),
        ["told", ..] => line.strip_prefix("told ").map(|text| Word::Told(plain(text))),
        _ => None,
    }
}

/// The port whose route a `told` is of: it begins with `route tcp PORT`.
pub(super) fn port(text: &str) -> Option<u16> {
    text.strip_prefix("route tcp ")?.split(' ').next()?.parse().ok()
}

/// Somebody else's words as a part of one line.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_edge_is_understood_and_no_other() {
        assert_eq!(Word::parse("serves 17"), Ok(Word::Serves(17)));
        assert_eq!(Word::parse("began 0"), Ok(Word::Began(0)));
        assert_eq!(Word::parse("drained web-17"), Ok(Word::Drained("web-17".to_string())));
        let cut = Word::Cut {
            container: "web-17".to_string(),
            requests: 3,
            reason: "drain of 15s has passed".to_string(),
        };
        assert_eq!(Word::parse("cut web-17 3 drain of 15s has passed"), Ok(cut));
        let told = Word::Told("certificate for a.b: no".to_string());
        assert_eq!(Word::parse("told certificate for a.b: no"), Ok(told));
        assert_eq!(port("route tcp 5432 is not served: x"), Some(5432));
        assert_eq!((port("route tcp x"), port("certificate for a.b: no")), (None, None));
        for line in
            ["", "told", "serves", "serves -1", "serves 1 2", "drained ", "cut web-17 x y", "hi"]
        {
            let told = Word::parse(line).unwrap_err().to_string();
            assert!(told.starts_with(&format!("invalid argument: \"{line}\"")), "{told}");
        }
    }
}

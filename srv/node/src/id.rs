//! The name of an instance, checked once.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::Error;

/// Bytes a name may have: a label of a host name (RFC 1035, 2.3.4).
const NAME_LEN_MAX: usize = 63;

/// An instance's name; clones share the text. One id is one run of a container: it is started at
/// most once and never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(Arc<str>);

impl Id {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Id, Error> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > NAME_LEN_MAX || !text.bytes().all(plain) {
            return Err(Error::Name(text.escape_default().take(2 * NAME_LEN_MAX).collect()));
        }
        Ok(Id(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, good: bool) {
        assert_eq!(text.parse::<Id>().is_ok(), good, "{text:?}");
    }

    #[test]
    fn a_name_is_a_lower_case_label_and_never_a_path() {
        check("web-17", true);
        check("0", true);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
        for bad in ["", ".", "..", "a/b", "Web", "a b", "a\n", "ü", ".removing-a"] {
            check(bad, false);
        }
    }
}

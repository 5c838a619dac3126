//! The bearer token (RFC 6750): the first line of a file that only its owner may read. It is read
//! at each request, so that another one counts at once.

use crate::error::Error;
use crate::limits::{TOKEN_BYTES_MAX, TOKEN_BYTES_MIN};
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The token in a file.
///
/// # Errors
/// [`Error::Token`] when there is none, others may read it, or it can be guessed.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let wrong = |why: String| Error::Token { path: path.to_owned(), why };
    let failed = |why: std::io::Error| wrong(ninep::words(&why));
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(wrong(format!("others may read it (mode {mode:04o}): chmod 600")));
    }
    let mut text = String::new();
    file.take(TOKEN_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    let token = text.lines().next().unwrap_or_default().trim();
    match token.len() {
        ..TOKEN_BYTES_MIN => Err(wrong(format!(
            "a token has at least {TOKEN_BYTES_MIN} bytes, on the first line: \
             head -c 32 /dev/urandom | base64"
        ))),
        TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX if token.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(token.to_string())
        }
        _ => Err(wrong(format!("a token is one word of at most {TOKEN_BYTES_MAX} letters"))),
    }
}

/// Whether they are the same, in a time that tells only how long they are.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let differ = |all, (a, b): (u8, u8)| black_box(all | (a ^ b));
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[track_caller]
    fn check(text: &str, mode: u32, want: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match (read(&path), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (got, want) => panic!("{text:?}: {got:?}, not {want:?}"),
        }
    }

    #[test]
    fn a_token_is_a_long_word_that_only_its_owner_may_read() {
        check("0123456789abcdef\nrest", 0o600, Ok("0123456789abcdef"));
        check("0123456789abcdef", 0o400, Ok("0123456789abcdef"));
        check("0123456789abcdef", 0o640, Err("others may read it (mode 0640)"));
        check("0123456789abcde", 0o600, Err("at least 16 bytes"));
        check("", 0o600, Err("at least 16 bytes"));
        check("0123456789 abcdef", 0o600, Err("one word"));
        check(&"a".repeat(TOKEN_BYTES_MAX + 1), 0o600, Err("at most 4096"));
        assert!(read(Path::new("/no/such")).unwrap_err().to_string().contains("/no/such: no such"));
    }

    #[test]
    fn tokens_are_the_same_only_when_every_byte_is() {
        assert!(same("abc", "abc"));
        for other in ["abd", "ab", "abcd", "", "xbc"] {
            assert!(!same("abc", other), "{other}");
        }
    }
}

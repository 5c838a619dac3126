//! Paths of a tree: names between slashes, as messages carry them.

use super::ClientError;

/// The deepest path, in names: far more than any tree here has.
pub(super) const DEPTH_MAX: usize = 64;

/// The longest name, in bytes (what every file system of the clients we know allows).
pub(super) const NAME_BYTES_MAX: usize = 255;

/// The names of `path`; slashes at the ends, doubled ones and `.` mean nothing.
pub(super) fn names(path: &str) -> Result<Vec<&str>, ClientError> {
    let bad = |why| Err(ClientError::Path(path.to_owned(), why));
    let names: Vec<&str> =
        path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.len() > DEPTH_MAX {
        bad("it has more than 64 names")
    } else if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
        bad("a name has more than 255 bytes")
    } else if path.contains('\0') {
        bad("it holds a NUL")
    } else {
        Ok(names)
    }
}

/// The directory's names and the last name of `path`.
pub(super) fn split(path: &str) -> Result<(Vec<&str>, &str), ClientError> {
    let mut above = names(path)?;
    match above.pop() {
        Some("..") | None => Err(ClientError::Path(path.to_owned(), "it names no file")),
        Some(last) => Ok((above, last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, want: &str) {
        let got = match split(path) {
            Ok((above, last)) => format!("{} : {last}", above.join(" ")),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, want, "of {path:?}");
    }

    #[test]
    fn a_path_is_its_names() {
        check("ctl", " : ctl");
        check("/active//web/./ctl/", "active web : ctl");
        check("a/../b", "a .. : b");
        assert_eq!(names("/").unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn a_path_no_message_can_carry_is_refused_here() {
        check("/", r#"bad path "/": it names no file"#);
        check("a/..", r#"bad path "a/..": it names no file"#);
        check("a\0b", r#"bad path "a\0b": it holds a NUL"#);
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        check(&long, &format!("bad path {long:?}: a name has more than 255 bytes"));
        let deep = "x/".repeat(DEPTH_MAX + 1);
        check(&deep, &format!("bad path {deep:?}: it has more than 64 names"));
    }
}

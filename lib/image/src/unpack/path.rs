//! Names of archive entries, made safe: relative, without `..`, within limits; and what a name
//! means to overlayfs.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Bytes of a whole name, Linux' PATH_MAX.
const PATH_BYTES_MAX: usize = 4096;
/// Bytes of one component, NAME_MAX of every usual file system.
const NAME_BYTES_MAX: usize = 255;
/// Components of a name; removal works with one open directory each.
pub(super) const DEPTH_MAX: usize = 256;
/// Begins the name of a whiteout (image-spec `layer.md`, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
/// An opaque whiteout: the directory hides what is below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Begins aufs' own records, which are nothing to us.
const AUFS: &[u8] = b".wh..wh.";

/// What an entry's name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The layer's root.
    Root,
    /// A file of any kind at `parents`/`name`.
    Plain(Vec<OsString>, OsString),
    /// `name` of the layers below is gone.
    Gone(Vec<OsString>, OsString),
    /// The directory hides what is below.
    Opaque(Vec<OsString>),
    /// Nothing.
    Nothing,
}

/// The components of a name or of a hard link's target. A slash at the front is taken off: an
/// archive's names are relative to the root it makes.
pub(super) fn components(raw: &[u8]) -> Result<Vec<OsString>, String> {
    if raw.len() > PATH_BYTES_MAX {
        return Err(format!("name of {} bytes, at most {PATH_BYTES_MAX} are allowed", raw.len()));
    }
    if raw.contains(&0) {
        return Err("zero byte in the name".into());
    }
    let mut parts = Vec::new();
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("'..' in the name".into()),
            _ if part.len() > NAME_BYTES_MAX => {
                return Err(format!("part of more than {NAME_BYTES_MAX} bytes in the name"));
            }
            _ => parts.push(OsStr::from_bytes(part).to_owned()),
        }
    }
    if parts.len() > DEPTH_MAX {
        return Err(format!("more than {DEPTH_MAX} directories deep"));
    }
    Ok(parts)
}

/// Reads an entry's name.
pub(super) fn name(raw: &[u8]) -> Result<Name, String> {
    let mut parents = components(raw)?;
    let Some(last) = parents.pop() else { return Ok(Name::Root) };
    if parents.iter().any(|part| part.as_bytes().starts_with(WHITEOUT)) {
        return Err("a whiteout is no directory".into());
    }
    let bytes = last.as_bytes();
    if bytes == OPAQUE {
        return Ok(Name::Opaque(parents));
    }
    if bytes.starts_with(AUFS) {
        return Ok(Name::Nothing);
    }
    match bytes.strip_prefix(WHITEOUT) {
        None => Ok(Name::Plain(parents, last)),
        Some(b"" | b"." | b"..") => Err("a whiteout of nothing".into()),
        Some(gone) => Ok(Name::Gone(parents, OsStr::from_bytes(gone).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_a_whiteout_or_refused() {
        let check = |raw: &str, want: &str| {
            let got = match name(raw.as_bytes()) {
                Err(why) => format!("! {why}"),
                Ok(Name::Root) => "root".into(),
                Ok(Name::Nothing) => "nothing".into(),
                Ok(Name::Opaque(at)) => format!("opaque {at:?}"),
                Ok(Name::Plain(at, name)) => format!("{at:?} {name:?}"),
                Ok(Name::Gone(at, name)) => format!("gone {at:?} {name:?}"),
            };
            assert!(got.starts_with(want), "{raw}: {got}");
        };
        check("", "root");
        check("./", "root");
        check("/", "root");
        check("a/b", "[\"a\"] \"b\"");
        check("//a/./b/", "[\"a\"] \"b\"");
        check("a..b", "[] \"a..b\"");
        check("../a", "! '..'");
        check("a/../../b", "! '..'");
        check("a\0b", "! zero byte");
        check(&"a".repeat(256), "! part of more");
        check(&"a/".repeat(257), "! more than 256");
        check(&"a/".repeat(3000), "! name of 6000 bytes");
        check("a/.wh.b", "gone [\"a\"] \"b\"");
        check("a/.wh..wh..opq", "opaque [\"a\"]");
        check(".wh..wh.plnk", "nothing");
        check(".wh.", "! a whiteout of nothing");
        check(".wh..", "! a whiteout of nothing");
        check(".wh...", "! a whiteout of nothing");
        check(".wh.a/b", "! a whiteout is no directory");
    }
}

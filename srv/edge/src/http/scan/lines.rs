//! The lines of a head: how they end, and what they say about the length of the body.

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks,
    /// Maybe something else than HTTP.
    Switch,
}

/// What follows a head that is all there; nothing when it is bad.
pub(super) fn framing(head: &[u8]) -> Option<Framing> {
    let (mut length, mut chunked, mut switch) = (None, false, head.starts_with(b"CONNECT "));
    let mut rest = head;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        // A line ends with both, and these stand nowhere else.
        rest.get(end..end + 2).filter(|both| both == b"\r\n")?;
        let line = &rest[..end];
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value(line, b"content-length") {
                    if length.is_some() {
                        return None;
                    }
                    length = Some(number(value));
                }
            }
            Some(b't') => chunked |= value(line, b"transfer-encoding").is_some(),
            Some(b'u') => switch |= value(line, b"upgrade").is_some(),
            Some(_) | None => {}
        }
        rest = &rest[end + 2..];
    }
    match (length, chunked) {
        (Some(_), true) => None,
        // Refused by the parser when it is another encoding.
        (None, true) => Some(Framing::Chunks),
        _ if switch => Some(Framing::Switch),
        (None, false) => Some(Framing::Length(0)),
        // What is no number is refused by the parser as well.
        (Some(length), false) => length.map(Framing::Length),
    }
}

/// Whether what has come may be the beginning of a head, as far as it was not looked at before:
/// every line ends as it must.
pub(super) fn may_go_on(part: &[u8], from: usize) -> bool {
    let after = |at: usize| at.checked_sub(1).map(|before| part[before]) == Some(b'\r');
    !(from..part.len()).any(|at| part[at] == b'\n' && !after(at))
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    let value = found.eq_ignore_ascii_case(name).then_some(value)?;
    // A space before the colon is refused by the parser.
    value.trim_ascii_start().strip_prefix(b":")
}

pub(in crate::http) fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| str::from_utf8(text).ok()?.parse().ok()).flatten()
}

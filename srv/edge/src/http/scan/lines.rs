//! The lines of a head: how they end, and what they say about the length of the body.

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks,
    /// Chunks of something that is coded in a way of which we know nothing.
    Coded,
    /// Maybe something else than HTTP.
    Switch,
}

/// What follows a head that is all there; nothing when it is bad.
pub(super) fn framing(head: &[u8]) -> Option<Framing> {
    let (mut length, mut switch) = (None, head.starts_with(b"CONNECT "));
    let mut codings = Codings::None;
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
            Some(b't') => {
                if let Some(value) = value(line, b"transfer-encoding") {
                    codings = codings.and(value)?;
                }
            }
            Some(b'u') => switch |= value(line, b"upgrade").is_some(),
            Some(_) | None => {}
        }
        rest = &rest[end + 2..];
    }
    match (length, codings) {
        (Some(_), Codings::Chunks | Codings::Coded | Codings::Unknown) => None,
        // Where the body ends, nobody knows (RFC 9112, section 6.3).
        (None, Codings::Unknown) => None,
        (None, Codings::Chunks) => Some(Framing::Chunks),
        (None, Codings::Coded) => Some(Framing::Coded),
        (_, Codings::None) if switch => Some(Framing::Switch),
        (None, Codings::None) => Some(Framing::Length(0)),
        // What is no number is refused by the parser as well.
        (Some(length), Codings::None) => length.map(Framing::Length),
    }
}

/// How a body is coded, as far as the head is read. Several fields are one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codings {
    /// Not at all.
    None,
    /// In some way that is not chunks.
    Unknown,
    /// In chunks, and in no other way.
    Chunks,
    /// In some other way, and then in chunks.
    Coded,
}

impl Codings {
    /// With those of one more field; nothing when that is no list of codings, or when chunks are
    /// coded once more.
    fn and(self, field: &[u8]) -> Option<Self> {
        field.split(|byte| *byte == b',').try_fold(self, |before, coding| {
            let coding = coding.trim_ascii();
            let name = coding.split(|byte| *byte == b';').next()?.trim_ascii();
            if name.is_empty() || !name.iter().copied().all(is_of_a_token) {
                return None;
            }
            // Chunks have no parameters.
            let chunks = coding.eq_ignore_ascii_case(b"chunked");
            match (before, chunks) {
                (Self::None, true) => Some(Self::Chunks),
                (Self::Unknown, true) => Some(Self::Coded),
                (Self::None | Self::Unknown, false) => Some(Self::Unknown),
                (Self::Chunks | Self::Coded, _) => None,
            }
        })
    }
}

/// Whether a name may have this byte (RFC 9110, section 5.6.2).
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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

//! One question as it came over the wire, read in place: any bytes are told apart, none panics.

use super::rcode::Rcode;

/// Bytes of a message's header (RFC 1035, 4.1.1).
pub(crate) const HEADER_BYTES: usize = 12;
/// Bytes of the longest name (RFC 1035, 2.3.4).
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Bytes of an answer to one who named no size (RFC 1035, 2.3.4).
const PLAIN_BYTES_MAX: u16 = 512;
/// Bytes of the longest answer in a datagram, whatever was named: it fits one packet on every
/// path, so that no fragment can be lost or forged (DNS flag day 2020).
pub(crate) const DATAGRAM_BYTES_MAX: u16 = 1232;
/// Records a query may carry besides its question: OPT, TSIG, and room for what is to come.
const EXTRAS_MAX: u16 = 4;

const OPT: u16 = 41;

/// The bits of the header's second word (RFC 1035, 4.1.1; RFC 4035, 3.1.6).
pub(crate) mod bit {
    /// It is an answer.
    pub(crate) const ANSWER: u16 = 0x8000;
    /// Who answers owns the name.
    pub(crate) const AUTHORITY: u16 = 0x0400;
    /// Not all fitted.
    pub(crate) const TRUNCATED: u16 = 0x0200;
    /// Whoever asks wants us to ask others.
    pub(crate) const RECURSE: u16 = 0x0100;
    /// We would ask others.
    pub(crate) const RECURSES: u16 = 0x0080;
    /// Whoever asks checks signatures himself.
    pub(crate) const UNCHECKED: u16 = 0x0010;
    /// The four bits that say what is asked for; 0 is a query.
    pub(crate) const OPERATION: u16 = 0x7800;
}

/// What the sender says of his abilities (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// Bytes of the largest datagram he takes.
    pub(crate) payload: u16,
    /// 0, or one that nobody has yet.
    pub(crate) version: u8,
    /// Whether he wants signatures.
    pub(crate) signatures: bool,
}

/// A query with one question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    /// The number that the answer bears again.
    pub(crate) id: u16,
    /// The header's second word.
    pub(crate) flags: u16,
    /// The question as it stands in the message: name, type, class.
    pub(crate) question: &'a [u8],
    /// Where in the name its last label begins; the root has 0.
    pub(crate) last_label: usize,
    /// The type asked for.
    pub(crate) kind: u16,
    /// The class asked for.
    pub(crate) class: u16,
    /// What OPT says, where there is one.
    pub(crate) edns: Option<Edns>,
}

/// Why a message is no query to be looked at further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Shorter than a header: nothing to answer to.
    Short,
    /// An answer; who answers answers may do so for ever.
    Answer,
    /// To be answered by the header alone, with this code.
    Told(Rcode),
}

impl<'a> Query<'a> {
    /// Read `message`. A name of the question that is compressed is malformed: there is nothing
    /// before it to point to.
    pub(crate) fn read(message: &'a [u8]) -> Result<Query<'a>, Fault> {
        let head = message.first_chunk::<HEADER_BYTES>().ok_or(Fault::Short)?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let flags = word(2);
        if flags & bit::ANSWER != 0 {
            return Err(Fault::Answer);
        }
        if flags & bit::OPERATION != 0 {
            return Err(Fault::Told(Rcode::NotImp));
        }
        let malformed = Fault::Told(Rcode::FormErr);
        // One question, no answers, no authority.
        if word(4) != 1 || word(6) != 0 || word(8) != 0 || word(10) > EXTRAS_MAX {
            return Err(malformed);
        }
        let body = &message[HEADER_BYTES..];
        let (name, last_label) = plain_name(body).ok_or(malformed)?;
        let (question, rest) = body.split_at_checked(name + 4).ok_or(malformed)?;
        let [.., k1, k2, c1, c2] = *question else { return Err(malformed) };
        let edns = extras(rest, word(10)).ok_or(malformed)?;
        Ok(Query {
            id: word(0),
            flags,
            question,
            last_label,
            kind: u16::from_be_bytes([k1, k2]),
            class: u16::from_be_bytes([c1, c2]),
            edns,
        })
    }

    /// Whether others may be asked for it.
    pub(crate) fn recurses(&self) -> bool {
        self.flags & bit::RECURSE != 0
    }

    /// The name, as it came.
    pub(crate) fn name(&self) -> &'a [u8] {
        &self.question[..self.question.len() - 4]
    }

    /// The name with its letters small, in `space`.
    pub(crate) fn key<'s>(&self, space: &'s mut [u8; NAME_BYTES_MAX]) -> &'s [u8] {
        // The bytes that count a label are below 64, so no letter is among them.
        let key = &mut space[..self.name().len()];
        key.copy_from_slice(self.name());
        key.make_ascii_lowercase();
        key
    }

    /// Bytes the answer may have in a datagram.
    pub(crate) fn datagram_bytes(&self) -> usize {
        let named = self.edns.map_or(PLAIN_BYTES_MAX, |edns| edns.payload);
        usize::from(named.clamp(PLAIN_BYTES_MAX, DATAGRAM_BYTES_MAX))
    }
}

/// Length of the uncompressed name that `body` begins with, and where its last label begins.
fn plain_name(body: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut last) = (0, 0);
    loop {
        match usize::from(*body.get(at)?) {
            0 if at < NAME_BYTES_MAX => return Some((at + 1, last)),
            label @ 1..64 if at < NAME_BYTES_MAX => {
                last = at;
                at += 1 + label;
            }
            _ => return None,
        }
    }
}

/// What OPT says among `count` records; `None` when they are malformed or have two of it.
fn extras(mut rest: &[u8], count: u16) -> Option<Option<Edns>> {
    let mut found = None;
    for _ in 0..count {
        let name = any_name(rest)?;
        let (fixed, tail) = rest.get(name..)?.split_first_chunk::<10>()?;
        let [k1, k2, p1, p2, _, version, z1, _, l1, l2] = *fixed;
        rest = tail.get(usize::from(u16::from_be_bytes([l1, l2]))..)?;
        if u16::from_be_bytes([k1, k2]) == OPT {
            // OPT belongs to the root (RFC 6891, 6.1.2), and there is one of it at most (6.1.1).
            if name != 1 || found.is_some() {
                return None;
            }
            let payload = u16::from_be_bytes([p1, p2]);
            found = Some(Edns { payload, version, signatures: z1 & 0x80 != 0 });
        }
    }
    Some(found)
}

/// Length of a name, compressed or not, where it stands; it may end behind `body`.
fn any_name(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < NAME_BYTES_MAX {
        match *body.get(at)? {
            0 => return Some(at + 1),
            label @ 1..64 => at += 1 + usize::from(label),
            192.. => return Some(at + 2),
            64..192 => return None,
        }
    }
    None
}

#[cfg(test)]
#[path = "query_test.rs"]
mod tests;

//! An answer in the making: header, question, records as long as they fit, OPT, and the counts.

use super::query::{HEADER_BYTES, Query, bit};
use super::rcode::Rcode;

/// Bytes of the OPT record that this server sends.
const OPT_BYTES: usize = 11;
/// Bytes of the largest query that this server takes in a datagram, told to whoever asks.
const TAKEN_BYTES_MAX: u16 = super::query::DATAGRAM_BYTES_MAX;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// What was asked for.
    Answer,
    /// Who owns the name.
    Authority,
    /// What may be of use.
    Extra,
}

/// An answer that is being written.
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    room: usize,
    flags: u16,
    counts: [u16; 3],
}

impl<'o> Reply<'o> {
    /// An answer to `query` of at most `limit` bytes, in `out`, which is emptied.
    pub(crate) fn to(query: &Query<'_>, limit: usize, out: &'o mut Vec<u8>) -> Reply<'o> {
        out.clear();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        out.extend_from_slice(query.question);
        Reply { out, room: Reply::room(query, limit), flags: flags(query), counts: [0; 3] }
    }

    /// An answer to `query` of at most `limit` bytes, whose header, question and records, written
    /// by another hand, stand in `out`. Of its header only the counts are kept, and whether all
    /// fitted.
    pub(crate) fn over(query: &Query<'_>, limit: usize, out: &'o mut Vec<u8>) -> Reply<'o> {
        let mut words = [0; 6];
        for (word, place) in words.iter_mut().zip(out.chunks_exact(2)) {
            *word = u16::from_be_bytes([place[0], place[1]]);
        }
        let [_, told, _, answers, authorities, extras] = words;
        let flags = flags(query) | told & bit::TRUNCATED;
        let counts = [answers, authorities, extras];
        Reply { out, room: Reply::room(query, limit), flags, counts }
    }

    /// Bytes there are for header, question and records in an answer of `limit`.
    pub(crate) fn room(query: &Query<'_>, limit: usize) -> usize {
        limit.saturating_sub(query.edns.map_or(0, |_| OPT_BYTES))
    }

    /// Say that the name is ours.
    pub(crate) fn own(&mut self) {
        self.flags |= bit::AUTHORITY;
    }

    /// Say that not all fitted, so that the whole is asked for over TCP.
    pub(crate) fn truncate(&mut self) {
        self.flags |= bit::TRUNCATED;
    }

    /// Put one record; `false`, and nothing put, where it does not fit.
    pub(crate) fn put(&mut self, section: Section, record: &[u8]) -> bool {
        let fits = self.out.len() + record.len() <= self.room;
        if fits {
            self.out.extend_from_slice(record);
            self.counts[section as usize] += 1;
        }
        fits
    }

    /// Put the answers in `list`, each of `bytes`, from its `first` one on and round; those that
    /// do not fit are left, which is said.
    pub(crate) fn turned(&mut self, list: &[u8], bytes: usize, first: usize) {
        let (before, from) = list.split_at(first * bytes);
        let room = self.room.saturating_sub(self.out.len()) / bytes * bytes;
        if room < list.len() {
            self.truncate();
        }
        let head = &from[..from.len().min(room)];
        let tail = &before[..before.len().min(room - head.len())];
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(tail);
        self.counts[0] += ((head.len() + tail.len()) / bytes) as u16;
    }

    /// The answer is whole.
    pub(crate) fn end(mut self, query: &Query<'_>, rcode: Rcode) {
        if let Some(edns) = query.edns {
            let [p1, p2] = TAKEN_BYTES_MAX.to_be_bytes();
            let upper = (rcode.number() >> 4) as u8;
            // The wish for signatures is sent back as it came (RFC 3225, 3).
            let wish = if edns.signatures { 0x80 } else { 0 };
            self.out.extend_from_slice(&[0, 0, 41, p1, p2, upper, 0, wish, 0, 0, 0]);
            self.counts[Section::Extra as usize] += 1;
        }
        let [answers, authorities, extras] = self.counts;
        let flags = self.flags | rcode.number() & 15;
        let words = [query.id, flags, 1, answers, authorities, extras];
        for (place, word) in self.out.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// The header's second word, for an answer.
fn flags(query: &Query<'_>) -> u16 {
    query.flags & (bit::RECURSE | bit::UNCHECKED) | bit::ANSWER | bit::RECURSES
}

/// The answer to a message of which only the header is read: the header alone, without a question.
pub(crate) fn bare(message: &[u8], rcode: Rcode, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    if let (Some([i1, i2, f1, f2]), Some(head)) = (message.first_chunk(), out.first_chunk_mut()) {
        let asked = u16::from_be_bytes([*f1, *f2]);
        let flags = bit::ANSWER | asked & (bit::OPERATION | bit::RECURSE) | rcode.number() & 15;
        let [o1, o2] = flags.to_be_bytes();
        *head = [*i1, *i2, o1, o2];
    }
}

//! A second look at what users send over HTTP/1.1, before the parser gets it: heads that two
//! servers might read in two ways are spoilt, so that the parser answers 400 and closes.
//!
//! The parser mends such requests, or reads them in one of the ways; a server behind or before
//! this one may read them in the other (RFC 9112, section 11.2).

use std::time::Instant;

mod chunks;
mod frames;
mod lines;

pub(super) use chunks::{Chunks, Part};
use frames::Frames;
use lines::Framing;
pub(super) use lines::number;

/// How a connection of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";
/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// Where in the stream of one connection the next byte stands.
#[derive(Debug)]
pub(super) struct Scan {
    at: At,
    /// What has come of a head that is not all there.
    part: Vec<u8>,
    head_bytes_max: usize,
    first: bool,
}

#[derive(Debug)]
enum At {
    Head,
    Body(u64),
    Chunks(Chunks),
    /// HTTP/2.
    Frames(Frames),
    /// Not requests, or not any more.
    Off,
    Spoilt,
    /// HTTP/2, and too much of nothing.
    Flood,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing wrong.
    Fine,
    /// From here on it is spoilt.
    Spoilt(usize),
    /// The connection has to be ended: there are no bytes that say so to both ends.
    Flood,
}

impl Scan {
    /// `first` says that HTTP/2 may begin here.
    pub(super) fn new(head_bytes_max: usize, first: bool) -> Self {
        Self { at: At::Head, part: Vec::new(), head_bytes_max, first }
    }

    /// Whether all that has come was whole requests of HTTP/1.1.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.at, At::Head) && self.part.is_empty()
    }

    /// Whether a head has begun and is not all there.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self.at, At::Head) && !self.part.is_empty()
    }

    /// Whether all that has come was whole requests.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.at, At::Head | At::Frames(_) | At::Off) && self.part.is_empty()
    }

    /// Whether nothing that comes is looked at any more.
    pub(super) fn is_spoilt(&self) -> bool {
        matches!(self.at, At::Spoilt)
    }

    /// These bytes have gone to the user.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        if let At::Frames(frames) = &mut self.at {
            frames.wrote(bytes);
        }
    }

    /// Looks at what has come by now.
    pub(super) fn look(&mut self, all: &[u8], now: Instant) -> Found {
        let mut from = 0;
        while from < all.len() {
            let rest = &all[from..];
            let taken = match &mut self.at {
                At::Off => return Found::Fine,
                At::Spoilt => return Found::Spoilt(from),
                At::Flood => return Found::Flood,
                At::Frames(frames) => {
                    if !frames.look(rest, now) {
                        self.at = At::Flood;
                        return Found::Flood;
                    }
                    Some(rest.len())
                }
                At::Head => self.head(rest, now),
                At::Body(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.at = At::Head;
                    }
                    Some(taken)
                }
                At::Chunks(chunks) => {
                    let taken = chunks.look(rest);
                    if chunks.is_over() {
                        self.at = At::Head;
                    }
                    taken
                }
            };
            match taken {
                Some(taken) => from += taken,
                None => {
                    self.at = At::Spoilt;
                    return Found::Spoilt(from);
                }
            }
        }
        Found::Fine
    }

    /// Takes a head, or a part of one; gives how much, or nothing when it is bad.
    fn head(&mut self, rest: &[u8], now: Instant) -> Option<usize> {
        if self.part.is_empty() {
            // An empty line before a request is let pass (RFC 9112, section 2.2).
            if rest.starts_with(b"\r\n") {
                return Some(2);
            }
            if let Some(end) = find(rest, END) {
                return self.judge(&rest[..end + END.len()], now).then_some(end + END.len());
            }
        }
        // The end may lie across what came before and what comes now.
        let before = self.part.len();
        let room = (self.head_bytes_max + END.len()).saturating_sub(before);
        self.part.extend_from_slice(&rest[..rest.len().min(room)]);
        let looked = before.saturating_sub(END.len() - 1);
        let Some(end) = find(&self.part[looked..], END) else {
            if self.part.len() > self.head_bytes_max {
                // The parser says what is wrong; there is no next request.
                self.at = At::Off;
            }
            return lines::may_go_on(&self.part, before).then_some(rest.len());
        };
        let head = std::mem::take(&mut self.part);
        let end = looked + end + END.len();
        self.judge(&head[..end], now).then_some(end - before)
    }

    fn judge(&mut self, head: &[u8], now: Instant) -> bool {
        let preface = std::mem::take(&mut self.first) && head == PREFACE;
        self.at = match lines::framing(head) {
            _ if preface => At::Frames(Frames::new(now)),
            Some(Framing::Length(0)) => At::Head,
            Some(Framing::Length(bytes)) => At::Body(bytes),
            Some(Framing::Chunks) => At::Chunks(Chunks::new()),
            Some(Framing::Switch) => At::Off,
            // The head is answered; of what is behind it nobody knows where it ends.
            Some(Framing::Coded) => At::Spoilt,
            None => return false,
        };
        true
    }
}

/// Whether a head that is all there can be read in one way only, and has neither a body nor
/// something else behind it.
pub(super) fn is_bare(head: &[u8]) -> bool {
    lines::framing(head) == Some(Framing::Length(0))
}

/// Where `wanted` begins.
fn find(all: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + all[from..].iter().position(|byte| *byte == b'\r')?;
        if all[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// What is found when it comes in parts of this size: the place, counted from the beginning.
    fn look(text: &str, part: usize) -> Option<usize> {
        let mut scan = Scan::new(1000, true);
        for (number, bytes) in text.as_bytes().chunks(part).enumerate() {
            if let Found::Spoilt(at) = scan.look(bytes, Instant::now()) {
                return Some(number * part + at);
            }
        }
        None
    }

    #[test]
    fn whatever_the_parts_good_requests_pass_and_bad_ones_are_found() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let good = [
            GOOD.repeat(3),
            format!("\r\n{GOOD}"),
            format!("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGE\nT {GOOD}"),
            format!("{chunked}3\r\na\nb\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n{GOOD}"),
            format!("{chunked}0\r\n\r\n{GOOD}"),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\0\n".to_owned(),
        ];
        let bad = [
            "GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTRANSFER-encoding: chunked\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n".to_owned(),
            format!("{chunked}0\n\r\n"),
            format!("{chunked}x\r\n"),
            format!("{chunked}3\r\nabcd\r\n"),
            format!("{chunked}3;a\nb\r\nabc\r\n"),
            format!("{chunked}11111111111111111\r\n"),
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked,\r\n\r\n".to_owned(),
        ];
        for part in [1, 2, 3, 7, 1000] {
            for text in &good {
                assert_eq!(look(text, part), None, "{text:?} by {part}");
            }
            for text in &bad {
                let text = format!("{GOOD}{text}{GOOD}");
                let found = look(&text, part);
                // A head is judged when it is all there, but what comes of it is never another.
                assert!(found.is_some_and(|at| at >= GOOD.len()), "{text:?} by {part}: {found:?}");
            }
        }
    }

    #[test]
    fn a_head_that_goes_on_is_known() {
        let mut scan = Scan::new(1000, true);
        for (bytes, in_head) in [("GET / HT", true), ("TP/1.1\r\n\r", true), ("\n", false)] {
            assert_eq!(scan.look(bytes.as_bytes(), Instant::now()), Found::Fine);
            assert_eq!(scan.is_in_head(), in_head, "{bytes:?}");
        }
    }
}

//! What users send over HTTP/2, looked at frame by frame: who sends frames that ask for work and
//! bring nothing, again and again, is ended (RFC 9113, section 10.5).
//!
//! Every connection has a credit in bytes. What moves adds to it: fields and bodies that come,
//! and whatever goes to the user. A frame that moves nothing takes from it, and one that throws a
//! request away takes more. Whoever uses a connection for what it is there for never runs out.

/// Bytes of a frame's head: length, kind, flags, stream (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;
/// Bytes of the preface behind the part that is like a request's head.
const PREFACE_REST: &[u8] = b"SM\r\n\r\n";
/// Credit at first, in bytes.
const CREDIT_FIRST: i64 = 128 * 1024;
/// The most there is at any time: who did much may not flood for long either.
const CREDIT_MAX: i64 = 1024 * 1024;
/// What a frame costs that moves nothing; more than its answer adds, which is 17 bytes.
const FRAME_COST: i64 = 32;
/// What it costs to give up a request, which an instance may be at work on.
const RESET_COST: i64 = 256;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Where in the frames of one connection the next byte stands.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface or of a frame's payload that are still to come.
    left: usize,
    /// What has come of a frame's head.
    head: [u8; HEAD_BYTES],
    filled: usize,
    credit: i64,
}

impl Frames {
    pub(super) fn new() -> Self {
        let (left, head, filled) = (PREFACE_REST.len(), [0; HEAD_BYTES], 0);
        Self { left, head, filled, credit: CREDIT_FIRST }
    }

    /// So many bytes have gone to the user.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.add(i64::try_from(bytes).unwrap_or(CREDIT_MAX));
    }

    /// Looks at what has come; false when it is too much of nothing.
    pub(super) fn look(&mut self, mut came: &[u8]) -> bool {
        while !came.is_empty() {
            if self.left > 0 {
                let taken = came.len().min(self.left);
                self.left -= taken;
                came = &came[taken..];
                continue;
            }
            let taken = came.len().min(HEAD_BYTES - self.filled);
            self.head[self.filled..][..taken].copy_from_slice(&came[..taken]);
            self.filled += taken;
            came = &came[taken..];
            if self.filled == HEAD_BYTES {
                self.filled = 0;
                self.judge();
            }
        }
        self.credit >= 0
    }

    fn judge(&mut self) {
        let [a, b, c, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.left = length as usize;
        self.add(match kind {
            DATA | HEADERS | CONTINUATION if length > 0 => i64::from(length),
            // Asks for nothing, and is sent for what has gone to the user.
            WINDOW_UPDATE => 0,
            RESET => -RESET_COST,
            _ => -FRAME_COST,
        });
    }

    fn add(&mut self, bytes: i64) {
        self.credit = (self.credit + bytes).min(CREDIT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    /// Sends rounds of these until they are too much; gives after how many.
    fn ends(round: &[Vec<u8>], answered: usize, part: usize) -> Option<usize> {
        let mut frames = Frames::new();
        assert!(frames.look(PREFACE_REST));
        let bytes = round.concat();
        (1..=20_000).find(|_| {
            let fine = bytes.chunks(part).all(|part| frames.look(part));
            frames.wrote(answered);
            !fine
        })
    }

    #[test]
    fn who_sends_frames_for_nothing_is_ended_whatever_the_parts() {
        let request = frame(HEADERS, &[0; 20]);
        for part in [1, 5, 9, 100] {
            for (what, round, answered, least) in [
                ("pings", vec![frame(6, &[0; 8])], 17, 8_000),
                ("settings", vec![frame(4, &[])], 9, 5_000),
                ("priorities", vec![frame(2, &[0; 5])], 0, 4_000),
                ("empty bodies", vec![frame(DATA, &[])], 0, 4_000),
                ("unknown", vec![frame(99, &[0; 100])], 0, 4_000),
                ("requests given up", vec![request.clone(), frame(RESET, &[0; 4])], 0, 500),
            ] {
                let ended = ends(&round, answered, part);
                let told = (least..least * 2).contains(&ended.unwrap_or(0));
                assert!(told, "{what} by {part}: {ended:?}");
            }
        }
    }

    #[test]
    fn who_uses_a_connection_is_never_ended() {
        let request = frame(HEADERS, &[0; 20]);
        let ping = frame(6, &[0; 8]);
        for (what, round, answered) in [
            ("requests", vec![request.clone()], 100),
            ("downloads", vec![frame(WINDOW_UPDATE, &[0; 4]), ping.clone()], 1_400),
            ("uploads", vec![frame(DATA, &[0; 1_000]), ping.clone()], 17),
            ("pages left while they load", vec![request, frame(RESET, &[0; 4])], 400),
        ] {
            assert_eq!(ends(&round, answered, 64), None, "{what}");
        }
    }
}

//! What users send over HTTP/2, looked at frame by frame: who sends frames that ask for work and
//! bring nothing, again and again, is ended (RFC 9113, section 10.5).
//!
//! Every connection has a credit in bytes. What goes to the user adds to it, and what comes from
//! him a little: padding is bytes as well. A frame that moves nothing takes from it, and one that
//! throws a request away takes more. What was taken comes back with time, so that whoever uses a
//! connection for what it is there for never runs out, however long it lasts.

use std::time::{Duration, Instant};

/// Bytes of a frame's head: length, kind, flags, stream (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;
/// Bytes of the preface behind the part that is like a request's head.
const PREFACE_REST: &[u8] = b"SM\r\n\r\n";
/// Credit at first, in bytes, and the most that time gives back.
const CREDIT_FIRST: i64 = 128 * 1024;
/// The most there is at any time: who did much may not flood for long either.
const CREDIT_MAX: i64 = 1024 * 1024;
/// In how long one byte of credit comes back: 1 KiB in a second.
const BYTE_BACK: Duration = Duration::from_nanos(1_000_000_000 / 1024);
/// What a frame costs that moves nothing; more than its answer adds, which is 17 bytes.
const FRAME_COST: i64 = 32;
/// What it costs to give up a request, which an instance may be at work on.
const RESET_COST: i64 = 256;
/// The most that the head of a request adds, however long: far less than giving it up costs.
const FIELDS_GAIN_MAX: i64 = 32;
/// A body adds one byte in so many: with it, too, a request can be given up at once.
const BODY_BYTES_A_GAIN: i64 = 16;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// The flag of settings and pings that answer others.
const ACK: u8 = 1;

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    come: Walk,
    go: Walk,
    credit: i64,
    /// Up to when the credit has come back.
    since: Instant,
    /// Settings and pings that have gone to the user and that he has not answered.
    asked: u64,
}

impl Frames {
    pub(super) fn new(now: Instant) -> Self {
        let (come, go) = (Walk::behind(PREFACE_REST.len()), Walk::behind(0));
        Self { come, go, credit: CREDIT_FIRST, since: now, asked: 0 }
    }

    /// These bytes have gone to the user.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        self.add(i64::try_from(bytes.len()).unwrap_or(CREDIT_MAX));
        while let Some(head) = self.go.next(&mut bytes) {
            self.asked += u64::from(matches!(head.kind, SETTINGS | PING) && head.flags & ACK == 0);
        }
    }

    /// Looks at what has come by now; false when it is too much of nothing.
    pub(super) fn look(&mut self, mut came: &[u8], now: Instant) -> bool {
        self.give_back(now);
        while let Some(head) = self.come.next(&mut came) {
            self.judge(head);
        }
        self.credit >= 0
    }

    fn give_back(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_nanos();
        let bytes = passed / BYTE_BACK.as_nanos();
        // What is not a whole byte counts the next time.
        let rest = u64::try_from(passed % BYTE_BACK.as_nanos()).unwrap_or(0);
        self.since = self.since.max(now).checked_sub(Duration::from_nanos(rest)).unwrap_or(now);
        if self.credit < CREDIT_FIRST {
            let bytes = i64::try_from(bytes).unwrap_or(CREDIT_FIRST).min(CREDIT_FIRST);
            self.credit = (self.credit + bytes).min(CREDIT_FIRST);
        }
    }

    fn judge(&mut self, head: Head) {
        let length = i64::from(head.length);
        let change = match head.kind {
            DATA if length > 0 => length / BODY_BYTES_A_GAIN,
            HEADERS if length > 0 => length.min(FIELDS_GAIN_MAX),
            // The rest of a head that was counted.
            CONTINUATION if length > 0 => 0,
            // Asks for nothing, and is sent for what has gone to the user.
            WINDOW_UPDATE => 0,
            RESET => -RESET_COST,
            SETTINGS | PING if head.flags & ACK != 0 && self.asked > 0 => {
                self.asked -= 1;
                0
            }
            _ => -FRAME_COST,
        };
        self.add(change);
    }

    fn add(&mut self, bytes: i64) {
        self.credit = (self.credit + bytes).min(CREDIT_MAX);
    }
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: u32,
    kind: u8,
    flags: u8,
}

/// Where in the frames of one direction the next byte stands.
#[derive(Debug)]
struct Walk {
    /// Bytes of the preface or of a frame's payload that are still to come.
    left: usize,
    /// What has come of a frame's head.
    head: [u8; HEAD_BYTES],
    filled: usize,
}

impl Walk {
    /// The first frame begins behind so many bytes.
    fn behind(left: usize) -> Self {
        Self { left, head: [0; HEAD_BYTES], filled: 0 }
    }

    /// Takes up to the end of the next frame's head, or all.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Head> {
        let over = bytes.len().min(self.left);
        self.left -= over;
        *bytes = &bytes[over..];
        let taken = bytes.len().min(HEAD_BYTES - self.filled);
        self.head[self.filled..][..taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        *bytes = &bytes[taken..];
        if self.filled < HEAD_BYTES {
            return None;
        }
        self.filled = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.left = length as usize;
        Some(Head { length, kind, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const NOTHING: &[u8] = &[];

    fn flagged(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        flagged(kind, 0, payload)
    }

    /// Sends so many rounds of these, one every so often, each answered with these bytes; gives
    /// after how many they were too much.
    fn ends(
        round: &[Vec<u8>],
        answer: &[u8],
        part: usize,
        every: Duration,
        rounds: u32,
    ) -> Option<u32> {
        let mut now = Instant::now();
        let mut frames = Frames::new(now);
        assert!(frames.look(PREFACE_REST, now));
        let bytes = round.concat();
        (1..=rounds).find(|_| {
            answer.chunks(part).for_each(|part| frames.wrote(part));
            now += every;
            !bytes.chunks(part).all(|part| frames.look(part, now))
        })
    }

    #[test]
    fn who_sends_frames_for_nothing_is_ended_whatever_the_parts() {
        let request = frame(HEADERS, &[0; 20]);
        let reset = frame(RESET, &[0; 4]);
        let pong = flagged(PING, ACK, &[0; 8]);
        // Thirteen bytes of fields, the length of the padding, and as much of that as there can be.
        let padded = flagged(HEADERS, 0x08, &[0; 13 + 1 + 255]);
        let padding = flagged(DATA, 0x08, &[0; 1 + 255]);
        let body = vec![request.clone(), padding, reset.clone()];
        let long = vec![request.clone(), frame(CONTINUATION, &[0; 400]), reset.clone()];
        for part in [1, 5, 9, 100] {
            for (what, round, answer, least) in [
                ("pings", vec![frame(PING, &[0; 8])], &pong[..], 8_000),
                ("settings", vec![frame(SETTINGS, &[])], &flagged(SETTINGS, ACK, &[]), 5_000),
                ("priorities", vec![frame(2, &[0; 5])], NOTHING, 4_000),
                ("empty bodies", vec![frame(DATA, &[])], NOTHING, 4_000),
                ("unknown", vec![frame(99, &[0; 100])], NOTHING, 4_000),
                ("answers to no ping", vec![pong.clone()], NOTHING, 4_000),
                ("requests given up", vec![request.clone(), reset.clone()], NOTHING, 500),
                ("padded requests", vec![padded.clone(), reset.clone()], NOTHING, 500),
                ("long requests", long.clone(), NOTHING, 500),
                ("padded bodies", body.clone(), NOTHING, 500),
            ] {
                // As fast as they can come, and a thousand in a second.
                for every in [Duration::ZERO, SECOND / 1000] {
                    let ended = ends(&round, answer, part, every, 20_000);
                    let told = (least..least * 5 / 2).contains(&ended.unwrap_or(0));
                    assert!(told, "{what} by {part}, every {every:?}: {ended:?}");
                }
            }
        }
    }

    #[test]
    fn who_uses_a_connection_is_never_ended() {
        let request = frame(HEADERS, &[0; 20]);
        let ping = frame(PING, &[0; 8]);
        let (asked, pong) = (ping.clone(), flagged(PING, ACK, &[0; 8]));
        let answer = |bytes: usize| frame(DATA, &vec![0; bytes - HEAD_BYTES]);
        let given_up = vec![request.clone(), frame(RESET, &[0; 4])];
        for (what, round, answer) in [
            ("requests", vec![request.clone()], answer(100)),
            ("downloads", vec![frame(WINDOW_UPDATE, &[0; 4]), ping.clone()], answer(1_400)),
            ("uploads", vec![frame(DATA, &[0; 1_000]), ping], pong.clone()),
            ("answers to pings", vec![frame(DATA, &[0; 1]), pong], asked),
            ("pages left while they load", given_up, answer(400)),
        ] {
            assert_eq!(ends(&round, &answer, 64, Duration::ZERO, 20_000), None, "{what}");
        }
    }

    #[test]
    fn who_has_little_to_say_may_say_it_all_day() {
        let (ping, pong) = (frame(PING, &[0; 8]), flagged(PING, ACK, &[0; 8]));
        let settings = vec![frame(SETTINGS, &[])];
        let given_up = vec![frame(HEADERS, &[0; 20]), frame(RESET, &[0; 4])];
        let both = [given_up.clone(), vec![ping.clone()]].concat();
        for (what, round, answer, every) in [
            ("a silent stream with pings", vec![ping.clone()], &pong[..], SECOND * 10),
            ("a proxy that pings every second", vec![ping.clone()], &pong, SECOND),
            ("pings that are asked for", vec![pong.clone()], &ping, SECOND / 10),
            ("settings now and then", settings, &flagged(SETTINGS, ACK, &[]), SECOND),
            ("calls that time out", given_up.clone(), NOTHING, SECOND / 4),
            ("calls that time out, and pings", both, &pong, SECOND / 3),
        ] {
            let rounds = u32::try_from(DAY.as_nanos() / every.as_nanos()).expect("a count");
            assert_eq!(ends(&round, answer, 64, every, rounds), None, "{what}");
        }
        // More than comes back, and nothing that moves, is too much in the end.
        let ended = ends(&given_up, NOTHING, 64, SECOND / 8, 20_000);
        assert!((1_000..3_000).contains(&ended.unwrap_or(0)), "{ended:?}");
    }

    #[test]
    fn no_rest_gives_more_than_there_was_at_first() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        assert!(frames.look(PREFACE_REST, now));
        assert!(frames.look(&frame(PING, &[0; 8]), now + DAY));
        assert_eq!(frames.credit, CREDIT_FIRST - FRAME_COST);
        frames.wrote(&frame(DATA, &[0; 1_000]));
        let most = frames.credit;
        assert!(most > CREDIT_FIRST && frames.look(&[], now + 2 * DAY));
        assert_eq!(frames.credit, most, "what was earned stays");
        frames.wrote(&frame(DATA, &[0; 2 << 20]));
        assert_eq!(frames.credit, CREDIT_MAX);
    }
}

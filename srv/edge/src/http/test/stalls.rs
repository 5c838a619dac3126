//! Users of HTTP/2 who take nothing, or little, of what they asked for. Their frames are made by
//! hand: a client grants room by itself.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Instance, LONG_BYTES, Rig, SOON, soon};
use crate::access::Access;
use crate::limits::Limits;
use crate::swap::Note;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The code of a reset that says: not wanted any more (RFC 9113, section 7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// The most room that there may be (RFC 9113, section 6.9.1).
const WINDOW_MAX: u32 = i32::MAX as u32;
/// What a connection has at first (RFC 9113, section 6.9.2).
const WINDOW_FIRST: u32 = 65_535;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A user's connection.
struct User(TcpStream);

impl User {
    /// Grants so much room to every stream, and all there is to the connection.
    async fn with_room(rig: &Rig, room: u32) -> Self {
        let stream = TcpStream::connect(rig.address).await.expect("connects");
        let mut user = Self(stream);
        user.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("writes");
        user.send(SETTINGS, 0, 0, &[&[0, 4][..], &room.to_be_bytes()].concat()).await;
        user.grant(0, WINDOW_MAX - WINDOW_FIRST).await;
        user
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await.expect("writes");
    }

    async fn grant(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await;
    }

    /// Asks for a path of a host (RFC 7541, appendix A: 2 or 3, 6, 4 and 1 of the static table).
    async fn ask(&mut self, stream: u32, method: u8, host: &str, path: &str) {
        let of = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let fields = [&[method, 0x86, 0x04][..], &of(path), &[0x01], &of(host)].concat();
        let flags = END_HEADERS | if method == GET { END_STREAM } else { 0 };
        self.send(HEADERS, flags, stream, &fields).await;
    }

    /// The next frame that is about a stream; what keeps the connection up is answered.
    async fn next(&mut self) -> Frame {
        loop {
            let mut head = [0; 9];
            soon("a frame", self.0.read_exact(&mut head)).await.expect("a frame");
            let [a, b, c, kind, flags, d, e, f, g] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            soon("its rest", self.0.read_exact(&mut payload)).await.expect("the rest");
            let stream = u32::from_be_bytes([d, e, f, g]);
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload).await,
                DATA | HEADERS | RESET => return Frame { kind, flags, stream, payload },
                _ => assert_eq!(stream, 0, "frame {kind}"),
            }
        }
    }

    /// Takes so many bytes of an answer, and leaves no room.
    async fn take(&mut self, stream: u32, bytes: u32) {
        self.grant(stream, bytes).await;
        let mut left = bytes as usize;
        while left > 0 {
            left -= self.data(stream).await.payload.len();
        }
    }

    /// The next part of an answer, or the end of it.
    async fn data(&mut self, stream: u32) -> Frame {
        let mut frame = self.next().await;
        while frame.kind == HEADERS && frame.stream == stream {
            frame = self.next().await;
        }
        assert_eq!((frame.kind, frame.stream), (DATA, stream), "{:?}", frame.payload);
        frame
    }
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

fn limits(stall_time: Duration) -> Limits {
    Limits { workers: 1, stall_time, head_time: stall_time, ..Limits::default() }
}

fn stalls(rig: &Rig) -> String {
    let text = crate::metrics::text(&rig.shared);
    let value = text.lines().find_map(|line| line.split_once("{reason=\"stall\"} "));
    value.expect("a count").1.to_owned()
}

fn in_flight(rig: &Rig, id: &str) -> u64 {
    rig.shared.live().backends[id].figures.sum().in_flight
}

#[tokio::test]
async fn a_stream_without_room_is_reset_and_a_quiet_one_beside_it_lives_on() {
    let mut rig = Rig::with(limits(Duration::from_millis(300)), Access::none()).await;
    let (a, b) = (Instance::new("a").await, Instance::new("b").await);
    rig.table(&format!("a / a - {}\nb / b - {}", a.line(), b.line()));
    let mut user = User::with_room(&rig, 0).await;
    user.ask(1, GET, "a", "/chunks").await;
    user.grant(1, 1000).await;
    a.go.add_permits(1);
    assert_eq!(user.data(1).await.payload, b"chunk 0\n");
    // From here on nothing comes on the first stream, and there is nothing to come.
    user.ask(3, GET, "b", "/much").await;
    user.ask(5, GET, "b", "/").await;
    let mut reset = Vec::new();
    while reset.len() < 2 {
        let frame = user.next().await;
        match frame.kind {
            RESET => reset.push((frame.stream, frame.payload)),
            kind => assert_eq!(kind, HEADERS, "of {}", frame.stream),
        }
    }
    reset.sort();
    assert_eq!(reset, [(3, CANCEL.to_vec()), (5, CANCEL.to_vec())]);
    soon("the end at the instance", b.given_up.notified()).await;
    assert_eq!((in_flight(&rig, "b"), in_flight(&rig, "a")), (0, 1));
    assert_eq!(stalls(&rig), "2");
    rig.table(&format!("a / a - {}", a.line()));
    // Were it held by anybody, it would be cut first.
    let note = rig.note().await;
    assert!(matches!(&note, Note::Drained { id } if &**id == "b"), "{note:?}");
    a.go.add_permits(2);
    assert_eq!(user.data(1).await.payload, b"chunk 1\n");
    assert_eq!(user.data(1).await.payload, b"chunk 2\n");
}

#[tokio::test]
async fn a_stream_whose_user_is_slow_but_steady_is_not_reset() {
    let stall_time = Duration::from_millis(1500);
    let mut rig = Rig::with(limits(stall_time), Access::none()).await;
    let a = Instance::new("a").await;
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = User::with_room(&rig, 0).await;
    user.ask(1, GET, "a", "/much").await;
    // As fast as can be, so that the edge reads much at a time; then slowly.
    user.take(1, 256 * 1024).await;
    let began = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while began.elapsed() < stall_time * 3 {
        pace.tick().await;
        user.take(1, 2 * 1024).await;
    }
    assert_eq!((in_flight(&rig, "a"), &*stalls(&rig)), (1, "0"));
}

#[tokio::test]
async fn who_reads_nothing_over_http2_is_sent_away() {
    let mut rig = Rig::with(limits(Duration::from_millis(300)), Access::none()).await;
    let a = Instance::new("a").await;
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = User::with_room(&rig, WINDOW_MAX).await;
    user.ask(1, GET, "a", "/much").await;
    soon("the end at the instance", a.given_up.notified()).await;
    assert_eq!((in_flight(&rig, "a"), &*stalls(&rig)), (0, "1"));
    let mut rest = Vec::new();
    _ = soon("the end", user.0.read_to_end(&mut rest)).await;
}

/// Asks for an answer that its instance has sent to the end, and takes all but its last bytes.
async fn nearly_all(rig: &mut Rig, a: &Instance) -> User {
    let mut user = User::with_room(rig, 0).await;
    user.ask(1, GET, "a", "/long").await;
    user.take(1, LONG_BYTES - 5000).await;
    rig.table("a / a -");
    // The instance may leave: nobody asks anything of it any more.
    let note = rig.note().await;
    assert!(matches!(&note, Note::Drained { id } if &**id == "a"), "{note:?}");
    assert_eq!(rig.shared.live().routes[0].figures.sum().in_flight, 1);
    assert_eq!(a.count(), 1);
    user
}

#[tokio::test]
async fn the_end_of_an_answer_without_room_is_reset_though_its_instance_has_left() {
    let mut rig = Rig::with(limits(Duration::from_millis(300)), Access::none()).await;
    let a = Instance::new("a").await;
    rig.table(&format!("a / a drain=100 {}", a.line()));
    let mut user = nearly_all(&mut rig, &a).await;
    let frame = user.next().await;
    assert_eq!((frame.kind, frame.payload), (RESET, CANCEL.to_vec()));
    let text = crate::metrics::text(&rig.shared);
    assert!(text.contains("deploy_requests_cut_total{reason=\"drain\"} 0\n"), "{text}");
    assert!(text.contains("path=\"/\",class=\"gone\"} 1\n"), "{text}");
    assert_eq!(stalls(&rig), "1");
}

#[tokio::test]
async fn the_end_of_an_answer_that_finds_room_late_is_a_whole_answer() {
    let mut rig = Rig::with(limits(SOON), Access::none()).await;
    let a = Instance::new("a").await;
    rig.table(&format!("a / a drain=100 {}", a.line()));
    let mut user = nearly_all(&mut rig, &a).await;
    user.take(1, 5000).await;
    let end = user.data(1).await;
    assert_eq!((end.flags & END_STREAM, end.payload.len()), (END_STREAM, 0));
    let text = crate::metrics::text(&rig.shared);
    assert!(text.contains("path=\"/\",class=\"2xx\"} 1\n"), "{text}");
    assert_eq!(stalls(&rig), "0");
}

#[tokio::test]
async fn what_the_drain_has_cut_is_not_counted_as_stalled_as_well() {
    let stall_time = Duration::from_millis(1000);
    let limits = Limits { answer_time: SOON, ..limits(stall_time) };
    for long_way in ["", "Keep-Alive: 1\n"] {
        let mut rig = Rig::with(limits.clone(), Access::none()).await;
        let a = Instance::new("a").await;
        rig.table(&format!("* / a drain=50 {}", a.line()));
        let mut user = rig.user().await;
        user.send(&format!("GET /much HTTP/1.1\nHost: a\n{long_way}\n")).await;
        user.until("\r\n\r\n").await;
        let mut http2 = User::with_room(&rig, 0).await;
        http2.ask(1, GET, "a", "/much").await;
        a.has_seen(2).await;
        rig.table("* / a -");
        assert!(matches!(rig.note().await, Note::Cut { count: 2, .. }));
        // Their users still take nothing, until they are sent away for that.
        soon("the end of both", async {
            while rig.shared.connections() > 1 || route_in_flight(&rig) > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(stalls(&rig), "0", "{long_way:?}");
        let text = crate::metrics::text(&rig.shared);
        assert!(text.contains("deploy_requests_cut_total{reason=\"drain\"} 2\n"), "{text}");
    }
}

fn route_in_flight(rig: &Rig) -> u64 {
    rig.shared.live().routes[0].figures.sum().in_flight
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_body_over_http2_is_told_so() {
    let mut rig = Rig::with(limits(Duration::from_millis(300)), Access::none()).await;
    let a = Instance::new("a").await;
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = User::with_room(&rig, WINDOW_FIRST).await;
    user.ask(1, POST, "a", "/wait").await;
    user.send(DATA, 0, 1, b"the first part").await;
    let frame = user.data(1).await;
    assert_eq!(frame.payload, b"408 the request's body did not go on in time\n");
    assert!(frame.flags & END_STREAM > 0 || user.data(1).await.flags & END_STREAM > 0);
    assert_eq!((in_flight(&rig, "a"), &*stalls(&rig)), (0, "1"));
}

//! The lock by real 9P clients: real files, a real world and its turns, and a clock that the test
//! sets.

use super::super::Files;
use crate::arrival::Arrival;
use crate::clock::{Millis, Moment};
use crate::edge::EdgeLink;
use crate::link::Link;
use crate::save::Journal;
use crate::wheel::Wheel;
use crate::world::Shared;
use ninep::client::{Client, File, Mode};
use ninep::dial::{Address, Peer};
use ninep::wire::{Dialect, NOFID, Names, Tmsg, Uid};
use ninep::{Kind, Limits, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server whose clock stands until a test sets it.
struct Rig {
    server: Arc<Server<Files>>,
    now: Arc<AtomicU64>,
}

impl Rig {
    async fn new() -> Rig {
        let journal = Journal::with(Box::new(store::Memory::new()));
        let world = Shared::new(journal.load().await.unwrap());
        let now = Arc::new(AtomicU64::new(0));
        let (sender, mut arrivals) = mpsc::channel::<Arrival>(64);
        let mut wheel = Wheel::new(world.clone(), journal, Moment { wall: 0, steady: 0 });
        let clock = Arc::clone(&now);
        tokio::spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                let ms = clock.load(Ordering::SeqCst);
                wheel.turn(Moment { wall: ms, steady: ms }, vec![arrival]).await;
            }
        });
        let nowhere = Address::Unix("/nowhere".into());
        let link = Link::new(watch::Sender::new(None).subscribe(), nowhere);
        let files = Files::new(world, sender, (link, EdgeLink::none()), "no such group");
        Rig { server: Arc::new(Server::new(Arc::new(files), Limits::default())), now }
    }

    /// A connection of that user, in the group that may write.
    fn connect(&self, uid: u32, name: &str) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = name.to_string();
        let peer = Peer::Unix { uid, gid: uid, groups: vec![0], name, pid: None };
        tokio::spawn(Arc::clone(&self.server).serve_connection(far, peer));
        near
    }

    async fn client(&self, uid: u32, name: &str) -> Client {
        Client::from_stream(self.connect(uid, name), "").await.unwrap()
    }

    fn pass(&self, ms: Millis) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

async fn open(client: &Client, path: &str) -> Result<File, String> {
    client.open(path, Mode::ReadWrite).await.map_err(|error| error.to_string())
}

async fn read(client: &Client, path: &str) -> String {
    String::from_utf8(client.read(path).await.unwrap()).unwrap()
}

async fn write(client: &Client, path: &str, text: &str) -> Result<(), String> {
    client.write(path, text.as_bytes()).await.map_err(|error| error.to_string())
}

async fn put(client: &Client, text: &str) -> Result<(), String> {
    client.put("manifests/web", text.as_bytes()).await.map_err(|error| error.to_string())
}

/// Reads lines of a file that waits until there is one with that in it.
async fn until(watch: &mut File, wanted: &str) -> String {
    let read = async {
        let mut text = String::new();
        while !text.contains(wanted) {
            let bytes = watch.read_next(8192).await.unwrap();
            text += std::str::from_utf8(&bytes).unwrap();
        }
        text
    };
    timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{wanted:?} was never told"))
}

#[tokio::test]
async fn a_service_that_is_not_there_yet_has_a_lock_and_goes_with_it() {
    let rig = Rig::new().await;
    let ann = rig.client(1000, "ann").await;
    assert!(open(&ann, "active/web/lock").await.is_err());
    ann.mkdir("active/web").await.unwrap();
    let stat = ann.stat("active/web/lock").await.unwrap();
    assert_eq!((stat.kind, stat.mode, stat.length), (Kind::Exclusive, 0o660, 0));
    let lock = open(&ann, "active/web/lock").await.unwrap();
    for (phase, words) in [("lock", "from ci-3"), ("pre-flight", "pre-flight"), ("build", "build")]
    {
        lock.write_at(0, words.as_bytes()).await.unwrap();
        assert_eq!(read(&ann, "active/web/update_phase").await, format!("{phase}\n"));
    }
    lock.write_at(0, b"commit ab12 mend the door\nmessage for bob\n").await.unwrap();
    let state = read(&ann, "active/web/state").await;
    for line in [
        "phase=build",
        "started=1970-01-01T00:00:00Z",
        "by=ann",
        "commit=ab12 mend the door",
        "message=for bob",
        "current=",
    ] {
        assert!(state.lines().any(|one| one == line), "{line} is not in\n{state}");
    }
    assert!(read(&ann, "status").await.contains("build"));
    let text = read(&ann, "active/web/lock").await;
    assert!(text.contains("holder=ann\nuid=1000\nfrom=ci-3\n"), "{text}");
    assert_eq!(lock.read_at(0, 7).await.unwrap(), &b"holder="[..]);
    let events = read(&ann, "active/web/events").await;
    for told in ["locked by ann (uid 1000)", "pre-flight", "build"] {
        assert!(events.lines().any(|line| line.ends_with(told)), "{told} is not in\n{events}");
    }
    lock.clunk().await.unwrap();
    assert!(ann.list("active").await.unwrap().is_empty(), "nothing came of it");
    assert!(read(&ann, "events").await.contains("locked by ann"));
}

#[tokio::test]
async fn one_holds_it_others_are_told_who_and_it_is_free_when_the_connection_ends() {
    let rig = Rig::new().await;
    let (ann, bob) = (rig.client(1000, "ann").await, rig.client(1001, "bob").await);
    put(&bob, "image web:1\n").await.unwrap();
    let lock = open(&ann, "active/web/lock").await.unwrap();
    lock.write_at(0, b"from ci-3 pid 4711\nbuild\n").await.unwrap();
    let in_use = "lock is in use by ann (uid 1000) on ci-3 pid 4711 since 1970-01-01T00:00:00Z, \
                  phase build";
    let refused = [
        open(&bob, "active/web/lock").await.map(drop),
        write(&bob, "active/web/ctl", "apply\n").await,
        write(&bob, "ctl", "scale web 3\n").await,
        write(&bob, "active/web/ctl", "restart\n").await,
        put(&bob, "image web:2\n").await,
        bob.remove("manifests/web").await.map_err(|error| error.to_string()),
    ];
    for refused in refused {
        let text = refused.unwrap_err();
        assert!(text.contains(in_use), "{text}");
    }
    assert!(read(&bob, "active/web/error").await.contains(in_use));
    // The way out is never locked: these are refused because there is nothing to be ended.
    for verb in ["pause", "rollback"] {
        let text = write(&bob, "active/web/ctl", verb).await.unwrap_err();
        assert!(!text.contains("lock is"), "{text}");
    }
    assert_eq!(read(&ann, "manifests/web").await, "image web:1\n", "nothing of bob's is there");
    // Its holder's own writes count, over his connection.
    put(&ann, "image web:3\n").await.unwrap();

    let mut watch = bob.open("active/web/watch", Mode::Read).await.unwrap();
    drop((lock, ann));
    until(&mut watch, "lock of ann (uid 1000) on ci-3 pid 4711").await;
    open(&bob, "active/web/lock").await.unwrap();
}

#[tokio::test]
async fn a_queue_is_waited_in_without_asking_again_and_left_by_giving_up() {
    let rig = Rig::new().await;
    let (ann, bob) = (rig.client(1000, "ann").await, rig.client(1001, "bob").await);
    put(&ann, "image web:1\n").await.unwrap();
    let lock = open(&ann, "active/web/lock").await.unwrap();
    let mut watch = ann.open("active/web/watch", Mode::Read).await.unwrap();
    let wait = tokio::spawn(async move { open(&bob, "active/web/queue").await.map(|f| (f, bob)) });
    until(&mut watch, "bob (uid 1001) waits for the lock").await;
    // One who gives up is forgotten; a Tflush does it.
    let cyd = rig.client(1002, "cyd").await;
    {
        let mut given_up = Box::pin(open(&cyd, "active/web/queue"));
        tokio::select! {
            _ = &mut given_up => panic!("it is held"),
            _ = until(&mut watch, "cyd (uid 1002) waits for the lock") => {}
        }
    }
    let queue = read(&ann, "active/web/queue").await;
    assert!(queue.starts_with("bob (uid 1001) since 1970"), "{queue}");
    cyd.read("status").await.unwrap();
    lock.clunk().await.unwrap();
    let (_held, bob) = timeout(PATIENCE, wait).await.unwrap().unwrap().unwrap();
    assert!(read(&bob, "active/web/lock").await.starts_with("holder=bob\n"));
    assert_eq!(read(&bob, "active/web/queue").await, "", "who gave up does not wait");
    // Who holds the lock through its queue holds it as anybody.
    assert!(open(&ann, "active/web/lock").await.is_err());
}

#[tokio::test]
async fn a_lock_older_than_five_minutes_is_taken_by_force_and_its_holder_is_fenced_off() {
    let rig = Rig::new().await;
    let (ann, bob) = (rig.client(1000, "ann").await, rig.client(1001, "bob").await);
    put(&ann, "image web:1\n").await.unwrap();
    let lock = open(&ann, "active/web/lock").await.unwrap();
    rig.pass(299_000);
    let young = write(&bob, "active/web/ctl", "unlock\n").await.unwrap_err();
    assert!(young.contains("it can be broken in 1 s"), "{young}");
    rig.pass(1_000);
    let alone = write(&bob, "ctl", "unlock web\npause web\n").await.unwrap_err();
    assert!(alone.contains("unlock must be the only line"), "{alone}");
    write(&bob, "active/web/ctl", "unlock\n").await.unwrap();
    let events = read(&bob, "active/web/events").await;
    assert!(events.contains("phase lock: broken by bob (uid 1001)"), "{events}");

    let held = open(&bob, "active/web/lock").await.unwrap();
    let taken = "lock was taken by bob (uid 1001) at 1970-01-01T00:05:00Z";
    let fenced = async || {
        for refused in [
            lock.write_at(0, b"apply\n").await.map(drop).map_err(|error| error.to_string()),
            lock.write_at(0, b"build\n").await.map(drop).map_err(|error| error.to_string()),
            write(&ann, "active/web/ctl", "apply\n").await,
            put(&ann, "image web:2\n").await,
        ] {
            let text = refused.unwrap_err();
            assert!(text.contains(taken), "{text}");
        }
    };
    fenced().await;
    put(&bob, "image web:3\n").await.unwrap();
    held.write_at(0, b"apply\n").await.unwrap();
    held.clunk().await.unwrap();
    // Also when the other is done: a late write of an old holder must not undo his deploy.
    fenced().await;
    assert_eq!(read(&bob, "manifests/web").await, "image web:3\n");
    lock.clunk().await.unwrap();
    let again = write(&ann, "active/web/ctl", "apply\n").await.unwrap_err();
    assert!(again.contains("is in flight since"), "{again}");
}

#[tokio::test]
async fn without_a_lock_a_plain_write_begins_and_a_second_one_is_told_how_far_it_is() {
    let rig = Rig::new().await;
    let ann = rig.client(1000, "ann").await;
    put(&ann, "image web:1\n").await.unwrap();
    write(&ann, "active/web/ctl", "apply\n").await.unwrap();
    let busy = write(&ann, "active/web/ctl", "apply\n").await.unwrap_err();
    let want = "another apply, by ann (uid 1000), is in flight since 1970-01-01T00:00:00Z, \
                phase pull";
    assert!(busy.contains(want), "{busy}");
}

/// A client of Linux's dialect, message by message.
struct Linux(DuplexStream);

impl Linux {
    async fn new(stream: DuplexStream, names: &[&[u8]]) -> Linux {
        let mut linux = Linux(stream);
        linux.ask(1, &Tmsg::Version { msize: 8192, version: b"9P2000.L" }).await;
        let n_uname = Uid(u32::MAX);
        linux.ask(1, &Tmsg::Attach { fid: 1, afid: NOFID, uname: b"", aname: b"", n_uname }).await;
        let names = Names::new(names).unwrap();
        linux.ask(1, &Tmsg::Walk { fid: 1, newfid: 2, names }).await;
        linux
    }

    async fn send(&mut self, tag: u16, message: &Tmsg<'_>) {
        let mut frame = Vec::new();
        message.encode(tag, Dialect::Linux, &mut frame);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The type of the next answer, its tag, and what it carries.
    async fn next(&mut self) -> (u8, u16, Vec<u8>) {
        let read = async {
            let size = self.0.read_u32_le().await.unwrap() as usize;
            let mut rest = vec![0; size - 4];
            self.0.read_exact(&mut rest).await.unwrap();
            (rest[0], u16::from_le_bytes([rest[1], rest[2]]), rest[3..].to_vec())
        };
        timeout(PATIENCE, read).await.unwrap()
    }

    async fn ask(&mut self, tag: u16, message: &Tmsg<'_>) -> (u8, Vec<u8>) {
        self.send(tag, message).await;
        let (kind, _, body) = self.next().await;
        (kind, body)
    }
}

#[tokio::test]
async fn a_linux_mount_holds_is_refused_waits_and_gives_up_as_well() {
    const RDWR: u32 = 0o2;
    const RLERROR: u8 = 7;
    const RLOPEN: u8 = 13;
    const RFLUSH: u8 = 109;
    const EBUSY: u8 = 16;
    let rig = Rig::new().await;
    let ann = rig.client(1000, "ann").await;
    put(&ann, "image web:1\n").await.unwrap();
    let path: [&[u8]; 3] = [b"active", b"web", b"lock"];
    let mut first = Linux::new(rig.connect(1001, "bob"), &path).await;
    let (kind, _) = first.ask(1, &Tmsg::Lopen { fid: 2, flags: RDWR }).await;
    assert_eq!(kind, RLOPEN);
    let mut second = Linux::new(rig.connect(1002, "cyd"), &path).await;
    let (kind, body) = second.ask(1, &Tmsg::Lopen { fid: 2, flags: RDWR }).await;
    assert_eq!((kind, body[0]), (RLERROR, EBUSY));
    let mut third = Linux::new(rig.connect(1003, "dan"), &[b"active", b"web", b"queue"]).await;
    let mut watch = ann.open("active/web/watch", Mode::Read).await.unwrap();
    third.send(7, &Tmsg::Lopen { fid: 2, flags: RDWR }).await;
    until(&mut watch, "dan (uid 1003) waits").await;
    assert_eq!(third.ask(8, &Tmsg::Flush { oldtag: 7 }).await.0, RFLUSH);
    drop(first);
    until(&mut watch, "lock of bob").await;
    open(&ann, "active/web/lock").await.unwrap();
}

//! Feeds over a node whose logs say what a test lets them say, and which comes and goes.

use super::*;
use crate::gather::Gatherer;
use crate::grow::Grow;
use crate::kept::Kept;
use crate::logs::Whose;
use crate::record::Record;
use crate::report::Container;
use crate::world::{self, Service};
use bytes::Bytes;
use ninep::dial::{Address, listen};
use ninep::{Answer, Error, How, Kind, Limits, Open, Server, Stat, Tree, User};
use rollout::Id;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
/// The text of a file that is never opened.
const SILENT: &str = "silent\n";
/// Lines that a tail begins with.
const TAIL_LINES: usize = 2;

/// The texts of all files by their paths; a tail is that of the log beside it.
type Texts = watch::Sender<BTreeMap<String, String>>;

struct Paths(Arc<Texts>);

impl Paths {
    fn text(&self, path: &str) -> Option<String> {
        self.0.borrow().get(&path.replace("/tail", "/log")).cloned()
    }
}

impl Tree for Paths {
    type Node = String;

    fn attach(&self, _user: &User, _aname: &[u8]) -> ninep::Result<String> {
        Ok(String::new())
    }

    fn walk(&self, at: &String, name: &[u8]) -> ninep::Result<String> {
        let path = format!("{at}/{}", String::from_utf8_lossy(name));
        let log = path.replace("/tail", "/log");
        let there = self.0.borrow().keys().any(|known| known.starts_with(&log));
        there.then_some(path).ok_or(Error::NotFound)
    }

    fn parent(&self, _at: &String) -> String {
        String::new()
    }

    fn stat(&self, at: &String) -> ninep::Result<Stat> {
        let text = self.text(at);
        let kind = if text.is_some() { Kind::File } else { Kind::Dir };
        let mut stat = Stat::new(kind, at.clone(), at.len() as u64, 0o555);
        stat.length = text.unwrap_or_default().len() as u64;
        Ok(stat)
    }

    fn entries(&self, _at: &String) -> ninep::Result<Vec<Stat>> {
        Err(Error::NotDir)
    }

    fn open(&self, at: &String, _how: How, _user: &User) -> Answer<Box<dyn Open>> {
        let Some(text) = self.text(at) else { return Answer::Now(Err(Error::NotFound)) };
        if text == SILENT {
            return Answer::later(std::future::pending());
        }
        if !at.ends_with("/tail") {
            return Answer::Now(Ok(ninep::text(text)));
        }
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let begin = lines[lines.len().saturating_sub(TAIL_LINES)..].concat() + "\n";
        let (log, texts) = (at.replace("/tail", "/log"), self.0.subscribe());
        let state = (begin, text.len(), texts);
        Answer::Now(Ok(Box::new(Waits { log, state: Arc::new(tokio::sync::Mutex::new(state)) })))
    }
}

/// What is to be read next, the log's bytes that were taken, and the texts.
type State = (String, usize, watch::Receiver<BTreeMap<String, String>>);

/// An open tail.
struct Waits {
    log: String,
    state: Arc<tokio::sync::Mutex<State>>,
}

impl Open for Waits {
    fn read(&mut self, _offset: u64, _count: u32) -> Answer<Bytes> {
        let (log, state) = (self.log.clone(), Arc::clone(&self.state));
        Answer::later(async move {
            let mut state = state.lock().await;
            let (begin, taken, texts) = &mut *state;
            if !begin.is_empty() {
                return Ok(std::mem::take(begin).into());
            }
            let more = |texts: &BTreeMap<String, String>| {
                texts.get(&log).is_none_or(|text| text.len() > *taken)
            };
            let texts = texts.wait_for(more).await.map_err(|_| Error::Interrupted)?;
            let more = texts.get(&log).map_or("", |text| &text[*taken..]).to_string();
            drop(texts);
            *taken += more.len();
            Ok(more.into())
        })
    }

    fn stream(&self) -> bool {
        true
    }
}

/// The node, and the link to it.
struct Rig {
    _dir: tempfile::TempDir,
    address: Address,
    texts: Arc<Texts>,
    client: watch::Sender<Option<ninep::client::Client>>,
    feeds: Arc<Feeds>,
    server: Arc<Server<Paths>>,
    serving: JoinSet<std::io::Result<()>>,
}

impl Rig {
    async fn start() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::Unix(dir.path().join("node.sock"));
        let (client, link) = watch::channel(None);
        let feeds = Arc::new(Feeds::new(Link::new(link, address.clone())));
        let texts = Arc::new(Texts::new(BTreeMap::new()));
        let server = Arc::new(Server::new(Arc::new(Paths(texts.clone())), Limits::default()));
        let serving = JoinSet::new();
        let mut rig = Rig { _dir: dir, address, texts, client, feeds, server, serving };
        rig.up().await;
        rig
    }

    async fn up(&mut self) {
        let listener = listen(&self.address).await.unwrap();
        let server = Arc::new(Server::new(Arc::new(Paths(self.texts.clone())), Limits::default()));
        self.server = Arc::clone(&server);
        self.serving.spawn(server.serve(listener));
        let client = ninep::client::Client::dial(&self.address, "").await.unwrap();
        self.client.send_replace(Some(client));
    }

    async fn down(&mut self) {
        self.server.stop();
        self.serving.join_next().await.unwrap().unwrap().unwrap();
        self.client.send_replace(None);
    }

    fn write(&self, path: &str, text: &str) {
        self.texts.send_modify(|texts| texts.entry(path.to_string()).or_default().push_str(text));
    }

    fn remove(&self, path: &str) -> String {
        let mut gone = None;
        self.texts.send_modify(|texts| gone = texts.remove(path));
        gone.unwrap()
    }

    async fn join(&self, name: &str) -> Joined {
        let feed = self.feeds.of(name).unwrap();
        feed.join(Instant::now() + PATIENCE).await.unwrap()
    }
}

/// The next so many lines.
async fn next(joined: &mut Joined, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let more = timeout(PATIENCE, joined.more.recv()).await.expect("more lines");
        lines.extend(more.expect("not at its end").iter().cloned());
    }
    lines
}

const LOG: &str = "/instances/web-1/log";

#[tokio::test]
async fn however_many_follow_the_node_is_asked_by_another_connection() {
    let rig = Rig::start().await;
    let mut joined = Vec::new();
    // More than a connection has tags for.
    for n in 0..150 {
        rig.write(&format!("/instances/web-{n}/log"), "a\n");
        joined.push(rig.join(&format!("web-{n}")).await);
        joined.push(rig.join(&format!("web-{n}")).await);
    }
    let client = rig.client.borrow().clone().unwrap();
    let asked = timeout(PATIENCE, client.read("instances/web-1/log")).await.expect("an answer");
    assert_eq!(asked.unwrap(), "a\n".as_bytes());
    rig.write("/instances/web-149/log", "b\n");
    for joined in &mut joined[298..] {
        assert_eq!(joined.begin, ["a"]);
        assert_eq!(next(joined, 1).await, ["b"]);
    }
}

#[tokio::test]
async fn more_than_the_bound_are_refused_until_one_is_given_up() {
    let rig = Rig::start().await;
    let mut feeds: Vec<_> =
        (0..FEEDS_MAX).map(|n| rig.feeds.of(&format!("web-{n}")).unwrap()).collect();
    assert!(rig.feeds.of("one-more").is_err());
    assert!(rig.feeds.of("web-1").is_ok(), "one that is followed has room for others");
    feeds.pop();
    assert!(rig.feeds.of("one-more").is_ok());
}

#[tokio::test]
async fn a_feed_goes_on_behind_its_last_line_over_the_end_of_a_node() {
    let mut rig = Rig::start().await;
    rig.write(LOG, "a\nb\n");
    let mut joined = rig.join("web-1").await;
    assert_eq!(joined.begin, ["a", "b"]);
    rig.down().await;
    // More than the tail of the next node begins with.
    rig.write(LOG, "c\nd\ne\nf\ng\n");
    rig.up().await;
    assert_eq!(next(&mut joined, 5).await.concat(), "cdefg");
    rig.write(LOG, "h\n");
    assert_eq!(next(&mut joined, 1).await, ["h"]);
    rig.down().await;
    rig.write(LOG, "i\n");
    rig.up().await;
    assert_eq!(next(&mut joined, 1).await, ["i"]);
    // It goes while the node is away; its log is kept.
    rig.down().await;
    let text = rig.remove(LOG) + "j\n";
    rig.write("/logs/web-1", &text);
    rig.up().await;
    assert_eq!(next(&mut joined, 1).await, ["j"]);
    assert!(timeout(PATIENCE, joined.more.recv()).await.expect("its end").is_none());
}

#[tokio::test]
async fn what_a_log_does_not_have_any_more_is_said_to_be_lost() {
    let mut rig = Rig::start().await;
    rig.write(LOG, "1 a\n");
    let mut joined = rig.join("web-1").await;
    rig.down().await;
    rig.remove(LOG);
    rig.write(LOG, "2 x\n3 y\n4 z\n");
    rig.up().await;
    let lines = next(&mut joined, 4).await;
    assert!(lines[0].starts_with("2 stderr deployfs: lines are lost here"), "{lines:?}");
    assert_eq!(lines[1..], ["2 x", "3 y", "4 z"]);
}

/// A view of a service, begun.
async fn view(rig: &Rig, service: Service) -> Arc<Grow> {
    let world = world::Shared::default();
    world.lock().services.insert("web".to_string(), service);
    let grow = Arc::new(Grow::default());
    let whose = Whose { service: "web".to_string(), incarnation: 0, id: None };
    let gatherer = Gatherer::new(whose, &grow, Arc::clone(&rig.feeds), world);
    let (ready, mut is_ready) = watch::channel(false);
    tokio::spawn(gatherer.run(ready));
    let waited = timeout(PATIENCE, is_ready.wait_for(|ready| *ready)).await;
    assert!(waited.expect("within its bound").is_ok());
    grow
}

fn service() -> Service {
    Service::new("web", Record::new(0, world::Numbers::default()))
}

#[tokio::test]
async fn what_comes_while_a_view_begins_stands_behind_its_begin() {
    let rig = Rig::start().await;
    let mut web = service();
    for n in 0..3 {
        web.containers.insert(Id(n), Container::default());
        rig.write(&format!("/instances/web-{n}/log"), &format!("{} x\n", 3 - n));
    }
    // The view waits for this one, and follows the others meanwhile.
    web.containers.insert(Id(9), Container::default());
    rig.write("/instances/web-9/log", SILENT);
    let written = async {
        let mut joined = rig.join("web-0").await;
        rig.write("/instances/web-0/log", "4 newer\n");
        assert_eq!(next(&mut joined, 1).await, ["4 newer"]);
    };
    let (grow, ()) = tokio::join!(view(&rig, web), written);
    let mut cursor = 0;
    let want = ["1 web-2 x\n2 web-1 x\n3 web-0 x\n", "4 web-0 newer\n"];
    let mut text = String::new();
    while text.len() < want.concat().len() {
        let more = timeout(PATIENCE, grow.next(&mut cursor, 8192)).await.expect("more");
        text.push_str(str::from_utf8(&more).unwrap());
    }
    assert_eq!(text, want.concat());
}

#[tokio::test]
async fn a_view_is_not_held_up_by_a_kept_log_that_is_not_given() {
    let rig = Rig::start().await;
    let mut web = service();
    web.kept.insert(Id(1), Kept { at: 0, bytes: 2 });
    rig.write("/logs/web-1", SILENT);
    assert_eq!(view(&rig, web).await.text(), "");
}

#[tokio::test]
async fn an_instance_that_went_before_the_world_heard_of_it_has_its_log_in_a_view() {
    let rig = Rig::start().await;
    let mut web = service();
    web.containers.insert(Id(1), Container::default());
    rig.write("/logs/web-1", "1 a\n2 b\n");
    assert_eq!(view(&rig, web).await.text(), "1 web-1 a\n2 web-1 b\n");
}

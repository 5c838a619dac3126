//! A small tree for tests: plain texts, and a service whose `ctl` plays a script.

use bytes::Bytes;
use ninep::{Answer, Error, How, Kind, Limits, Open, Result, Server, Stat, Tree, User};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What the tree has, and what it plays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// Texts by path.
    pub(crate) files: BTreeMap<String, String>,
    /// Lines that appear in the `watch` files when the `ctl` is written.
    pub(crate) lines: Vec<String>,
    /// What `wait` gives from then on.
    pub(crate) outcome: String,
    /// Why a write to `ctl` is refused, if it is.
    pub(crate) refusal: Option<String>,
}

/// What was written so far, and what can be seen of it.
#[derive(Debug)]
pub(crate) struct Fake {
    script: Script,
    /// The writes to `ctl`.
    pub(crate) written: Mutex<Vec<String>>,
    played: watch::Sender<bool>,
}

/// Serves a script over a stream in memory, and gives a client of it.
pub(crate) async fn serve(script: Script) -> (Arc<Fake>, crate::link::Link) {
    let played = watch::Sender::new(false);
    let fake = Arc::new(Fake { script, written: Mutex::default(), played });
    let server = Arc::new(Server::new(Arc::new(Handle(Arc::clone(&fake))), Limits::default()));
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let root = ninep::dial::Peer::Unix {
        uid: 0,
        gid: 0,
        groups: vec![0],
        name: "root".to_string(),
        pid: None,
    };
    tokio::spawn(server.serve_connection(theirs, root));
    let client = ninep::client::Client::from_stream(ours, "").await.unwrap();
    (fake, crate::link::Link { client })
}

struct Handle(Arc<Fake>);

/// The files that are more than a text.
const SERVICE: [&str; 3] = ["ctl", "watch", "wait"];

impl Fake {
    fn paths(&self) -> Vec<String> {
        let own = SERVICE.iter().map(|name| format!("active/web/{name}"));
        let all = own.chain(["watch".to_string(), "ctl".to_string()]);
        all.chain(self.script.files.keys().cloned()).collect()
    }
}

impl Tree for Handle {
    type Node = String;

    fn attach(&self, _user: &User, _aname: &[u8]) -> Result<String> {
        Ok(String::new())
    }

    fn walk(&self, at: &String, name: &[u8]) -> Result<String> {
        let name = String::from_utf8_lossy(name);
        let path = if at.is_empty() { name.to_string() } else { format!("{at}/{name}") };
        self.stat(&path).map(|_| path)
    }

    fn parent(&self, at: &String) -> String {
        at.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_string())
    }

    fn stat(&self, at: &String) -> Result<Stat> {
        let name = at.rsplit('/').next().unwrap_or("/").as_bytes().to_vec();
        let inside = format!("{at}/");
        let paths = self.0.paths();
        if paths.contains(at) {
            Ok(Stat::new(Kind::File, name, at.len() as u64, 0o666))
        } else if at.is_empty() || paths.iter().any(|path| path.starts_with(&inside)) {
            Ok(Stat::new(Kind::Dir, name, 1_000 + at.len() as u64, 0o777))
        } else {
            Err(Error::NotFound)
        }
    }

    fn entries(&self, at: &String) -> Result<Vec<Stat>> {
        let inside = if at.is_empty() { String::new() } else { format!("{at}/") };
        let paths = self.0.paths();
        let below = paths.iter().filter_map(|path| path.strip_prefix(&inside));
        let mut names: Vec<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| self.stat(&format!("{inside}{name}"))).collect()
    }

    fn open(&self, at: &String, _how: How, _user: &User) -> Answer<Box<dyn Open>> {
        let file = at.rsplit('/').next().unwrap_or_default();
        let fake = Arc::clone(&self.0);
        let open: Box<dyn Open> = match (self.0.script.files.get(at), file) {
            (Some(text), _) => ninep::text(Bytes::from(text.clone().into_bytes())),
            (None, "ctl") => Box::new(Ctl(fake)),
            (None, "wait") => Box::new(Wait(fake, false)),
            (None, _) => Box::new(Wait(fake, true)),
        };
        Answer::Now(Ok(open))
    }
}

struct Ctl(Arc<Fake>);

impl Open for Ctl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let text = String::from_utf8_lossy(data).into_owned();
        self.0.written.lock().unwrap().push(text);
        if let Some(why) = &self.0.script.refusal {
            return Answer::Now(Err(Error::invalid(why.clone())));
        }
        self.0.played.send_replace(true);
        Answer::Now(Ok(u32::try_from(data.len()).unwrap()))
    }
}

/// `wait`, or a `watch` whose lines all come at once.
struct Wait(Arc<Fake>, bool);

impl Open for Wait {
    fn read(&mut self, offset: u64, _count: u32) -> Answer<Bytes> {
        let Wait(fake, lines) = self;
        let mut played = fake.played.subscribe();
        let text = match lines {
            true => fake.script.lines.iter().map(|line| format!("{line}\n")).collect(),
            false => format!("{}\n", fake.script.outcome),
        };
        let stays_open = *lines;
        Answer::later(async move {
            let _ = played.wait_for(|played| *played).await;
            let bytes = Bytes::from(text.into_bytes());
            let from = usize::try_from(offset).unwrap().min(bytes.len());
            if from == bytes.len() && stays_open {
                std::future::pending::<()>().await;
            }
            Ok(bytes.slice(from..))
        })
    }

    fn stream(&self) -> bool {
        true
    }
}

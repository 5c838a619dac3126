//! A tree in memory for tests: files that keep what they are given, files that take their time,
//! a *wait* file and one of exclusive use. It writes down what is done to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::tree::Created;
use crate::{Answer, Error, How, Kind, NewFile, Open, Result, Stat, Tree, User};

/// What a file does besides keeping its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Nothing.
    Plain,
    /// Everything takes until it is released: `open NAME`, `read NAME` and so on.
    Slow,
    /// Opens at once, and takes time to close.
    SlowClose,
    /// A *wait* file.
    Stream,
}

pub(crate) struct File {
    pub(crate) stat: Stat,
    parent: u64,
    content: Vec<u8>,
    manner: Manner,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<u64, File>,
    gates: Vec<(String, oneshot::Sender<()>)>,
    pub(crate) log: Vec<String>,
    locked: bool,
}

/// The tree; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Ram(Arc<Mutex<State>>);

impl Ram {
    /// `/` with `status`, `ctl`, `big`, `secret`, `lock`, `slow`, `tidy`, `watch`, `log` and the
    /// directory `dir` with `a`, `b` and `c`. Group 7 may write to `/` and `dir`.
    pub(crate) fn new() -> Self {
        let ram = Self::default();
        let mut root = Stat::new(Kind::Dir, "/", 0, 0o775);
        root.gid = 7;
        ram.state().files.insert(0, file(root, 0, b"", Manner::Plain));
        let plain =
            [("status", 0o444, "all is well\n"), ("ctl", 0o220, ""), ("secret", 0o600, "x")];
        for (name, mode, content) in plain {
            ram.add(0, Kind::File, name, mode, content.as_bytes(), Manner::Plain);
        }
        ram.add(0, Kind::File, "big", 0o444, &vec![b'x'; 200_000], Manner::Plain);
        ram.add(0, Kind::Exclusive, "lock", 0o660, b"", Manner::Plain);
        ram.add(0, Kind::File, "slow", 0o666, b"slow\n", Manner::Slow);
        ram.add(0, Kind::File, "tidy", 0o666, b"", Manner::SlowClose);
        ram.add(0, Kind::File, "watch", 0o444, b"", Manner::Stream);
        ram.add(0, Kind::Append, "log", 0o664, b"one\n", Manner::Plain);
        let dir = ram.add(0, Kind::Dir, "dir", 0o775, b"", Manner::Plain);
        for name in ["a", "b", "c"] {
            ram.add(dir, Kind::File, name, 0o664, name.as_bytes(), Manner::Plain);
        }
        ram
    }

    pub(crate) fn add(
        &self,
        parent: u64,
        kind: Kind,
        name: &str,
        mode: u32,
        content: &[u8],
        manner: Manner,
    ) -> u64 {
        let mut state = self.state();
        let path = state.files.keys().next_back().map_or(0, |last| last + 1);
        let mut stat = Stat::new(kind, Bytes::copy_from_slice(name.as_bytes()), path, mode);
        stat.gid = 7;
        state.files.insert(path, file(stat, parent, content, manner));
        path
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Lets the first thing of that name that waits go on; whether there was one.
    pub(crate) fn release(&self, what: &str) -> bool {
        let mut state = self.state();
        let Some(at) = state.gates.iter().position(|(name, _)| name == what) else { return false };
        let (_, gate) = state.gates.remove(at);
        gate.send(()).is_ok()
    }

    /// Lets the first thing of that name that waits fail; whether there was one.
    pub(crate) fn abandon(&self, what: &str) -> bool {
        let mut state = self.state();
        let at = state.gates.iter().position(|(name, _)| name == what);
        at.map(|at| state.gates.remove(at)).is_some()
    }

    /// `value`, when `what` is released.
    fn gated<V: Send + 'static>(&self, what: String, value: Result<V>) -> Answer<V> {
        let (gate, released) = oneshot::channel();
        self.state().gates.push((what.clone(), gate));
        let ram = self.clone();
        Answer::later(async move {
            released.await.map_err(|_| Error::Interrupted)?;
            ram.note(what);
            value
        })
    }

    fn note(&self, what: String) {
        self.state().log.push(what);
    }

    fn manner(&self, path: u64) -> Manner {
        self.state().files.get(&path).map_or(Manner::Plain, |file| file.manner)
    }
}

fn file(stat: Stat, parent: u64, content: &[u8], manner: Manner) -> File {
    File { stat, parent, content: content.to_vec(), manner }
}

impl Tree for Ram {
    type Node = u64;

    fn attach(&self, user: &User, aname: &[u8]) -> Result<u64> {
        self.note(format!("attach {}", user.name));
        match aname {
            b"" => Ok(0),
            name => self.walk(&0, name),
        }
    }

    fn walk(&self, at: &u64, name: &[u8]) -> Result<u64> {
        let state = self.state();
        let mut children = state.files.iter().filter(|(_, file)| file.parent == *at);
        let found = children.find(|(path, file)| **path != 0 && file.stat.name == name);
        found.map(|(path, _)| *path).ok_or(Error::NotFound)
    }

    fn parent(&self, at: &u64) -> u64 {
        self.state().files.get(at).map_or(0, |file| file.parent)
    }

    fn stat(&self, at: &u64) -> Result<Stat> {
        self.state().files.get(at).map(|file| file.stat.clone()).ok_or(Error::NotFound)
    }

    fn entries(&self, at: &u64) -> Result<Vec<Stat>> {
        let state = self.state();
        let children = state.files.values().filter(|file| file.parent == *at);
        Ok(children.filter(|file| file.stat.path != 0).map(|file| file.stat.clone()).collect())
    }

    fn open(&self, at: &u64, how: How, _: &User) -> Answer<Box<dyn Open>> {
        let (name, manner) = {
            let mut state = self.state();
            let Some(file) = state.files.get_mut(at) else {
                return Answer::Now(Err(Error::NotFound));
            };
            if how.truncate {
                file.content.clear();
                file.stat.version += 1;
            }
            let (name, manner) = (file.stat.name.clone(), file.manner);
            if file.stat.kind == Kind::Exclusive && std::mem::replace(&mut state.locked, true) {
                return Answer::Now(Err(Error::InUse));
            }
            (String::from_utf8_lossy(&name).into_owned(), manner)
        };
        self.note(format!("open {name}"));
        let open = Box::new(Opened { ram: self.clone(), path: *at, name: name.clone() });
        match manner {
            Manner::Slow => self.gated(format!("opened {name}"), Ok(open as Box<dyn Open>)),
            Manner::Plain | Manner::SlowClose | Manner::Stream => Answer::Now(Ok(open)),
        }
    }

    fn create(
        &self,
        dir: &u64,
        name: &[u8],
        new: NewFile,
        how: How,
        user: &User,
    ) -> Answer<Created<u64>> {
        let name = String::from_utf8_lossy(name).into_owned();
        let kind = if new.dir { Kind::Dir } else { Kind::File };
        let slow = name.starts_with("slow-slow");
        let manner = if slow { Manner::Slow } else { Manner::Plain };
        let path = self.add(*dir, kind, &name, new.mode, b"", manner);
        self.note(format!("create {name} {:o}", new.mode));
        if name == "slow-open"
            && let Answer::Now(Ok(open)) = self.open(&path, how, user)
        {
            return self.gated(format!("created {name}"), Ok((path, Some(open))));
        }
        if name.starts_with("slow") {
            return self.gated(format!("created {name}"), Ok((path, None)));
        }
        let open = match self.open(&path, how, user) {
            Answer::Now(open) if !new.dir => open.map(Some),
            Answer::Now(_) | Answer::Later(_) => Ok(None),
        };
        Answer::Now(open.map(|open| (path, open)))
    }

    fn remove(&self, at: &u64, _: &User) -> Answer<()> {
        let name = self.stat(at).map(|stat| String::from_utf8_lossy(&stat.name).into_owned());
        let Ok(name) = name else { return Answer::Now(Err(Error::NotFound)) };
        if self.entries(at).is_ok_and(|entries| !entries.is_empty()) {
            return Answer::Now(Err(Error::NotEmpty));
        }
        self.note(format!("remove {name}"));
        let slow = self.manner(*at) == Manner::Slow;
        self.state().files.remove(at);
        if slow { self.gated(format!("removed {name}"), Ok(())) } else { Answer::Now(Ok(())) }
    }

    fn rename(&self, at: &u64, dir: &u64, name: &[u8], _: &User) -> Answer<()> {
        if let Ok(old) = self.walk(dir, name) {
            self.state().files.remove(&old);
        }
        if let Some(file) = self.state().files.get_mut(at) {
            file.parent = *dir;
            file.stat.name = Bytes::copy_from_slice(name);
        }
        Answer::Now(Ok(()))
    }
}

struct Opened {
    ram: Ram,
    path: u64,
    name: String,
}

impl Open for Opened {
    fn sealed(&self) -> bool {
        self.name == "secret"
    }

    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let data = {
            let state = self.ram.state();
            let content = state.files.get(&self.path).map_or(&[][..], |file| &file.content);
            let start = (offset as usize).min(content.len());
            let end = (start + count as usize).min(content.len());
            Bytes::copy_from_slice(&content[start..end])
        };
        match self.ram.manner(self.path) {
            Manner::Slow => self.ram.gated(format!("read {}", self.name), Ok(data)),
            Manner::Stream => {
                self.ram.gated(format!("event {}", self.name), Ok(Bytes::from_static(b"event\n")))
            }
            Manner::Plain | Manner::SlowClose => Answer::Now(Ok(data)),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let text = String::from_utf8_lossy(data).into_owned();
        if text == "wrong" {
            return Answer::Now(Err(Error::invalid("unknown verb \"wrong\": try help")));
        }
        let mut state = self.ram.state();
        let Some(file) = state.files.get_mut(&self.path) else {
            return Answer::Now(Err(Error::NotFound));
        };
        let offset =
            if file.stat.kind == Kind::Append { file.content.len() } else { offset as usize };
        file.content.resize(offset.max(file.content.len()), 0);
        file.content.truncate(offset);
        file.content.extend_from_slice(data);
        let slow = file.manner == Manner::Slow;
        state.log.push(format!("write {} {text:?}", self.name));
        drop(state);
        let count = Ok(data.len() as u32);
        if slow {
            self.ram.gated(format!("wrote {}", self.name), count)
        } else {
            Answer::Now(count)
        }
    }

    fn interrupt(&mut self) {
        self.ram.note(format!("interrupt {}", self.name));
    }

    fn stream(&self) -> bool {
        self.ram.manner(self.path) == Manner::Stream
    }

    fn close(&mut self) -> Answer<()> {
        let name = self.name.clone();
        if name == "lock" {
            self.ram.state().locked = false;
        }
        self.ram.note(format!("close {name}"));
        match self.ram.manner(self.path) {
            Manner::Slow | Manner::SlowClose => self.ram.gated(format!("closed {name}"), Ok(())),
            Manner::Plain | Manner::Stream => Answer::Now(Ok(())),
        }
    }
}

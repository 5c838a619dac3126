//! Runs a script against a session over the tree in memory.
//!
//! `3: read 1 0 100` sends with tag 3, else with tag 1. `release WHAT` lets the tree go on,
//! `abandon WHAT` lets it fail, `log` gives what was done to it, `raw HEX` sends a frame as it is,
//! `end` loses the connection. A script begins after Tversion and Tattach of fid 0, unless its
//! first line is `bare`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::ram::Ram;
use crate::session::{Bounds, Command, Effects, Job, Session, Who};
use crate::wire::{
    Data, Dialect, Lock, NOFID, NONUNAME, Names, NewAttr, Record, Rmsg, Tmsg, Uid, Wrapped,
    frame_size,
};
use crate::{Answer, User};

/// A session, what it runs, and what it has said since it was last asked.
pub(super) struct Talk {
    session: Session<Ram>,
    pub(super) ram: Ram,
    jobs: BTreeMap<u64, Job<u64>>,
    dialect: Dialect,
    said: Vec<String>,
}

/// Runs the script as a user and compares what comes of every line.
#[track_caller]
pub(super) fn check(dialect: Dialect, uid: u32, script: &str) {
    let mut talk = Talk::new(dialect, uid, Bounds::default());
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if lines.peek() == Some(&"bare") {
        lines.next();
    } else {
        talk.greet();
    }
    while let Some(line) = lines.next() {
        let mut want = Vec::new();
        while let Some(answer) = lines.next_if(|line| line.starts_with('>')) {
            want.push(answer.trim_start_matches(['>', ' ']).to_owned());
        }
        assert_eq!(talk.line(line), want, "{dialect:?}: {line}");
    }
}

impl Talk {
    pub(super) fn new(dialect: Dialect, uid: u32, bounds: Bounds) -> Self {
        let ram = Ram::new();
        let who: Who = Arc::new(|uid| Answer::later(std::future::ready(Ok(user(uid)))));
        let session = Session::new(Arc::new(ram.clone()), user(uid), who, bounds);
        Self { session, ram, jobs: BTreeMap::new(), dialect, said: Vec::new() }
    }

    pub(super) fn greet(&mut self) {
        let name = self.dialect.name();
        let version = format!("Rversion msize 131096 version \"{name}\"");
        assert_eq!(self.line(&format!("version 131096 {name}")), [version]);
        assert_eq!(self.line("attach 0"), ["Rattach qid (0 0 80)"]);
        self.ram.state().log.clear();
    }

    /// Does what a line says; gives what came of it.
    pub(super) fn line(&mut self, line: &str) -> Vec<String> {
        let (tag, line) = match line.split_once(": ") {
            Some((tag, line)) if tag.bytes().all(|b| b.is_ascii_digit()) => {
                (tag.parse().unwrap(), line)
            }
            Some(_) | None => (1, line),
        };
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["release", ..] => assert!(self.ram.release(&line[8..]), "nothing waits: {line}"),
            ["abandon", ..] => assert!(self.ram.abandon(&line[8..]), "nothing waits: {line}"),
            ["log"] => {
                let mut log = std::mem::take(&mut self.ram.state().log);
                self.said.append(&mut log);
            }
            ["jobs"] => self.said.push(self.jobs.len().to_string()),
            ["end"] => {
                let mut fx = Effects::default();
                self.session.end(&mut fx);
                self.take(fx);
                self.jobs.retain(|_, job| job.must_end());
            }
            ["raw", hex] => self.send(&unhex(hex)),
            _ => {
                let mut frame = Vec::new();
                message(&words).encode(tag, self.dialect, &mut frame);
                self.send(&frame);
            }
        }
        self.settle();
        std::mem::take(&mut self.said)
    }

    pub(super) fn send(&mut self, frame: &[u8]) {
        let mut fx = Effects::default();
        self.session.message(frame, &mut fx);
        self.take(fx);
    }

    /// Sends a message; gives its answer as bytes.
    pub(super) fn raw(&mut self, message: &Tmsg<'_>) -> Vec<u8> {
        let (mut frame, mut fx) = (Vec::new(), Effects::default());
        message.encode(1, self.dialect, &mut frame);
        self.session.message(&frame, &mut fx);
        fx.replies
    }

    /// Sends what a line says; whether it is hidden in a transcript, and wiped behind it.
    pub(super) fn heed(&mut self, line: &str) -> (bool, bool) {
        let (mut frame, mut fx) = (Vec::new(), Effects::default());
        let words: Vec<&str> = line.split(' ').collect();
        message(&words).encode(1, self.dialect, &mut frame);
        let hidden = self.session.hides(&frame);
        self.session.message(&frame, &mut fx);
        let wiped = fx.wipe;
        self.take(fx);
        (hidden, wiped)
    }

    pub(super) fn said(&mut self) -> Vec<String> {
        self.settle();
        std::mem::take(&mut self.said)
    }

    fn take(&mut self, fx: Effects<u64>) {
        let mut left = &fx.replies[..];
        while let Some(size) = frame_size(left, self.session.msize()).unwrap() {
            let (tag, reply) = Rmsg::decode(&left[..size], self.dialect).unwrap();
            self.said.push(if tag == 1 { reply.to_string() } else { format!("{tag}: {reply}") });
            left = &left[size..];
        }
        assert!(left.is_empty());
        for command in fx.commands {
            match command {
                Command::Start(ticket, job) => assert!(self.jobs.insert(ticket, job).is_none()),
                Command::Drop(ticket) => assert!(self.jobs.remove(&ticket).is_some()),
            }
        }
    }

    /// Runs jobs and waiting requests until nothing moves any more.
    fn settle(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let mut fx = Effects::default();
            let ended =
                self.jobs.iter_mut().find_map(|(ticket, job)| match Pin::new(job).poll(&mut cx) {
                    Poll::Ready(outcome) => Some((*ticket, outcome)),
                    Poll::Pending => None,
                });
            if let Some((ticket, outcome)) = ended {
                self.jobs.remove(&ticket);
                self.session.complete(ticket, outcome, &mut fx);
            } else if !self.session.turn(&mut fx) {
                return;
            }
            self.take(fx);
        }
    }
}

pub(super) fn user(uid: u32) -> User {
    let groups = if uid == super::ANN { vec![7] } else { vec![] };
    User { uid, gid: uid, groups, name: format!("u{uid}"), connection: 0 }
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn number(text: &str) -> u64 {
    match text.strip_prefix('0').filter(|octal| !octal.is_empty()) {
        Some(octal) => u64::from_str_radix(octal, 8).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn message<'a>(words: &[&'a str]) -> Tmsg<'a> {
    let n = |at: usize| number(words[at]) as u32;
    let b = |at: usize| words.get(at).copied().unwrap_or("").as_bytes();
    let fid = if words[0] == "version" || words.len() < 2 { 0 } else { n(1) };
    match words[0] {
        "version" => Tmsg::Version { msize: n(1), version: b(2) },
        "auth" => Tmsg::Auth { afid: fid, uname: b"u", aname: b"", n_uname: Uid(NONUNAME) },
        "attach" => {
            let uid = words.get(2).map_or(NONUNAME, |uid| number(uid) as u32);
            Tmsg::Attach { fid, afid: NOFID, uname: b"root", aname: b(3), n_uname: Uid(uid) }
        }
        "attach-afid" => {
            let n_uname = Uid(NONUNAME);
            Tmsg::Attach { fid, afid: 9, uname: b"root", aname: b"", n_uname }
        }
        "flush" => Tmsg::Flush { oldtag: fid as u16 },
        "walk" => {
            let names: Vec<&[u8]> = words[3..].iter().map(|name| name.as_bytes()).collect();
            Tmsg::Walk { fid, newfid: n(2), names: Names::new(&names).unwrap() }
        }
        "open" => Tmsg::Open { fid, mode: n(2) as u8 },
        "lopen" => Tmsg::Lopen { fid, flags: n(2) },
        "create" => Tmsg::Create { fid, name: b(2), perm: n(3), mode: n(4) as u8 },
        "lcreate" => Tmsg::Lcreate { fid, name: b(2), flags: n(3), mode: n(4), gid: 0 },
        "mkdir" => Tmsg::Mkdir { dfid: fid, name: b(2), mode: n(3), gid: 0 },
        "read" => Tmsg::Read { fid, offset: number(words[2]), count: n(3) },
        "write" => Tmsg::Write { fid, offset: number(words[2]), data: Data(b(3)) },
        "readdir" => Tmsg::Readdir { fid, offset: number(words[2]), count: n(3) },
        "clunk" => Tmsg::Clunk { fid },
        "remove" => Tmsg::Remove { fid },
        "unlinkat" => Tmsg::Unlinkat { dirfid: fid, name: b(2), flags: n(3) },
        "rename" => Tmsg::Rename { fid, dfid: n(2), name: b(3) },
        "renameat" => {
            Tmsg::Renameat { olddirfid: fid, oldname: b(2), newdirfid: n(3), newname: b(4) }
        }
        "stat" => Tmsg::Stat { fid },
        "getattr" => Tmsg::Getattr { fid, mask: u64::MAX },
        "wstat" => Tmsg::Wstat { fid, stat: Wrapped(record(&words[2..])) },
        "setattr" => Tmsg::Setattr { fid, attr: new_attr(&words[2..]) },
        "statfs" => Tmsg::Statfs { fid },
        "fsync" => Tmsg::Fsync { fid, datasync: 0 },
        "lock" => Tmsg::Lock { fid, kind: 1, flags: 0, lock: lock() },
        "getlock" => Tmsg::Getlock { fid, kind: 1, lock: lock() },
        "xattrwalk" => Tmsg::Xattrwalk { fid, newfid: n(2), name: b"security.selinux" },
        "symlink" => Tmsg::Symlink { fid, name: b"x", target: b"y", gid: 0 },
        other => panic!("no such line: {other}"),
    }
}

fn lock() -> Lock<'static> {
    Lock { start: 0, length: 0, proc_id: 5, client_id: b"(none)" }
}

fn record<'a>(words: &[&'a str]) -> Record<'a> {
    let mut record = Record::UNTOUCHED;
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "name" => record.name = value.as_bytes(),
            "uid" => record.uid = value.as_bytes(),
            "length" => record.length = number(value),
            "mode" => record.mode = number(value) as u32,
            "mtime" => record.mtime = number(value) as u32,
            other => panic!("no such field: {other}"),
        }
    }
    record
}

fn new_attr(words: &[&str]) -> NewAttr {
    let mut attr = NewAttr::default();
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "valid" => attr.valid = number(value) as u32,
            "size" => attr.size = number(value),
            "mode" => attr.mode = number(value) as u32,
            other => panic!("no such field: {other}"),
        }
    }
    attr
}

//! A small tree to serve: a text, a long one, a ctl, a file that waits, a directory of documents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{broadcast, watch};

use crate::tree::Created;
use crate::{Answer, Error, How, Kind, NewFile, Open, Result, Stat, Tree, User, text};

/// Longer than four messages.
pub(super) const LONG: usize = 600_000;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Root,
    Status,
    Long,
    Ctl,
    Wait,
    Docs,
    Doc(Vec<u8>),
}

const FIXED: [(Place, &str, Kind, u32); 5] = [
    (Place::Status, "status", Kind::File, 0o444),
    (Place::Long, "long", Kind::File, 0o444),
    (Place::Ctl, "ctl", Kind::File, 0o222),
    (Place::Wait, "wait", Kind::File, 0o444),
    (Place::Docs, "docs", Kind::Dir, 0o777),
];

type Docs = Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>;

pub(super) struct Small {
    docs: Docs,
    /// What a reader of `wait` gets.
    pub(super) events: broadcast::Sender<Bytes>,
    /// How many have `wait` open.
    pub(super) waiting: watch::Sender<usize>,
}

impl Small {
    pub(super) fn new() -> Arc<Self> {
        let (events, waiting) = (broadcast::Sender::new(16), watch::Sender::new(0));
        Arc::new(Self { docs: Docs::default(), events, waiting })
    }
}

impl Tree for Small {
    type Node = Place;

    fn attach(&self, _: &User, aname: &[u8]) -> Result<Place> {
        match aname {
            b"" => Ok(Place::Root),
            b"docs" => Ok(Place::Docs),
            _ => Err(Error::NotFound),
        }
    }

    fn walk(&self, at: &Place, name: &[u8]) -> Result<Place> {
        if *at == Place::Root {
            let row = FIXED.iter().find(|row| row.1.as_bytes() == name);
            row.map(|row| row.0.clone()).ok_or(Error::NotFound)
        } else if *at != Place::Docs {
            Err(Error::NotDir)
        } else if self.docs.lock().unwrap().contains_key(name) {
            Ok(Place::Doc(name.to_vec()))
        } else {
            Err(Error::NotFound)
        }
    }

    fn parent(&self, at: &Place) -> Place {
        if let Place::Doc(_) = at { Place::Docs } else { Place::Root }
    }

    fn stat(&self, at: &Place) -> Result<Stat> {
        if let Place::Doc(name) = at {
            let docs = self.docs.lock().unwrap();
            let length = docs.get(name).ok_or(Error::NotFound)?.len() as u64;
            let path = 100 + name.iter().fold(0, |sum, byte| sum * 256 + u64::from(*byte));
            return Ok(Stat { length, ..Stat::new(Kind::File, name.clone(), path, 0o666) });
        }
        let row = FIXED.iter().position(|row| row.0 == *at);
        Ok(match row {
            None => Stat::new(Kind::Dir, "/", 0, 0o777),
            Some(row) => Stat::new(FIXED[row].2, FIXED[row].1, row as u64 + 1, FIXED[row].3),
        })
    }

    fn entries(&self, at: &Place) -> Result<Vec<Stat>> {
        if *at == Place::Root {
            return FIXED.iter().map(|row| self.stat(&row.0)).collect();
        }
        let names: Vec<_> = self.docs.lock().unwrap().keys().cloned().collect();
        names.into_iter().map(|name| self.stat(&Place::Doc(name))).collect()
    }

    fn open(&self, at: &Place, how: How, _: &User) -> Answer<Box<dyn Open>> {
        let open: Box<dyn Open> = match at {
            Place::Status => text("fine\n"),
            Place::Long => text((0..LONG).map(|at| at as u8).collect::<Vec<u8>>()),
            Place::Ctl => Box::new(Ctl),
            Place::Wait => {
                self.waiting.send_modify(|count| *count += 1);
                Box::new(Wait { events: self.events.clone(), waiting: self.waiting.clone() })
            }
            Place::Doc(name) => {
                let mut docs = self.docs.lock().unwrap();
                let Some(doc) = docs.get_mut(name) else {
                    return Answer::Now(Err(Error::NotFound));
                };
                if how.truncate {
                    doc.clear();
                }
                Box::new(Doc { docs: self.docs.clone(), name: name.clone(), wrote: false })
            }
            Place::Root | Place::Docs => return Answer::Now(Err(Error::IsDir)),
        };
        Answer::later(async move { Ok(open) })
    }

    fn create(
        &self,
        _: &Place,
        name: &[u8],
        new: NewFile,
        _: How,
        _: &User,
    ) -> Answer<Created<Place>> {
        if new.dir {
            return Answer::Now(Err(Error::PermissionDenied));
        }
        self.docs.lock().unwrap().insert(name.to_vec(), Vec::new());
        Answer::Now(Ok((Place::Doc(name.to_vec()), None)))
    }

    fn remove(&self, at: &Place, _: &User) -> Answer<()> {
        let Place::Doc(name) = at else { return Answer::Now(Err(Error::PermissionDenied)) };
        let removed = self.docs.lock().unwrap().remove(name);
        Answer::Now(removed.map(drop).ok_or(Error::NotFound))
    }

    fn rename(&self, at: &Place, _: &Place, to: &[u8], _: &User) -> Answer<()> {
        let Place::Doc(name) = at else { return Answer::Now(Err(Error::PermissionDenied)) };
        let mut docs = self.docs.lock().unwrap();
        let moved = docs.remove(name).map(|doc| docs.insert(to.to_vec(), doc));
        Answer::Now(moved.map(drop).ok_or(Error::NotFound))
    }
}

/// Takes its time and refuses what is no verb.
struct Ctl;

impl Open for Ctl {
    fn write(&mut self, _: u64, data: &[u8]) -> Answer<u32> {
        let (verb, count) = (String::from_utf8_lossy(data).into_owned(), data.len() as u32);
        Answer::later(async move {
            tokio::task::yield_now().await;
            match verb.as_str() {
                "pause" => Ok(count),
                _ => Err(Error::invalid(format!("invalid argument: unknown command {verb:?}"))),
            }
        })
    }
}

/// Waits for an event.
struct Wait {
    events: broadcast::Sender<Bytes>,
    waiting: watch::Sender<usize>,
}

impl Open for Wait {
    fn read(&mut self, _: u64, _: u32) -> Answer<Bytes> {
        let mut events = self.events.subscribe();
        Answer::later(async move { Ok(events.recv().await.unwrap_or_default()) })
    }

    fn stream(&self) -> bool {
        true
    }

    fn close(&mut self) -> Answer<()> {
        self.waiting.send_modify(|count| *count -= 1);
        Answer::Now(Ok(()))
    }
}

/// A document; one that says `bad` is refused when it is closed.
struct Doc {
    docs: Docs,
    name: Vec<u8>,
    wrote: bool,
}

impl Doc {
    fn text(&self) -> Vec<u8> {
        self.docs.lock().unwrap().get(&self.name).cloned().unwrap_or_default()
    }
}

impl Open for Doc {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        text(self.text()).read(offset, count)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let mut docs = self.docs.lock().unwrap();
        let doc = docs.entry(self.name.clone()).or_default();
        doc.resize(doc.len().max(offset as usize + data.len()), 0);
        doc[offset as usize..][..data.len()].copy_from_slice(data);
        self.wrote = true;
        Answer::Now(Ok(data.len() as u32))
    }

    fn close(&mut self) -> Answer<()> {
        let bad = self.wrote && self.text() == b"bad";
        Answer::Now(if bad { Err(Error::invalid("line 1: bad")) } else { Ok(()) })
    }
}

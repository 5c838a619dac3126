//! What can happen to the node's world and what follows from it: the two closed lists between
//! which `World::step` decides.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use health::Verdict;

use crate::event::Event;
use crate::id::Id;
use crate::instance::Written;
use crate::spec::Spec;
use crate::verb::Verb;
use crate::wire::{Exit, Said};

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// A new directory.
    Make(Id),
    /// The one spec.
    Specify { id: Id, spec: Box<Spec>, text: Bytes },
    /// A line of an instance's `ctl`.
    Do { id: Id, verb: Verb },
    /// Everything stops and the node ends.
    Down,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A request was checked, and what must be on disk for it is there.
    Accepted(Request),
    /// An instance of an earlier node was found on disk.
    Found(Found),
    /// An instance has its image and its place in the network.
    Placed { id: Id, digest: String, address: IpAddr, port: Option<u16>, warnings: Vec<String> },
    /// Its shim, or what was written in its stead, told about it.
    Said { id: Id, said: Said },
    /// A probe was answered.
    Probed { id: Id, answer: String, verdict: Verdict },
    /// Its task has ended: no process, mount, link or cgroup of it is left.
    Over(Id),
    /// Its directory is gone; so many bytes of log are kept.
    Erased { id: Id, log_bytes: u64 },
    /// Its directory could not be removed.
    EraseFailed { id: Id, reason: String },
    /// Something about an image, only to be told.
    Told(Event),
}

/// An instance as its directory tells it.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) id: Id,
    /// Its spec, when there was one.
    pub(crate) written: Option<Written>,
    /// How far it had come.
    pub(crate) phase: Phase,
}

/// How far an instance of an earlier node had come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not started.
    New,
    /// To be started, and certainly never was.
    Intended,
    /// Its shim lives.
    Alive(Alive),
    /// It has ended, or never ran.
    Ended(Exit),
}

/// A shim that outlived its node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alive {
    /// The spec as the shim got it.
    pub(crate) spec: Arc<Spec>,
    /// Its image's digest.
    pub(crate) digest: String,
    /// The container's first process, when it is made.
    pub(crate) pid: Option<i32>,
    /// About when it was made, in Unix milliseconds; the shim knows better.
    pub(crate) since_ms: Option<u64>,
    /// Its address on the bridge; none: the machine's.
    pub(crate) address: Option<Ipv4Addr>,
    /// The port it was told.
    pub(crate) port: Option<u16>,
    /// What the probes said last; none: nothing yet.
    pub(crate) healthy: Option<bool>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Tell those who read `events`.
    Tell(Event),
    /// Start it: image, network, shim.
    Begin(Id),
    /// Go on with one whose shim lives.
    Adopt(Id, Alive),
    /// Pass on to its task.
    Order(Id, Order),
    /// Write down that it ended without having run.
    Retire(Id),
    /// Keep what the probes say for a later node.
    Mark(Id, bool),
    /// Remove its directory, after a pause.
    Erase(Id, Duration),
    /// End the node and take the network away.
    End,
}

/// What an instance's task can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Send a signal.
    Signal(String),
    /// End it in two steps.
    Stop { signal: Option<String>, timeout_ms: Option<u64> },
    /// Kill everything of it.
    Kill,
}

//! The seams of the loop: everything that can arrive in it, and everything it can ask for.

use crate::clock::Millis;
use crate::edges::Deed;
use crate::errands::TaskVerb;
use crate::hold::Ask;
use crate::kept::Kept;
use crate::lock::Hand;
use crate::record::By;
use crate::report::{Container, Report};
use crate::secrets::{self, Handover};
use crate::verbs;
use place::Resources;
use rollout::Id;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tokio::sync::oneshot;

/// Where the answer to a user's write goes: nothing, or the refusal in full.
pub type Answer = oneshot::Sender<Result<(), String>>;

/// What can arrive.
#[derive(Debug)]
pub enum Arrival {
    /// A user wrote something: answered when it is saved, or refused.
    Asked(Request, Answer),
    /// Something has happened.
    Heard(Heard),
    /// An edge did something. What it comes to is heard: see [`crate::edges`].
    Edge {
        /// Its name.
        edge: String,
        /// What.
        deed: Deed,
    },
}

/// What a user asks for by a write.
#[derive(Debug)]
pub enum Request {
    /// Verbs in a `ctl`, all applied or none.
    Verbs {
        /// The lines.
        lines: Vec<verbs::Line>,
        /// Who.
        by: By,
    },
    /// A verb in an instance's `ctl`.
    Instance {
        /// The service.
        service: String,
        /// The instance.
        id: Id,
        /// What is asked.
        verb: InstanceVerb,
    },
    /// A manifest, written and closed. One with errors is kept, and refused by them.
    Manifest {
        /// The service.
        service: String,
        /// Its text.
        text: String,
    },
    /// Something of secrets.
    Secrets(secrets::Wish),
    /// An edge makes its directory.
    Edge {
        /// Its name.
        name: String,
    },
    /// A new process is to take an edge over. Who asks does it, once it is written down.
    Renew {
        /// The edge.
        edge: String,
    },
    /// A write that makes no sense, or came to nothing: it is refused.
    Strange {
        /// The service it was about.
        service: Option<String>,
        /// The file it was written to.
        file: String,
        /// What was written.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A manifest's removal.
    Unlink {
        /// The service.
        service: String,
    },
    /// A volume's removal, with all that is in it.
    DropVolume {
        /// Its name.
        volume: String,
    },
    /// A task's manifest, written and closed.
    TaskSpec {
        /// Its number.
        number: u32,
        /// Its text.
        text: String,
        /// Who.
        by: By,
    },
    /// A verb in a task's `ctl`.
    Task {
        /// Its number.
        number: u32,
        /// What is asked.
        verb: TaskVerb,
    },
    /// A job's manifest, written and closed.
    Job {
        /// Its name.
        job: String,
        /// Its text.
        text: String,
    },
    /// A job's removal.
    DropJob {
        /// Its name.
        job: String,
    },
    /// A directory for a service that has nothing yet.
    Place {
        /// The service.
        service: String,
    },
    /// Something of a service's deploy lock.
    Lock {
        /// The service.
        service: String,
        /// What.
        ask: Ask,
    },
    /// The same by somebody's hand, whom another's lock may stand against.
    Over {
        /// Whose.
        hand: Hand,
        /// What is asked.
        request: Box<Request>,
    },
}

/// What has happened. It stays so, whether or not it can be saved at once.
#[derive(Debug, Clone)]
pub enum Heard {
    /// The node told something.
    Told(Report),
    /// The node answers, for the first time or again, and this is what it runs.
    NodeUp {
        /// Its name.
        name: String,
        /// What it has to give.
        capacity: Resources,
        /// Its containers by name.
        containers: BTreeMap<String, Container>,
        /// The logs it keeps of containers that are gone, by the containers' names.
        logs: BTreeMap<String, Kept>,
    },
    /// What the node has for volumes, told before it answers for the rest.
    Disk {
        /// Its name.
        name: String,
        /// Bytes that volumes may have.
        bytes: u64,
        /// The volumes it has.
        volumes: BTreeSet<String>,
    },
    /// The node has removed a volume, or says why it did not.
    VolumeGone {
        /// Its name.
        volume: String,
        /// The node's answer.
        told: Result<(), String>,
    },
    /// The node's connection was lost.
    NodeDown {
        /// Why, as far as that is known.
        reason: String,
    },
    /// An apply has waited too long for its image.
    PullLate {
        /// The service.
        service: String,
        /// The image.
        reference: String,
        /// What it waited for.
        reason: String,
    },
    /// The node refused to start a container.
    StartRefused {
        /// Its name.
        container: String,
        /// The node's words.
        reason: String,
        /// Trying again cannot help.
        permanent: bool,
    },
    /// The node gave a push up because it was told to, or says why it did not.
    CancelTold {
        /// The push's name, as it was asked for.
        name: String,
        /// The node's answer.
        told: Result<(), String>,
    },
    /// Something worth a line that concerns no service.
    Noted {
        /// What.
        text: String,
    },
    /// The node refused a collection.
    CollectRefused {
        /// The node's words.
        reason: String,
    },
    /// The node knows nothing of a container it was told to stop.
    Missing {
        /// Its name.
        container: String,
    },
    /// An edge ended requests of an instance that was leaving.
    Cut {
        /// The instance's container.
        container: String,
        /// What it did, in words.
        text: String,
    },
    /// An edge has something to say of the route that has this port.
    OfPort {
        /// The port.
        port: u16,
        /// What, in words.
        text: String,
    },
    /// Every edge that counts serves the table of that generation.
    Served {
        /// The service.
        service: String,
        /// The generation.
        generation: u64,
    },
    /// Nothing is in flight to an instance.
    Drained {
        /// The service.
        service: String,
        /// The instance.
        id: Id,
    },
    /// A service's timer went off.
    Woke {
        /// The service.
        service: String,
    },
    /// The end of a failed instance's log.
    Logged {
        /// The service.
        service: String,
        /// The instance.
        id: Id,
        /// Its place when it failed.
        number: u32,
        /// Its last lines.
        lines: Vec<String>,
    },
}

/// A write that is answered when the node has told how it went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Awaited {
    /// A push of that name: its end.
    Push(String),
    /// The giving up of one: whether one goes on.
    CancelPush(String),
    /// The removal of a volume.
    DropVolume(String),
}

/// What can be asked of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceVerb {
    /// Out of the routes, drained, stopped, started anew.
    Restart,
    /// Told to stop; its restart policy says what follows.
    Stop,
    /// Sent a signal.
    Signal(String),
}

/// What the loop can ask for, performed by `act.rs` after the state was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Have an image.
    Pull {
        /// Which.
        reference: String,
    },
    /// Make an image.
    Push {
        /// What it shall be called.
        name: String,
        /// Of what.
        path: PathBuf,
    },
    /// Give up the making of one.
    CancelPush {
        /// What it was to be called.
        name: String,
    },
    /// Remove images nothing uses.
    Collect {
        /// Digests that are kept, and names.
        keep: Vec<String>,
    },
    /// Have a container run.
    Start {
        /// Its name.
        container: String,
        /// What it shall be, as the node reads it.
        spec: String,
        /// The values it is handed over, by name and version.
        secrets: Vec<Handover>,
    },
    /// Tell a container to stop.
    Stop {
        /// Its name.
        container: String,
        /// From the signal to the kill, in milliseconds; nothing for what it was started with.
        timeout_ms: Option<u64>,
    },
    /// Send a container a signal.
    Signal {
        /// Its name.
        container: String,
        /// Which signal.
        signal: String,
    },
    /// Have nothing left of a container but its log.
    Remove {
        /// Its name.
        container: String,
    },
    /// Have the log removed of a container that is gone.
    DropLog {
        /// Its name.
        container: String,
    },
    /// Have a volume removed → `VolumeGone`.
    DropVolume {
        /// Its name.
        volume: String,
    },
    /// Read the end of a failed container's log → `Logged`.
    Tail {
        /// The service.
        service: String,
        /// The instance.
        id: Id,
        /// Its place.
        number: u32,
        /// The container's name.
        container: String,
    },
    /// Give the edges a table → `Served`. Without an edge it is served at once.
    Publish {
        /// The service.
        service: String,
        /// The generation.
        generation: u64,
    },
    /// Wait until nothing is in flight to an instance at any edge → `Drained`.
    Drain {
        /// The service.
        service: String,
        /// The instance.
        id: Id,
    },
    /// Send `Woke` at that moment; a service has one timer.
    Wake {
        /// The service.
        service: String,
        /// When.
        at: Millis,
    },
    /// End every instance, the node, and this server.
    Down,
}

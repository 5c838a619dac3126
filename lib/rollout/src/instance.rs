//! One run of one container, and how far it has come.

use crate::{Exit, Id, Millis, Version};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The record of one run, from the decision to have it until its container and log are forgotten
/// (law 8: there is no container without one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name for ever.
    pub id: Id,
    /// Its place, counted from 0; may change at the renumbering that ends an update.
    pub number: u32,
    /// What it runs.
    pub version: Version,
    /// How far it has come.
    pub stage: Stage,
    /// When it came there.
    pub since: Millis,
    /// Where it is, once placed.
    pub node: Option<String>,
    /// The last probe succeeded.
    pub healthy: bool,
    /// When its process ran first.
    pub started: Option<Millis>,
    /// Runs of this place before this one, since it was last healthy for 60 s.
    pub restarts: u32,
    /// How the process ended.
    pub exit: Option<Exit>,
    /// The last thing that went wrong with it, in words.
    pub reason: Option<String>,
    /// Since when it is healthy without a break.
    pub(crate) healthy_since: Option<Millis>,
    /// It was healthy at some time.
    pub(crate) was_healthy: bool,
    /// When runs of this place failed, no longer ago than 60 s when the last one did.
    pub(crate) failures: Vec<Millis>,
    /// Attempts to place it that found no room.
    pub(crate) tries: u32,
    /// It leaves, and its place gets a new run when it is gone.
    pub(crate) again: Again,
    /// Its log is kept when it is gone.
    pub(crate) kept: Kept,
}

/// How far an instance has come. In the order of a life without trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Backs off after a failure or for want of room.
    Waiting {
        /// Until when.
        until: Millis,
    },
    /// `Place` was asked.
    Placing,
    /// Has its node; waits for the image, or for the old ones to be gone (`update replace`).
    Ready,
    /// `Start` was asked.
    Starting,
    /// Its process runs; not healthy yet.
    Checking {
        /// Since when: the health deadline counts from here.
        since: Millis,
    },
    /// Healthy; waits for the others to be (`update replace`).
    Settled,
    /// In the published routes, not yet acknowledged by every edge.
    Routing {
        /// By which table.
        generation: u64,
    },
    /// Every edge sends requests to it.
    Serving,
    /// Out of the published routes, not yet acknowledged by every edge.
    Leaving {
        /// By which table.
        generation: u64,
    },
    /// In no edge's routes; requests in flight are waited for.
    Draining {
        /// Since when: at most `drain_ms` from here.
        since: Millis,
    },
    /// `Stop` was asked.
    Stopping,
    /// Gone; the record stands for its log.
    Exited,
    /// Gone with success, and its restart policy leaves the place empty.
    Ended,
    /// Gone, failed too often or once too many, and the place stays empty.
    GaveUp,
    /// `Forget` was asked.
    Forgetting,
}

/// Whether a leaving instance's place gets a new run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Again {
    /// No: it is retired.
    No,
    /// Yes, somebody asked for a restart of it.
    Asked,
    /// Yes, and it counts as a failure of the place.
    Failed,
    /// As the restart policy says of how it exits: somebody stopped it alone.
    Stopped,
}

/// Whether, and how long, the record of a gone instance stands for its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kept {
    /// It does not.
    No,
    /// Until the next run of its place fails: repairs keep one log a place.
    Place,
    /// Until the next update that succeeds.
    Success,
}

impl Instance {
    /// A planned run that nothing has happened to yet.
    pub(crate) fn new(id: Id, number: u32, version: Version, stage: Stage, now: Millis) -> Self {
        Instance {
            id,
            number,
            version,
            stage,
            since: now,
            node: None,
            healthy: false,
            started: None,
            restarts: 0,
            exit: None,
            reason: None,
            healthy_since: None,
            was_healthy: false,
            failures: Vec::new(),
            tries: 0,
            again: Again::No,
            kept: Kept::No,
        }
    }

    /// Edges may send requests to it: it is a backend in the published table.
    pub fn is_routed(&self) -> bool {
        matches!(self.stage, Stage::Routing { .. } | Stage::Serving)
    }

    /// It may have a process on its node (what law 2 counts).
    pub fn is_live(&self) -> bool {
        (Stage::Starting..=Stage::Stopping).contains(&self.stage)
    }

    /// It is on its way out, or out of the routes for the last time.
    pub fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving { .. } | Stage::Draining { .. } | Stage::Stopping)
    }

    /// Nothing of it is left but record and log.
    pub fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Exited | Stage::Forgetting)
    }

    /// It holds a place that counts: on its way in, serving, given up, or leaving to come again.
    pub(crate) fn holds(&self) -> bool {
        !self.is_gone() && (!self.is_leaving() || self.again != Again::No)
    }

    /// Its place will stay empty by itself.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.stage, Stage::Ended | Stage::GaveUp)
    }
}

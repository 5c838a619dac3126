//! What the tasks of all instances work with.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::dirs::Dirs;
use crate::exe::Exe;
use crate::fact::Fact;
use crate::handed::Handed;
use crate::images::Images;
use crate::net::Net;

/// Containers made at the same time, a processor core: more would only make each later, and its
/// probes and time limits begin when it is made.
pub(crate) const CREATES_PER_CORE: usize = 2;

/// One of these a node.
#[derive(Debug)]
pub(crate) struct Means {
    /// Where everything lies.
    pub(crate) dirs: Dirs,
    /// The program of the shims.
    pub(crate) exe: Exe,
    /// The images.
    pub(crate) images: Images,
    /// The network.
    pub(crate) net: Arc<Net>,
    /// Secrets of instances that are about to be started.
    pub(crate) handed: Handed,
    /// Turns to make a container.
    pub(crate) creates: Arc<Semaphore>,
    /// Where everything that happens is said.
    pub(crate) facts: mpsc::Sender<Fact>,
}

impl Means {
    /// Says that something has happened.
    pub(crate) async fn say(&self, fact: Fact) {
        // The loop that hears this ends last; when it has ended there is nobody to tell.
        let _ = self.facts.send(fact).await;
    }
}

//! One write for several services: it is made when all who follow them are ready to hear what
//! comes of it.

use crate::error::{Error, Result};
use crate::hold::Held;
use crate::link::Link;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// What a follower has of it.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    /// Dropped when it is ready.
    ready: Option<mpsc::Sender<()>>,
    /// Whether the write was accepted, once it was made.
    made: watch::Receiver<Option<bool>>,
}

impl Joint {
    /// A write of that line to the `ctl` at the root, with the locks that are held until then. It
    /// is made when every clone is ready, or gone.
    pub(crate) fn new(
        link: &Link,
        line: String,
        held: Vec<Arc<Held>>,
    ) -> (Joint, JoinHandle<Result<()>>) {
        let (ready, mut all) = mpsc::channel(1);
        let (tell, made) = watch::channel(None);
        let link = link.clone();
        let written = tokio::spawn(async move {
            while all.recv().await.is_some() {}
            let done = link.write("ctl", &line).await;
            drop(held);
            tell.send_replace(Some(done.is_ok()));
            done
        });
        (Joint { ready: Some(ready), made }, written)
    }

    /// Says that this one is ready, and waits until the write is made. Whether it was accepted.
    pub(crate) async fn made(mut self) -> bool {
        self.ready = None;
        let made = self.made.wait_for(Option::is_some).await;
        made.is_ok_and(|made| *made == Some(true))
    }
}

/// What came of the write.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn came(written: JoinHandle<Result<()>>) -> Result<()> {
    written.await.map_err(|why| Error::Other(why.to_string()))?
}

//! A watch holds no queue, only its place in the change log: a slow one costs nothing.

use std::sync::{Arc, Weak};

use tokio::sync::watch as broadcast;

use super::Shared;
use super::tables::Found;
use crate::{Answer, Batch, Error, Revision, Watch};

/// One watch's place in the log.
pub(super) struct Log {
    /// Weak, so that a forgotten watch does not keep the file locked.
    shared: Weak<Shared>,
    news: broadcast::Receiver<Revision>,
    prefix: String,
    next: Revision,
}

impl Log {
    pub(super) fn new(shared: &Arc<Shared>, prefix: &str, from: Revision) -> Log {
        let (news, prefix) = (shared.revision.subscribe(), prefix.to_owned());
        // Revision 0 has no changes, and nothing that was ever compacted.
        Log { shared: Arc::downgrade(shared), news, prefix, next: from.max(1) }
    }

    /// What is there already.
    fn look(&mut self) -> Result<Option<Batch>, Error> {
        // Marked as seen before looking, so that a commit in between wakes the next wait.
        self.news.borrow_and_update();
        let shared = self.shared.upgrade().ok_or(Error::Closed)?;
        match shared.read(|reader| reader.batch(&self.prefix, self.next))? {
            Found::Batch(batch) => {
                self.next = batch.revision + 1;
                Ok(Some(batch))
            }
            Found::Nothing(revision) => {
                self.next = self.next.max(revision + 1);
                Ok(None)
            }
            Found::Compacted(revision) => Err(Error::Compacted(revision)),
        }
    }
}

impl Watch for Log {
    fn next(&mut self) -> Answer<'_, Batch> {
        Box::pin(async move {
            loop {
                if let Some(batch) = self.look()? {
                    return Ok(batch);
                }
                self.news.changed().await.map_err(|_| Error::Closed)?;
            }
        })
    }
}

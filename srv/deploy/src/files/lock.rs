//! `lock` and `queue`, open for writing: for as long as one is, its open holds the service's
//! deploy lock, or waits for it; it is free the moment the open ends, by a close or with its
//! connection.

use super::open::{over, taken};
use super::send;
use crate::arrival::{Arrival, Request};
use crate::hold::Ask;
use crate::lock::{self, Asker, Hand, Stands};
use crate::record::By;
use crate::verbs;
use crate::world::{Shared, World};
use bytes::Bytes;
use ninep::{Answer, Error, Open};
use tokio::sync::{mpsc, oneshot};

/// Leaves the lock when it is dropped, whoever drops it at whatever moment.
#[derive(Debug)]
struct Grip {
    service: String,
    open: u64,
    _held: oneshot::Sender<()>,
}

impl Grip {
    fn new(service: String, open: u64, arrivals: mpsc::Sender<Arrival>) -> Grip {
        let (held, gone) = oneshot::channel::<()>();
        let left = left(&service, open);
        tokio::spawn(async move {
            let _ = gone.await;
            // Without the loop nobody is there to be told.
            let _ = send(&arrivals, left).await;
        });
        Grip { service, open, _held: held }
    }

    /// Waits until it is this open's turn.
    async fn turn(&self, world: &Shared) -> Result<(), Error> {
        let mut revision = world.lock().revision.subscribe();
        loop {
            revision.borrow_and_update();
            match stands(&world.lock(), self) {
                Ok(Some(Stands::Holds)) => return Ok(()),
                Ok(Some(Stands::Broken)) => return Err(Error::InUse),
                // The service is gone, and everything of it.
                Ok(None) => return Err(Error::NotFound),
                Ok(Some(Stands::Waits)) | Err(Unsaved) => {}
            }
            revision.changed().await.map_err(|_| Error::Interrupted)?;
        }
    }
}

/// What is decided is not on disk yet, and may be undone.
struct Unsaved;

fn stands(world: &World, grip: &Grip) -> Result<Option<Stands>, Unsaved> {
    if world.unsaved {
        return Err(Unsaved);
    }
    Ok(world.services.get(&grip.service).and_then(|service| service.lock.stands(grip.open)))
}

fn left(service: &str, open: u64) -> Request {
    Request::Lock { service: service.to_string(), ask: Ask::Leave { open } }
}

/// An open of `lock` or `queue` that holds the lock.
#[derive(Debug)]
pub(super) struct LockFile {
    world: Shared,
    arrivals: mpsc::Sender<Arrival>,
    grip: Grip,
    by: By,
    connection: u64,
}

impl LockFile {
    /// Takes the lock, or waits for it and takes it.
    pub(super) fn open(
        world: Shared,
        arrivals: mpsc::Sender<Arrival>,
        service: String,
        asker: Asker,
        wait: bool,
    ) -> Answer<Box<dyn Open>> {
        let grip = Grip::new(service.clone(), asker.open, arrivals.clone());
        let (by, connection) = (asker.by.clone(), asker.connection);
        Answer::later(async move {
            let ask = Ask::Take { asker, wait };
            send(&arrivals, Request::Lock { service, ask }).await.map_err(super::refusal)?;
            if wait {
                grip.turn(&world).await?;
            }
            Ok(Box::new(LockFile { world, arrivals, grip, by, connection }) as Box<dyn Open>)
        })
    }
}

impl Open for LockFile {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let world = self.world.lock();
        let service = world.services.get(&self.grip.service).ok_or(Error::NotFound);
        let text = service.map(|service| service.lock.text().into_bytes());
        Answer::Now(text.map(|text| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
            let to = from.saturating_add(count as usize).min(text.len());
            Bytes::copy_from_slice(&text[from..to])
        }))
    }

    /// What the holder is at, lines for the history, or verbs, which count for as long as this
    /// open holds the lock.
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let (service, open) = (self.grip.service.clone(), self.grip.open);
        let said = std::str::from_utf8(data).ok().and_then(lock::read);
        let request = match said.filter(|words| !words.is_empty()) {
            Some(words) => Request::Lock { service, ask: Ask::Say { open, words } },
            None => match verbs::parse(data, Some(&service)) {
                Ok(lines) => {
                    let hand =
                        Hand { uid: self.by.uid, connection: self.connection, open: Some(open) };
                    over(hand, Request::Verbs { lines, by: self.by.clone() })
                }
                Err(refused) => {
                    let text = format!(
                        "{refused}; and of its holder a lock takes: lock | pre-flight | build | \
                         from WORDS | commit WORDS | message WORDS"
                    );
                    let text = self.world.lock().refused(Some(&service), text);
                    return Answer::Now(Err(Error::invalid(text)));
                }
            },
        };
        let (arrivals, written) = (self.arrivals.clone(), data.len());
        Answer::later(async move { taken(&arrivals, request, written).await })
    }

    /// Answered when the lock is free, so that who is told may open it again.
    fn close(&mut self) -> Answer<()> {
        let (arrivals, left) = (self.arrivals.clone(), left(&self.grip.service, self.grip.open));
        Answer::later(async move {
            let _ = send(&arrivals, left).await;
            Ok(())
        })
    }
}

#[cfg(test)]
#[path = "lock_test.rs"]
mod tests;

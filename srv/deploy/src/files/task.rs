//! The files of jobs and tasks: manifests as they are written, verbs, and the wait for an end.

use super::draft::Draft;
use super::open::{self, over, taken};
use super::{Files, Place, refusal, send};
use crate::arrival::{Arrival, Request};
use crate::errands::TaskVerb;
use crate::lock::Hand;
use crate::record::By;
use crate::table::File;
use crate::world::Shared;
use bytes::Bytes;
use ninep::tree::Created;
use ninep::{Answer, Error, How, Open, Result, User};
use nix::sys::signal::Signal;
use std::sync::Arc;
use tokio::sync::{OnceCell, mpsc};

impl Files {
    pub(super) fn open_spec(&self, at: &Place, how: How, user: &User) -> Answer<Box<dyn Open>> {
        let Some(number) = at.number() else { return Answer::Now(Err(Error::NotFound)) };
        let text = self.spec_text(at).filter(|_| !how.truncate).unwrap_or_default();
        let (by, hand, arrivals) = (open::by(user), open::hand(user), self.arrivals.clone());
        let spec = Spec { number, text, dirty: false, by, hand, arrivals };
        Answer::Now(Ok(Box::new(spec)))
    }

    pub(super) fn open_job(&self, at: &Place, how: How, user: &User) -> Answer<Box<dyn Open>> {
        let Some(name) = at.item.clone() else { return Answer::Now(Err(Error::NotFound)) };
        let Some(text) = self.job_text(&name) else { return Answer::Now(Err(Error::NotFound)) };
        let text = if how.truncate { Vec::new() } else { text };
        let by = (how, open::hand(user));
        Answer::Now(Ok(Box::new(Draft::of_job(name, text, by, &self.job_scratch, &self.arrivals))))
    }

    /// A job that is new: it is there for its writer, and for others once it is saved.
    pub(super) fn make_job(
        &self,
        dir: &Place,
        name: &[u8],
        how: How,
        user: &User,
    ) -> Answer<Created<Place>> {
        let made = std::str::from_utf8(name).map_err(|_| Error::BadName).and_then(|name| {
            self.job_scratch.make(name)?;
            let by = (How { truncate: true, ..how }, open::hand(user));
            let (scratch, arrivals) = (&self.job_scratch, &self.arrivals);
            let draft = Draft::of_job(name.into(), Vec::new(), by, scratch, arrivals);
            Ok((dir.below(File::Job, name), Some(Box::new(draft) as Box<dyn Open>)))
        });
        made.into()
    }

    /// The text of a job, one being written before one that is saved.
    pub(super) fn job_text(&self, name: &str) -> Option<Vec<u8>> {
        let saved = || Some(self.world.lock().jobs.get(name)?.text.clone().into_bytes());
        self.job_scratch.get(name).or_else(saved)
    }

    /// A task's manifest, as written.
    pub(super) fn spec_text(&self, at: &Place) -> Option<Vec<u8>> {
        let world = self.world.lock();
        Some(world.tasks.all.get(&at.number()?)?.text.clone().into_bytes())
    }
}

/// A task's manifest being written: checked and saved when it is closed.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) number: u32,
    pub(super) text: Vec<u8>,
    pub(super) dirty: bool,
    pub(super) by: By,
    pub(super) hand: Hand,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

impl Open for Spec {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let to = from.saturating_add(count as usize).min(self.text.len());
        Answer::Now(Ok(Bytes::copy_from_slice(&self.text[from..to])))
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let limit = manifest::limits::TEXT_BYTES_MAX;
        let end = offset.saturating_add(data.len() as u64);
        let (Ok(from), Ok(to)) = (usize::try_from(offset), usize::try_from(end)) else {
            return Answer::Now(Err(Error::Length));
        };
        if to > limit {
            let text = format!("manifest is too long: {limit} bytes are the most");
            return Answer::Now(Err(Error::with(nix::errno::Errno::EFBIG as u32, text)));
        }
        self.text.resize(self.text.len().max(to), 0);
        self.text[from..to].copy_from_slice(data);
        self.dirty = true;
        Answer::Now(u32::try_from(data.len()).map_err(|_| Error::Length))
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        let length = usize::try_from(length).map_err(|_| Error::Length)?;
        if length > self.text.len() {
            return Err(Error::Length);
        }
        self.text.truncate(length);
        Ok(())
    }

    fn close(&mut self) -> Answer<()> {
        if !self.dirty {
            return Answer::Now(Ok(()));
        }
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        let request = Request::TaskSpec { number: self.number, text, by: self.by.clone() };
        let (arrivals, request) = (self.arrivals.clone(), over(self.hand, request));
        Answer::later(async move { send(&arrivals, request).await.map_err(refusal) })
    }
}

/// A task's `ctl`.
#[derive(Debug)]
pub(super) struct TaskCtl {
    pub(super) number: u32,
    pub(super) hand: Hand,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

impl Open for TaskCtl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let text = String::from_utf8_lossy(data);
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = self.number;
        let request = match words.as_slice() {
            ["start"] => Request::Task { number, verb: TaskVerb::Start },
            ["kill"] => Request::Task { number, verb: TaskVerb::Kill },
            ["signal", name] if format!("SIG{name}").parse::<Signal>().is_ok() => {
                Request::Task { number, verb: TaskVerb::Signal((*name).to_string()) }
            }
            _ => {
                let (file, what) = (format!("tasks/{number}/ctl"), text.trim().to_string());
                let why = format!(
                    "invalid argument: \"{what}\": say: start | kill | signal NAME (as TERM, HUP)"
                );
                Request::Strange { service: None, file, what, why }
            }
        };
        let (arrivals, written) = (self.arrivals.clone(), data.len());
        let request = over(self.hand, request);
        Answer::later(async move { taken(&arrivals, request, written).await })
    }
}

/// A task's `wait`: the read waits for its end, gives it, and then the file ends.
#[derive(Debug)]
pub(super) struct TaskWait {
    pub(super) world: Shared,
    pub(super) number: u32,
    pub(super) text: Arc<OnceCell<Bytes>>,
}

impl Open for TaskWait {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let (world, number, text) = (self.world.clone(), self.number, Arc::clone(&self.text));
        Answer::later(async move {
            let text = text.get_or_init(|| ended(world, number)).await;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
            let to = from.saturating_add(count as usize).min(text.len());
            Ok(text.slice(from..to))
        })
    }
}

async fn ended(world: Shared, number: u32) -> Bytes {
    let mut revision = world.lock().revision.subscribe();
    loop {
        revision.borrow_and_update();
        let outcome = {
            let world = world.lock();
            // What is not saved yet may not come to be.
            if world.unsaved { None } else { world.task_outcome(number) }
        };
        if let Some(outcome) = outcome {
            return Bytes::from(outcome);
        }
        if revision.changed().await.is_err() {
            return Bytes::new();
        }
    }
}

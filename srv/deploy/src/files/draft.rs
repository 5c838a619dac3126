//! Manifests being written. A file in `manifests/` is checked and saved when it is closed; until
//! then, and for names that are no service's (an editor's temporary files), it lives here.

use super::open::over;
use super::send;
use crate::arrival::{Arrival, Request};
use crate::lock::Hand;
use bytes::Bytes;
use ninep::{Answer, Error, How, Open, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Files that are being written or are no service's, at most.
const SCRATCH_MAX: usize = 64;
/// Bytes of a name of such a file, at most.
const NAME_BYTES_MAX: usize = 128;

/// Files in `manifests/` that are not saved.
#[derive(Debug, Default)]
pub(super) struct Scratch(Mutex<BTreeMap<String, Vec<u8>>>);

impl Scratch {
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().get(name).cloned()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Makes an empty file; one that is there is emptied.
    pub(super) fn make(&self, name: &str) -> Result<()> {
        self.put(name, Vec::new())
    }

    pub(super) fn put(&self, name: &str, text: Vec<u8>) -> Result<()> {
        if name.len() > NAME_BYTES_MAX || name.contains('\n') {
            return Err(Error::BadName);
        }
        let mut files = self.lock();
        if files.len() >= SCRATCH_MAX && !files.contains_key(name) {
            return Err(Error::TooMany("unsaved files in manifests/"));
        }
        files.insert(name.to_string(), text);
        Ok(())
    }

    pub(super) fn take(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().remove(name)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open of a manifest.
#[derive(Debug)]
pub(super) struct Draft {
    name: Arc<str>,
    text: Vec<u8>,
    append: bool,
    dirty: bool,
    hand: Hand,
    scratch: Arc<Scratch>,
    arrivals: mpsc::Sender<Arrival>,
    /// It is a task's and no service's: one with errors is not saved.
    job: bool,
}

impl Draft {
    pub(super) fn new(
        name: Arc<str>,
        text: Vec<u8>,
        (how, hand): (How, Hand),
        scratch: &Arc<Scratch>,
        arrivals: &mpsc::Sender<Arrival>,
    ) -> Draft {
        let (scratch, arrivals) = (Arc::clone(scratch), arrivals.clone());
        let (append, dirty, job) = (how.append, how.truncate, false);
        Draft { name, text, append, dirty, hand, scratch, arrivals, job }
    }

    /// The same of a job.
    pub(super) fn of_job(
        name: Arc<str>,
        text: Vec<u8>,
        by: (How, Hand),
        scratch: &Arc<Scratch>,
        arrivals: &mpsc::Sender<Arrival>,
    ) -> Draft {
        Draft { job: true, ..Draft::new(name, text, by, scratch, arrivals) }
    }

    /// The open made the file: it is to be there even if nothing is written.
    pub(super) fn made(&mut self) {
        self.dirty = true;
    }

    fn is_service(&self) -> bool {
        manifest::check_name(&self.name).is_ok()
    }
}

impl Open for Draft {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let to = from.saturating_add(count as usize).min(self.text.len());
        Answer::Now(Ok(Bytes::copy_from_slice(&self.text[from..to])))
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let offset = if self.append { self.text.len() as u64 } else { offset };
        let end = offset.saturating_add(data.len() as u64);
        let limit = manifest::limits::TEXT_BYTES_MAX;
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
        self.dirty = true;
        Ok(())
    }

    fn close(&mut self) -> Answer<()> {
        if !self.dirty {
            return Answer::Now(Ok(()));
        }
        let text = std::mem::take(&mut self.text);
        if !self.is_service() {
            return self.scratch.put(&self.name, text).into();
        }
        let (name, scratch) = (Arc::clone(&self.name), Arc::clone(&self.scratch));
        let (arrivals, hand, job) = (self.arrivals.clone(), self.hand, self.job);
        Answer::later(async move {
            let asked = match job {
                true => Request::Job { job: name.to_string(), text: as_text(text.clone()) },
                false => request(&name, text.clone()),
            };
            let result = send(&arrivals, over(hand, asked)).await;
            if job {
                // What is wrong is told to whoever closes it, and what was there before stays.
                scratch.take(&name);
                return result.map_err(super::refusal);
            }
            // What could not be saved stays here, to be read and written again; what another's
            // lock stands against must not be what its holder reads.
            match kept(result.clone()) {
                Ok(()) => drop(scratch.take(&name)),
                Err(text) if super::is_of_lock(&text) => drop(scratch.take(&name)),
                Err(_) => scratch.put(&name, text)?,
            }
            result.map_err(super::refusal)
        })
    }
}

/// Whether a manifest was saved: one with errors is, and its refusal is about them.
pub(super) fn kept(result: std::result::Result<(), String>) -> std::result::Result<(), String> {
    match result {
        Err(text) if text.starts_with("manifest refused") => Ok(()),
        other => other,
    }
}

/// A written manifest on its way to the loop.
pub(super) fn request(name: &str, text: Vec<u8>) -> Request {
    Request::Manifest { service: name.to_string(), text: as_text(text) }
}

/// Bytes that are no text become marks that the language refuses where they stand.
fn as_text(text: Vec<u8>) -> String {
    match String::from_utf8(text) {
        Ok(text) => text,
        Err(bytes) => String::from_utf8_lossy(bytes.as_bytes()).into_owned(),
    }
}

//! `secrets/` and `grants/`: values that are written and never read, and who may have them.

use super::open::{hand, over};
use super::{Files, Place, refusal};
use crate::arrival::{Arrival, Request};
use crate::lock::Hand;
use crate::secrets::{Wish, is_name};
use crate::table::File;
use crate::vault::Vault;
use bytes::Bytes;
use ninep::tree::Created;
use ninep::{Answer, Error, How, Open, Result, User};
use secret::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Bytes of a service's grants, at most.
const GRANTS_BYTES_MAX: usize = 32 << 10;

/// Files that are being made, by how many: they are there for who makes them.
#[derive(Debug, Default)]
pub(super) struct Making(Mutex<BTreeMap<String, usize>>);

impl Making {
    pub(super) fn has(&self, path: &str) -> bool {
        self.all().contains_key(path)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is being made, until this is dropped.
struct Made {
    path: String,
    making: Arc<Making>,
}

impl Made {
    fn new(making: &Arc<Making>, path: String) -> Made {
        *making.all().entry(path.clone()).or_default() += 1;
        Made { path, making: Arc::clone(making) }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let mut all = self.making.all();
        if let Some(count) = all.get_mut(&self.path) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.path);
            }
        }
    }
}

/// An open of a secret: what is written is its new value, once it is closed.
pub(super) struct SecretFile {
    name: String,
    value: Value,
    dirty: bool,
    hand: Hand,
    vault: Vault,
    _made: Made,
    arrivals: mpsc::Sender<Arrival>,
}

impl SecretFile {
    fn new(files: &Files, name: &str, user: &User, dirty: bool) -> SecretFile {
        let _made = Made::new(&files.making, format!("secrets/{name}"));
        let (vault, arrivals) = (files.vault.clone(), files.arrivals.clone());
        let (name, value) = (name.to_string(), Value::new());
        SecretFile { name, value, dirty, hand: hand(user), vault, _made, arrivals }
    }
}

impl Open for SecretFile {
    fn sealed(&self) -> bool {
        true
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        self.dirty = true;
        if let Err(error) = self.value.put(offset, data) {
            // What came is not all, so it must not count.
            self.value.clear();
            self.dirty = false;
            let errno = nix::errno::Errno::EFBIG as u32;
            return Answer::Now(Err(Error::with(errno, error.to_string())));
        }
        Answer::Now(u32::try_from(data.len()).map_err(|_| Error::Length))
    }

    fn close(&mut self) -> Answer<()> {
        if !std::mem::take(&mut self.dirty) {
            return Answer::Now(Ok(()));
        }
        let (name, value) = (self.name.clone(), std::mem::take(&mut self.value));
        if value.is_empty() {
            let text = format!("invalid argument: secret {name} would be empty; nothing was set");
            return Answer::Now(Err(refusal(text)));
        }
        let (vault, arrivals, hand) = (self.vault.clone(), self.arrivals.clone(), self.hand);
        Answer::later(async move { vault.set(&arrivals, hand, name, value).await.map_err(refusal) })
    }
}

/// An open of a service's grants: read as they were, and taken when it is closed after writing.
pub(super) struct GrantFile {
    service: String,
    text: Vec<u8>,
    append: bool,
    dirty: bool,
    hand: Hand,
    _made: Made,
    arrivals: mpsc::Sender<Arrival>,
}

impl Open for GrantFile {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let to = from.saturating_add(count as usize).min(self.text.len());
        Answer::Now(Ok(Bytes::copy_from_slice(&self.text[from..to])))
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let offset = if self.append { self.text.len() as u64 } else { offset };
        let end = offset.saturating_add(data.len() as u64);
        let (Ok(from), Ok(to)) = (usize::try_from(offset), usize::try_from(end)) else {
            return Answer::Now(Err(Error::Length));
        };
        if to > GRANTS_BYTES_MAX || from > self.text.len() {
            return Answer::Now(Err(Error::Length));
        }
        self.text.resize(self.text.len().max(to), 0);
        self.text[from..to].copy_from_slice(data);
        self.dirty = true;
        Answer::Now(u32::try_from(data.len()).map_err(|_| Error::Length))
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.text.truncate(usize::try_from(length).map_err(|_| Error::Length)?);
        self.dirty = true;
        Ok(())
    }

    fn close(&mut self) -> Answer<()> {
        if !std::mem::take(&mut self.dirty) {
            return Answer::Now(Ok(()));
        }
        let text = String::from_utf8_lossy(&self.text).into_owned();
        let wish = Wish::Grant { service: self.service.clone(), text };
        super::ask(&self.arrivals, over(self.hand, Request::Secrets(wish)))
    }
}

impl Files {
    /// One that is emptied and not written to is left as it is.
    pub(super) fn open_secret(&self, at: &Place, user: &User) -> Answer<Box<dyn Open>> {
        let name = at.item.as_deref().unwrap_or_default();
        Answer::Now(Ok(Box::new(SecretFile::new(self, name, user, false))))
    }

    pub(super) fn open_grant(&self, at: &Place, how: How, user: &User) -> Answer<Box<dyn Open>> {
        let service = at.item.as_deref().unwrap_or_default().to_string();
        let text = match how.truncate {
            true => Vec::new(),
            false => self.world.lock().secrets.grants_of(&service).into_bytes(),
        };
        let (append, dirty, hand) = (how.append, how.truncate, hand(user));
        let arrivals = self.arrivals.clone();
        let _made = Made::new(&self.making, format!("grants/{service}"));
        let open = GrantFile { service, text, append, dirty, hand, _made, arrivals };
        Answer::Now(Ok(Box::new(open)))
    }

    /// Makes a secret, or a service's grants, which are what is written then.
    pub(super) fn create_secret(
        &self,
        dir: &Place,
        name: &[u8],
        user: &User,
    ) -> Answer<Created<Place>> {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let (of_secrets, is_service) =
            (dir.file == File::Secrets, manifest::check_name(name).is_ok());
        let made: Created<Place> = if of_secrets && is_name(name) {
            let open = SecretFile::new(self, name, user, true);
            (dir.below(File::Secret, name), Some(Box::new(open)))
        } else if !of_secrets && is_service {
            let (service, hand) = (name.to_string(), hand(user));
            let (text, arrivals) = (Vec::new(), self.arrivals.clone());
            let (append, dirty) = (false, false);
            let _made = Made::new(&self.making, format!("grants/{name}"));
            let open = GrantFile { service, text, append, dirty, hand, _made, arrivals };
            (dir.below(File::Grant, name), Some(Box::new(open)))
        } else {
            return Answer::Now(Err(Error::BadName));
        };
        Answer::Now(Ok(made))
    }

    /// Deletes a secret, or takes from a service all that it was granted.
    pub(super) fn remove_secret(&self, at: &Place, user: &User) -> Answer<()> {
        let name = at.item.as_deref().unwrap_or_default().to_string();
        let wish = match at.file == File::Secret {
            true => Wish::Delete { name },
            false => Wish::Grant { service: name, text: String::new() },
        };
        super::ask(&self.arrivals, over(hand(user), Request::Secrets(wish)))
    }
}

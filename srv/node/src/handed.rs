//! Secrets of instances that are about to be started: handed over by a write, kept in memory and
//! nowhere else, handed on to the shim in a memory file, and wiped.
//!
//! The node does not look into them. A node that ends takes along what it was handed: whoever asks
//! for the start again hands it over again.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ninep::{Answer, Open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use zeroize::{Zeroize, Zeroizing};

use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::open::refuse;

/// Bytes of an instance's secrets together.
const SECRETS_BYTES_MAX: usize = 4 << 20;
/// Bytes of the secrets of all instances that are about to be started.
const ALL_BYTES_MAX: usize = 64 << 20;

/// Bytes that are wiped when they are dropped.
type Sealed = Zeroizing<Vec<u8>>;

/// What was handed over and not handed on yet.
#[derive(Default)]
pub(crate) struct Handed(Mutex<HashMap<Id, Sealed>>);

impl Handed {
    /// Keeps them for the instance, in place of what there was.
    fn keep(&self, id: &Id, secrets: Sealed) -> Result<()> {
        let mut all = self.all();
        let others = all.iter().filter(|(other, _)| *other != id);
        let held: usize = others.map(|(_, secrets)| secrets.len()).sum();
        if held + secrets.len() > ALL_BYTES_MAX {
            return Err(Error::TooLong { what: "secrets", max: ALL_BYTES_MAX });
        }
        all.insert(id.clone(), secrets);
        Ok(())
    }

    /// Whether something was handed over for the instance.
    pub(crate) fn has(&self, id: &Id) -> bool {
        self.all().contains_key(id)
    }

    /// Wipes what was handed over for the instance.
    pub(crate) fn forget(&self, id: &Id) {
        self.all().remove(id);
    }

    /// Takes them out, as a file in memory that has no name.
    pub(crate) fn take(&self, id: &Id) -> Result<OwnedFd> {
        let secrets = self.all().remove(id).ok_or_else(|| Error::NoSecrets(id.to_string()))?;
        let failed = |why| Error::io("hand on", Path::new("secrets"))(why);
        let file = memfd_create(c"secrets", MFdFlags::MFD_CLOEXEC);
        let mut file = File::from(file.map_err(|why| failed(why.into()))?);
        file.write_all(&secrets).map_err(failed)?;
        Ok(file.into())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Id, Sealed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handed")
    }
}

/// An instance's `secrets`: what is written counts when it is closed.
pub(crate) struct SecretsFile {
    desk: Arc<Desk>,
    id: Id,
    /// Of an instance that is started no more it is passed over.
    wanted: bool,
    written: Sealed,
}

impl SecretsFile {
    pub(crate) fn new(desk: Arc<Desk>, id: Id, wanted: bool) -> SecretsFile {
        SecretsFile { desk, id, wanted, written: Sealed::default() }
    }
}

impl Open for SecretsFile {
    fn sealed(&self) -> bool {
        true
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let end = self.written.len() + data.len();
        if offset != self.written.len() as u64 || end > SECRETS_BYTES_MAX {
            // What came is not all, so it must not count.
            self.written.zeroize();
            self.wanted = false;
            let error = Error::TooLong { what: "secrets", max: SECRETS_BYTES_MAX };
            return Answer::Now(Err(refuse(&self.desk, error)));
        }
        if end > self.written.capacity() {
            // A vector that grows by itself would leave what it held behind.
            let mut wider = Sealed::new(Vec::with_capacity(end.next_power_of_two()));
            wider.extend_from_slice(&self.written);
            self.written = wider;
        }
        self.written.extend_from_slice(data);
        Answer::Now(Ok(u32::try_from(data.len()).unwrap_or(u32::MAX)))
    }

    fn close(&mut self) -> Answer<()> {
        let written = std::mem::take(&mut self.written);
        if !self.wanted || written.is_empty() {
            return Answer::Now(Ok(()));
        }
        let kept = self.desk.means.handed.keep(&self.id, written);
        kept.map_err(|error| refuse(&self.desk, error)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _};

    fn id(name: &str) -> Id {
        name.parse().unwrap()
    }

    fn bytes(length: usize) -> Sealed {
        Sealed::new(vec![b'x'; length])
    }

    #[test]
    fn what_was_handed_over_is_handed_on_once() {
        let handed = Handed::default();
        let web = id("web-1");
        assert!(matches!(handed.take(&web), Err(Error::NoSecrets(_))));
        handed.keep(&web, bytes(3)).unwrap();
        handed.keep(&web, bytes(2)).unwrap();
        assert!(handed.has(&web) && !handed.has(&id("web-2")));
        let mut file = File::from(handed.take(&web).unwrap());
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "xx");
        assert!(!handed.has(&web));
        handed.keep(&web, bytes(3)).unwrap();
        handed.forget(&web);
        assert!(!handed.has(&web));
    }

    #[test]
    fn no_more_is_kept_than_the_bound_of_all_instances_together() {
        let handed = Handed::default();
        handed.keep(&id("web-1"), bytes(ALL_BYTES_MAX)).unwrap();
        handed.keep(&id("web-1"), bytes(ALL_BYTES_MAX)).unwrap();
        assert!(handed.keep(&id("web-2"), bytes(1)).is_err());
    }
}

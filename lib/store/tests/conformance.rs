//! Every clause of the suite on every store of this crate.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use store::conformance::Bench;
use store::{HandClock, Memory, Redb, Store};

struct InMemory(Memory);

impl Bench for InMemory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn pass(&self, ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { self.0.pass(ms) })
    }
}

struct InFile {
    store: Redb,
    clock: Arc<HandClock>,
    _directory: tempfile::TempDir,
}

impl InFile {
    fn new() -> InFile {
        let (clock, directory) = (Arc::new(HandClock::default()), tempfile::tempdir().unwrap());
        let store = Redb::with_clock(&directory.path().join("s"), Arc::clone(&clock) as _).unwrap();
        InFile { store, clock, _directory: directory }
    }
}

impl Bench for InFile {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn pass(&self, ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.clock.pass(ms);
            self.store.tick().await.unwrap();
        })
    }
}

mod memory {
    use super::InMemory;

    store::conformance!(InMemory(store::Memory::new()));
}

mod redb {
    use super::InFile;

    store::conformance!(InFile::new());
}

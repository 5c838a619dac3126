//! The gate under every order of events that a model checker can make, and faulty gates under
//! the same check, which must find them.

mod ordering;
mod route;
mod unordered;
mod with_loom;
mod with_shuttle;

use std::future::Future;

/// What a check needs of a gate, so that a faulty one can be put in its place.
trait Door: Send + Sync + 'static {
    fn new() -> Self;
    fn enter(&self) -> bool;
    fn leave(&self);
    fn drain(&self);
    fn drained(&self) -> impl Future<Output = ()> + Send;
}

macro_rules! door {
    ($gate:ty) => {
        impl crate::gate_test::Door for $gate {
            fn new() -> Self {
                Self::new()
            }
            fn enter(&self) -> bool {
                self.enter()
            }
            fn leave(&self) {
                self.leave();
            }
            fn drain(&self) {
                self.drain();
            }
            fn drained(&self) -> impl Future<Output = ()> + Send {
                self.drained()
            }
        }
    };
}
use door;

/// Whether the check found something.
fn found(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(check).is_err()
}

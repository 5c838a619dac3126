//! The gate that is used, and a faulty one, of loom's atomics.

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex};
}

#[allow(clippy::duplicate_mod)]
#[path = "count_only.rs"]
pub(super) mod counting;
#[allow(clippy::duplicate_mod)]
#[path = "../gate.rs"]
#[allow(dead_code)]
pub(super) mod gate;

super::door!(gate::Gate);
super::door!(counting::Gate);

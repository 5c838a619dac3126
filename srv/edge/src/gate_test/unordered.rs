//! The gate that is used, but of atomics that order nothing around them: a faulty one.

mod sync {
    pub(crate) use loom::sync::atomic::AtomicU64;
    pub(crate) use loom::sync::{Arc, Mutex};

    pub(crate) struct Ordering;

    #[allow(non_upper_case_globals)]
    impl Ordering {
        pub(crate) const Relaxed: loom::sync::atomic::Ordering =
            loom::sync::atomic::Ordering::Relaxed;
        pub(crate) const Acquire: loom::sync::atomic::Ordering = Self::Relaxed;
        pub(crate) const AcqRel: loom::sync::atomic::Ordering = Self::Relaxed;
    }
}

#[allow(clippy::duplicate_mod)]
#[path = "../gate.rs"]
#[allow(dead_code)]
pub(super) mod gate;

super::door!(gate::Gate);

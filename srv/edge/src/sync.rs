//! What the gate is made of. The model checks build the same gate of their own kinds of these.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Arc, Mutex};

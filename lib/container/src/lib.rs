//! Containers: from a plan to an OCI runtime spec, the root file system, cgroups, seccomp, and the
//! calls of libcontainer that start the program.
//!
//! Never: is called from a process with more than one thread (libcontainer clones without
//! preparing the allocator or the locks of other threads for it); pulls images; sets up networks;
//! lets a user write any part of the runtime spec.

mod caps;
mod cgroup;
mod entry;
mod error;
mod executor;
mod hierarchy;
mod limits;
mod oci;
mod overlay;
mod plan;
mod report;
mod root;
mod seccomp;
mod secrets;
pub mod signal;
mod start;
mod user;
mod volume;

pub use caps::Caps;
pub use cgroup::{Cgroup, REMOVE_MAX, sweep};
pub use error::Error;
pub use limits::{CPU_MIN_MILLI, MEMORY_MIN_BYTES};
pub use overlay::LAYERS_MAX;
pub use plan::{Base, Bound, ImageConfig, ImageRun, Limits, Plan, Wish, Words};
pub use report::{Report, Reporter};
pub use start::{Site, Stdio, bring_up, run_beside};
pub use volume::{Mount, Source};

//! The proxy from outside: users' bytes in, instances' answers out.

mod bodies;
mod halves;
mod heads;
mod holds;
mod logs;
mod passes;
mod rests;
mod retries;
pub(crate) mod rig;
mod shapes;
mod stalls;
mod swaps;

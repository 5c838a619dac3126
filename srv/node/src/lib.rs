//! The node: runs the instances of one machine, keeps its images, and exports both as a 9P tree.
//!
//! Never: knows of updates, of a service's history or of other nodes; decides what a failed probe
//! or an exit means (it only tells); links the container runtime (each instance has a shim
//! process of its own, which outlives this one).

mod adopt;
mod args;
mod capacity;
mod clock;
mod conn;
mod desk;
mod dirs;
mod error;
mod event;
mod exe;
mod fact;
mod follow;
mod handed;
mod id;
mod images;
mod instance;
mod kept;
mod life;
mod means;
mod net;
mod node;
mod notices;
mod open;
mod probing;
mod process;
mod pushes;
mod quote;
mod record;
mod ring;
mod serve;
mod session;
mod signal;
mod spec;
mod table;
mod tail;
mod tree;
mod verb;
mod volumes;
mod warm;
mod wire;
mod world;

use std::ffi::OsString;

/// Serve the node until it is told to end; `args` are the words after `deployfs node`.
///
/// `-r STATEDIR` names the state directory (required), `--net CIDR` the addresses of the bridge,
/// `-D` prints every 9P message, `-v` says more. When the socket answers, the line `ready` is
/// written to standard output. The process ends by SIGTERM or SIGINT, which
/// leave all instances running for the next start to adopt, or by the verb `down`, which stops
/// them first. Gives the process' exit status: 0 after an end that was asked for, 1 when the node
/// could not serve, 2 when the words make no sense.
///
/// The process leaves its session and closes every descriptor but the first three, so nothing may
/// be open yet. It runs its own tokio runtime, so this must not be called from inside another.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    serve::run(args)
}

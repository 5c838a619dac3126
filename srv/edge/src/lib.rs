//! The edge: holds the sockets that users connect to, passes their requests on to instances, and
//! answers for the names of services. What it knows is one table, swapped whole.
//!
//! Never: decides who is healthy; keeps state that is not rebuilt from the table or
//! ordered again; blocks a request on the control plane.

mod access;
mod acme;
mod args;
mod backend;
mod dns;
mod drain;
mod error;
mod follow;
mod gate;
#[cfg(test)]
mod gate_test;
mod http;
mod limits;
mod live;
mod metrics;
mod network;
mod process;
mod run;
mod swap;
mod sync;
mod table;
mod tcp;
mod tls;
mod tree;
mod users;
mod worker;

pub use error::Error;

use std::ffi::OsString;

/// Serves the edge until it is told to end or another one takes over; `args` are the words after
/// `deployfs edge`.
///
/// `-r STATEDIR` names the state directory (required), `-s ADDRESS` where `deployfs` serves, `-n`
/// what it knows the edge by, `--http`, `--https` and `--dns` where users are served, `--certs DIR`
/// the certificates, `--acme URL` from whom others are ordered, with `--acme-contact MAIL` and
/// `--acme-ca FILE`, `--trust NETWORK` proxies in front of it whose `X-Forwarded-` fields hold,
/// `--access-log` where a line a request goes (a file, `-` for standard output, `stdin` for what
/// stands in the place of input, `none`), `-D` prints every 9P message, `-v` says
/// more. When it serves, the line `ready` is written to standard output. An edge that serves there
/// already is taken over from: it ends by itself. Gives the process' exit status: 0 after an end
/// that was asked for or a take-over, 1 when it could not serve, 2 when the words make no sense.
///
/// The process leaves its session and closes every descriptor but the first three, so nothing may
/// be open yet. It runs its own tokio runtime, so this must not be called from inside another.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    run::run(args)
}

//! The HTTP door: what the tree says and takes, as JSON, server-sent events and a page.
//!
//! Every request dials the tree anew, reads or writes a few of its files, and hangs up; a stream
//! follows a file that grows, and finds its place again when the server was away. `routes` is the
//! table of all that can be asked for: requests are matched by it (`answer`), checked by it
//! (`query`, `guard`), and described from it (`openapi`). Of ours it uses `ninep`, and `manifest`
//! to read what is to be deployed before anything is written.
//!
//! Never: holds state; decides anything; can do what the tree cannot; trusts what a browser was
//! made to send by another site's page; asks any other host.

mod accept;
mod answer;
mod args;
mod begin;
mod body;
mod deploy;
mod draft;
mod error;
mod event;
mod fact;
mod figures;
mod group;
mod guard;
mod leash;
mod limits;
mod live;
mod nodes;
mod openapi;
mod page;
mod past;
mod peer;
mod query;
mod refusal;
mod routes;
mod run;
mod service;
mod session;
mod shape;
mod stall;
mod tale;
mod token;
mod trail;
mod tree;
mod verb;

pub use error::Error;
pub use leash::{Held, end, hold};
pub use run::run;

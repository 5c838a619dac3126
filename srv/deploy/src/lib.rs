//! The deployment file server: one world, one loop, and a file tree that shows it.
//!
//! A write to a `ctl` is parsed (`verbs`), becomes an event (`ctl`), is taken by the decision
//! (`lib/rollout`), saved (`save`), and only then performed (`act`) on the node (`link`), whose
//! reports come back as arrivals (`told`). `wheel` is one turn of that, `run` the loop around it.
//! Reads print the world (`show`) and never enter a decision. `table` is the tree.
//!
//! Two things are otherwise than in the sketch of the design. The node's instances are made by
//! name (`mkdir instances/web-7`) and not by opening a clone file, because an answer that was lost
//! can then be asked for again without leaving an orphan. And a name is one run of a container: a
//! restart is a new one, so that every order to the node is idempotent.
//!
//! Never: talks to a container, a user's socket or a registry by itself; it asks the node.

pub mod act;
pub mod arrival;
pub mod audit;
pub mod bond;
#[cfg(test)]
mod bond_test;
pub mod book;
pub mod clock;
pub mod config;
mod ctl;
pub mod edge;
pub mod edges;
pub mod errands;
mod feed;
pub mod files;
mod gather;
pub mod grow;
pub mod hold;
pub mod kept;
mod lanes;
pub mod line;
pub mod link;
pub mod lock;
pub mod logs;
pub mod metrics;
pub mod past;
mod pulls;
pub mod record;
pub mod report;
pub mod room;
pub mod routes;
mod routing;
#[cfg(test)]
mod routing_test;
pub mod run;
pub mod save;
pub mod secrets;
pub mod server;
pub mod shelf;
pub mod show;
pub mod table;
pub mod tasks;
mod text;
mod told;
pub mod turn;
mod undo;
pub mod vault;
pub mod verbs;
pub mod volumes;
pub mod web;
pub mod wheel;
mod wish;
pub mod world;
#[cfg(test)]
mod world_test;

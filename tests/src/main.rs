//! Everything that is tested on the whole: the house's rules, and the programs end to end with
//! real containers, as root.
//!
//! Never: waits for something by sleeping; leaves a process, mount, link or cgroup behind.

mod acme;
mod apps;
#[allow(dead_code, reason = "others who include it use the rest")]
#[path = "../../srv/edge/tests/authority/mod.rs"]
mod authority;
mod cancels;
mod crash;
mod edge;
mod edges;
mod facts;
mod failures;
mod files;
mod house;
mod images;
mod lock;
mod logs;
mod loss;
mod many;
mod refusals;
mod registry;
mod rig;
mod secrets;
mod steady;
mod tasks;
mod told;
mod traces;
mod verify;
mod volumes;
mod ways;
mod web;

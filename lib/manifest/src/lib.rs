//! What a service should be: the text of a manifest to one plain type, and back.
//!
//! [`parse`] reads the flat language and tells all its errors at once; [`print()`] writes a
//! manifest that parses to an equal one; [`Manifest::version`] names its meaning; [`diff`]
//! says what changed and whether anything has to restart for it. The keys are one table
//! ([`keys`]) from which parser, printer and help are made.
//!
//! Never: reads a file, the clock, the environment or the network; resolves an image (a
//! digest comes in as data); decides what an update does.

mod args;
mod check;
mod diff;
mod edit;
mod error;
mod hold;
mod keys;
mod kinds;
pub mod limits;
mod manifest;
mod nearest;
mod parse;
mod paths;
mod print;
mod problem;
mod read;
mod reference;
mod show;
#[cfg(test)]
mod tests;
pub mod units;
mod version;
mod words;

pub use diff::{Change, Outcome, diff, outcome};
pub use edit::with_replicas;
pub use error::Error;
pub use hold::hold_ms;
pub use keys::{Effect, Key, When, keys, nearest_key};
pub use kinds::{
    Batch, Constraint, Health, Network, Restart, Route, Secret, Update, UpdateFailure, Volume,
    VolumeSource,
};
pub use manifest::Manifest;
pub use parse::{Parsed, parse};
pub use print::print;
pub use problem::Problem;
pub use reference::{Reference, Repository};
pub use version::{VersionName, check_name};

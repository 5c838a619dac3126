//! The decision: what is to be done next for one service, given what has just happened.
//!
//! [`step`] takes an event and gives actions; the caller saves the state, and only then performs
//! them. [`resume`] gives, after a restart, everything the state still waits for. All actions are
//! idempotent, and `step` computes them as what is outstanding afterwards and was not before, so
//! that the two can never disagree.
//!
//! Never: reads a clock, does I/O, spawns, draws chance, knows a manifest, a node's protocol or
//! another service. `no_std` outside of tests lets the compiler keep it so.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod action;
mod answers;
mod crash;
mod event;
mod fact;
mod fail;
mod finish;
mod id;
mod instance;
mod outcome;
mod outstanding;
mod refusal;
mod replace;
mod rolling;
mod settle;
mod show;
mod span;
mod spec;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod turn;
mod verbs;

pub use action::Action;
pub use event::{Event, Exit};
pub use fact::Fact;
pub use id::{Id, Millis, Version};
pub use instance::{Instance, Stage};
pub use outcome::{Outcome, Verdict};
pub use refusal::{Refusal, Verb, may};
pub use show::{Health, Phase, Status};
pub use spec::{OnFailure, Restart, Spec, Strategy};
pub use state::{How, Kind, Service, Update};
pub use step::{resume, step};

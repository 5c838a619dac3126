//! `deploy`: the command over the file tree of a deployment server.
//!
//! It parses words, dials, reads and writes files, prints, and ends with a status; echo and cat
//! could replace it. The verbs are one table ([`verb`]); what a server tells becomes values at
//! one edge ([`fact`], [`outcome`]) and is printed from there.
//!
//! Never: decides what an update does; holds any state between two runs; knows more than the
//! files say.

mod apply;
mod ask;
mod bars;
mod closing;
mod compare;
mod error;
mod events;
mod exit;
mod fact;
mod files;
mod flag;
mod follow;
mod going;
mod help;
mod history;
mod json;
mod link;
mod nearest;
mod news;
mod out;
mod outcome;
mod parse;
mod past;
#[cfg(test)]
mod phases_test;
mod plain;
mod plan;
mod room;
mod row;
mod screen;
mod show;
mod since;
mod status;
mod verb;

fn main() {}

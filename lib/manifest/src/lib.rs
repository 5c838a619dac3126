//! What a service should be: the text of a manifest to one plain type, and back.
//!
//! Two languages give one type, [`Manifest`]. [`parse`] reads the flat one, a service a text;
//! [`parse_app`] reads the HCL one, an [`App`] of services and tasks a text. Both tell all errors
//! at once; [`excerpt()`] shows one with its line. [`print()`] writes a manifest in the flat
//! language, which parses to an equal one: that is what a server keeps. [`Manifest::version`]
//! names its meaning, whichever language it was written in; [`diff`] says what changed and
//! whether anything has to restart for it. The keys are one table ([`keys`]) from which parsers,
//! printer and help are made.
//!
//! The flat language:
//!
//! ```text
//! text      = line { end line }
//! line      = [ directive ] [ "#" comment ]
//! directive = key { word } | "+" { word }     the second goes on with the words before it: its
//!                                             first one with the last one there, a line below
//! word      = { character | "'" text "'" }    '' in quotes is one quote
//! ```
//!
//! The HCL language, in which every key stands under the same name:
//!
//! ```text
//! file      = { item }                 app = "NAME", service "NAME" { … }, task "NAME" { … }
//! item      = name "=" value end | name { label } "{" { item } "}" end
//! end       = line end | ";"                  or the } of the block
//! value     = string | document | number | true | false | list | object
//! list      = "[" [ value { "," value } [ "," ] ] "]"
//! object    = "{" { name ( "=" | ":" ) value ( "," | end ) } "}"
//! number    = [ "-" ] digit { digit | "." | letter | "%" }            0.5, 5s, 512Mi, 25%
//! string    = '"' { character | escape | reference } '"'
//! document  = "<<" [ "-" ] name end { line } name                     - takes the indent off
//! escape    = \n \r \t \" \\ \uXXXX \UXXXXXXXX $${ %%{
//! reference = "${secret(" NAME ")}" | "${service." NAME ".address}"
//! comment   = "#" … | "//" … | "/*" … "*/"
//! ```
//!
//! A string is one word of the key; where a key has several words, it is a list of them, or a
//! string that is read as in the flat language. A secret is the whole value of a variable.
//!
//! Never: reads a file, the clock, the environment or the network; resolves an image (a
//! digest comes in as data); decides what an update does.

mod app;
mod args;
mod check;
mod diff;
mod directive;
mod edit;
mod error;
mod excerpt;
mod form;
mod hcl;
mod hold;
mod keys;
mod kinds;
pub mod limits;
mod manifest;
mod nearest;
mod parse;
mod paths;
mod place;
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

pub use app::{App, Fate};
pub use diff::{Change, Outcome, diff, outcome};
pub use edit::{app_of, with_replicas};
pub use error::Error;
pub use excerpt::excerpt;
pub use hcl::{ParsedApp, parse_app};
pub use hold::hold_ms;
pub use keys::{Effect, Key, Of, When, keys, nearest_key};
pub use kinds::{
    Batch, Constraint, Health, Network, Restart, Route, Secret, Update, UpdateFailure, Volume,
    VolumeSource,
};
pub use manifest::Manifest;
pub use parse::{Parsed, parse, parse_task};
pub use print::print;
pub use problem::Problem;
pub use reference::{Reference, Repository};
pub use version::{VersionName, check_name};

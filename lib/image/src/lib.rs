//! Container images on this machine: fetched from registries, archives and directories, verified
//! byte by byte, unpacked to one directory a layer, built from a directory or a program, listed
//! and collected.
//!
//! One [`Store`] owns one directory. Everything that enters it is named by the SHA-256 digest of
//! its bytes and checked against it, whoever it came from.
//!
//! Never: starts anything, mounts anything, runs a program of an image, follows an address that
//! stands inside a manifest, or writes outside of its own directory.

mod budget;
mod credentials;
mod digest;
mod disk;
mod document;
mod error;
mod gc;
mod image;
mod lease;
mod local;
mod meta;
mod meter;
mod missing;
mod pull;
mod push;
mod reference;
mod registry;
mod registry_error;
mod rootfs;
mod store;
mod tags;
mod tarball;
mod token;
mod unpack;
mod wire;

pub use error::{Error, Result};
pub use image::{Collected, Image, Listed, Progress, Removed, Usage};
pub use reference::local_name;
pub use store::Store;

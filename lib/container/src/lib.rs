//! Containers: from a plan to an OCI runtime spec, the root file system, cgroups, seccomp, and the
//! calls of libcontainer that start the program.
//!
//! Never: is called from a process with more than one thread (libcontainer clones without
//! preparing the allocator or locks of other threads for it); pulls images; sets up networks.

use serde::{Deserialize, Serialize};

/// The part of an OCI image configuration (image-spec, config.md) that says how to run it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct ImageConfig {
    /// Execution parameters.
    #[serde(default)]
    pub config: Option<ImageRun>,
}

/// `config` of an image configuration; the names are the OCI image-spec's.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageRun {
    /// First words of the command.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Further words, or the whole command without an entry point.
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    /// `KEY=VALUE` each.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// Working directory.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers.
    #[serde(default)]
    pub user: Option<String>,
    /// Signal that asks the program to end.
    #[serde(default)]
    pub stop_signal: Option<String>,
}

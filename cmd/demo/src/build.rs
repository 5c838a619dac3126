//! Builds the programs that the demonstration uses.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds them and gives the directory they are in.
///
/// # Errors
/// cargo's failure; what it said stands above it on the terminal.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(["build", "--package", "deployfs", "--package", "deploy", "--package", "demo"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the programs could not be built".to_string());
    }
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    here.parent().map(Path::to_path_buf).ok_or_else(|| "no directory of programs".to_string())
}

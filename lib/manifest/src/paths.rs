//! Paths: absolute ones in the instance or on the machine, and any on the user's side.

use crate::error::Error;
use crate::limits::PATH_BYTES_MAX;

/// Checks that a path is absolute and does not climb: what it means must not depend on where
/// somebody stands, and must stay below what it says.
pub(crate) fn check_path(path: &str) -> Result<(), Error> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Error::PathLong(path.to_owned()));
    }
    let climbs = path.split('/').any(|part| part == "..");
    if path.starts_with('/') && !climbs && !path.contains('\0') {
        Ok(())
    } else {
        Err(Error::Path(path.to_owned()))
    }
}

/// Checks a path on the user's side, which may be relative to the manifest's file.
pub(crate) fn check_side_path(path: &str) -> Result<(), Error> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Error::PathLong(path.to_owned()));
    }
    let right = !path.is_empty() && !path.contains('\0');
    if right { Ok(()) } else { Err(Error::SidePath(path.to_owned())) }
}

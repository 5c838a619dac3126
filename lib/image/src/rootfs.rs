//! `dir:ROOTFS`: a directory of the user's, used where it lies.
//!
//! Its digest is the SHA-256 of its path and of a line for each thing in it, in order of names:
//! kind, mode, owner, size, time of change, text of a link, name. Contents are not read, so a
//! change that keeps size and time is not seen; what is a whole version for `make` is one here.

use std::fs::{self, Metadata};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::digest::{Digest, Hash};
use crate::disk::io_error;
use crate::{Error, Result, document};

/// Things in the directory.
const ENTRIES_MAX: u64 = 2_000_000;
/// The search path of a container whose image says nothing of it; Docker's.
const PATH_ENV: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The digest of a directory and the bytes of its files.
pub(crate) fn digest(dir: &Path) -> Result<(PathBuf, Digest, u64)> {
    let root = fs::canonicalize(dir).map_err(|e| source(dir, &e.to_string()))?;
    if !root.is_dir() {
        return Err(source(dir, "is no directory; dir: takes a root file system"));
    }
    let mut listing = Listing { hash: Hash::default(), bytes: 0, entries: 0 };
    listing.hash.update(root.as_os_str().as_bytes());
    listing.directory(&root)?;
    Ok((root, listing.hash.finish(), listing.bytes))
}

/// The configuration of a root file system nobody described: its `/entrypoint` when there is an
/// executable one, else no command.
pub(crate) fn config(root: &Path) -> Value {
    let entry = fs::metadata(root.join("entrypoint"));
    let runs = entry.is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0);
    describe(if runs { vec!["/entrypoint".into()] } else { Vec::new() }, &[], &[])
}

/// A configuration with this entry point, environment besides PATH, and these layers.
pub(crate) fn describe(entry: Vec<String>, env: &[String], diff_ids: &[Digest]) -> Value {
    let platform = document::platform();
    let (os, architecture) = platform.split_once('/').unwrap_or(("linux", ""));
    let env: Vec<&str> = [PATH_ENV].into_iter().chain(env.iter().map(String::as_str)).collect();
    let mut config = json!({ "Env": env, "WorkingDir": "/" });
    if !entry.is_empty() {
        config["Entrypoint"] = json!(entry);
    }
    let diff_ids: Vec<String> = diff_ids.iter().map(Digest::to_string).collect();
    json!({
        "architecture": architecture,
        "os": os,
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

struct Listing {
    hash: Hash,
    bytes: u64,
    entries: u64,
}

impl Listing {
    fn directory(&mut self, dir: &Path) -> Result<()> {
        let read = fs::read_dir(dir).and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>()
        });
        let mut paths = read.map_err(|e| io_error("read", dir, e))?;
        paths.sort_unstable();
        for path in paths {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(source(dir, &format!("more than {ENTRIES_MAX} files")));
            }
            let found = fs::symlink_metadata(&path).map_err(|e| io_error("stat", &path, e))?;
            self.line(&path, &found)?;
            if found.is_dir() {
                self.directory(&path)?;
            }
        }
        self.hash.update(b"end\n");
        Ok(())
    }

    fn line(&mut self, path: &Path, found: &Metadata) -> Result<()> {
        let mut line = Vec::new();
        // The size and time of a directory change with what is in it, which is listed.
        let (size, s, ns) = match found.is_dir() {
            true => (0, 0, 0),
            false => (found.size(), found.mtime(), found.mtime_nsec()),
        };
        let (mode, uid, gid) = (found.mode(), found.uid(), found.gid());
        // Writing to memory cannot fail.
        let _ = write!(line, "{mode:o} {uid} {gid} {size} {s}.{ns} ");
        if found.is_symlink() {
            let target = fs::read_link(path).map_err(|e| io_error("read", path, e))?;
            line.extend(target.as_os_str().as_bytes());
        }
        line.push(0);
        line.extend(path.file_name().unwrap_or_default().as_bytes());
        line.push(0);
        self.hash.update(&line);
        self.bytes += if found.is_file() { found.size() } else { 0 };
        Ok(())
    }
}

fn source(path: &Path, why: &str) -> Error {
    Error::Source { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_digest_changes_with_names_modes_sizes_and_links_and_with_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let now = || digest(dir.path()).unwrap().1;
        fs::create_dir(at("bin")).unwrap();
        fs::write(at("bin/a"), "1").unwrap();
        symlink("a", at("bin/b")).unwrap();
        let mut seen = vec![now()];
        assert_eq!(now(), seen[0]);
        let mut check = |change: &dyn Fn()| {
            change();
            let digest = now();
            assert!(!seen.contains(&digest));
            seen.push(digest);
        };
        check(&|| fs::write(at("bin/a"), "22").unwrap());
        check(&|| fs::set_permissions(at("bin/a"), PermissionsExt::from_mode(0o700)).unwrap());
        check(&|| fs::rename(at("bin/a"), at("bin/c")).unwrap());
        check(&|| {
            fs::remove_file(at("bin/b")).unwrap();
            symlink("c", at("bin/b")).unwrap();
        });
        check(&|| fs::create_dir(at("bin/d")).unwrap());
        check(&|| fs::rename(at("bin/d"), at("d")).unwrap());
        assert_eq!(digest(dir.path()).unwrap().2, 2);
    }

    #[test]
    fn a_file_is_no_root_and_an_executable_entrypoint_is_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let entry = dir.path().join("entrypoint");
        assert!(config(dir.path())["config"].get("Entrypoint").is_none());
        fs::write(&entry, "").unwrap();
        assert!(config(dir.path())["config"].get("Entrypoint").is_none());
        fs::set_permissions(&entry, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(config(dir.path())["config"]["Entrypoint"], json!(["/entrypoint"]));
        let text = digest(&entry).unwrap_err().to_string();
        assert!(text.contains("is no directory"), "{text}");
    }
}

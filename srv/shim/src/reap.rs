//! What is done for a shim that died, and for cgroups nobody owns.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use container::{Cgroup, REMOVE_MAX, Site};

use crate::end;
use crate::error::{Error, complain};
use crate::record::{EXIT, Pids, lock, now_ms};
use crate::wire::{Config, Exit};

/// Pause between two attempts to get the directory from what the dead shim has left.
const RETRY: Duration = Duration::from_millis(2);

/// Ends and removes what a dead shim left in `dir`, and writes how it ended if it could not.
///
/// # Errors
/// The directory cannot be had or the exit file not written.
pub(crate) fn reap(dir: &Path) -> Result<(), Error> {
    let config = Config::load(dir)?;
    Pids::kill_shim();
    let cgroup = Cgroup::at(&config.cgroup())?;
    // A shim may have died while forks of it made the container: they hold the lock until they
    // end, and until then they can join the cgroup once more.
    let give_up = Instant::now() + REMOVE_MAX;
    let _lock = loop {
        cgroup.kill();
        match lock(dir) {
            Ok(lock) => break lock,
            Err(error) if Instant::now() >= give_up => return Err(error),
            Err(_) => std::thread::sleep(RETRY),
        }
    };
    let site = Site::new(dir);
    let mut recorded = Ok(());
    if !Path::new(EXIT).exists() {
        let exit = Exit {
            code: 137,
            signal: Some("KILL".to_owned()),
            oom: cgroup.oom_kills() > 0,
            reason: Some("shim died".to_owned()),
            finished_ms: now_ms(),
            failed: false,
            permanent: false,
        };
        recorded = end::record(&exit, Some(&cgroup), &site);
    }
    end::clean(Some(&cgroup), &site);
    recorded
}

/// Removes cgroups below `parent`; says the removed names.
///
/// # Errors
/// The last of those that could not be removed.
pub(crate) fn sweep(parent: &str, keep: &[String]) -> Result<(), Error> {
    let (removed, failed) = container::sweep(parent, keep)?;
    for name in removed {
        let _ = writeln!(std::io::stdout(), "{name}");
    }
    let mut last = Ok(());
    for error in failed {
        complain(&error);
        last = Err(error.into());
    }
    last
}

impl Config {
    /// Reads `shim.json` of an instance.
    pub(crate) fn load(dir: &Path) -> Result<Config, Error> {
        let path: PathBuf = dir.join("shim.json");
        let text = fs::read(&path).map_err(Error::found("read", &path))?;
        serde_json::from_slice(&text).map_err(Error::Config)
    }

    /// The cgroup of the instance.
    pub(crate) fn cgroup(&self) -> String {
        format!("{}/{}", self.cgroup_parent.trim_end_matches('/'), self.id)
    }
}

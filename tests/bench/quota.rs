//! A share of a core that a program may use, by a cgroup of its own.
//!
//! Where whoever asks is slower than whoever answers, both of two servers answer all that is
//! asked; with a share of a core each it is seen which of them makes more of it.

use crate::program::Program;
use std::fs;
use std::path::{Path, PathBuf};

/// Of how long a time it is a share, in microseconds.
const PERIOD_US: u64 = 10_000;

/// A limit that holds until it is dropped.
pub(crate) struct Quota {
    dir: PathBuf,
    root: &'static Path,
    pids: Vec<u32>,
}

impl Quota {
    /// Lets a program use so many hundredths of a core.
    ///
    /// # Errors
    /// The machine has no cgroups for that.
    pub(crate) fn set(program: &Program, percent: u64) -> Result<Quota, String> {
        let (first, second) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        let old = first.join("cgroup.procs").exists();
        let root = if old { first } else { second };
        let dir = root.join(format!("deploy-bench-{}-{}", std::process::id(), program.pid()));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let quota = Quota { dir, root, pids: program.family() };
        let share = PERIOD_US * percent / 100;
        match old {
            true => {
                quota.put("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                quota.put("cpu.cfs_quota_us", &share.to_string())?;
            }
            false => quota.put("cpu.max", &format!("{share} {PERIOD_US}"))?,
        }
        let mut pids = quota.pids.iter();
        pids.try_for_each(|pid| quota.put("cgroup.procs", &pid.to_string()))?;
        Ok(quota)
    }

    fn put(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        for pid in &self.pids {
            let _ = fs::write(self.root.join("cgroup.procs"), pid.to_string());
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

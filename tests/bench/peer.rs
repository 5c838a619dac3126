//! runc, of the Debian package, as the measure of our own starts.

use crate::server::took;
use crate::start::{COMMAND, CPU_MILLI, MEMORY_BYTES, PIDS};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The scheduler's period in microseconds, of which a limit in cores is a share.
const CPU_PERIOD_US: u64 = 100_000;
/// The weight of a core beside other cgroups.
const CPU_SHARES_PER_CORE: u64 = 1024;

/// runc with a place of its own.
pub(crate) struct Runc {
    dir: PathBuf,
    lower: PathBuf,
    count: u32,
}

impl Runc {
    /// runc for containers over the root `lower`; none when it is not installed.
    ///
    /// # Errors
    /// It is there and does not work.
    pub(crate) fn find(place: &Path, lower: &Path) -> Result<Option<Runc>, String> {
        let dir = place.join("runc");
        let bundle = dir.join("bundle");
        fs::create_dir_all(&bundle).map_err(|error| format!("{}: {error}", bundle.display()))?;
        let mut spec = Command::new("runc");
        spec.arg("spec").current_dir(&bundle).stdout(Stdio::null());
        match spec.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("runc spec ended with {status}")),
            Err(_) => return Ok(None),
        }
        let config = bundle.join("config.json");
        let text = fs::read(&config).map_err(|error| format!("{}: {error}", config.display()))?;
        let text = configured(&text).map_err(|error| format!("config of runc spec: {error}"))?;
        fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        Ok(Some(Runc { dir, lower: lower.to_path_buf(), count: 0 }))
    }

    /// Runs a container and deletes it; gives how long it took until it ran.
    pub(crate) fn run(&mut self) -> Result<Duration, String> {
        self.count += 1;
        let id = format!("deploy-bench-{}-{}", std::process::id(), self.count);
        let root = Overlay::mount(&self.dir, &self.lower)?;
        let mut run = self.runc();
        // The container inherits what runc was given, so no pipe that has to be closed at its end.
        run.args(["run", "-d", "-b"]).arg(self.dir.join("bundle")).arg(&id);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = std::time::Instant::now();
        let status = run.status().map_err(|error| format!("cannot run runc: {error}"))?;
        let time = began.elapsed();
        let deleted = took(self.runc().args(["delete", "-f", &id]));
        drop(root);
        match status.success() {
            true => deleted.map(|_| time),
            false => Err(format!("runc run ended with {status}")),
        }
    }

    fn runc(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.dir.join("state"));
        command
    }
}

/// What `runc spec` wrote, with our command and limits.
fn configured(text: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut config: Value = serde_json::from_slice(text)?;
    config["process"]["args"] = json!(COMMAND);
    config["process"]["terminal"] = json!(false);
    config["root"]["readonly"] = json!(false);
    let limits = &mut config["linux"]["resources"];
    limits["memory"] = json!({ "limit": MEMORY_BYTES });
    limits["cpu"] = json!({
        "shares": CPU_SHARES_PER_CORE * CPU_MILLI / 1000,
        "quota": CPU_PERIOD_US * CPU_MILLI / 1000,
        "period": CPU_PERIOD_US,
    });
    limits["pids"] = json!({ "limit": PIDS });
    serde_json::to_vec(&config)
}

/// A fresh overlay as the bundle's root; unmounted when it is dropped.
struct Overlay {
    at: PathBuf,
}

impl Overlay {
    fn mount(dir: &Path, lower: &Path) -> Result<Overlay, String> {
        let (upper, work, at) = (dir.join("upper"), dir.join("work"), dir.join("bundle/rootfs"));
        for part in [&upper, &work, &at] {
            let _ = fs::remove_dir_all(part);
            fs::create_dir_all(part).map_err(|error| format!("{}: {error}", part.display()))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        let kind = Some("overlay");
        mount(kind, &at, kind, MsFlags::empty(), Some(options.as_str()))
            .map_err(|error| format!("overlay at {}: {error}", at.display()))?;
        Ok(Overlay { at })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Detached: nobody else looks into it any more.
        let _ = umount2(&self.at, MntFlags::MNT_DETACH);
    }
}

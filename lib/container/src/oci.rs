//! The OCI runtime spec (runtime-spec, config.md) of a container, as libcontainer reads it.

use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value, json};

use crate::hierarchy::Machine;
use crate::plan::{Bound, Plan};
use crate::user::User;

/// Kernel files nobody in a container has business with (Docker's list).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Kernel files that may be read only (Docker's list), and the frame around the cgroup files.
const READ_ONLY: [&str; 6] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys/fs/cgroup"];

/// Size of `/dev` and `/dev/shm` each (Docker's); what is used counts as the container's memory.
const SHM_SIZE: &str = "size=64m";

/// Open files a program may have: as many as the caller may, but a billion makes programs slow
/// that close every number at their start, and more than these nobody has asked for.
const FILES_SOFT_MAX: u64 = 65_536;
const FILES_HARD_MAX: u64 = 1_048_576;

/// The version 1 hierarchies a container sees, its own part of each, read-only. Runtimes size
/// heaps and thread pools after them.
const SEEN: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];

/// What is bound in: source, target, options.
pub(crate) type Binding = (PathBuf, String, Vec<&'static str>);

/// What the plan does not say and had to be found out.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) user: User,
    pub(crate) resources: Value,
    pub(crate) merged: PathBuf,
    pub(crate) oom_score_adj: Option<i32>,
    /// What is bound in, ready.
    pub(crate) bound: Vec<Binding>,
}

/// The whole document.
pub(crate) fn document(plan: &Plan, facts: &Facts, machine: &Machine) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "hostname": plan.hostname,
        "root": {"path": facts.merged, "readonly": plan.read_only},
        "process": process(plan, facts),
        "mounts": mounts(plan, facts, machine),
        "linux": {
            "cgroupsPath": plan.cgroup,
            // No network: the caller already lives in the one the container is to have.
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"},
            ],
            "resources": facts.resources,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    })
}

/// The process part, which further processes of the container take over.
fn process(plan: &Plan, facts: &Facts) -> Value {
    let caps = plan.caps.oci();
    // Who is not root has none to use; the bounding set still says what can be gained at most.
    let held = if facts.user.uid == 0 { caps.clone() } else { Vec::new() };
    let mut env = plan.env.clone();
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={}", facts.user.home));
    }
    let mut process = json!({
        "terminal": false,
        "user": {
            "uid": facts.user.uid,
            "gid": facts.user.gid,
            "additionalGids": facts.user.groups,
        },
        "args": plan.argv,
        "env": env,
        "cwd": plan.cwd,
        "capabilities": {
            "bounding": caps,
            "effective": held,
            "permitted": held,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": rlimits(),
        "noNewPrivileges": true,
    });
    if let Some(adjust) = facts.oom_score_adj {
        process["oomScoreAdj"] = json!(adjust);
    }
    process
}

/// Only downwards from our own: above the hard limit needs a privilege not every machine gives.
fn rlimits() -> Value {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard);
    let hard = hard.min(FILES_HARD_MAX);
    json!([
        {"type": "RLIMIT_NOFILE", "soft": hard.min(FILES_SOFT_MAX), "hard": hard},
        // A core file of a container would be written by the machine's handler. The hard limit
        // too: up to that one a program may lift the other itself.
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ])
}

fn mounts(plan: &Plan, facts: &Facts, machine: &Machine) -> Value {
    let mut mounts = vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", SHM_SIZE]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", SHM_SIZE]),
        mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    mounts.extend(cgroups(plan, machine));
    mounts.extend(facts.bound.iter().map(|(source, target, options)| {
        mount("bind", &source.to_string_lossy(), target, options)
    }));
    mounts.extend(plan.files.iter().map(|Bound { source, target }| {
        let source = source.to_string_lossy();
        mount("bind", &source, target, &["bind", "ro", "nosuid", "nodev", "noexec"])
    }));
    Value::Array(mounts)
}

/// The container's own cgroup files. libcontainer would mount version 1 hierarchies writable, and
/// root inside could lift its own limits; so they are bound here one by one.
fn cgroups(plan: &Plan, machine: &Machine) -> Vec<Value> {
    const AT: &str = "/sys/fs/cgroup";
    if machine.is_unified() {
        return vec![mount("cgroup", "cgroup", AT, &["nosuid", "noexec", "nodev", "ro"])];
    }
    let mut mounts = vec![mount("tmpfs", "tmpfs", AT, &["nosuid", "noexec", "nodev", "mode=755"])];
    for hierarchy in machine.hierarchies.iter().filter(|one| !one.unified) {
        for name in hierarchy.controllers.iter().filter(|name| SEEN.contains(&name.as_str())) {
            let own = hierarchy.mount.join(plan.cgroup.trim_start_matches('/'));
            // libcontainer would make it later; a bind needs it now.
            if std::fs::create_dir_all(&own).is_ok() {
                let (source, target) = (own.to_string_lossy(), format!("{AT}/{name}"));
                let options = ["bind", "ro", "nosuid", "nodev", "noexec"];
                mounts.push(mount("bind", &source, &target, &options));
            }
        }
    }
    mounts
}

fn mount(kind: &str, source: &str, target: &str, options: &[&str]) -> Value {
    json!({"type": kind, "source": source, "destination": target, "options": options})
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::Spec;

    use super::*;
    use crate::caps::Caps;
    use crate::plan::{Base, Limits};

    fn document_for(uid: u32) -> Value {
        let limits = Limits { cpu_milli: 250, memory_bytes: 64 << 20, pids: 64 };
        let plan = Plan {
            id: "web-0".to_owned(),
            cgroup: "/deploy-test/web-0".to_owned(),
            base: Base::Directory("/r".into()),
            argv: vec!["/bin/x".to_owned()],
            env: vec!["PATH=/bin".to_owned()],
            cwd: "/".to_owned(),
            user: String::new(),
            hostname: "web-0".to_owned(),
            limits,
            read_only: true,
            caps: Caps::new(&[], &[]).unwrap(),
            mounts: Vec::new(),
            files: vec![Bound { source: "/i/hosts".into(), target: "/etc/hosts" }],
        };
        let user = User { uid, gid: 5, groups: vec![7], home: "/home".to_owned() };
        let (resources, _) = limits.resources(&["memory".to_owned()].into());
        let facts = Facts {
            user,
            resources,
            merged: "/i/merged".into(),
            oom_score_adj: Some(0),
            bound: Vec::new(),
        };
        document(&plan, &facts, &Machine { hierarchies: Vec::new() })
    }

    #[test]
    fn the_document_is_a_runtime_spec_without_host_namespaces() {
        let spec: Spec = serde_json::from_value(document_for(0)).unwrap();
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.namespaces().as_ref().unwrap().len(), 5);
        assert_eq!(linux.resources().as_ref().unwrap().devices().as_ref().unwrap().len(), 1);
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.no_new_privileges(), Some(true));
        assert!(process.env().as_ref().unwrap().contains(&"HOME=/home".to_owned()));
        assert!(spec.root().as_ref().unwrap().readonly().unwrap());
    }

    #[test]
    fn only_root_holds_capabilities() {
        let caps =
            |uid, set| document_for(uid)["process"]["capabilities"][set].as_array().unwrap().len();
        assert_eq!((caps(0, "effective"), caps(0, "bounding"), caps(0, "ambient")), (10, 10, 0));
        assert_eq!((caps(1000, "effective"), caps(1000, "bounding")), (0, 10));
    }
}

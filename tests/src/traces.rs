//! What a server could leave behind on the machine: processes, mounts, links, cgroups.

use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The eight hex digits that everything of a server is named with.
pub(crate) fn tag(state: &Path) -> String {
    let hash = Sha256::digest(state.as_os_str().as_encoded_bytes());
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Everything of a state directory's server that is still there, in words.
pub(crate) fn left(state: &Path) -> Vec<String> {
    let tag = tag(state);
    let mut found = processes(state);
    found.extend(mounts(state));
    found.extend(cgroups(&tag).into_iter().map(|dir| format!("cgroup {}", dir.display())));
    found.extend(links(&tag));
    found
}

/// Processes that name the state directory in their words, work in it, or are in its cgroups.
fn processes(state: &Path) -> Vec<String> {
    let name = state.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for pid in pids() {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let words = fs::read(dir.join("cmdline")).unwrap_or_default();
        let named = words.windows(name.len()).any(|part| part == name);
        let inside = fs::read_link(dir.join("cwd")).is_ok_and(|cwd| cwd.starts_with(state));
        let grouped = fs::read_to_string(dir.join("cgroup"))
            .is_ok_and(|text| text.contains(&format!("deploy-{}", tag(state))));
        // One that has ended holds nothing any more, and is its parent's to notice.
        let ended = fs::read_to_string(dir.join("stat"))
            .is_ok_and(|text| text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')));
        if (named || inside || grouped) && !ended && pid != std::process::id() {
            found.push(format!("process {pid} {}", String::from_utf8_lossy(&words)));
        }
    }
    found
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

fn mounts(state: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let state = state.to_string_lossy();
    // A tmpfs that a test mounted as the state directory itself is the test's own.
    let lines = text.lines().filter(|line| line.contains(&format!("{state}/")));
    lines.map(|line| format!("mount {line}")).collect()
}

/// Directories of the server's in any hierarchy.
pub(crate) fn cgroups(tag: &str) -> Vec<PathBuf> {
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup")];
    roots.extend(fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path()));
    let dirs = roots.into_iter().map(|root| root.join(format!("deploy-{tag}")));
    dirs.filter(|dir| dir.exists()).collect()
}

fn links(tag: &str) -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").expect("/sys/class/net");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let bridge = format!("dp{tag}");
    let of_bridge = |name: &String| {
        let master = fs::read_link(format!("/sys/class/net/{name}/master"));
        *name == bridge || master.is_ok_and(|m| m.ends_with(&bridge))
    };
    names.filter(of_bridge).map(|name| format!("link {name}")).collect()
}

//! What becomes of each state a directory can be in.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::*;
use crate::spec::tests::text;

/// An instance's directory with some of its files; what becomes of it in one word.
fn check(files: &[&str], expected: &str) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().canonicalize().unwrap().join("web-1");
    fs::create_dir(&dir).unwrap();
    let mut children = Vec::new();
    for file in files {
        match *file {
            "spec" => fs::write(dir.join(record::SPEC), text(json!({}))).unwrap(),
            "spec of secrets" => {
                let secrets = text(json!({"secrets": ["db.url 3"]}));
                fs::write(dir.join(record::SPEC), secrets).unwrap();
            }
            "shim.json" => {
                let spec: Value = serde_json::from_slice(&text(json!({"port": 20_001}))).unwrap();
                let given = json!({"address": "10.89.0.5/16", "spec": spec, "more": 1});
                fs::write(dir.join(record::SHIM), given.to_string()).unwrap();
            }
            "exit" => {
                fs::write(
                    dir.join(record::EXIT),
                    serde_json::to_vec(&record::never_ran()).unwrap(),
                )
                .unwrap();
            }
            "shim" => children.push(shim(&dir)),
            "pid" => write_pid(&dir, children.first().map_or(1, Child::id)),
            "healthy" => record::mark(&dir, true).unwrap(),
            "other spec" => {
                let other = json!({"later": 1, "stop_timeout_ms": u64::MAX, "user": [7]});
                fs::write(dir.join(record::SPEC), text(other)).unwrap();
            }
            "other shim.json" => {
                let given = json!({"address": "10.89.0.5/16", "spec": {"port": 20_001}, "x": 1});
                fs::write(dir.join(record::SHIM), given.to_string()).unwrap();
            }
            "bad spec" => fs::write(dir.join(record::SPEC), "{").unwrap(),
            "bad shim.json" => fs::write(dir.join(record::SHIM), "{").unwrap(),
            "bad exit" => fs::write(dir.join(record::EXIT), "{").unwrap(),
            "empty exit" => fs::write(dir.join(record::EXIT), "").unwrap(),
            "bad pid" => fs::write(dir.join(record::PID), "{").unwrap(),
            "upper" => fs::create_dir(dir.join("upper")).unwrap(),
            other => fs::write(dir.join(other), "").unwrap(),
        }
    }
    let id: Id = "web-1".parse().unwrap();
    let written = written(&id, &dir);
    let sight = match look(&id, &dir, written.as_ref()) {
        Sight::Dead => "dead".to_owned(),
        Sight::Clear(Phase::Alive(alive)) => {
            let address = alive.address.map_or("-".to_owned(), |address| address.to_string());
            format!("alive {address} {} {:?}", alive.port.unwrap_or_default(), alive.healthy)
        }
        Sight::Clear(phase) => word(&phase).to_owned(),
    };
    for mut child in children {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    assert_eq!(sight, expected, "{files:?}");
}

/// A process that looks like a shim at work in `dir` until its input ends.
pub(crate) fn shim(dir: &Path) -> Child {
    fs::write(dir.join("shim"), "").unwrap();
    let mut command = Command::new("/bin/cat");
    command.args(["shim", "-"]).current_dir(dir).stdin(Stdio::piped());
    let child = command.spawn().unwrap();
    // The kernel lets a parent go on a moment before its child's words can be read.
    while fs::read(format!("/proc/{}/cmdline", child.id())).unwrap().is_empty() {
        std::thread::yield_now();
    }
    child
}

fn write_pid(dir: &Path, pid: u32) {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start: u64 =
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    // Of process 1 a start it does not have.
    let start = if pid == 1 { start + 1 } else { start };
    let pids =
        json!({"boot_id": boot_id.trim(), "shim": {"pid": pid, "start": start}, "init": null});
    fs::write(dir.join(record::PID), pids.to_string()).unwrap();
}

#[test]
fn a_directory_says_how_far_its_instance_had_come() {
    check(&[], "not started");
    check(&["spec"], "not started");
    check(&["spec", "intent"], "to be started");
    // Its secrets were in the memory of the node that ended: it is asked for again, with them.
    check(&["spec of secrets", "intent"], "not started");
    check(&["spec of secrets", "intent", "shim.json"], "dead");
    check(&["spec", "intent", "exit"], "ended");
    check(&["spec", "exit"], "ended");
    check(&["spec", "intent", "shim.json", "exit", "upper"], "dead");
    check(&["intent"], "dead");
}

#[test]
fn a_shim_that_lives_is_adopted_and_one_that_does_not_is_dead() {
    let alive = "alive 10.89.0.5 20001";
    check(&["spec", "intent", "shim.json", "shim", "pid"], &format!("{alive} None"));
    check(
        &["spec", "intent", "shim.json", "shim", "pid", "healthy"],
        &format!("{alive} Some(true)"),
    );
    check(&["spec", "intent", "shim.json", "shim", "pid", "exit"], &format!("{alive} None"));
    check(&["spec", "intent", "shim.json", "pid"], "dead");
}

#[test]
fn a_shim_spawned_a_moment_before_the_end_is_found_and_one_that_is_not_there_has_failed() {
    check(&["spec", "intent", "shim.json", "shim"], "alive 10.89.0.5 20001 None");
    check(&["spec", "intent", "shim.json"], "dead");
}

#[test]
fn what_lives_is_adopted_whatever_its_files_say() {
    let alive = "alive 10.89.0.5 20001 None";
    check(&["other spec", "intent", "other shim.json", "shim", "pid"], alive);
    check(&["bad spec", "intent", "other shim.json", "shim", "pid"], alive);
    check(&["intent", "other shim.json", "shim", "pid"], alive);
    check(&["spec", "intent", "shim.json", "shim", "pid", "bad exit"], alive);
    check(&["spec", "intent", "shim.json", "shim", "bad pid"], alive);
    check(&["spec", "intent", "bad shim.json", "shim", "pid"], "alive - 8080 None");
    check(&["bad spec", "intent", "bad shim.json", "shim", "pid"], "alive - 0 None");
}

#[test]
fn a_spec_of_another_version_is_started_when_it_was_intended() {
    check(&["other spec", "intent"], "to be started");
    check(&["bad spec", "intent"], "dead");
}

#[test]
fn an_exit_that_cannot_be_read_is_an_end_and_an_empty_one_is_none() {
    check(&["spec", "intent", "bad exit"], "dead");
    check(&["spec", "empty exit"], "not started");
    check(&["spec", "intent", "empty exit"], "to be started");
    check(
        &["spec", "intent", "shim.json", "shim", "pid", "empty exit"],
        "alive 10.89.0.5 20001 None",
    );
}

#[tokio::test]
async fn one_instances_bad_files_do_not_keep_the_node_from_the_others() {
    let root = tempfile::tempdir().unwrap();
    let dirs = Dirs::open(root.path()).unwrap();
    for name in ["web-1", "web-2", "web-3", "web-4"] {
        record::make(&dirs.instance(&name.parse().unwrap())).unwrap();
    }
    let path = |name: &str| dirs.instances().join(name);
    fs::write(path("web-1/exit"), "{").unwrap();
    fs::create_dir(path("web-2/spec.json")).unwrap();
    fs::create_dir(path("web-3/exit")).unwrap();
    fs::write(path("web-4/spec.json"), text(json!({}))).unwrap();
    fs::write(path("web-5"), "no directory").unwrap();
    // It is no shim, so that every cleaning up fails as well.
    let mut found = scan(&dirs, &Exe::seal().unwrap()).await.unwrap();
    found.sort_by_key(|found| found.id.to_string());
    let words: Vec<_> = found.iter().map(|found| word(&found.phase)).collect();
    assert_eq!(words, ["ended", "not started", "ended", "not started", "ended"]);
    assert!(record::exit(&path("web-1")).unwrap().is_some(), "the end is written down");
}

#[test]
fn a_start_that_may_have_happened_is_never_repeated() {
    let root = tempfile::tempdir().unwrap();
    for name in [record::INTENT, record::SHIM] {
        fs::write(root.path().join(name), "").unwrap();
    }
    fs::write(root.path().join(record::SPEC), text(json!({}))).unwrap();
    let id: Id = "web-1".parse().unwrap();
    let written = written(&id, root.path());
    assert_eq!(look(&id, root.path(), written.as_ref()), Sight::Dead);
    let exit = record::exit(root.path()).unwrap().unwrap();
    assert!(exit.failed && !exit.permanent, "{exit:?}");
}

#[test]
fn directories_on_their_way_out_go_and_strange_names_stay() {
    let root = tempfile::tempdir().unwrap();
    for name in [".removing-web-1", "web-2", "Strange"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let ids: Vec<String> = ids(root.path()).unwrap().iter().map(Id::to_string).collect();
    assert_eq!(ids, ["web-2"]);
    assert!(!root.path().join(".removing-web-1").exists() && root.path().join("Strange").exists());
}

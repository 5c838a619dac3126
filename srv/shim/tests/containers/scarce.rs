//! Cases of what a shim must do with little: no room on the disk, no or few descriptors.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use crate::trial::{Disk, Trial, WAIT_MAX, cgroups, with_open, with_open_max};

pub(crate) fn full_disk() {
    let disk = Disk::new("1m");
    let trial = Trial::below(disk.path(), "sleep 100");
    let (mut talk, _) = trial.running();
    disk.fill();
    talk.say(&json!({"kill": true}));
    talk.until("state", "exited");
    trial.end().was(&json!({"code": 137, "reason": "killed on request"}));

    let disk = Disk::new("1m");
    let trial = Trial::below(disk.path(), "dd if=/dev/zero of=/all bs=4096; exit 3");
    trial.end().was(&json!({"code": 3, "reason": null}));
}

pub(crate) fn full_disk_without_room() {
    let disk = Disk::new("1m");
    let trial = Trial::below(disk.path(), "dd if=/dev/zero of=/all bs=4096 count=16; sleep 100");
    let (mut talk, _) = trial.running();
    let all = trial.dir.path().join("upper/all");
    let full = || fs::metadata(&all).is_ok_and(|all| all.len() == 16 * 4096);
    let until = Instant::now() + WAIT_MAX;
    while !full() {
        assert!(Instant::now() < until, "the program did not write");
        talk.exec(&["true"], 5000);
    }
    fs::write(trial.dir.path().join("exit.tmp"), "").expect("room given away");
    disk.fill();
    talk.say(&json!({"kill": true}));
    talk.until("state", "exited");
    trial.end().was(&json!({"code": 137, "reason": "killed on request"}));
}

pub(crate) fn descriptors() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let trial = with_open(file.as_file(), 9, "sleep 100", json!({}));
    let (mut talk, _) = trial.running();
    let pids = fs::read(trial.dir.path().join("pid")).expect("the pid file");
    let pids: Value = serde_json::from_slice(&pids).expect("JSON in it");
    let open = fs::read_dir(format!("/proc/{}/fd", pids["shim"]["pid"])).expect("a shim");
    let open: Vec<_> = open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
    assert!(open.len() > 3 && !open.iter().any(|path| path == file.path()), "{open:?}");
    talk.say(&json!({"kill": true}));
    trial.end();
}

pub(crate) fn few_descriptors() {
    let mut reasons = Vec::new();
    for count in 4..64 {
        let mut trial = with_open_max(count, &["true"]);
        let exit = trial.exit();
        assert!(cgroups(&trial.id).is_empty(), "{count} descriptors leave cgroups: {exit}");
        if exit["code"] == 0 {
            // Before that it failed at the container itself, and at all that goes before it.
            assert!(reasons.iter().any(|why: &String| why.contains("make pipe")), "{reasons:?}");
            return;
        }
        reasons.push(exit["reason"].to_string());
    }
    panic!("nothing runs: {reasons:?}");
}

pub(crate) fn least_limits() {
    let least = json!({"cpu_milli": 10, "memory_bytes": 6 << 20, "pids": 1});
    for _ in 0..3 {
        let trial = Trial::command(&["sleep", "100"], json!({ "spec": least }));
        let (mut talk, _) = trial.running();
        talk.say(&json!({"kill": true}));
        trial.end();
    }
}

//! An instance's life as a client sees it.

use std::net::TcpListener;

use serde_json::json;

use crate::trial::{Case, Trial, lives, shims};

/// The cases.
pub(crate) const ALL: &[Case] = &[
    ("an instance starts, gets healthy, talks and is stopped", starts),
    ("an exit code is told and kept", exit_code),
    ("a command that is not there fails for good", failed_command),
    ("a program that does not heed its stop is killed", stubborn),
    ("a signal reaches the program", signalled),
    ("a stop while an image is pulled cancels", stop_while_pulling),
    ("a command probe makes healthy, unhealthy and healthy again", exec_probe),
    ("a removal of what runs leaves nothing", removed),
    ("many start at once", many),
    ("a log is followed across its rotation", rotated),
    ("a verb done twice is done once", twice),
];

fn starts() {
    let mut node = Trial::new();
    let health = json!({"kind": "http", "path": "/", "port": 8080});
    let script = "echo hello from $HOSTNAME; echo bad >&2; echo web >/tmp/index.html
                  exec httpd -f -h /tmp -p $PORT";
    node.run("web-1", script, json!({"port": 8080, "health": health}));
    let started = node.until("started web-1");
    let address = node.status("web-1", "address").unwrap();
    let pid = node.status("web-1", "pid").unwrap();
    assert!(started.contains(&format!("pid={pid} address={address} port=8080")), "{started}");
    assert!(address.starts_with("10."), "{address}");
    node.until("healthy web-1");
    assert_eq!(node.status("web-1", "health").unwrap(), "healthy");
    assert_eq!(node.status("web-1", "state").unwrap(), "running");
    let mut tail = node.tail("web-1");
    tail.until(" stdout hello from web-1\n");
    tail.until(" stderr bad\n");
    assert!(node.read("/instances/web-1/log").contains(" stdout hello from web-1\n"));
    let images = node.read("/images");
    assert!(images.starts_with("dir:"), "{images}");
    assert!(node.read("/status").contains("allocated_cpu=250\n"));
    node.verb("web-1", "stop");
    let exited = node.until("exited web-1");
    assert!(exited.contains("oom=false"), "{exited}");
    assert!(!lives(&pid));
    assert!(node.read("/status").contains("allocated_cpu=0\n"));
    node.down();
}

fn exit_code() {
    let mut node = Trial::new();
    node.run("job-1", "exit 7", json!({}));
    assert_eq!(node.until("exited job-1"), "exited job-1 code=7 oom=false");
    assert_eq!(node.status("job-1", "exit").unwrap(), "7");
    assert_eq!(node.status("job-1", "state").unwrap(), "exited");
    node.down();
}

fn failed_command() {
    let mut node = Trial::new();
    node.run("bad-1", "", json!({"command": ["/bin/nope"]}));
    let failed = node.until("failed bad-1");
    assert!(failed.contains("permanent=true") && failed.contains("/bin/nope"), "{failed}");
    assert_eq!(node.status("bad-1", "state").unwrap(), "failed");
    let nothing = node.dir.path().join("nothing");
    node.run("bad-2", "", json!({"image": format!("dir:{}", nothing.display())}));
    let failed = node.until("failed bad-2");
    assert!(failed.contains("permanent=true") && failed.contains("/nothing"), "{failed}");
    node.down();
}

fn stubborn() {
    let mut node = Trial::new();
    node.run("web-1", "trap '' TERM; echo up; while true; do sleep 1; done", json!({}));
    node.talks("web-1", "up");
    node.verb("web-1", "stop TERM 0.2");
    let exited = node.until("exited web-1");
    assert!(exited.contains("code=137 signal=KILL oom=false reason='did not end"), "{exited}");
    node.down();
}

fn signalled() {
    let mut node = Trial::new();
    let script = "trap 'echo hup' HUP; trap 'echo int; exit 3' INT; echo up
                  while true; do sleep 0.05; done";
    node.run("web-1", script, json!({"stop_signal": "INT"}));
    let mut tail = node.talks("web-1", "up");
    node.verb("web-1", "signal HUP");
    tail.until("stdout hup");
    node.verb("web-1", "stop");
    assert_eq!(node.until("exited web-1"), "exited web-1 code=3 oom=false");
    tail.until("stdout int");
    node.down();
}

fn stop_while_pulling() {
    let mut node = Trial::new();
    // A registry that takes connections and never answers.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/web:1", registry.local_addr().unwrap());
    node.run("web-1", "true", json!({"image": image}));
    assert_eq!(node.status("web-1", "state").unwrap(), "pulling");
    node.verb("web-1", "stop");
    let exited = node.until("exited web-1");
    assert!(exited.contains("code=143") && exited.contains("before it was started"), "{exited}");
    node.down();
}

fn exec_probe() {
    let mut node = Trial::new();
    let health = json!({"kind": "exec", "argv": ["/bin/test", "-e", "/tmp/ok"]});
    let script = "trap 'touch /tmp/ok' USR1; trap 'rm /tmp/ok' USR2; echo up
                  while true; do sleep 0.05; done";
    node.run("web-1", script, json!({"health": health}));
    node.talks("web-1", "up");
    assert_eq!(node.status("web-1", "health").unwrap(), "starting");
    for (signal, told, word) in [
        ("USR1", "healthy web-1", "healthy"),
        ("USR2", "unhealthy web-1", "unhealthy"),
        ("USR1", "healthy web-1", "healthy"),
    ] {
        node.verb("web-1", &format!("signal {signal}"));
        node.until(told);
        assert_eq!(node.status("web-1", "health").unwrap(), word);
    }
    node.down();
}

fn removed() {
    let mut node = Trial::new();
    node.run("web-1", "trap '' TERM; echo up; while true; do sleep 1; done", json!({}));
    node.until("started web-1");
    let pid = node.status("web-1", "pid").unwrap();
    let link = |links: String| links.lines().filter(|line| line.contains("dv")).count();
    assert!(lives(&pid) && !node.cgroups("web-1").is_empty());
    assert_eq!(shims(node.dir.path()).len(), 1);
    assert_eq!(link(crate::trial::links()), 1);
    node.verb("web-1", "remove");
    node.until("exited web-1");
    node.until("removed web-1");
    assert!(!node.has("/instances/web-1") && !node.instance("web-1").exists());
    assert!(!lives(&pid) && shims(node.dir.path()).is_empty());
    assert_eq!(node.cgroups("web-1"), Vec::<std::path::PathBuf>::new());
    assert_eq!(link(crate::trial::links()), 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(node.dir.path().to_str().unwrap()), "{mounts}");
    node.down();
}

fn many() {
    let mut node = Trial::new();
    let ids: Vec<String> = (0..12).map(|n| format!("web-{n}")).collect();
    for id in &ids {
        node.run(id, "echo up; exec sleep 1000", json!({}));
    }
    let mut addresses: Vec<String> = Vec::new();
    for id in &ids {
        node.talks(id, "up");
        addresses.extend(node.status(id, "address"));
    }
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), ids.len(), "each has its own address");
    for id in &ids {
        node.verb(id, "remove");
    }
    // Ends may be told in any order.
    let mut gone = 0;
    while gone < ids.len() {
        gone += usize::from(node.any("removed").is_some());
    }
    assert_eq!(
        node.read("/status").lines().find(|l| l.starts_with("instances=")),
        Some("instances=0")
    );
    node.down();
}

fn rotated() {
    let mut node = Trial::new();
    let script = "trap 'for n in $(seq 1 400); do echo line $n; done; echo all' USR1; echo up
                  while true; do sleep 0.05; done";
    node.run("web-1", script, json!({"log_size_bytes": 8192, "log_files": 50}));
    let mut tail = node.talks("web-1", "up");
    node.verb("web-1", "signal USR1");
    let text = tail.until("stdout all\n").to_owned();
    let lines = text.lines().filter_map(|line| line.split_once(" stdout line "));
    let numbers: Vec<u32> = lines.map(|(_, number)| number.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=400).collect::<Vec<u32>>());
    assert!(node.instance("web-1").join("log.1").exists());
    node.down();
}

fn twice() {
    let mut node = Trial::new();
    node.run("job-1", "echo once", json!({}));
    node.verb("job-1", "start");
    node.until("exited job-1");
    node.verb("job-1", "start");
    node.verb("job-1", "stop");
    assert_eq!(node.read("/instances/job-1/log").matches("stdout once").count(), 1);
    assert!(node.try_write("/instances/job-1/ctl", "signal HUP").is_err());
    assert_eq!(node.read("/error"), "instance job-1 is not running\n");
    node.verb("job-1", "remove");
    node.until("removed job-1");
    node.down();
}

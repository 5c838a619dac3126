//! What must be true after something was killed.

use std::fs;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};

use crate::trial::{Case, Links, Trial, WAIT_MAX, lives, shims, spec};

/// The cases.
pub(crate) const ALL: &[Case] = &[
    ("a killed shim is an exit with 137", killed_shim),
    ("a killed node's instances are adopted and go on", killed_node),
    ("an upgraded node adopts what it cannot read in full", upgraded_node),
    ("what ended while there was no node is known to the next", ended_meanwhile),
    ("a shim that died while there was no node is cleaned up after", died_meanwhile),
    ("a start that was only intended is made by the next node", intended),
    ("a node killed in the midst of a start starts nothing twice", killed_while_starting),
    ("a node killed before an intent is there leaves nothing of the start", killed_before_intent),
    ("a node told to end leaves its instances running", terminated),
    ("what nobody owns is swept away", swept),
];

/// Says a number ten times a second.
const COUNT: &str = "n=0; while true; do n=$((n+1)); echo n $n; sleep 0.1; done";

fn killed_shim() {
    let mut node = Trial::new();
    node.run("web-1", "exec sleep 1000", json!({}));
    node.until("started web-1");
    let pid = node.status("web-1", "pid").unwrap();
    let shim = shims(node.dir.path());
    assert_eq!(shim.len(), 1);
    kill(Pid::from_raw(shim[0]), Signal::SIGKILL).unwrap();
    let exited = node.until("exited web-1");
    assert!(exited.contains("code=137 signal=KILL oom=false reason='shim died'"), "{exited}");
    assert!(!lives(&pid));
    assert_eq!(node.cgroups("web-1"), Vec::<std::path::PathBuf>::new());
    node.down();
}

fn killed_node() {
    let mut node = Trial::new();
    node.run("web-1", COUNT, json!({}));
    node.until("healthy web-1");
    let (pid, address) = (node.status("web-1", "pid"), node.status("web-1", "address"));
    let (dir, way) = node.kill();
    let mut node = Trial::start(dir, way);
    assert_eq!(node.status("web-1", "pid"), pid);
    assert!(node.status("web-1", "started").is_some());
    assert_eq!(node.status("web-1", "address"), address);
    assert_eq!(node.status("web-1", "state").unwrap(), "running");
    assert_eq!(node.status("web-1", "health").unwrap(), "healthy");
    let before = node.read("/instances/web-1/log");
    let last = before.lines().filter(|line| line.contains(" n ")).count();
    node.tail("web-1").until(&format!(" stdout n {}\n", last + 3));
    node.run("web-2", "exec sleep 1000", json!({}));
    node.until("started web-2");
    assert_ne!(node.status("web-2", "address"), address, "the address is still taken");
    node.verb("web-1", "stop TERM 0.1");
    node.until("exited web-1 code=137");
    node.verb("web-1", "remove");
    node.until("removed web-1");
    node.down();
}

fn upgraded_node() {
    let mut node = Trial::new();
    for id in ["web-1", "web-2"] {
        node.run(id, COUNT, json!({}));
        node.until(&format!("started {id}"));
    }
    let pids = ["web-1", "web-2"].map(|id| node.status(id, "pid").unwrap());
    let address = node.status("web-1", "address");
    let paths = ["web-1", "web-2"].map(|id| node.instance(id));
    let (dir, way) = node.kill();
    // As another version would write them: a key of its own, and one that is not there.
    for name in ["spec.json", "shim.json"] {
        let mut all: Value =
            serde_json::from_slice(&fs::read(paths[0].join(name)).unwrap()).unwrap();
        let spec = if name == "spec.json" { &mut all } else { &mut all["spec"] };
        spec["later"] = json!({"a": 1});
        spec.as_object_mut().unwrap().remove("read_only").unwrap();
        fs::write(paths[0].join(name), all.to_string()).unwrap();
    }
    fs::write(paths[1].join("spec.json"), "no spec").unwrap();
    let mut node = Trial::start(dir, way);
    for (id, pid) in ["web-1", "web-2"].iter().zip(&pids) {
        assert_eq!(node.status(id, "pid").unwrap(), *pid);
        assert!(lives(pid));
    }
    assert_eq!(node.status("web-1", "address"), address);
    node.verb("web-2", "stop TERM 0.1");
    node.until("exited web-2 code=137");
    node.down();
}

fn ended_meanwhile() {
    let mut node = Trial::new();
    node.run("job-1", "trap 'exit 9' USR1; echo up; while true; do sleep 0.05; done", json!({}));
    node.talks("job-1", "up");
    let pid: i32 = node.status("job-1", "pid").unwrap().parse().unwrap();
    let (dir, way) = node.kill();
    kill(Pid::from_raw(pid), Signal::SIGUSR1).unwrap();
    let mut node = Trial::start(dir, way);
    if node.status("job-1", "state").unwrap() != "exited" {
        node.until("exited job-1");
    }
    assert_eq!(node.status("job-1", "exit").unwrap(), "9");
    node.verb("job-1", "remove");
    node.until("removed job-1");
    node.down();
}

fn died_meanwhile() {
    let mut node = Trial::new();
    node.run("web-1", "exec sleep 1000", json!({}));
    node.until("started web-1");
    let pid = node.status("web-1", "pid").unwrap();
    let shim = shims(node.dir.path());
    let (dir, way) = node.kill();
    kill(Pid::from_raw(shim[0]), Signal::SIGKILL).unwrap();
    let node = Trial::start(dir, way);
    assert_eq!(node.status("web-1", "state").unwrap(), "exited");
    assert_eq!(node.status("web-1", "exit").unwrap(), "137");
    assert!(!lives(&pid));
    assert_eq!(node.cgroups("web-1"), Vec::<std::path::PathBuf>::new());
    node.down();
}

fn intended() {
    let node = Trial::new();
    let instance = node.instance("web-1");
    let (dir, way) = node.kill();
    fs::create_dir(&instance).unwrap();
    fs::write(instance.join("spec.json"), spec("web-1", "echo up; sleep 1000").to_string())
        .unwrap();
    fs::write(instance.join("intent"), "").unwrap();
    let node = Trial::start(dir, way);
    node.talks("web-1", "up");
    assert_eq!(node.status("web-1", "state").unwrap(), "running");
    node.down();
}

fn killed_while_starting() {
    // What of the start must be there when the node is killed; nothing: its intent is.
    for (number, moment) in ["", "shim.json", "shim.log", "sock", "pid", "log"].iter().enumerate() {
        let mut node = Trial::new();
        let id = format!("job-{number}");
        node.run(&id, "echo once; exec sleep 1000", json!({}));
        let path = node.instance(&id).join(moment);
        let until = Instant::now() + WAIT_MAX;
        while !path.exists() {
            assert!(Instant::now() < until, "no {}", path.display());
            std::thread::yield_now();
        }
        let (dir, way) = node.kill();
        let node = Trial::start(dir, way);
        let state = || node.status(&id, "state").unwrap();
        while !["running", "failed", "exited"].contains(&state().as_str()) {
            assert!(Instant::now() < until, "{moment}: {}", state());
            std::thread::yield_now();
        }
        if state() == "running" {
            node.talks(&id, "once");
        }
        let log = fs::read_to_string(node.instance(&id).join("log")).unwrap_or_default();
        assert!(log.matches("stdout once").count() <= 1, "{moment}: {log}");
        assert_eq!(shims(node.dir.path()).len(), usize::from(state() == "running"), "{moment}");
        node.down();
    }
}

fn killed_before_intent() {
    for meant in [false, true] {
        let mut node = Trial::new();
        node.specify("web-1", "echo up; exec sleep 1000", json!({}));
        let (instance, links) = (node.instance("web-1"), Links::watch());
        let intent = instance.join("intent");
        // A pipe that nobody reads, so that whoever writes the intent waits.
        mkfifo(&intent, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        node.ask("web-1", "start");
        links.until(|links| links.contains(" dv"));
        assert!(!instance.join("shim.json").exists(), "before the intent is");
        let (dir, way) = node.kill();
        if !meant {
            fs::remove_file(&intent).unwrap();
        }
        let node = Trial::start(dir, way);
        if meant {
            node.talks("web-1", "up");
        } else {
            assert_eq!(node.status("web-1", "state").unwrap(), "new");
            assert!(node.read("/status").contains("allocated_cpu=0\n"));
            links.until(|links| !links.contains(" dv"));
        }
        node.down();
    }
}

fn terminated() {
    let mut node = Trial::new();
    node.run("web-1", COUNT, json!({}));
    node.until("started web-1");
    let pid = node.status("web-1", "pid").unwrap();
    let (dir, way) = node.terminate();
    assert!(lives(&pid));
    let node = Trial::start(dir, way);
    assert_eq!(node.status("web-1", "pid").unwrap(), pid);
    node.down();
    assert!(!lives(&pid));
}

fn swept() {
    let mut node = Trial::new();
    node.run("web-1", "exec sleep 1000", json!({}));
    node.until("started web-1");
    let instance = node.instance("web-1");
    let pid = node.status("web-1", "pid").unwrap();
    let (dir, way) = node.kill();
    // As if the record had been lost, with everything of it still there.
    fs::rename(&instance, instance.with_file_name(".removing-web-1")).unwrap();
    let node = Trial::start(dir, way);
    assert!(!node.has("/instances/web-1") && !instance.exists());
    assert_eq!(node.cgroups("web-1"), Vec::<std::path::PathBuf>::new());
    assert!(!lives(&pid));
    assert!(!instance.with_file_name(".removing-web-1").exists());
    node.down();
}

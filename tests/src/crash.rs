//! `kill -9` in the middle of things: no container stops, and what was begun is ended.

mod probe;
mod stops;
mod syncs;

use crate::rig::{Rig, web};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A service at v1, and an update to v2 that has replaced one of three and rests.
async fn half_way() -> Rig {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.deploy(&["apply", "web"]).await.fine();
    rig.manifest("web", &(web("web:v2") + "update_pause 1\n")).await.expect("right");
    rig.echo("apply", "active/web/ctl").await.expect("accepted");
    rig.until("active/web/update_phase", |phase| phase == "pause").await;
    rig
}

/// Process ids of the instances at these places.
async fn pids(rig: &Rig, places: &[u32]) -> Vec<String> {
    let mut found = Vec::new();
    for place in places {
        found.push(rig.of_instance(&format!("active/web/instances/{place}"), "pid").await);
    }
    found
}

/// Whether it runs; one that has ended and waits for its parent to notice does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

async fn ends_as_if_nothing_happened(rig: Rig) {
    assert!(rig.wait("web").await.starts_with("done update v1→v2"));
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    assert_eq!(rig.cat("active/web/update_progress").await, "3/3");
    let version = rig.cat("active/web/version").await;
    for n in 0..3 {
        let instance = format!("active/web/instances/{n}");
        assert_eq!(rig.of_instance(&instance, "version").await, version);
        assert_eq!(rig.of_instance(&instance, "restarts").await, "0");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_stops_no_container_and_finishes_the_update() {
    let mut rig = half_way().await;
    let running = pids(&rig, &[1, 2, 3]).await;
    rig.kill_server().await;
    assert!(running.iter().all(|pid| lives(pid)), "{running:?}");
    rig.serve().await;
    ends_as_if_nothing_happened(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_told_to_end_leaves_everything_running_for_the_next() {
    let mut rig = half_way().await;
    let running = pids(&rig, &[1, 2, 3]).await;
    rig.end_server().await;
    assert!(running.iter().all(|pid| lives(pid)), "{running:?}");
    rig.serve().await;
    ends_as_if_nothing_happened(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_stops_no_container_and_the_update_goes_on() {
    let rig = half_way().await;
    let running = pids(&rig, &[1, 2, 3]).await;
    kill(rig.node_pid(), Signal::SIGKILL).expect("killed");
    assert!(running.iter().all(|pid| lives(pid)), "{running:?}");
    ends_as_if_nothing_happened(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_and_node_killed_together_lose_nothing() {
    let mut rig = half_way().await;
    let running = pids(&rig, &[1, 2, 3]).await;
    kill(rig.node_pid(), Signal::SIGKILL).expect("killed");
    rig.kill_server().await;
    assert!(running.iter().all(|pid| lives(pid)), "{running:?}");
    rig.serve().await;
    ends_as_if_nothing_happened(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instance_of_a_killed_shim_is_replaced() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.deploy(&["apply", "web"]).await.fine();
    let id = rig.of_instance("active/web/instances/1", "id").await;
    let pid = rig.of_instance("active/web/instances/1", "pid").await;
    kill(parent(&pid), Signal::SIGKILL).expect("killed");
    let again = |text: &str| !text.contains(&id) && text.contains("state=serving");
    rig.until("active/web/instances/1/status", again).await;
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    assert!(!lives(&pid), "the program of the dead shim runs on");
    assert_eq!(rig.of_instance("active/web/instances/1", "restarts").await, "1");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_killed_is_started_again() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.deploy(&["apply", "web"]).await.fine();
    let pid = rig.of_instance("active/web/instances/2", "pid").await;
    kill(Pid::from_raw(pid.parse().expect("a pid")), Signal::SIGKILL).expect("killed");
    let again = |text: &str| text.contains("state=serving") && !text.contains(&format!("={pid}\n"));
    rig.until("active/web/instances/2/status", again).await;
    assert!(rig.cat("active/web/events").await.contains("KILL"));
    rig.end().await;
}

fn parent(pid: &str) -> Pid {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:")).expect("PPid");
    Pid::from_raw(line.trim().parse().expect("a number"))
}

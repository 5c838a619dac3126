//! An update that is cancelled while something real holds it: an edge that does not run, a user
//! who talks on, a node that answers nothing, programs that do not hear or do not get well. It
//! ends in time, and leaves the old version and nothing besides.

use crate::edge::told;
use crate::failures::{fault, with_fault};
use crate::rig::{PATIENCE, Rig, bin};
use crate::steady::{bounded, cancelled};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A process that does not run for as long as this lives.
struct Held(Pid);

impl Held {
    fn new(pid: Pid) -> Held {
        kill(pid, Signal::SIGSTOP).expect("stopped");
        Held(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// A service that users can talk to, whose leaving waits for them for a minute.
fn talks(version: &str) -> String {
    format!(
        "image target:1\nreplicas 1\nport 8080\nmemory 128M\ncpu 0.1\nhealth http /health\n\
         route web.test / websocket\ndrain 60\nstop_timeout 2\nenv VERSION={version}\n"
    )
}

/// A server with an edge, and that service.
async fn with_talk() -> Rig {
    let rig = Rig::with_edge().await;
    let program = bin("target");
    rig.deploy(&["push", "target:1", program.to_str().expect("UTF-8")]).await.fine();
    rig.manifest("web", &talks("v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig
}

/// Begins an update, and waits until it is in that phase.
async fn held_in(rig: &Rig, manifest: &str, phase: &str) {
    rig.manifest("web", manifest).await.expect("right");
    rig.deploy(&["apply", "web", "--detach"]).await.fine();
    // Not every phase begins with an event.
    let in_phase = async { while rig.cat("active/web/update_phase").await != phase {} };
    timeout(PATIENCE, in_phase).await.unwrap_or_else(|_| panic!("never in {phase}"));
}

/// The old version serves as it did, and nothing is left beside it.
async fn as_before(rig: &Rig, version: &str) {
    rig.until("active/web/endpoints", |text| {
        text.lines().count() == 1 && text.ends_with("serving")
    })
    .await;
    assert_eq!(rig.cat("active/web/replicas").await, "1/1");
    assert_eq!(rig.cat("active/web/version").await, version);
    let table = rig.cat("active/web/endpoints").await;
    let place = table.split(' ').next().expect("its place").to_string();
    let path = format!("active/web/instances/{place}");
    assert_eq!(rig.of_instance(&path, "version").await, version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_in_time_while_an_edge_takes_no_table_and_while_a_user_talks_on() {
    let rig = with_talk().await;
    let version = rig.cat("active/web/version").await;
    let edge = Pid::from_raw(told(&rig, "pid").await.parse().expect("a pid"));
    let held = Held::new(edge);
    held_in(&rig, &talks("v2"), "route").await;
    bounded(&rig, "route").await;
    drop(held);
    as_before(&rig, &version).await;

    let at = told(&rig, "http").await;
    let stream = TcpStream::connect(&at).await.expect("connected");
    let talk = tokio_tungstenite::client_async("ws://web.test/socket", stream).await;
    let (talk, _) = talk.expect("upgraded");
    held_in(&rig, &talks("v3"), "drain").await;
    bounded(&rig, "drain").await;
    // Who talks is not cut: he has the rest of his minute.
    let table = rig.cat("active/web/endpoints").await;
    assert!(table.lines().any(|line| line.ends_with("draining")), "{table}");
    drop(talk);
    // The new one had taken over, and stays: without it nobody would serve.
    let serves = |text: &str| text.lines().count() == 1 && text.ends_with("serving");
    rig.until("active/web/endpoints", serves).await;
    let place = rig.cat("active/web/endpoints").await;
    let place = place.split(' ').next().expect("its place");
    let path = format!("active/web/instances/{place}");
    assert_ne!(rig.of_instance(&path, "version").await, version);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_in_time_while_the_node_answers_nothing() {
    let rig = with_fault(1, "").await;
    let version = rig.cat("active/web/version").await;
    let sick = fault(1, "env SICK=1\n").replace("deadline 3", "deadline 60");
    rig.manifest("web", &sick).await.expect("right");
    rig.deploy(&["apply", "web", "--detach"]).await.fine();
    rig.until("active/web/events", |events| events.matches(": starting").count() == 2).await;
    let held = Held::new(rig.node_pid());
    bounded(&rig, "start").await;
    drop(held);
    as_before(&rig, &version).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_cancelled_in_time_while_the_old_one_stops_and_while_the_new_one_is_sick()
{
    let replace = |more: &str| {
        fault(1, &format!("update replace\n{more}")).replace("deadline 3", "deadline 60")
    };
    let rig = with_fault(1, "update replace\nenv DEAF=1\n").await;
    let version = rig.cat("active/web/version").await;
    cancelled(&rig, &replace("env LINES=2\n"), "hears nothing").await;
    as_before(&rig, &version).await;
    cancelled(&rig, &replace("env SICK=1\nenv LINES=3\n"), "line 2").await;
    as_before(&rig, &version).await;
    cancelled(&rig, &replace("env SICK=1\nenv LINES=4\nenv DEAF=1\n"), "line 3").await;
    as_before(&rig, &version).await;
    rig.end().await;
}

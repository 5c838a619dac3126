//! Outside of updates, and while one stands: probes, repairs, the end of patience; and that an
//! update is given up in bounded time wherever it is.

use crate::failures::{fault, with_fault};
use crate::rig::{PATIENCE, Rig};
use ninep::client::Mode;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// An update that is cancelled has ended after the stop timeout and this, at the latest.
const WIND_UP: Duration = Duration::from_secs(5);
/// The stop timeout of the manifests here.
const STOP: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn the_last_backend_stays_when_all_probes_fail_and_successors_take_over() {
    let rig = with_fault(2, "").await;
    for number in 0..2 {
        let path = format!("active/web/instances/{number}/ctl");
        rig.echo("signal USR1", &path).await.expect("sent");
    }
    let stays = "unhealthy, but the last backend, so it stays: HTTP 503";
    rig.until("active/web/events", |events| events.contains(stays)).await;
    rig.until("active/web/replicas", |text| text == "2/2").await;
    // At every moment somebody was in the routes: the last sick one left after a new one served.
    let events = rig.cat("active/web/events").await;
    let at = |text: &str| events.find(text).unwrap_or_else(|| panic!("{text}: {events}"));
    let (stayed, rest) = (at(stays), &events[at(stays)..]);
    let healthy = rest.find(": healthy (").expect("a successor");
    let left = rest.find(": out of the routes: HTTP 503").expect("the sick one leaves");
    assert!(stayed > 0 && healthy < left, "{events}");
    assert_eq!(rig.cat("active/web/update_status").await, "none");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_update_is_repaired_at_the_versions_that_its_instances_have() {
    let rig = with_fault(2, "").await;
    let first = rig.cat("active/web/version").await;
    let slow =
        fault(2, "env LINES=2\nupdate_pause 600\n").replace("update_batch 4", "update_batch 1");
    rig.manifest("web", &slow).await.expect("right");
    rig.deploy(&["apply", "web", "--detach"]).await.fine();
    rig.until("active/web/update_phase", |phase| phase == "pause").await;
    rig.deploy(&["pause", "web"]).await.refused(0, "paused");
    let of = |version: String| {
        move |status: &str| {
            status.contains(&format!("version={version}\n")) && status.contains("health=healthy")
        }
    };
    let mut old = None;
    for name in rig.client().await.list("active/web/instances").await.expect("listed") {
        let name = String::from_utf8_lossy(&name.name).into_owned();
        let path = format!("active/web/instances/{name}");
        if rig.of_instance(&path, "version").await == first {
            old = Some(path);
        }
    }
    let path = old.expect("one of the old version");
    let before = rig.of_instance(&path, "id").await;
    rig.echo("signal KILL", &format!("{path}/ctl")).await.expect("sent");
    let is = of(first);
    rig.until(&format!("{path}/status"), |status| {
        !status.contains(&format!("id={before}\n")) && is(status)
    })
    .await;
    assert_eq!(rig.cat("active/web/update_status").await, "paused");
    assert_eq!(rig.cat("active/web/update_progress").await, "1/2");
    rig.deploy(&["cancel", "web"]).await.fine();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_exits_too_often_is_given_up_and_says_so() {
    let rig = with_fault(1, "validate 0\nmax_restarts 1\n").await;
    for runs in 1..=2 {
        let up = |events: &str| events.matches("0: healthy (").count() == runs;
        rig.until("active/web/events", up).await;
        rig.echo("signal USR2", "active/web/instances/0/ctl").await.expect("sent");
        let failed = |events: &str| events.matches("0: failed: exited with").count() == runs;
        rig.until("active/web/events", failed).await;
    }
    let events = rig.until("active/web/events", |events| events.contains("gave up")).await;
    assert!(events.contains("0: gave up: exited with status 7"), "{events}");
    assert_eq!(rig.cat("active/web/update_status").await, "failed");
    let table = rig.cat("status").await;
    assert!(table.contains("0: exited with status 7"), "{table}");
    rig.deploy(&["apply", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "1/1");
    rig.end().await;
}

/// Applies a manifest, waits until an instance writes what shows how far it is, and cancels:
/// within the bound it has ended, and the old version serves.
pub(crate) async fn cancelled(rig: &Rig, manifest: &str, sign: &str) {
    rig.manifest("web", manifest).await.expect("right");
    let client = rig.client().await;
    let mut tail = client.open("active/web/tail", Mode::Read).await.expect("tail");
    rig.deploy(&["apply", "web", "--detach"]).await.fine();
    let written = async {
        let mut text = String::new();
        while !text.contains(sign) {
            let more = tail.read_next(8192).await.expect("tail goes on");
            text.push_str(&String::from_utf8_lossy(&more));
        }
    };
    timeout(PATIENCE, written).await.expect("it is written");
    bounded(rig, sign).await;
}

/// Cancels what is in flight, and sees that it ends in time.
pub(crate) async fn bounded(rig: &Rig, at: &str) {
    let begun = Instant::now();
    rig.echo("cancel", "active/web/ctl").await.expect("accepted");
    let outcome = rig.wait("web").await;
    let took = begun.elapsed();
    assert!(outcome.starts_with("cancelled"), "at {at}: {outcome}");
    assert!(took < STOP + WIND_UP, "at {at}: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_cancelled_within_the_stop_timeout_and_5_s_in_every_phase() {
    let rig = with_fault(1, "env DEAF=1\n").await;
    // A registry that takes the connection, and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let image = format!("image {}/none:1", mute.local_addr().expect("an address"));
    let pulls = fault(1, "").replace("image fault:1", &image);
    rig.manifest("web", &pulls).await.expect("right");
    rig.deploy(&["apply", "web", "--detach"]).await.fine();
    rig.until("active/web/update_phase", |now| now == "pull").await;
    bounded(&rig, "pull").await;
    // New ones that never become healthy, and one that does not hear that it is to stop.
    let slow = |text: String| text.replace("deadline 3", "deadline 60");
    cancelled(&rig, &slow(fault(1, "env SICK=1\nenv LINES=2\n")), "line 1").await;
    cancelled(&rig, &slow(fault(1, "env SICK=1\nenv LINES=3\nenv DEAF=1\n")), "line 2").await;
    // The old one does not hear it.
    cancelled(&rig, &fault(1, "env LINES=4\n"), "hears nothing").await;
    rig.until("active/web/replicas", |text| text == "1/1").await;
    rig.deploy(&["scale", "web", "2"]).await.fine();
    let paused = fault(2, "env LINES=5\nupdate_pause 600\n");
    let paused = paused.replace("update_batch 4", "update_batch 1");
    rig.manifest("web", &paused).await.expect("right");
    rig.deploy(&["apply", "web", "--detach"]).await.fine();
    rig.until("active/web/update_phase", |now| now == "pause").await;
    bounded(&rig, "pause").await;
    // What is validated has ended, and is gone back from by rollback.
    rig.manifest("web", &fault(1, "env LINES=6\n")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let refused = rig.echo("cancel", "active/web/ctl").await.expect_err("it has ended");
    assert!(refused.contains("is being validated; rollback goes back"), "{refused}");
    rig.end().await;
}

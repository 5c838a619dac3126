//! No request is lost: every kind of client, at 200 requests a second, through updates and all
//! else that takes instances away, with programs that end well, at once, or not at all.

mod load;
mod once;
mod pool;
mod score;
mod stream;

use crate::rig::{PATIENCE, Rig, bin};
use load::{Load, Target};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a load goes on when nothing happens.
const QUIET: Duration = Duration::from_secs(5);

/// A program that runs by itself, and says when it listens and where.
async fn alone() -> (Child, Target) {
    let mut child = Command::new(bin("target"))
        .env_clear()
        .env("PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("start the target");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("readable");
    let port = said.and_then(|line| line.strip_prefix("listening on ")?.parse().ok());
    let address = SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
    (child, Target { address, host: "localhost".to_owned() })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_finds_nothing_wrong_with_a_program_that_stays() {
    let (_child, target) = alone().await;
    let load = Load::begin(&target);
    tokio::time::sleep(QUIET).await;
    let score = load.end().await;
    assert_eq!(score.wrong(), 0, "{score}");
    let fine: usize = score.tallies().values().map(|tally| tally.fine).sum();
    assert!(score.tallies().len() == 7 && fine >= 900, "{score}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_misses_a_program_that_goes_away_at_once() {
    let (mut child, target) = alone().await;
    let load = Load::begin(&target);
    tokio::time::sleep(QUIET).await;
    child.kill().await.expect("killed");
    let score = load.end().await;
    let cut = |kind: &str| score.tallies().get(kind).map_or(0, |tally| tally.cut + tally.failed);
    assert!(["4 seconds", "websocket", "events"].iter().all(|kind| cut(kind) > 0), "{score}");
}

/// What is changed while users ask, once; a long run does it five times over.
fn rounds() -> usize {
    if std::env::var_os("DEPLOY_TESTS_LONG").is_some() { 5 } else { 1 }
}

/// A manifest of the target.
fn manifest(version: &str, on_term: &str) -> String {
    format!(
        "image target:v1\nreplicas 3\nport 8080\nmemory 128M\nhealth http /health\n\
         route shop.test / websocket\ndrain 10\nstop_timeout 1\n\
         env VERSION={version}\nenv ON_TERM={on_term}\n"
    )
}

/// Changes of all kinds under load lose nothing, whatever TERM does to the program.
async fn nothing_is_lost(on_term: &str) {
    let rig = Rig::with_edge().await;
    rig.deploy(&["push", "target:v1", bin("target").to_str().expect("a path")]).await.fine();
    rig.manifest("shop", &manifest("v1", on_term)).await.expect("right");
    rig.deploy(&["apply", "shop"]).await.fine();
    let status = rig.until("edges/main/status", |text| text.contains("\nhttp=")).await;
    let address = status.lines().find_map(|line| line.strip_prefix("http="));
    let address = address.and_then(|address| address.parse().ok()).expect("an address");
    let load = Load::begin(&Target { address, host: "shop.test".to_owned() });
    for _ in 0..rounds() {
        change(&rig, on_term).await;
    }
    let score = load.end().await;
    eprintln!("{on_term}\n{score}");
    assert_eq!(score.wrong(), 0, "{on_term}\n{score}\n{}", rig.cat("metrics").await);
    assert!(!rig.cat("metrics").await.lines().any(cut), "{}", rig.cat("metrics").await);
    rig.end().await;
}

/// A line that tells of requests that were cut.
fn cut(line: &str) -> bool {
    line.starts_with("deploy_requests_cut_total") && !line.ends_with(" 0")
}

/// There and back, a version that never gets healthy, more and fewer, and all anew.
async fn change(rig: &Rig, on_term: &str) {
    for version in ["v2", "v1"] {
        rig.manifest("shop", &manifest(version, on_term)).await.expect("right");
        rig.deploy(&["apply", "shop"]).await.fine();
    }
    let bad = manifest("v3", on_term).replace("/health", "/nowhere") + "health_deadline 1\n";
    rig.manifest("shop", &bad).await.expect("right");
    rig.deploy(&["apply", "shop"]).await.refused(4, "health check timeout");
    rig.manifest("shop", &manifest("v1", on_term)).await.expect("right");
    rig.deploy(&["rollback", "shop"]).await.fine();
    rig.deploy(&["scale", "shop", "5"]).await.fine();
    rig.deploy(&["scale", "shop", "3"]).await.fine();
    rig.deploy(&["restart", "shop"]).await.fine();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_programs_that_stop_gracefully() {
    nothing_is_lost("graceful").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_programs_that_exit_at_once() {
    nothing_is_lost("exit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_programs_that_ignore_term() {
    nothing_is_lost("ignore").await;
}

//! No request is lost: every kind of client, at 200 requests a second, through updates and all
//! else that takes instances away, with programs that end well, at once, or not at all.

mod load;
mod once;
mod pool;
mod score;
mod stream;

use crate::rig::{PATIENCE, bin};
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

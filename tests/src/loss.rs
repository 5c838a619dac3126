//! No request is lost: every kind of client, at 200 requests a second, through updates, all else
//! that takes instances away, and all that befalls the processes of the machine, with programs
//! that end well, at once, or not at all.

mod deed;
mod endless;
mod held;
mod load;
mod lossy;
mod once;
mod pool;
mod replaced;
mod score;
mod shop;
mod stream;

use crate::rig::{PATIENCE, bin};
use deed::Deed::{self, *};
use load::{Load, Target};
use shop::Shop;
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

/// Changes of all kinds, in a few turns.
const SHORT: [(&str, &str, &[Deed]); 4] = [
    ("graceful", "", &[Update("v2"), Bad, Rollback]),
    ("exit", "update_batch 3\n", &[Update("v2"), Scale("5"), Scale("3"), Restart, KillNode]),
    (
        "ignore",
        "update_batch 3\n",
        &[Update("v2"), RestartEdge, Upgrade, KillServer, KillSupervisor, KillBoth, Update("v1")],
    ),
    ("exit", "update replace\n", &[Update("v2"), Restart]),
];

/// All there is, one instance at a time.
#[rustfmt::skip]
const LONG: &[Deed] = &[
    Update("v2"), Update("v1"), Update("v2"), Update("v1"), Update("v2"), Update("v1"),
    Bad, Rollback, Update("v2"), Update("v1"), Scale("5"), Scale("3"), Restart,
    RestartEdge, Update("v2"), Upgrade, Update("v1"),
    KillServer, KillNode, KillBoth, KillSupervisor, Restart,
];

/// Changes under load lose nothing, whatever TERM does to the program. A long run does all of
/// them in each way.
async fn nothing_is_lost((on_term, lines, deeds): (&str, &str, &[Deed])) {
    let long = std::env::var_os("DEPLOY_TESTS_LONG").is_some();
    let replaces = lines.contains("replace");
    let (lines, deeds) = if long && !replaces { ("", LONG) } else { (lines, deeds) };
    let mut shop = Shop::open(on_term, lines).await;
    let load = Load::begin(&shop.target().await);
    for deed in deeds {
        deed.done(&mut shop, &load).await;
        let score = load.score();
        assert_eq!(score.wrong(), 0, "{on_term}: {deed:?}\n{score}");
    }
    let score = load.end().await;
    eprintln!("{on_term}\n{score}");
    assert_eq!(score.wrong(), 0, "{on_term}\n{score}");
    let metrics = shop.rig.cat("metrics").await;
    assert!(!metrics.lines().any(cut), "{metrics}");
    let events = shop.rig.cat("events").await;
    assert!(!events.contains("edge main ended"), "{events}");
    shop.rig.end().await;
}

/// A line that tells of requests that were cut.
fn cut(line: &str) -> bool {
    line.starts_with("deploy_requests_cut_total") && !line.ends_with(" 0")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_programs_that_stop_gracefully() {
    nothing_is_lost(SHORT[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_programs_that_exit_at_once() {
    nothing_is_lost(SHORT[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_with_programs_that_ignore_term() {
    nothing_is_lost(SHORT[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_where_all_old_ones_end_before_new_ones_begin() {
    nothing_is_lost(SHORT[3]).await;
}

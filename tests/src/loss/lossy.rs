//! What the design says costs requests: those that a killed process had on its way. They are
//! counted by their reason, and no other is lost.

use super::deed::pid;
use super::load::Load;
use super::once;
use super::shop::Shop;
use nix::sys::signal::{Signal, kill};
use std::time::Instant;

/// Requests between the last word of a process and its end: begun and not written down, or on
/// their way to it through the kernel.
const UNSEEN_MAX: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_edge_costs_what_it_had_on_its_way_and_is_back_without_a_server() {
    let mut shop = Shop::open("graceful", "").await;
    let target = shop.target().await;
    let load = Load::begin(&target);
    load.score().more(1_000).await;
    let worker = pid(&shop.edge("pid").await);
    shop.rig.kill_server().await;
    let began = Instant::now();
    kill(worker, Signal::SIGKILL).expect("killed");
    once::get(&target, "/").await.expect("a connection waits for the next process");
    let back = began.elapsed();
    // Whatever it had is missed by now, and the next has all there is.
    load.score().more(1_000).await;
    shop.rig.serve().await;
    let score = load.end().await;
    let counted = shop.figure("deploy_requests_cut_total{reason=\"killed\"}").await;
    eprintln!("back after {} ms, {counted} counted\n{score}", back.as_millis());
    let (_, failed, cut) = score.total();
    assert!(counted > 0 && counted.abs_diff(failed + cut) <= UNSEEN_MAX, "{counted}\n{score}");
    shop.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_costs_what_it_had_on_its_way_and_is_replaced() {
    let shop = Shop::open("graceful", "").await;
    let load = Load::begin(&shop.target().await);
    load.score().more(1_000).await;
    let program = shop.rig.of_instance("active/shop/instances/1", "pid").await;
    kill(pid(&program), Signal::SIGKILL).expect("killed");
    let again =
        |text: &str| text.contains("state=serving") && !text.contains(&format!("pid={program}\n"));
    shop.rig.until("active/shop/instances/1/status", again).await;
    load.score().more(1_000).await;
    let score = load.end().await;
    let counted = shop.figure("deploy_requests_cut_total{reason=\"instance\"}").await;
    eprintln!("{counted} counted\n{score}");
    // A conversation that is over for its instance looks the same, whatever became of that.
    let seen = score.tallies().into_iter().filter(|(kind, _)| *kind != "websocket");
    let wrong: usize = seen.map(|(_, tally)| tally.failed + tally.cut).sum();
    assert!(wrong > 0 && counted == wrong, "{counted}\n{score}");
    shop.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_removed_ends_what_was_begun_and_nothing_is_cut() {
    let shop = Shop::open("exit", "").await;
    let load = Load::begin(&shop.target().await);
    load.score().more(1_000).await;
    shop.rig.deploy(&["remove", "shop"]).await.fine();
    let score = load.end().await;
    eprintln!("{score}");
    let (_, failed, cut) = score.total();
    assert!(failed > 0 && cut == 0, "{score}");
    for word in score.tallies().values().flat_map(|tally| &tally.words) {
        let none = ["404", "503"].iter().any(|status| word.contains(status));
        assert!(none, "{score}");
    }
    shop.rig.end().await;
}

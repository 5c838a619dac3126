//! A replacement that takes much longer than the drain: nobody who comes meanwhile is sent away.

use super::load::Target;
use super::once;
use super::score::{Score, Wrong};
use super::shop::Shop;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// How long the program takes to listen.
const START_MS: u64 = 4_000;
/// How long the node waits for a program that ignores TERM.
const STOP_S: u64 = 3;
/// Between two requests.
const EVERY: Duration = Duration::from_millis(50);

/// A request on a connection of its own at each moment, until it is told to stop.
async fn ask(target: Target, score: Arc<Score>, mut stop: watch::Receiver<bool>) -> Duration {
    let (mut clients, mut moments) = (JoinSet::new(), interval(EVERY));
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = moments.tick() => {}
        }
        let (target, score) = (target.clone(), Arc::clone(&score));
        clients.spawn(async move {
            let began = Instant::now();
            let answered: Result<_, Wrong> = once::get(&target, "/").await;
            score.count("a connection", began.elapsed(), answered.map(drop));
            began.elapsed()
        });
    }
    clients.join_all().await.into_iter().max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_ends_by_force_and_starts_slowly_fails_no_request() {
    let shop = Shop::open("ignore", &format!("update replace\nenv START_MS={START_MS}\n")).await;
    let write = async |version: &str| {
        let stop = format!("drain 1\nstop_timeout {STOP_S}");
        let text = shop.manifest(version, "/health").replace("drain 20\nstop_timeout 1", &stop);
        shop.rig.manifest("shop", &text).await.expect("right");
    };
    write("v1").await;
    shop.rig.deploy(&["apply", "shop"]).await.fine();
    // Who is to be ended has its time to stop from its own start.
    shop.rig.deploy(&["restart", "shop"]).await.fine();
    write("v2").await;
    let plan = shop.rig.deploy(&["plan", "shop"]).await.fine();
    assert!(plan.contains("requests wait for at most 34 s"), "{plan}");
    let (score, (stop, stopped)) = (Arc::<Score>::default(), watch::channel(false));
    let load = tokio::spawn(ask(shop.target().await, Arc::clone(&score), stopped));
    score.more(20).await;
    shop.rig.deploy(&["apply", "shop"]).await.fine();
    score.more(20).await;
    stop.send_replace(true);
    let longest = load.await.expect("asked");
    eprintln!("the longest wait was {} ms\n{score}", longest.as_millis());
    assert_eq!(score.wrong(), 0, "{score}");
    let events = shop.rig.cat("events").await;
    let least = Duration::from_millis(START_MS) + Duration::from_secs(STOP_S);
    assert!(longest >= least, "{longest:?}: nobody had to wait\n{events}");
    for reason in ["no_instance", "held_too_long", "too_many_held"] {
        let name = format!("deploy_requests_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(shop.figure(&name).await, 0, "{name}");
    }
    shop.rig.end().await;
}

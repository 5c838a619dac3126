//! Ten thousand requests that wait for a replacement, and one too many.

use super::once::{body, connect, failed};
use super::score::Wrong;
use super::shop::Shop;
use crate::rig::PATIENCE;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Version};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;

/// Requests that may be held.
const HELD_MAX: usize = 10_000;
/// Streams of one connection; the edge allows some more.
const STREAMS: usize = 100;
/// Memory of the edge for each that is held: what an idle connection may take, for a request that
/// waits is one more thing that rests. 7 to 12 have been seen, the more the busier the machine.
const HELD_KIB_MAX: usize = 20;

type Sender = SendRequest<Empty<Bytes>>;

async fn get(mut sender: Sender, host: String) -> Result<(), Wrong> {
    let request = Request::get(format!("http://{host}/")).version(Version::HTTP_2);
    let request = request.body(Empty::new()).map_err(|why| Wrong::Failed(why.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed("get"))?;
    body(response).await.map(drop)
}

/// Memory of its own that a process has resident, in KiB: pages of its program that it comes to for
/// the first time meanwhile are not counted.
fn memory_kib(pid: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Waits until so many are held.
async fn held(shop: &Shop, count: usize) {
    let all = async { while shop.figure("deploy_held ").await < count {} };
    timeout(PATIENCE, all).await.expect("all are held");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_that_wait_for_a_replacement_are_all_answered() {
    let shop = Shop::open("graceful", "update replace\n").await;
    let (target, worker) = (shop.target().await, shop.edge("pid").await);
    // Somebody talks to an old one, which therefore does not end.
    let url = format!("ws://{}/socket", target.host);
    let stream = connect(&target).await.expect("connected").into_inner();
    let (talk, _) = tokio_tungstenite::client_async(url, stream).await.expect("upgraded");
    let talk: WebSocketStream<_> = talk;
    shop.write("v2").await;
    shop.rig.echo("apply", "active/shop/ctl").await.expect("accepted");
    shop.rig.until("routes", |table| table.contains("hold")).await;
    let mut asked = JoinSet::new();
    // What the first one brings about is there before the others are measured.
    let io = connect(&target).await.expect("connected");
    let (first, driven) = handshake(TokioExecutor::new(), io).await.expect("shaken");
    tokio::spawn(async move { drop(driven.await) });
    asked.spawn(get(first, target.host.clone()));
    held(&shop, 1).await;
    let before = memory_kib(&worker);
    for connection in 0..HELD_MAX / STREAMS {
        let io = connect(&target).await.expect("connected");
        let (sender, driven) = handshake(TokioExecutor::new(), io).await.expect("shaken");
        tokio::spawn(async move { drop(driven.await) });
        // The first is there.
        for _ in usize::from(connection == 0)..STREAMS {
            asked.spawn(get(sender.clone(), target.host.clone()));
        }
    }
    held(&shop, HELD_MAX).await;
    let after = memory_kib(&worker);
    let one_more = super::once::get(&target, "/").await;
    let Err(Wrong::Failed(why)) = one_more else { panic!("{one_more:?}") };
    assert!(why.contains("503") && why.contains("too many"), "{why}");
    drop(talk);
    let answers = timeout(PATIENCE, asked.join_all()).await.expect("all are answered");
    let wrong: Vec<&Wrong> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let each = (after.saturating_sub(before)) as f64 / HELD_MAX as f64;
    eprintln!("{} held, {each:.1} KiB each, {} wrong", answers.len(), wrong.len());
    assert!(wrong.is_empty(), "{} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(each <= HELD_KIB_MAX as f64, "{each} KiB for each that is held");
    assert!(shop.rig.wait("shop").await.starts_with("done update"));
    shop.rig.end().await;
}

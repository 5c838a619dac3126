//! A conversation without an end, over all that befalls the edge, until its instance leaves.

use super::load::Target;
use super::once::{connect, get};
use super::shop::Shop;
use futures_util::{SinkExt as _, StreamExt as _};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::PATIENCE;

/// Requests of the route, counted when they have ended.
const ENDED: &str =
    "deploy_route_request_seconds_count{service=\"shop\",host=\"shop.test\",path=\"/\"}";

/// The edge that is wanted later: elsewhere, and without a log.
fn other() -> (SocketAddr, &'static [&'static str]) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = free.local_addr().expect("an address");
    let words = ["--http", at.to_string().leak(), "--https", "-", "--dns", "-"];
    (at, [&words[..], &["--access-log", "none"]].concat().leak())
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, word: &str) {
    socket.send(Message::text(word)).await.expect("sent");
    let back = timeout(PATIENCE, socket.next()).await.expect("an answer");
    assert_eq!(back.expect("it goes on").expect("whole"), Message::text(word));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_outlives_restarts_new_flags_and_an_upgrade_until_its_instance_leaves() {
    let mut shop = Shop::open("graceful", "").await;
    let target = shop.target().await;
    let url = format!("ws://{}/socket", target.host);
    let stream = connect(&target).await.expect("connected").into_inner();
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("upgraded");
    talk(&mut socket, "before").await;
    let first = shop.edge("pid").await;
    let counted = shop.figure(ENDED).await;

    // Other flags are those of the next process, and of no one before.
    let (other, words) = other();
    shop.rig.end_server().await;
    shop.rig.serve_with(words).await;
    assert_eq!(shop.edge("pid").await, first, "adopted");
    assert_eq!(shop.edge("http").await, target.address.to_string());
    shop.rig.echo("restart", "edges/main/ctl").await.expect("accepted");
    let second = shop.edge_where("pid", |pid| pid != first).await;
    assert_eq!(shop.edge("http").await, other.to_string());
    assert_eq!(shop.edge("access").await, "none");
    shop.edge_where("older", |older| older == format!("{first} streams=1")).await;
    talk(&mut socket, "after new flags").await;
    let at = async { while tokio::net::TcpStream::connect(target.address).await.is_ok() {} };
    timeout(PATIENCE, at).await.expect("nobody is where the edge was");
    let moved = Target { address: other, ..target.clone() };
    get(&moved, "/").await.expect("answered");

    shop.rig.build_anew();
    shop.rig.end_server().await;
    shop.rig.serve().await;
    shop.edge_where("pid", |pid| pid != second).await;
    shop.edge_where("older", |older| older == format!("{first} streams=1")).await;
    talk(&mut socket, "after an upgrade").await;
    assert!(shop.figure(ENDED).await > counted);

    // Its instance leaves, and has its drain.
    shop.write("v2").await;
    shop.rig.echo("apply", "active/shop/ctl").await.expect("accepted");
    talk(&mut socket, "while its instance leaves or is about to").await;
    socket.close(None).await.expect("told");
    drop(socket);
    assert!(shop.rig.wait("shop").await.starts_with("done update"));
    let events = shop.rig.cat("events").await;
    assert!(!events.contains("edge main ended"), "{events}");
    shop.rig.end().await;
}

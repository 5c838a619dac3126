//! The machine's own edge: started with the server, outliving it, and ended with `down`.

use crate::rig::{PATIENCE, Rig, web};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A value of the edge's status, once it is there.
pub(crate) async fn told(rig: &Rig, key: &str) -> String {
    let text = rig
        .until("edges/main/status", |text| {
            text.lines().any(|line| line.strip_prefix(key).is_some_and(|v| v.starts_with('=')))
        })
        .await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
    line.expect("the key").to_string()
}

/// Asks as a browser does; gives the whole answer.
pub(crate) async fn ask(at: &str, host: &str) -> String {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    timeout(PATIENCE, asked).await.expect("answered").unwrap_or_else(|error| error.to_string())
}

fn shop(image: &str) -> String {
    web(image) + "route shop.test /\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_through_an_update_and_through_servers_that_die() {
    let mut rig = Rig::with_edge().await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &shop("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let (at, pid) = (told(&rig, "http").await, told(&rig, "pid").await);
    assert!(ask(&at, "shop.test").await.contains("hello from v1"));
    assert!(ask(&at, "nowhere.test").await.starts_with("HTTP/1.1 404"));

    rig.kill_server().await;
    assert!(ask(&at, "shop.test").await.contains("hello from v1"), "nobody is needed for it");
    rig.serve().await;
    assert_eq!(told(&rig, "pid").await, pid, "adopted");
    rig.manifest("web", &shop("web:v2")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    assert!(ask(&at, "shop.test").await.contains("hello from v2"));
    let metrics = rig.cat("metrics").await;
    assert!(metrics.contains("deploy_requests_total{service=\"web\""), "{metrics}");
    let top = rig.deploy(&["top"]).await.fine();
    assert!(top.contains("shop.test /"), "{top}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_instances_are_replaced() {
    let rig = Rig::with_edge().await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &shop("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let at = told(&rig, "http").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = async {
        let mut asked = 0;
        while !*stopped.borrow() {
            let answer = ask(&at, "shop.test").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "request {asked}: {answer}");
            asked += 1;
        }
        asked
    };
    let changes = async {
        rig.manifest("web", &shop("web:v2")).await.expect("right");
        rig.deploy(&["apply", "web"]).await.fine();
        rig.deploy(&["restart", "web"]).await.fine();
        rig.deploy(&["scale", "web", "1"]).await.fine();
        rig.deploy(&["rollback", "web"]).await.fine();
        stop.send_replace(true);
    };
    let (asked, ()) = tokio::join!(load, changes);
    assert!(asked > 50, "{asked}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_dies_is_there_again_and_requests_are_held_for_a_replacement() {
    let rig = Rig::with_edge().await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &(shop("web:v1") + "update replace\n")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let supervisor: i32 = told(&rig, "supervisor").await.parse().expect("a pid");
    let worker: i32 = told(&rig, "pid").await.parse().expect("a pid");
    for pid in [supervisor, worker] {
        let kill = nix::sys::signal::Signal::SIGKILL;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), kill).expect("told");
    }
    rig.until("events", |text| text.matches("edge main is connected").count() == 2).await;
    // The port was any free one, and may be another now.
    let at = told(&rig, "http").await;
    assert!(ask(&at, "shop.test").await.contains("hello from v1"));

    rig.manifest("web", &(shop("web:v2") + "update replace\n")).await.expect("right");
    let mut update = Box::pin(rig.deploy(&["apply", "web"]));
    loop {
        let answer = ask(&at, "shop.test");
        tokio::select! {
            told = &mut update => break drop(told.fine()),
            answer = answer => assert!(answer.starts_with("HTTP/1.1 200"), "{answer}"),
        }
    }
    assert!(ask(&at, "shop.test").await.contains("hello from v2"));
    drop(update);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_and_nothing_else_is_lost_by_it() {
    let rig = Rig::with_edge().await;
    let at = told(&rig, "http").await;
    rig.push(&["v1"]).await;
    let port = at.rsplit_once(':').expect("a port").1;
    let text = web("web:v1") + &format!("route shop.test /\nroute tcp {port}\n");
    rig.manifest("web", &text).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    assert!(ask(&at, "shop.test").await.contains("hello from v1"));
    let quick = Duration::from_secs(5);
    let status = timeout(quick, rig.deploy(&["status"])).await.expect("at once");
    assert!(status.err.contains("edge main does without"), "{status:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_ask_the_bridge_for_the_names_of_services() {
    let rig = Rig::with(&["--http", "-", "--https", "-"]).await;
    let at = rig.until("edges/main/status", |text| text.contains(".1:53\n")).await;
    let bridge = at.lines().filter_map(|line| line.strip_prefix("dns="));
    let bridge = bridge.filter_map(|at| at.strip_suffix(":53")).find(|at| *at != "127.0.0.1");
    let bridge = bridge.expect("the bridge's address");
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let file = rig.state().join("node/instances/web-0/resolv.conf");
    let text = std::fs::read_to_string(file).expect("read");
    assert_eq!(text, format!("nameserver {bridge}\nsearch deploy.\noptions ndots:1\n"));

    // One question for the addresses of web.deploy (RFC 1035, section 4.1).
    let head = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0";
    let question = [head, &b"\x03web\x06deploy\0\0\x01\0\x01"[..]].concat();
    let socket = tokio::net::UdpSocket::bind(format!("{bridge}:0")).await.expect("bound");
    socket.send_to(&question, format!("{bridge}:53")).await.expect("asked");
    let mut answer = [0; 512];
    let answered = timeout(PATIENCE, socket.recv(&mut answer)).await.expect("in time");
    answered.expect("answered");
    assert_eq!(answer[7], 3, "an address an instance");
    rig.end().await;
}

//! Streams of the HTTP door: what they tell, and that they go on over whatever breaks them.

use super::{ALONE, Event, Events, QUIET, Said, ask, deploy, get, opened, raw, request};
use crate::rig::{PATIENCE, Rig, web};
use serde_json::Value;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Names and data of events, a line each; how long something took is told apart.
fn lines(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let mut data = event.json();
        if let Some(seconds) = data.get_mut("seconds") {
            assert!(seconds.as_f64().is_some(), "{event:?}");
            *seconds = Value::Null;
        }
        format!("{} {data}", event.name)
    };
    events.iter().map(line).collect()
}

fn one(image: &str) -> String {
    web(image).replace("replicas 3", "replicas 1")
}

/// A service of an app.
fn block(name: &str, image: &str) -> String {
    format!(
        "service \"{name}\" {{\n  image = \"{image}\"; port = 8080\n  \
         cpu = 0.1; memory = \"64M\"; stop_timeout = \"2s\"\n  \
         health {{ path = \"/health\"; deadline = \"3s\" }}\n}}\n"
    )
}

/// Deploys an app over HTTP.
async fn apply(at: &str, words: &str, text: &str) -> Vec<Event> {
    Events::open(at, "POST", &format!("/v1/deploy{words}"), "", text).await.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_of_an_app_end_together_each_by_itself_or_all_or_none() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1", "v2", "v3"]).await;
    let both = |a: &str, b: &str| block("a", a) + &block("b", b);
    let told = apply(&at, "?name=shop&atomic", &both("web:v1", "web:v1")).await;
    assert_eq!(
        lines(&told)[..2].join(" "),
        r#"progress {"phase":"started"} progress {"phase":"pulling"}"#
    );
    assert_eq!(told.last().expect("an end").name, "done", "{told:?}");
    assert_eq!(rig.cat("apps/shop").await.lines().count(), 2);
    let same = apply(&at, "?name=shop", &both("web:v1", "web:v1")).await;
    assert_eq!(lines(&same), [r#"progress {"phase":"started"}"#, r#"done {"seconds":null}"#]);

    // One that is never healthy takes the other one back, and each says why.
    let version = rig.cat("active/a/version").await;
    let text = both("web:v2", "web:v3");
    let told = apply(&at, "?name=shop&atomic", &text).await;
    let failed: Vec<String> =
        lines(&told).into_iter().filter(|line| line.starts_with("failed ")).collect();
    let late = "health check timeout after 3s";
    let want = [
        format!(r#"failed {{"service":"a","reason":"all or none, and b: {late}"}}"#),
        format!(r#"failed {{"service":"b","reason":"{late}"}}"#),
    ];
    assert_eq!(failed, want);
    assert_eq!(rig.cat("active/a/version").await, version);
    // Whoever heard the first of the last two hears the other.
    let heard = &told[told.len() - 2];
    let field = format!("Last-Event-ID: {}\r\n", heard.id);
    let path = "/v1/deploy?name=shop&atomic";
    let rest = Events::open(&at, "POST", path, &field, &text).await.rest().await;
    assert_eq!(rest, told[told.len() - 1..]);

    // Each by itself: what works stays.
    let told = apply(&at, "?name=shop", &text).await;
    assert_eq!(lines(&told).last(), Some(&want[1]));
    assert_eq!(lines(&told).iter().filter(|line| line.starts_with("failed ")).count(), 1);
    assert_ne!(rig.cat("active/a/version").await, version);

    // While one is on its way nothing at all is written.
    let written = rig.cat("manifests/a").await;
    rig.manifest("b", &web("web:v3").replace("deadline 3", "deadline 60")).await.expect("right");
    rig.echo("apply", "active/b/ctl").await.expect("accepted");
    rig.until("active/b/update_status", |text| text == "rolling").await;
    let text = request("POST", path, &at, "", &both("web:v1", "web:v1"));
    let said = Said::read(&raw(&at, text.as_bytes()).await);
    said.refused(409, "b: an update is in flight");
    assert_eq!(rig.cat("manifests/a").await, written);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_broke_off_is_told_on_behind_its_last_event_and_not_done_again() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1"]).await;
    let path = "/v1/deploy?name=web&message=for+good";
    let mut stream = Events::open(&at, "POST", path, "", &web("web:v1")).await;
    let mut heard = vec![stream.next().await.expect("started")];
    heard.push(stream.next().await.expect("scheduled"));
    let whole = [heard.clone(), stream.rest().await].concat();
    // From every place of it the rest is the same.
    for at_event in 0..whole.len() - 1 {
        let field = format!("Last-Event-ID: {}\r\n", whole[at_event].id);
        let rest = Events::open(&at, "POST", path, &field, &web("web:v1")).await.rest().await;
        assert_eq!(rest, whole[at_event + 1..], "behind {:?}", whole[at_event]);
    }
    let field = format!("Last-Event-ID: {}\r\n", whole.last().expect("an end").id);
    let over = raw(&at, request("POST", path, &at, &field, &web("web:v1")).as_bytes()).await;
    assert!(over.starts_with("HTTP/1.0 204"), "{over}");
    let history = get(&at, "/v1/services/web/history").await;
    assert_eq!(history["history"].as_array().expect("all").len(), 1);
    assert_eq!(history["history"][0]["message"], "for good");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_over_a_server_that_was_killed() {
    let mut rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1", "v2"]).await;
    let mut news = Events::open(&at, "GET", "/v1/events?service=web", "", "").await;
    deploy(&at, "web", &web("web:v1")).await;
    let before = news.until("done update v1").await;
    // Killed in the middle of an update, of which the stream tells the end nevertheless.
    let path = "/v1/deploy?name=web";
    let mut update = Events::open(&at, "POST", path, "", &web("web:v2")).await;
    while update.next().await.expect("it goes on").json()["phase"] != "healthy" {}
    rig.kill_server().await;
    rig.serve().await;
    let rest = update.rest().await;
    assert_eq!(rest.last().expect("an end").name, "done", "{rest:?}");
    let after = news.until("done update v1→v2").await;
    // Every line once, in order: as somebody is told who comes later and says what he had.
    let field = format!("Last-Event-ID: {}\r\n", before.id);
    let mut late = Events::open(&at, "GET", "/v1/events?service=web", &field, "").await;
    let mut texts = Vec::new();
    loop {
        let event = late.next().await.expect("it goes on");
        texts.push(event.json()["text"].to_string());
        if event == after {
            break;
        }
    }
    assert_eq!(texts.iter().filter(|text| text.contains("pulling web:v2")).count(), 1, "{texts:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_line_by_line() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1"]).await;
    deploy(&at, "web", &one("web:v1")).await;
    let mut log = Events::open(&at, "GET", "/v1/services/web/log?follow", "", "").await;
    log.until("v1 serves port 8080").await;
    ask("POST", &at, "/v1/services/web/restart").await;
    let line = log.until("v1 serves port 8080").await.json();
    assert_eq!(
        (line["stream"].as_str(), line["instance"].as_str()),
        (Some("stdout"), Some("web-1"))
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_holds_nobody_up_and_is_let_go() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    // They ask for all there is, again and again, and take nothing of it.
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&at).await.expect("a connection");
        let page = request("GET", "/app.js", &at, "", "").replace("1.0", "1.1");
        let many = page.repeat(200_000);
        let sent = timeout(QUIET, stream.write_all(many.as_bytes())).await;
        assert!(sent.is_err(), "it is taken no more than its answers are");
        stuck.push(stream);
    }
    let mut reader = Events::open(&at, "GET", "/v1/events", "", "").await;
    rig.echo("no such thing", "ctl").await.expect_err("refused");
    rig.push(&["v1"]).await;
    let told = deploy(&at, "web", &one("web:v1")).await;
    assert_eq!(told.last().expect("an end").name, "done");
    reader.until("done update v1").await;
    // The door's memory does not grow with what is not taken.
    let status = format!("/proc/{}/status", super::door_pid(&rig));
    let status = std::fs::read_to_string(status).expect("its status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kb: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kb < 64 * 1024, "{kb} kB");
    // In the end they are cut off.
    for stream in &mut stuck {
        let cut = timeout(PATIENCE + Duration::from_secs(30), async {
            while stream.write_all(b"\r\n").await.is_ok() {}
        });
        cut.await.expect("let go of");
    }
    rig.end().await;
}

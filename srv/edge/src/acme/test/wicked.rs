//! An authority that is broken or means harm costs a bounded number of bytes, requests and words.

use std::time::Duration;

use super::rig::{Ordering, QUICK};
use crate::acme::authority::Wicked;
use crate::acme::{Pace, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_authority_answers_is_told_in_one_line_and_asked_for_seldom() {
    for (wicked, want) in [
        (Wicked::Endless, "its answer: length limit exceeded"),
        (Wicked::EndlessHead, "message head is too large"),
        (Wicked::Garbage, "makes no sense"),
        (Wicked::Nested, "makes no sense"),
        (Wicked::Redirects, "it redirects (301 Moved Permanently)"),
        (Wicked::Elsewhere, "it sends to https://127.0.0.1:1/x, and nobody but localhost:"),
        (Wicked::Rests, ""),
    ] {
        let mut edge = Ordering::new(&["a.example", "b.example", "c.example"]).await;
        edge.authority.behave(|ways| ways.wicked = Some(wicked));
        edge.order(Pace { orders: 1, ..Pace::default() });
        let status =
            edge.until("a reason", |status| status.contains("acme_wrong=failures=1")).await;
        assert!(status.contains(want), "{wicked:?}: {status}");
        let known = ["certs=", "acme=", "acme_wrong=", "acme_host="];
        let strange = status.lines().find(|line| !known.iter().any(|key| line.starts_with(key)));
        assert_eq!(strange, None, "{wicked:?}");
        assert!(status.len() < 2000 && !status.contains('\u{1b}'), "{wicked:?}: {status}");
        let asked = edge.authority.seen().connections;
        assert!(asked <= 2, "{wicked:?}: one host asked, {asked} times");
        edge.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_goes_bad_in_the_middle_is_left_and_found_again() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.authority.behave(|ways| ways.holds = true);
    edge.order(Pace { rest_max: Duration::from_millis(300), ..QUICK });
    edge.authority.until(|seen| seen.orders == 1).await;
    for wicked in Wicked::ALL.into_iter().filter(|it| *it != Wicked::Rests) {
        let before = edge.authority.seen().connections;
        edge.authority.behave(|ways| ways.wicked = Some(wicked));
        edge.authority.until(|seen| seen.connections > before + 1).await;
    }
    edge.authority.behave(|ways| (ways.wicked, ways.holds) = (None, false));
    edge.has("shop.example").await;
    assert!(!edge.status().contains("acme_wrong"), "{}", edge.status());
    edge.stop().await;
}

#[tokio::test]
async fn who_is_not_vouched_for_is_told_nothing() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    let other = Ordering::new(&["other.example"]).await;
    edge.settings.ca = Some(other.authority.root());
    edge.order(Pace::default());
    let line = "acme_wrong=failures=1";
    let status = edge.until(line, |status| status.contains(line)).await;
    assert!(status.contains("invalid peer certificate"), "{status}");
    let seen = edge.authority.seen();
    assert_eq!((seen.accounts, seen.orders), (0, 0));
    edge.stop().await;
    edge.settings.ca = Some("/nowhere".into());
    edge.order(QUICK);
    let line = "--acme-ca /nowhere: No such file";
    edge.until(line, |status| status.contains(line)).await;
    edge.stop().await;
}

#[tokio::test]
async fn an_authority_that_is_not_there_holds_nobody_up() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.settings = Settings::at("https://127.0.0.1:9/directory".to_owned()).unwrap();
    edge.order(Pace { rest_min: Duration::from_secs(60), ..Pace::default() });
    let line = "acme_wrong=failures=1";
    edge.until(line, |status| status.contains(line)).await;
    let answer = edge.rig.ask("GET / HTTP/1.1\nHost: shop.example\n\n").await;
    assert_eq!(answer.status, 200);
    edge.stop().await;
}

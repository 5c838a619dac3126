//! Orders from the first request to the authority to a user who is served.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::rig::{Ordering, QUICK};
use crate::acme::Pace;
use crate::swap::Note;
use crate::tls::test::rig::{ask, make};

#[tokio::test]
async fn a_host_of_the_table_gets_a_certificate_and_its_users_are_sent_there() {
    let mut edge = Ordering::new(&["shop.example", "*.shop.example", "127.0.0.1"]).await;
    let request = "GET /a HTTP/1.1\nHost: shop.example\n\n";
    assert_eq!(edge.rig.ask(request).await.status, 200, "there is none yet");
    edge.authority.behave(|ways| ways.bad_nonces = 2);
    edge.order(Pace::default());
    edge.has("shop.example").await;
    let seen = edge.authority.seen();
    assert_eq!((seen.accounts, seen.orders, seen.proofs, seen.issued), (1, 1, 1, 1));
    assert_eq!(seen.faults, 0, "{seen:?}");
    let answer = ask(edge.user("shop.example").await.unwrap(), "/").await;
    assert_eq!(answer, (200, "hello from a".to_owned()));
    let sent = edge.rig.ask(request).await;
    let there = format!("https://shop.example:{}/a", edge.https.port());
    assert_eq!((sent.status, sent.field("location")), (308, Some(there.as_str())));
    let status = edge.status();
    assert!(status.contains("acme_without=*.shop.example: "), "{status}");
    assert!(status.contains("acme_without=127.0.0.1: it is an address"), "{status}");
    assert!(
        status.contains("cert=acme/shop.example.pem names=shop.example not_after="),
        "{status}"
    );
    let metrics = crate::metrics::text(&edge.rig.shared);
    let line = "deploy_certificate_expiry_seconds{file=\"acme/shop.example.pem\"";
    assert!(metrics.contains(line), "{metrics}");
    for file in ["shop.example.pem", "account", "tried"] {
        let mode = fs::metadata(edge.file(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // As after a restart.
    edge.stop().await;
    edge.order(Pace::default());
    edge.has("shop.example").await;
    edge.table(&["shop.example", "new.example"]);
    edge.has("new.example").await;
    let seen = edge.authority.seen();
    assert_eq!((seen.accounts, seen.orders, seen.faults), (1, 2, 0), "the account is the same");
    edge.stop().await;
}

/// What is told next to whoever follows the events.
async fn told(edge: &mut Ordering) -> String {
    match edge.rig.note().await {
        Note::Told { text } => text,
        other @ (Note::Cut { .. } | Note::Drained { .. }) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failure_is_told_once_however_often_it_is_tried_and_so_is_the_certificate() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.authority.behave(|ways| ways.refusals = 3);
    edge.order(QUICK);
    let refused = told(&mut edge).await;
    let begins = "certificate for shop.example cannot be obtained: ";
    assert!(refused.starts_with(begins), "{refused}");
    let got = told(&mut edge).await;
    let begins = "certificate for shop.example obtained, valid until 2";
    assert!(got.starts_with(begins), "{got}");
    assert_eq!(edge.authority.seen().orders, 4);
    edge.stop().await;
}

#[tokio::test]
async fn a_host_of_which_there_is_a_certificate_is_not_ordered_for() {
    let mut edge = Ordering::new(&["shop.example", "a.wild.example", "a.new.example"]).await;
    make(edge.given.path(), "shop", "shop.example,*.wild.example", 9);
    edge.until("a pair", |status| status.contains("cert=shop.crt")).await;
    edge.order(Pace::default());
    edge.has("a.new.example").await;
    assert_eq!(edge.authority.seen().orders, 1);
    let status = edge.status();
    assert!(!status.contains("acme_host=shop") && !status.contains("acme_host=a.wild"), "{status}");
    make(edge.given.path(), "star", "*.new.example", 9);
    edge.until("another", |status| status.contains("cert=star.crt")).await;
    let stranger = edge.user("a.new.example").await.unwrap_err();
    assert!(
        stranger.to_string().contains("certificate"),
        "what people put there serves: {stranger}"
    );
    edge.stop().await;
}

#[tokio::test]
async fn only_tokens_that_were_asked_for_are_answered_and_before_every_route() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.authority.behave(|ways| ways.holds = true);
    edge.order(Pace::default());
    let proofs = &edge.rig.shared.tls.proofs.clone();
    edge.authority.until(|seen| seen.orders == 1).await;
    let (token, proof) = loop {
        match proofs.any() {
            Some(found) => break found,
            None => tokio::task::yield_now().await,
        }
    };
    let ask = async |host: &str, method: &str, token: &str| {
        let path = format!("/.well-known/acme-challenge/{token}");
        edge.rig.ask(&format!("{method} {path} HTTP/1.1\nHost: {host}\n\n")).await
    };
    let answer = ask("shop.example", "GET", &token).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, proof.as_str()));
    assert_eq!(ask("SHOP.example:80", "GET", &token).await.body, proof);
    assert_eq!(ask("shop.example", "GET", "other").await.body, "hello from a", "a path as any");
    assert_eq!(ask("other.example", "GET", &token).await.status, 404);
    assert_eq!(ask("shop.example", "DELETE", &token).await.body, "hello from a");
    edge.authority.behave(|ways| ways.holds = false);
    edge.has("shop.example").await;
    assert_eq!(ask("shop.example", "GET", &token).await.body, "hello from a", "it is over");
    edge.stop().await;
}

#[tokio::test]
async fn a_proof_that_is_refused_is_told_and_tried_again_later() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.authority.behave(|ways| ways.refusals = 2);
    edge.order(QUICK);
    let line = "last_error=the proof was not taken: another proof was found (unauthorized)";
    edge.until(line, |status| status.contains(line)).await;
    edge.has("shop.example").await;
    let seen = edge.authority.seen();
    assert_eq!((seen.orders, seen.issued, seen.at_once), (3, 1, 1), "{seen:?}");
    assert!(!edge.status().contains("last_error"), "{}", edge.status());
    edge.stop().await;
}

#[tokio::test]
async fn an_order_that_ends_without_a_word_makes_only_its_own_host_rest() {
    let mut edge = Ordering::new(&["a.example", "b.example"]).await;
    edge.authority.behave(|ways| ways.silent_ends = 1);
    edge.order(Pace { rest_min: Duration::from_secs(60), orders: 1, ..Pace::default() });
    let line = "last_error=the order was refused: it does not say why";
    let status = edge
        .until("an end of both", |status| status.contains(line) && status.contains(" until=2"))
        .await;
    assert!(!status.contains("acme_wrong"), "{status}");
    assert_eq!((edge.authority.seen().orders, edge.authority.seen().issued), (2, 1));
    edge.stop().await;
}

#[tokio::test]
async fn an_account_that_the_authority_forgets_is_replaced_once_for_all_hosts() {
    let mut edge = Ordering::new(&["a.example"]).await;
    edge.order(QUICK);
    edge.has("a.example").await;
    let all = ["a.example", "b.example", "c.example", "d.example"];
    for accounts in 2..=3 {
        edge.authority.forget_accounts();
        let next = [&all[..], &[["e.example", "f.example"][accounts - 2]]].concat();
        edge.table(&next);
        for host in next {
            edge.has(host).await;
        }
        assert_eq!(edge.authority.seen().accounts as usize, accounts);
        assert!(!edge.status().contains("acme_wrong"), "{}", edge.status());
        assert!(edge.file("account.old").exists());
    }
    edge.stop().await;
}

#[tokio::test]
async fn a_failure_is_not_repeated_by_a_restart_nor_is_an_order_that_was_under_way() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.authority.behave(|ways| (ways.rate_limits, ways.rest) = (1, "3600".to_owned()));
    edge.order(Pace::default());
    let line = "acme_host=shop.example failures=1 again=";
    let status = edge.until(line, |status| status.contains(line)).await;
    assert!(status.contains("too many orders: come later (rateLimited)"), "{status}");
    let again = status.split("again=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let again: chrono::DateTime<chrono::Utc> = again.parse().unwrap();
    let rest = again - chrono::DateTime::from(std::time::SystemTime::now());
    assert!((3500..=3600).contains(&rest.num_seconds()), "as it was asked: {rest}");
    for _ in 0..3 {
        edge.stop().await;
        edge.order(Pace::default());
        edge.until(line, |status| status.contains(line)).await;
    }
    assert_eq!(edge.authority.seen().orders, 1);
    edge.authority.behave(|ways| ways.holds = true);
    edge.table(&["shop.example", "new.example"]);
    edge.authority.until(|seen| seen.orders == 2).await;
    edge.stop().await;
    edge.order(Pace::default());
    let line = "acme_host=new.example failures=1 again=";
    edge.until(line, |status| status.contains(line)).await;
    assert_eq!(edge.authority.seen().orders, 2);
    edge.stop().await;
}

#[tokio::test]
async fn a_host_that_goes_from_the_table_is_not_renewed_and_swept_when_it_has_expired() {
    let mut edge = Ordering::new(&["shop.example", "old.example"]).await;
    edge.authority.behave(|ways| ways.life = Duration::from_secs(4));
    edge.order(QUICK);
    edge.has("old.example").await;
    edge.has("shop.example").await;
    let orders = edge.authority.seen().orders;
    edge.table(&["shop.example"]);
    edge.authority.until(|seen| seen.orders >= orders + 3).await;
    let swept = || !edge.file("old.example.pem").exists();
    edge.until("no old one", |_| swept()).await;
    assert!(edge.file("shop.example.pem").exists());
    edge.stop().await;
}

#[tokio::test]
async fn many_hosts_are_ordered_for_one_order_a_host_and_few_at_once() {
    let names: Vec<String> = (0..20).map(|number| format!("h{number}.example")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut edge = Ordering::new(&hosts).await;
    edge.order(Pace::default());
    edge.authority.until(|seen| seen.issued == 20).await;
    edge.until("all", |status| status.matches(" until=").count() == 20).await;
    let seen = edge.authority.seen();
    assert_eq!((seen.orders, seen.at_once, seen.accounts, seen.faults), (20, 1, 1, 0));
    edge.stop().await;
}

#[tokio::test]
async fn where_nothing_can_be_kept_nothing_is_asked_for() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    let place = edge.file("").parent().unwrap().to_owned();
    fs::write(place, "in the way").unwrap();
    edge.order(QUICK);
    edge.until("a reason", |status| status.contains("acme_wrong=certificates cannot be kept"))
        .await;
    assert_eq!(edge.authority.seen().connections, 0);
    edge.stop().await;
}

//! Who is shown which certificate, what is spoken then, and who is sent there.

use super::rig::{Secure, ask, ask_http2, client};
use crate::limits::Limits;

#[tokio::test]
async fn what_is_spoken_inside_is_what_both_sides_can() {
    let edge = Secure::new().await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    for (offered, agreed) in [
        (&["h2"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = edge.user("shop.example", &shop, offered).await.unwrap();
        let spoken = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy);
        assert_eq!(spoken.as_deref(), agreed, "{offered:?}");
        let (status, head) = match agreed {
            Some("h2") => ask_http2(stream, "/head").await,
            _ => ask(stream, "/head").await,
        };
        assert_eq!(status, 200);
        assert!(head.contains("x-forwarded-proto: https\n"), "{head}");
        assert!(head.contains("x-forwarded-for: 127.0.0.1\n"), "{head}");
    }
    assert!(edge.user("shop.example", &shop, &["spdy/3"]).await.is_err());
}

#[tokio::test]
async fn a_user_is_shown_the_certificate_of_the_name_he_asks_for() {
    let edge = Secure::new().await;
    let (b, c) = (edge.make("b", "*.at.example"), edge.make("c", "shop.at.example,SHOP.test"));
    let a = edge.make("a", "first.example");
    edge.keep().await;
    assert!(edge.shows("shop.at.example", &c).await, "exact comes before a wildcard");
    assert!(edge.shows("shop.test", &c).await, "small and great letters are the same");
    assert!(edge.shows("other.at.example", &b).await);
    assert!(!edge.shows("shop.other.at.example", &b).await, "a wildcard is for one label");
    let refused = edge.user("at.example", &b, &[]).await.unwrap_err().to_string();
    assert!(refused.contains("AccessDenied"), "{refused}");
    // An address is no name, so none is said; nor is the certificate for it.
    let stranger = edge.user("127.0.0.1", &a, &[]).await.unwrap_err().to_string();
    assert!(stranger.contains("first.example"), "the first one is shown: {stranger}");
}

#[tokio::test]
async fn of_two_certificates_for_a_name_the_one_that_holds_longer_serves() {
    let edge = Secure::new().await;
    let short = super::rig::make(edge.dir.path(), "a", "shop.example", 2);
    let long = super::rig::make(edge.dir.path(), "b", "shop.example", 9);
    super::rig::make(edge.dir.path(), "c", "shop.example", 5);
    edge.keep().await;
    assert!(edge.shows("shop.example", &long).await);
    assert!(!edge.shows("shop.example", &short).await);
}

#[tokio::test]
async fn a_user_who_comes_again_does_half_the_handshake_also_after_a_reload() {
    let edge = Secure::new().await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    let config = client(&shop, &["http/1.1"]);
    for (round, kind) in [(0, "Full"), (1, "Resumed"), (2, "Resumed")] {
        let stream = edge.connect("shop.example", config.clone()).await.unwrap();
        let found = format!("{:?}", stream.get_ref().1.handshake_kind().unwrap());
        assert_eq!(found, kind, "round {round}");
        // Tickets come after the handshake, before the answer.
        assert_eq!(ask(stream, "/").await.0, 200);
        if round == 1 {
            edge.make("other", "other.example");
            edge.says("cert=other.crt").await;
        }
    }
}

#[tokio::test]
async fn a_host_with_a_certificate_is_left_in_the_clear_for_proofs_only() {
    let edge = Secure::new().await;
    edge.make("shop", "shop.example,*.shop.example");
    let ask = async |host: &str, path: &str| {
        let text = format!("POST {path} HTTP/1.1\nHost: {host}\nContent-Length: 2\n\nhi");
        let answer = edge.rig.ask(&text).await;
        (answer.status, answer.field("location").map(str::to_owned))
    };
    assert_eq!(ask("shop.example", "/").await, (200, None), "nothing is read yet");
    edge.keep().await;
    let to = |rest: &str| (308, Some(format!("https://{rest}")));
    let port = edge.address.port();
    let there = to(&format!("shop.example:{port}/a/b?c=d"));
    assert_eq!(ask("SHOP.example:80", "/a/b?c=d").await, there);
    assert_eq!(ask("x.shop.example", "/").await, to(&format!("x.shop.example:{port}/")));
    assert_eq!(ask("y.x.shop.example", "/").await, (200, None));
    assert_eq!(ask("other.example", "/").await, (200, None));
    assert_eq!(ask("shop.example", "/.well-known/acme-challenge/x").await, (200, None));
    edge.rig.shared.tls.serves_at(443);
    assert_eq!(ask("shop.example", "/x").await, to("shop.example/x"));
    edge.rig.shared.tls.serves_at(0);
    assert_eq!(ask("shop.example", "/").await, (200, None), "nobody is served over TLS");
}

#[tokio::test]
async fn who_came_to_a_trusted_proxy_over_tls_is_not_sent_there_again() {
    for (network, status) in [("127.0.0.1", 200), ("192.0.2.0/24", 308)] {
        let trust = vec![network.parse().expect("a network")];
        let edge = Secure::with(Limits { workers: 1, trust, ..Limits::default() }).await;
        edge.make("shop", "shop.example");
        edge.keep().await;
        let came = |over: &str| {
            format!("GET / HTTP/1.1\nHost: shop.example\nX-Forwarded-Proto: {over}\n\n")
        };
        assert_eq!(edge.rig.ask(&came("https")).await.status, status, "{network}");
        assert_eq!(edge.rig.ask(&came("http")).await.status, 308, "{network}");
    }
}

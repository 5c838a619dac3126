//! Certificates of a short life are renewed while users are served, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Order};
use std::time::Duration;

use tokio::task::JoinSet;

use super::rig::{Ordering, QUICK, connect};
use crate::http::test::rig::soon;
use crate::tls::test::rig::ask;

/// Renewals under load.
const RENEWALS: u32 = 5;
/// Users who come again and again.
const USERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_under_load_loses_nothing_and_what_is_open_goes_on() {
    let mut edge = Ordering::new(&["shop.example"]).await;
    edge.authority.behave(|ways| ways.life = Duration::from_secs(3));
    edge.order(QUICK);
    edge.has("shop.example").await;
    let open = edge.user("shop.example").await.unwrap();
    let long = tokio::spawn(ask(open, "/wait"));
    edge.instance.has_seen(1).await;
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let (at, config) = (edge.https, edge.client());
        let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
        users.spawn(async move {
            while !over.load(Order::Relaxed) {
                let stream = connect(at, "shop.example", config.clone()).await.unwrap();
                assert_eq!(ask(stream, "/").await, (200, "hello from a".to_owned()));
                answered.fetch_add(1, Order::Relaxed);
            }
        });
    }
    let began = edge.authority.seen().issued;
    edge.authority.until(|seen| seen.issued >= began + RENEWALS).await;
    over.store(true, Order::Relaxed);
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
    assert!(answered.load(Order::Relaxed) > 50, "{answered:?}");
    assert_eq!(edge.rig.shared.tls.unshaken(), (0, 0));
    let seen = edge.authority.seen();
    assert_eq!((seen.at_once, seen.faults, seen.accounts), (1, 0, 1), "{seen:?}");
    edge.instance.go.add_permits(1);
    assert_eq!(soon("the long one", long).await.unwrap(), (200, "waited at a".to_owned()));
    edge.stop().await;
}

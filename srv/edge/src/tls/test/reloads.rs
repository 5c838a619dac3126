//! Certificates change while users are served, and nobody notices.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::rig::{Secure, ask, make};
use crate::http::test::rig::soon;

/// Changes of the certificate under load.
const CHANGES: usize = 10;
/// Users who come again and again.
const USERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_under_load_loses_nothing_and_what_is_open_goes_on() {
    let edge = Arc::new(Secure::new().await);
    let mut shown = edge.make("shop", "shop.example");
    // For users who do not care which one they see.
    let all: Vec<_> = (0..CHANGES)
        .map(|_| {
            let dir = tempfile::tempdir().unwrap();
            let made = make(dir.path(), "shop", "shop.example", 9);
            (dir, made)
        })
        .collect();
    edge.keep().await;
    let trusted: Vec<_> = all.iter().map(|(_, made)| made.clone()).chain([shown.clone()]).collect();
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let open = edge.user("shop.example", &shown, &[]).await.unwrap();
    let long = tokio::spawn(ask(open, "/wait"));
    edge.instance.has_seen(1).await;
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let config = super::rig::client_of(&trusted);
        let (edge, over, answered) = (edge.clone(), over.clone(), answered.clone());
        users.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let stream = edge.connect("shop.example", config.clone()).await.unwrap();
                assert_eq!(ask(stream, "/").await, (200, "hello from a".to_owned()));
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut looked = edge.rig.shared.tls.looked.subscribe();
    for (dir, made) in &all {
        let before = answered.load(Ordering::Relaxed);
        for file in ["shop.crt", "shop.key"] {
            fs::copy(dir.path().join(file), edge.dir.path().join(file)).unwrap();
        }
        while !edge.shows("shop.example", made).await {
            soon("a look", looked.changed()).await.unwrap();
        }
        assert!(!edge.shows("shop.example", &shown).await, "the one before is not shown");
        shown = made.clone();
        soon("users", async {
            while answered.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(user) = users.join_next().await {
        user.unwrap();
    }
    edge.instance.go.add_permits(1);
    assert_eq!(long.await.unwrap(), (200, "waited at a".to_owned()));
    let (failed, refused) = edge.rig.shared.tls.unshaken();
    // Those who trust one certificate only, and were shown another, are the ones that failed.
    assert!(failed <= 4 * CHANGES as u64 && refused == 0, "{failed} failed, {refused} refused");
}

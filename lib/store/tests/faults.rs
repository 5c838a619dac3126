//! The faults of the store in memory: each is what it says, and equal seeds give equal faults.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use futures_util::FutureExt;
use store::{Condition, Error, Faults, Memory, Op, Outcome, Store};

const SEED: u64 = 7;

/// What `count` puts come to, and how many of them happened.
async fn puts(store: &Memory, count: u32) -> (Vec<Result<Outcome, Error>>, u64) {
    let mut answers = Vec::new();
    for number in 0..count {
        answers.push(store.transact(vec![], vec![Op::put("a", number.to_string())]).await);
    }
    store.set_faults(Faults::default());
    (answers, store.get("a").await.unwrap().1)
}

#[tokio::test]
async fn an_unavailable_store_has_done_nothing() {
    let faults = Faults { seed: SEED, unavailable: 300, ..Faults::default() };
    let (answers, revision) = puts(&Memory::with_faults(faults), 1_000).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    assert!((600..800).contains(&done), "{done}");
    assert_eq!(revision, done);
    assert!(answers.iter().all(|a| a.is_ok() || *a == Err(Error::Unavailable)));
    assert!(!Error::Unavailable.unknown());
}

#[tokio::test]
async fn a_lost_answer_hides_what_happened() {
    let faults = Faults { seed: SEED, unknown: 300, ..Faults::default() };
    let (answers, revision) = puts(&Memory::with_faults(faults), 1_000).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    assert!(answers.iter().all(|a| a.is_ok() || *a == Err(Error::Unknown)));
    assert!(revision > done + 50 && revision < 950, "{revision} of {done}");
    assert!(Error::Unknown.unknown());
}

#[tokio::test]
async fn equal_seeds_give_equal_faults() {
    let faults = Faults { seed: SEED, unavailable: 200, unknown: 200, ..Faults::default() };
    let first = puts(&Memory::with_faults(faults), 200).await;
    assert_eq!(puts(&Memory::with_faults(faults), 200).await, first);
    let other = Faults { seed: SEED + 1_000, ..faults };
    assert_ne!(puts(&Memory::with_faults(other), 200).await, first);
}

#[tokio::test]
async fn conditional_writes_survive_lost_answers() {
    let faults = Faults { seed: SEED, unavailable: 150, unknown: 300, ..Faults::default() };
    let store = Memory::with_faults(faults);
    for wanted in 1..=200u64 {
        // Write the next number until it is there; a condition makes repeating it harmless.
        loop {
            let Ok((found, _)) = store.get("count").await else { continue };
            let count =
                found.as_ref().map_or(0, |kv| String::from_utf8_lossy(&kv.value).parse().unwrap());
            if count == wanted {
                break;
            }
            assert_eq!(count, wanted - 1);
            let key = || "count".to_owned();
            let same = found
                .map_or(Condition::Absent(key()), |kv| Condition::Modified(key(), kv.modified));
            let _ = store.transact(vec![same], vec![Op::put("count", wanted.to_string())]).await;
        }
    }
    store.set_faults(Faults::default());
    assert_eq!(store.get("count").await.unwrap().1, 200);
}

#[tokio::test]
async fn a_slow_watch_is_late_and_still_in_order() {
    let faults = Faults { seed: SEED, slow: 500, slow_ms_max: 1_000, ..Faults::default() };
    let store = Memory::with_faults(faults);
    for number in 0..50 {
        store.transact(vec![], vec![Op::put("a", number.to_string())]).await.unwrap();
    }
    let mut watch = store.watch("", 1).await.unwrap();
    let (mut told, mut waits) = (Vec::new(), 0);
    while told.len() < 50 {
        match watch.next().now_or_never() {
            Some(batch) => told.push(batch.unwrap().revision),
            None => {
                waits += 1;
                store.pass(100);
            }
        }
    }
    assert_eq!(told, (1..=50).collect::<Vec<u64>>());
    assert!((1..=10).contains(&waits), "{waits}");
}

#[tokio::test]
async fn a_lost_lease_is_found_gone_with_its_keys() {
    let store = Memory::with_faults(Faults { seed: SEED, lease_loss: 1_000, ..Faults::default() });
    let lease = store.grant(10).await.unwrap();
    let bound = Op::Put { key: "a".to_owned(), value: vec![], lease: Some(lease) };
    store.transact(vec![], vec![bound]).await.unwrap();
    assert!(!store.keepalive(lease).await.unwrap());
    assert_eq!(store.list("").await.unwrap(), (vec![], 2));
}

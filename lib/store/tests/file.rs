//! The store in a real file: opened again, opened twice, damaged, killed.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;
use store::{Error, HandClock, LOG_BYTES_MAX, LOG_REVISIONS_MAX, Op, Redb, Store};

/// Tells the killed child's half of a test where its store is.
const CHILD_PATH: &str = "STORE_TEST_CHILD_PATH";
/// Kills of one store, and writes waited for before each.
const KILLS: u64 = 5;
const ACKED: u64 = 40;
/// Writers at once.
const WRITERS: u64 = 64;

async fn put(store: &Redb, key: &str, value: &str) {
    store.transact(vec![], vec![Op::put(key, value)]).await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let store = Redb::open(&path).unwrap();
    for number in 1..=4 {
        put(&store, "a", &number.to_string()).await;
    }
    let lease = store.grant(60).await.unwrap();
    let bound = Op::Put { key: "b".to_owned(), value: b"x".to_vec(), lease: Some(lease) };
    store.transact(vec![], vec![bound]).await.unwrap();
    store.compact(3).await.unwrap();
    let before = store.list("").await.unwrap();
    drop(store);
    let store = Redb::open(&path).unwrap();
    assert_eq!(store.list("").await.unwrap(), before);
    assert_eq!(store.compact(3).await, Err(Error::Compacted(3)));
    let mut watch = store.watch("", 3).await.unwrap();
    for revision in 3..=5 {
        assert_eq!(watch.next().await.unwrap().revision, revision);
    }
    assert_ne!(store.grant(60).await.unwrap(), lease);
}

#[tokio::test]
async fn opening_again_renews_every_lease_in_full() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let clock = Arc::new(HandClock::default());
    let store = Redb::with_clock(&path, Arc::clone(&clock) as _).unwrap();
    let lease = store.grant(10).await.unwrap();
    let bound = Op::Put { key: "b".to_owned(), value: b"x".to_vec(), lease: Some(lease) };
    store.transact(vec![], vec![bound]).await.unwrap();
    clock.pass(9_000);
    drop(store);
    let store = Redb::with_clock(&path, Arc::clone(&clock) as _).unwrap();
    clock.pass(9_000);
    store.tick().await.unwrap();
    assert!(store.get("b").await.unwrap().0.is_some());
    clock.pass(2_000);
    store.tick().await.unwrap();
    assert_eq!(store.get("b").await.unwrap().0, None);
}

#[tokio::test]
async fn a_second_server_is_told_that_another_one_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let store = Redb::open(&path).unwrap();
    let mut watch = store.watch("", 1).await.unwrap();
    let error = Redb::open(&path).unwrap_err();
    assert_eq!(error, Error::Locked(path.clone()));
    let text = ": another server runs on this state: stop it or choose another state directory";
    assert_eq!(error.to_string(), format!("{}{text}", path.display()));
    drop(store);
    // A forgotten watch does not hold the file.
    let _again = Redb::open(&path).unwrap();
    assert_eq!(watch.next().await, Err(Error::Closed));
}

#[tokio::test]
async fn the_machines_clock_ends_a_lease_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let store = Redb::open(&directory.path().join("s")).unwrap();
    let lease = store.grant(2).await.unwrap();
    let bound = Op::Put { key: "b".to_owned(), value: b"x".to_vec(), lease: Some(lease) };
    store.transact(vec![], vec![bound]).await.unwrap();
    let mut watch = store.watch("", 2).await.unwrap();
    let limit = std::time::Duration::from_secs(30);
    let batch = tokio::time::timeout(limit, watch.next()).await.unwrap().unwrap();
    assert_eq!(batch.revision, 2);
    assert!(!store.keepalive(lease).await.unwrap());
}

/// Damages a good file and says what opening it must answer.
async fn check_damaged(damage: impl FnOnce(&Path), why: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let store = Redb::open(&path).unwrap();
    put(&store, "a", "1").await;
    drop(store);
    damage(&path);
    let text = Redb::open(&path).unwrap_err().to_string();
    let start = format!("{}: not a usable store (", path.display());
    assert!(text.starts_with(&start) && text.contains(why), "{text}");
    assert!(text.ends_with("): restore a copy or move the file away"), "{text}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_not_taken_for_a_new_one() {
    check_damaged(|path| std::fs::write(path, "not a store").unwrap(), "redb").await;
    check_damaged(|path| std::fs::write(path, "").unwrap(), "empty").await;
    let cut = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..4_096]).unwrap();
    };
    check_damaged(cut, "").await;
    let scratch = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[64..320].fill(0xa5);
        std::fs::write(path, bytes).unwrap();
    };
    check_damaged(scratch, "").await;
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let text = Redb::open(Path::new("/proc/nowhere/s")).unwrap_err().to_string();
    assert!(text.starts_with("/proc/nowhere/s: no such file"), "{text}");
    let directory = tempfile::tempdir().unwrap();
    let text = Redb::open(directory.path()).unwrap_err().to_string();
    assert!(text.contains(": is a directory: mend it"), "{text}");
}

#[tokio::test]
async fn the_log_forgets_by_itself_and_the_keys_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = Redb::open(&directory.path().join("s")).unwrap();
    let writes = LOG_REVISIONS_MAX + 2_000;
    for first in (0..writes).step_by(usize::try_from(WRITERS).unwrap()) {
        let keys: Vec<String> = (first..first + WRITERS).map(|n| format!("key/{n:05}")).collect();
        join_all(keys.iter().map(|key| put(&store, key, "x"))).await;
    }
    let (kvs, revision) = store.list("").await.unwrap();
    assert_eq!(kvs.len() as u64, revision);
    let mut old = store.watch("", 1).await.unwrap();
    let kept = match old.next().await {
        Err(Error::Compacted(from)) => revision - from,
        other => panic!("{other:?}"),
    };
    assert!((LOG_REVISIONS_MAX..=LOG_REVISIONS_MAX + 1_100).contains(&kept), "{kept}");
    let mut recent = store.watch("", revision).await.unwrap();
    assert_eq!(recent.next().await.unwrap().revision, revision);
}

#[tokio::test]
async fn the_log_holds_no_more_bytes_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let store = Redb::open(&directory.path().join("s")).unwrap();
    let value = "x".repeat(512 * 1024);
    let held = LOG_BYTES_MAX / value.len() as u64;
    for _ in 0..2 * held {
        put(&store, "a", &value).await;
    }
    let mut old = store.watch("", 1).await.unwrap();
    let Err(Error::Compacted(from)) = old.next().await else { panic!("nothing was forgotten") };
    assert!((held..2 * held).contains(&from), "{from}");
    let mut kept = store.watch("", from).await.unwrap();
    assert_eq!(kept.next().await.unwrap().revision, from);
}

#[tokio::test]
async fn parts_are_written_one_after_the_other_and_none_when_one_cannot_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let store = Redb::open(&path).unwrap();
    let part = |from: u32| (from..from + 3).map(|n| Op::put(n.to_string(), "x")).collect();
    store.write(vec![part(1), part(4)]).await.unwrap();
    let twice = vec![Op::delete("7"), Op::delete("7")];
    assert_eq!(store.write(vec![part(7), twice]).await, Err(Error::Twice("7".to_owned())));
    drop(store);
    let (kvs, revision) = Redb::open(&path).unwrap().list("").await.unwrap();
    let keys: Vec<(&str, u64)> = kvs.iter().map(|kv| (kv.key.as_str(), kv.modified)).collect();
    let wanted = [("1", 1), ("2", 1), ("3", 1), ("4", 2), ("5", 2), ("6", 2)];
    assert_eq!((keys, revision), (wanted.to_vec(), 2));
}

#[tokio::test]
async fn a_killed_server_loses_nothing_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD_PATH) {
        write_for_ever(Path::new(&path)).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let mut acked = 0;
    for _ in 0..KILLS {
        acked = acked.max(killed_after(&path, ACKED));
        let store = Redb::open(&path).unwrap();
        let (kvs, revision) = store.list("").await.unwrap();
        assert!(revision >= acked && acked > 0, "{revision} of {acked}");
        let keys: Vec<String> = kvs.into_iter().map(|kv| kv.key).collect();
        let wanted: Vec<String> = (1..=revision).map(|n| format!("{n:08}")).collect();
        assert_eq!(keys, wanted);
        acked = revision;
    }
}

/// The child: writes key after key and says each number once it is acknowledged.
async fn write_for_ever(path: &Path) -> ! {
    let store = Redb::open(path).unwrap();
    let (_, mut number) = store.list("").await.unwrap();
    loop {
        number += 1;
        put(&store, &format!("{number:08}"), "x").await;
        println!("acked {number}");
    }
}

/// Runs the child until it has acknowledged `count` writes, then kills it with SIGKILL; answers
/// the last number it said.
fn killed_after(path: &Path, count: u64) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_killed_server_loses_nothing_acknowledged", "--nocapture"]);
    command.env(CHILD_PATH, path).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| line.rsplit_once("acked ").and_then(|(_, n)| n.parse::<u64>().ok());
    let mut said: Vec<u64> = Vec::new();
    while said.len() < usize::try_from(count).unwrap() {
        let Some(line) = lines.next() else { break };
        said.extend(number(line.unwrap()));
    }
    child.kill().unwrap();
    // What it said before the signal reached it counts as well.
    said.extend(lines.map_while(Result::ok).filter_map(number));
    child.wait().unwrap();
    said.last().copied().unwrap_or(0)
}

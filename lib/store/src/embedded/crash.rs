//! What the store promises when the disk does not play along.

use std::path::Path;
use std::sync::Arc;

use ::redb::Database;

use super::Redb;
use super::disk::Disk;
use crate::clock::HandClock;
use crate::{Error, Op, Outcome, Store};

/// How many histories of crashes are tried.
const SEEDS: u64 = 2_500;
/// Power cuts in a row in one history, recoveries among them.
const CUTS: u64 = 4;
/// Writes between two cuts at most; a commit needs about ten.
const ACTS_MAX: u64 = 100;
/// Keys that are written over and over.
const KEYS: u64 = 7;

fn open(disk: &Disk) -> Result<Redb, Error> {
    let path = Path::new("disk");
    let database = Database::builder().create_with_backend(disk.clone());
    let database = database.map_err(|why| super::open::refused(path, why.into()))?;
    Redb::over(database, path, Arc::new(HandClock::default()))
}

/// Writes revision after revision until the disk fails; answers the last acknowledged one.
async fn write_on(store: &Redb, mut acked: u64) -> (u64, Error) {
    loop {
        let next = acked + 1;
        let value = vec![b'x'; usize::try_from(next * 37 % 3_000).unwrap()];
        let ops =
            vec![Op::put(format!("key/{}", next % KEYS), value), Op::put("last", next.to_string())];
        match store.transact(vec![], ops).await {
            Ok(outcome) => assert_eq!(outcome, Outcome::Done(next)),
            Err(error) => return (acked, error),
        }
        acked = next;
    }
}

/// The last written revision, checked against everything else in the store.
async fn last(store: &Redb) -> u64 {
    let (kvs, revision) = store.list("").await.unwrap();
    if revision == 0 {
        assert!(kvs.is_empty());
        return 0;
    }
    for kv in &kvs {
        if kv.key == "last" {
            assert_eq!(kv.value, revision.to_string().into_bytes());
        } else {
            assert_eq!(kv.value.len() as u64, kv.modified * 37 % 3_000, "{}", kv.key);
        }
    }
    revision
}

/// Writes through power cuts in a row; answers how many fell while the store was in use, the
/// others while it was opened.
async fn history(seed: u64) -> u64 {
    let fresh = Disk::holding(Vec::new());
    drop(open(&fresh).unwrap());
    let (mut image, mut acked, mut used) = (fresh.image(), 0, 0);
    for cut in 0..CUTS {
        let draw = (seed * CUTS + cut).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let disk = Disk::holding(image).cut_after((draw >> 20) % ACTS_MAX, draw);
        // Opening may fail when the cut falls into the recovery.
        if let Ok(store) = open(&disk) {
            let found = last(&store).await;
            assert!((acked..=acked + 1).contains(&found), "{seed}/{cut}: {found} of {acked}");
            acked = write_on(&store, found).await.0;
            used += 1;
        }
        image = disk.image();
    }
    let store = open(&Disk::holding(image)).unwrap();
    let found = last(&store).await;
    assert!((acked..=acked + 1).contains(&found), "{seed}: {found} of {acked}");
    used
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_power_cuts_lose_nothing_acknowledged() {
    let mut histories = tokio::task::JoinSet::new();
    for seed in 0..SEEDS {
        histories.spawn(history(seed));
    }
    let used: u64 = histories.join_all().await.into_iter().sum();
    println!("{} power cuts, {used} of them between writes of a store in use", SEEDS * CUTS);
    assert!((SEEDS * CUTS / 2..SEEDS * CUTS).contains(&used), "{used}");
}

#[tokio::test]
async fn a_full_disk_stops_the_store_until_there_is_room() {
    let disk = Disk::holding(Vec::new());
    let store = open(&disk).unwrap();
    disk.limit(Some(4 << 20));
    let mut acked = 0;
    let error = loop {
        let ops = vec![Op::put(format!("key/{acked}"), vec![1; 200_000])];
        match store.transact(vec![], ops).await {
            Ok(_) => acked += 1,
            Err(error) => break error,
        }
    };
    let text = "disk: no space left on the disk: make room and try again";
    assert_eq!(error.to_string(), text);
    assert!(error.unknown() && acked > 0, "{acked}");
    assert_eq!(store.get("key/0").await.unwrap_err(), error);
    assert_eq!(store.transact(vec![], vec![Op::put("a", "b")]).await.unwrap_err(), error);
    drop(store);
    disk.limit(None);
    let store = open(&Disk::holding(disk.image())).unwrap();
    let found = store.list("key/").await.unwrap().0.len();
    assert!((acked..=acked + 1).contains(&found), "{found} of {acked}");
    store.transact(vec![], vec![Op::put("a", "b")]).await.unwrap();
}

#[test]
fn the_systems_words_come_without_its_number() {
    let why = ::redb::Error::Io(std::io::Error::from_raw_os_error(30));
    let error = super::open::refused(Path::new("/s"), why);
    assert_eq!(error.to_string(), "/s: read-only file system: mend it and try again");
}

#[tokio::test]
async fn a_broken_disk_stops_the_store_and_wakes_its_watches() {
    let disk = Disk::holding(Vec::new());
    let store = open(&disk).unwrap();
    store.transact(vec![], vec![Op::put("a", "1")]).await.unwrap();
    let mut watch = store.watch("", 2).await.unwrap();
    disk.break_down();
    let write = store.transact(vec![], vec![Op::put("a", "2")]);
    let (written, watched) = tokio::join!(write, watch.next());
    let text = "disk: the disk does not answer: mend it and try again";
    assert_eq!(written.unwrap_err().to_string(), text);
    assert_eq!(watched.unwrap_err().to_string(), text);
    assert_eq!(store.grant(10).await.unwrap_err().to_string(), text);
}

//! Pulls onto a file system with little room.

#![allow(clippy::unwrap_used)] // all of it is tests

mod bench;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::{Bench, Layout, tar};
use image::Error;

/// A store on a file system of so many megabytes. That needs a mount namespace, so the test
/// starts itself again in one; none in the first, which has seen the other pass then.
fn small(test: &str, megabytes: u32) -> Option<PathBuf> {
    if let Ok(dir) = std::env::var("TEST_SMALL_DIR") {
        return Some(Path::new(&dir).join("store"));
    }
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg("mount -t tmpfs -o size=$2m tmpfs $TEST_SMALL_DIR && exec \"$0\" --exact $1")
        .arg(std::env::current_exe().unwrap())
        .args([test, &megabytes.to_string()])
        .env("TEST_SMALL_DIR", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

fn zeros(name: &str, megabytes: usize) -> Vec<u8> {
    tar(&[(name, &"\0".repeat(megabytes << 20))])
}

/// A layer of one hard link.
fn link(name: &str, target: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_link(&mut header, name, target).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn what_layers_unpack_to_together_leaves_the_reserve_and_is_removed_again() {
    let test = "what_layers_unpack_to_together_leaves_the_reserve_and_is_removed_again";
    let Some(small) = small(test, 180) else { return };
    let bench = Bench::new();
    let layout = Layout::new(&bench.dir.path().join("layout"));
    let store = image::Store::open(&small).unwrap();
    let check = async |layers: &[Vec<u8>], fits: bool| {
        let layers: Vec<_> = layers.iter().map(|plain| (gzip(plain), &plain[..])).collect();
        layout.index(&[layout.image(&layers)]);
        let before = fs::read_dir(small.join("layers")).unwrap().count();
        let pulled = store.pull(&format!("oci:{}", layout.0.display()), |_| ()).await;
        match pulled {
            Ok(image) => assert!(fits, "{image:?}"),
            Err(error) => {
                assert!(matches!(error, Error::Room { .. }) && !fits, "{error}");
                assert!(error.to_string().starts_with("no room: needs "), "{error}");
                assert_eq!(fs::read_dir(small.join("layers")).unwrap().count(), before);
            }
        }
    };
    // It fits, but what it leaves is less than is to stay free.
    check(&[zeros("a", 75), zeros("b", 75)], false).await;
    check(&[zeros("a", 150)], false).await;
    // A link to a file of a layer below is a copy of it, made when that layer has its name.
    check(&[zeros("a", 75), link("b", "a")], false).await;
    check(&[zeros("c", 30)], true).await;
    // What another image is made of stays.
    check(&[zeros("c", 30), zeros("d", 60), link("e", "d")], false).await;
    assert_eq!(fs::read_dir(small.join("layers")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_leaves_nothing_half_there() {
    let test = "a_full_disk_is_a_clear_error_and_leaves_nothing_half_there";
    let Some(small) = small(test, 80) else { return };
    let bench = Bench::new();
    let layout = Layout::new(&bench.dir.path().join("layout"));
    let plain = zeros("zeros", 96);
    let blob = gzip(&plain);
    layout.index(&[layout.image(&[(blob, &plain)])]);
    let reference = format!("oci:{}", layout.0.display());
    let store = image::Store::open(&small).unwrap();
    // It looks as if there were room, until it is unpacked.
    let error = store.pull(&reference, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Room { .. }) && !error.permanent(), "{error}");
    assert!(error.to_string().contains(&format!("free on {}", small.display())), "{error}");
    for part in ["layers", "ingest"] {
        assert_eq!(fs::read_dir(small.join(part)).unwrap().count(), 0, "{part}");
    }
    assert!(store.list().unwrap().is_empty());
    // A layer that cannot fit is not begun.
    let big = layout.blob("application/vnd.oci.image.layer.v1.tar", &plain);
    layout.index(&[layout.image(&[(plain.clone(), &plain)])]);
    let error = store.pull(&reference, |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Room { needs, .. } if needs > 150 << 20), "{error}");
    let hex = &big["digest"].as_str().unwrap()[7..];
    assert!(!small.join("ingest").join(hex).exists());
}

#[tokio::test]
async fn a_push_that_does_not_fit_is_refused_before_it_is_begun_and_names_both_numbers() {
    let test = "a_push_that_does_not_fit_is_refused_before_it_is_begun_and_names_both_numbers";
    let Some(small) = small(test, 180) else { return };
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let store = image::Store::open(&small).unwrap();
    let file = |name: &str, megabytes: u64| {
        fs::File::create(root.join(name)).unwrap().set_len(megabytes << 20).unwrap();
    };
    let left = |part: &str| fs::read_dir(small.join(part)).unwrap().count();
    let nothing = || assert_eq!([left("ingest"), left("blobs/sha256"), left("layers")], [0; 3]);
    // The archive and what it unpacks to: twice its bytes, and what is to stay free.
    file("a", 70);
    let error = store.push("web:1", &root).await.unwrap_err();
    let Error::Room { needs, free, .. } = error else { panic!("{error}") };
    assert!(needs > 204 << 20 && free > 170 << 20 && free <= 180 << 20, "{needs} {free}");
    nothing();
    // With many names for one file it is still one.
    file("a", 40);
    fs::hard_link(root.join("a"), root.join("b")).unwrap();
    assert_eq!(store.push("web:1", &root).await.unwrap().bytes, 40 << 20);
    let collected = store.gc(&[]).await.unwrap();
    assert_eq!((collected.bytes, collected.images.len()), (0, 0), "it is an hour old at most");
}

#[tokio::test]
async fn a_file_system_without_inodes_takes_neither_a_push_nor_a_pull() {
    let test = "a_file_system_without_inodes_takes_neither_a_push_nor_a_pull";
    let Some(small) = small(test, 180) else { return };
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    for n in 0..1000 {
        fs::write(root.join(n.to_string()), "").unwrap();
    }
    // This mount is the test's own.
    let options = format!("mount -o remount,nr_inodes=5000 {}", small.parent().unwrap().display());
    bench::run("mount", "sh", &["-c", &options]);
    let store = image::Store::open(&small).unwrap();
    let check = |error: Error, least: u64| {
        let Error::Inodes { needs, free, .. } = error else { panic!("{error}") };
        assert!(needs >= least && free < 5000, "{needs} {free}");
    };
    check(store.push("web:1", &root).await.unwrap_err(), 5096);
    let layout = Layout::new(&bench.dir.path().join("layout"));
    let plain = zeros("a", 10);
    layout.index(&[layout.image(&[(plain.clone(), &plain)])]);
    let reference = format!("oci:{}", layout.0.display());
    check(store.pull(&reference, |_| ()).await.unwrap_err(), 4096 + 1280);
    assert_eq!(fs::read_dir(small.join("ingest")).unwrap().count(), 0);
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    store.push("web:1", &root).await.unwrap();
}

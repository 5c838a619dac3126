//! Images that lie on this machine, in every form they come in.

#![allow(clippy::unwrap_used)] // all of it is tests

mod bench;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use bench::{Bench, Layout, run, sha256, tar};
use image::{Error, Image};
use serde_json::json;

/// Copies the layout's two-layer image with skopeo.
fn copy(layout: &str, to: &str) {
    let from = format!("oci:{layout}:two");
    run("skopeo", "skopeo", &["--insecure-policy", "copy", "-q", &from, to]);
}

#[tokio::test]
async fn every_form_of_an_image_unpacks_to_the_same_layers() {
    let bench = Bench::new();
    let layout = bench.umoci();
    let first = bench.pull(&format!("oci:{layout}:two")).await.unwrap();
    assert_eq!(first.layers.len(), 2);
    let (oci, docker) = (bench.path("oci.tar"), bench.path("docker.tar"));
    copy(&layout, &format!("oci-archive:{oci}:two"));
    copy(&layout, &format!("docker-archive:{docker}:quay.io/app:two"));
    let packed = bench.path("docker.tar.gz");
    let file = fs::File::create(&packed).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    gzip.write_all(&fs::read(&docker).unwrap()).unwrap();
    gzip.finish().unwrap();
    for reference in [
        format!("oci-archive:{oci}"),
        format!("oci-archive:{oci}:two"),
        format!("docker-archive:{docker}"),
        format!("docker-archive:{docker}:two"),
        format!("docker-archive:{packed}"),
    ] {
        // In a store of its own, so that nothing is there already.
        let other = Bench::new();
        let image = other.pull(&reference).await.unwrap();
        assert_eq!(image.reference, reference);
        let names = |image: &Image| -> Vec<_> {
            image
                .layers
                .iter()
                .map(|l| l.parent().unwrap().file_name().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&image), names(&first), "{reference}");
        assert_eq!(image.config["config"]["Entrypoint"][0], "/bin/a");
        assert!(other.names("ingest").is_empty());
    }
}

#[tokio::test]
async fn a_tag_that_is_not_there_or_must_be_named_is_said_with_those_there_are() {
    let bench = Bench::new();
    let layout = bench.umoci();
    let check = async |reference: String, words: &[&str]| {
        let error = bench.pull(&reference).await.unwrap_err();
        assert!(error.permanent());
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    check(format!("oci:{layout}:three"), &["tag 'three' not found", "base, one, two"]).await;
    check(format!("oci:{layout}"), &["more than one image", "base, one, two"]).await;
    check(format!("oci:{layout}/no"), &["/no/index.json", "No such file"]).await;
    check(format!("oci-archive:{layout}/index.json"), &["index.json"]).await;
    check(format!("docker-archive:{layout}/no.tar"), &["No such file"]).await;
}

#[tokio::test]
async fn zstd_and_plain_layers_are_unpacked_too() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    let bench = Bench::new();
    let layout = Layout::new(&bench.dir.path().join("layout"));
    let (one, two) = (tar(&[("a", "one"), ("b", "b")]), tar(&[("a", "two")]));
    let zstd = compress_to_vec(&one[..], CompressionLevel::Fastest);
    layout.index(&[layout.image(&[(zstd, &one), (two.clone(), &two)])]);
    let image = bench.pull(&format!("oci:{}", layout.0.display())).await.unwrap();
    assert_eq!(fs::read_to_string(image.layers[0].join("b")).unwrap(), "b");
    assert_eq!(fs::read_to_string(image.layers[1].join("a")).unwrap(), "two");
}

#[tokio::test]
async fn an_index_gives_the_image_for_this_machine() {
    let bench = Bench::new();
    let layout = Layout::new(&bench.dir.path().join("layout"));
    let layer = tar(&[("a", "ours")]);
    let mut ours = layout.image(&[(layer.clone(), &layer)]);
    let mut other = layout.image(&[]);
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ours["platform"] = json!({ "os": "linux", "architecture": architecture });
    other["platform"] = json!({ "os": "linux", "architecture": "z80" });
    let index = |all: &[&serde_json::Value]| {
        let text = json!({ "schemaVersion": 2, "manifests": all }).to_string();
        layout.index(&[layout.blob("application/vnd.oci.image.index.v1+json", text.as_bytes())]);
    };
    let reference = format!("oci:{}", layout.0.display());
    index(&[&other]);
    let error = bench.pull(&reference).await.unwrap_err();
    assert!(matches!(error, Error::Platform { .. }) && error.permanent());
    let text = error.to_string();
    assert!(text.contains(&format!("no image for linux/{architecture} in oci:")), "{text}");
    assert!(text.contains("it has linux/z80"), "{text}");
    index(&[&other, &ours]);
    let image = bench.pull(&reference).await.unwrap();
    assert_eq!(fs::read_to_string(image.layers[0].join("a")).unwrap(), "ours");
    assert_ne!(image.digest, ours["digest"].as_str().unwrap());
    assert!(bench.store.get(ours["digest"].as_str().unwrap()).unwrap().is_some());
}

#[tokio::test]
async fn bytes_that_are_not_what_a_layout_says_are_refused() {
    let layer = tar(&[("a", "1")]);
    let other = tar(&[("a", "2")]);
    let check = async |change: &dyn Fn(&Layout, &Path), word: &str| {
        let bench = Bench::new();
        let layout = Layout::new(&bench.dir.path().join("layout"));
        let blob = layout.0.join("blobs/sha256").join(&sha256(&layer)[7..]);
        layout.index(&[layout.image(&[(layer.clone(), &layer)])]);
        change(&layout, &blob);
        let error = bench.pull(&format!("oci:{}", layout.0.display())).await.unwrap_err();
        assert!(error.permanent() && error.to_string().contains(word), "{error}");
        assert!(bench.names("layers").is_empty() && bench.names("ingest").is_empty());
        assert!(bench.store.list().unwrap().is_empty());
    };
    check(&|_, blob| fs::write(blob, &other).unwrap(), "digest is").await;
    check(&|_, blob| fs::write(blob, &layer[..layer.len() - 1]).unwrap(), "bytes, expected").await;
    check(&|_, blob| fs::remove_file(blob).unwrap(), "not found").await;
    // The layer is another than the configuration says.
    let wrong = |layout: &Layout, _: &Path| {
        layout.index(&[layout.image(&[(layer.clone(), &other[..])])]);
    };
    check(&wrong, "uncompressed: digest is").await;
    let evil = tar(&[("a", "1")]);
    let escape = |layout: &Layout, _: &Path| {
        let mut bytes = evil.clone();
        bytes[..4].copy_from_slice(b"../a");
        let sum: u32 = bytes[..512]
            .iter()
            .enumerate()
            .map(|(n, b)| if (148..156).contains(&n) { 32 } else { u32::from(*b) })
            .sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        layout.index(&[layout.image(&[(bytes.clone(), &bytes)])]);
    };
    check(&escape, "entry '../a': '..' in the name").await;
}

#[tokio::test]
async fn a_directory_is_used_where_it_lies() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/x"), "1").unwrap();
    let reference = format!("dir:{}", root.display());
    let image = bench.pull(&reference).await.unwrap();
    assert!(image.in_place);
    assert_eq!((&image.layers, image.bytes), (&vec![root.clone()], 1));
    assert_eq!(bench.pull(&reference).await.unwrap().digest, image.digest);
    assert_eq!(
        bench.store.get(&image.digest).unwrap().unwrap().layers,
        std::slice::from_ref(&root)
    );
    fs::write(root.join("etc/x"), "22").unwrap();
    assert_ne!(bench.pull(&reference).await.unwrap().digest, image.digest);
    let error = bench.pull(&format!("dir:{}/etc/x", root.display())).await.unwrap_err();
    assert!(error.to_string().contains("is no directory"), "{error}");
}

/// Everything a tree can be asked for, a line a file.
const LIST: &str = r"cd $1 && find . -mindepth 1 -printf '%p %y %m %U %G %l ' \
    \( -type f -printf '%n %s %T@ ' -exec sha256sum {} \; -o -printf '\n' \) | sort";

#[tokio::test]
async fn overlayfs_shows_the_layers_as_umoci_unpacks_them() {
    let bench = Bench::new();
    let layout = bench.umoci();
    let image = bench.pull(&format!("oci:{layout}:two")).await.unwrap();
    let (whole, merged) = (bench.path("whole"), bench.path("merged"));
    run("umoci", "umoci", &["unpack", "--image", &format!("{layout}:two"), &whole]);
    fs::create_dir(&merged).unwrap();
    let list = |prepare: &str, dir: &str| {
        // The mount goes with the namespace of the process that made it.
        let script = format!("set -e; {prepare}\n{LIST}");
        let mut command = Command::new("unshare");
        let output = command.args(["-m", "sh", "-c", &script, "sh", dir]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let lower: Vec<_> = image.layers.iter().rev().map(|l| l.display().to_string()).collect();
    let mount = format!("mount -t overlay overlay -o lowerdir={} {merged}", lower.join(":"));
    let (ours, theirs) = (list(&mount, &merged), list("", &format!("{whole}/rootfs")));
    assert!(ours.lines().count() > 300);
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[tokio::test]
async fn a_pinned_reference_needs_nothing_but_the_store_and_tells_a_change_of_its_source() {
    let check = async |reference: &str, change: &dyn Fn()| {
        let bench = Bench::new();
        let image = bench.pull(reference).await.unwrap();
        let pinned = format!("{reference}@{}", image.digest);
        assert_eq!(bench.pull(&pinned).await.unwrap().digest, image.digest);
        change();
        assert_eq!(bench.pull(&pinned).await.unwrap().layers, image.layers);
        assert!(bench.store.get(&pinned).unwrap().is_some());
        let other = Bench::new();
        assert!(other.store.get(&pinned).unwrap().is_none());
        let error = other.pull(&pinned).await.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }) && error.permanent(), "{error}");
        assert!(error.to_string().starts_with(&format!("{pinned} changed: ")), "{error}");
        assert_ne!(other.pull(reference).await.unwrap().digest, image.digest);
    };
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("a:b"));
    let index = |text: &str| {
        let layer = tar(&[("a", text)]);
        layout.index(&[layout.image(&[(layer.clone(), &layer)])]);
    };
    index("1");
    // A colon in a directory's name makes no tag of what follows.
    check(&format!("oci:{}/", layout.0.display()), &|| index("2")).await;
    let root = dir.path().join("root:1");
    fs::create_dir(&root).unwrap();
    check(&format!("dir:{}", root.display()), &|| fs::write(root.join("x"), "1").unwrap()).await;
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let bench = Bench::new();
    let check = async |reference: String, want: &str| {
        let error = bench.pull(&reference).await.unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    let dir = bench.dir.path().join("layout");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.join("index.json")).unwrap();
    check(format!("oci:{}", dir.display()), "index.json: is no regular file").await;
    let pipe = bench.path("pipe");
    run("coreutils", "mkfifo", &[&pipe]);
    check(format!("docker-archive:{pipe}"), "pipe: is no regular file").await;
    fs::remove_file(dir.join("index.json")).unwrap();
    fs::File::create(dir.join("index.json")).unwrap().set_len(1 << 40).unwrap();
    check(format!("oci:{}", dir.display()), "at most 4 MiB").await;
}

#[tokio::test]
async fn the_layers_of_a_saved_image_are_counted_before_they_are_read() {
    let bench = Bench::new();
    let check = async |layers: usize, want: &str| {
        let names = vec!["layer"; layers];
        let saved = json!([{ "Config": "config", "Layers": names }]).to_string();
        // A configuration that is not there is missed before any layer is.
        let bytes = tar(&[("manifest.json", &saved)]);
        fs::write(bench.path("saved.tar"), bytes).unwrap();
        let reference = format!("docker-archive:{}", bench.path("saved.tar"));
        let error = bench.pull(&reference).await.unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    check(256, "no file 'config'").await;
    check(257, "257 layers, at most 256").await;
}

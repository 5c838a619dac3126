//! Images that are pushed, missed, given up and collected.

use crate::rig::{PATIENCE, Rig, bin, web};
use ninep::client::Mode;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A directory whose image takes a while: its file is so many megabytes long and takes nothing.
fn large(rig: &Rig, megabytes: u64) -> PathBuf {
    let dir = rig.state().join("large");
    std::fs::create_dir_all(&dir).expect("made");
    let file = std::fs::File::create(dir.join("file")).expect("created");
    file.set_len(megabytes << 20).expect("long");
    dir
}

/// What the node's store has on its way, and in blobs and layers.
fn stored(rig: &Rig) -> [usize; 3] {
    let count = |part: &str| {
        let dir = rig.state().join("node/images").join(part);
        std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())).count()
    };
    ["ingest", "blobs/sha256", "layers"].map(count)
}

/// Watches a directory from this call on; the future ends when something was written there.
fn written(dir: &Path) -> impl Future<Output = ()> + use<> {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let notices = Inotify::init(InitFlags::IN_CLOEXEC).expect("inotify");
    notices.add_watch(dir, AddWatchFlags::IN_MODIFY).expect("watched");
    async move {
        let read = tokio::task::spawn_blocking(move || notices.read_events().map(drop));
        timeout(PATIENCE, read).await.expect("in time").expect("no panic").expect("read");
    }
}

/// A small file system of its own in a directory, taken away however the test ends.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(dir: &Path, size: &str) -> Mounted {
        let options = format!("size={size}");
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .expect("a small tmpfs");
        Mounted(dir.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        match std::thread::panicking() {
            // Whatever the failed test left running has it still.
            true => drop(umount2(&self.0, MntFlags::MNT_DETACH)),
            false => umount2(&self.0, MntFlags::empty()).expect("nothing uses it any more"),
        }
    }
}

/// A `deploy push` of that path.
fn pushing(rig: &Rig, name: &str, path: &str) -> Child {
    Command::new(bin("deploy"))
        .args(["push", name, path])
        .env("DEPLOY_ADDR", rig.address().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("deploy starts")
}

/// Waits until it has come as far as that; one that ends before is told with its reason.
async fn comes_to(begun: impl Future<Output = ()>, push: &mut Child) {
    tokio::select! {
        () = begun => {}
        status = push.wait() => {
            let (mut words, mut err) = (String::new(), push.stderr.take().expect("piped"));
            err.read_to_string(&mut words).await.expect("read");
            panic!("it ended before: {status:?}: {words}");
        }
    }
}

/// What it ended with, and what it said on standard error.
async fn ended(push: Child) -> (Option<i32>, String) {
    let output = timeout(PATIENCE, push.wait_with_output()).await;
    let output = output.expect("it ends").expect("waited");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_ends_with_ctrl_c_or_a_verb_and_leaves_nothing() {
    let rig = Rig::start().await;
    let dir = large(&rig, 1024);
    let path = dir.to_str().expect("UTF-8");
    let ingest = rig.state().join("node/images/ingest");

    let begun = written(&ingest);
    let mut push = pushing(&rig, "web:v1", path);
    comes_to(begun, &mut push).await;
    let pid = i32::try_from(push.id().expect("it runs")).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("told");
    let (code, err) = ended(push).await;
    assert_eq!(code, Some(130), "{err}");
    assert!(err.ends_with("  given up: nothing of web:v1 is kept\n"), "{err}");
    assert_eq!(stored(&rig), [0; 3]);

    // One that is killed has no last word.
    let begun = written(&ingest);
    let mut push = pushing(&rig, "web:v1", path);
    comes_to(begun, &mut push).await;
    push.kill().await.expect("killed");
    let given_up = "push web:v1: web:v1 was given up, nothing of it is kept";
    let failed = "push web:v1 failed: web:v1 was given up";
    rig.until("events", |text| text.matches(failed).count() == 2).await;
    assert_eq!(stored(&rig), [0; 3]);

    // The same by files.
    let client = rig.client().await;
    let line = format!("push web:v1 {path}\n");
    let begun = written(&ingest);
    let push = tokio::spawn(async move { client.write("ctl", line.as_bytes()).await });
    begun.await;
    let again = rig.echo(&format!("push web:v1 {path}"), "ctl").await.expect_err("one at a time");
    assert!(
        again.contains("web:v1 is being pushed; wait for it, or cancel-push web:v1"),
        "{again}"
    );
    rig.echo("cancel-push web:v1", "ctl").await.expect("taken");
    let refused = push.await.expect("no panic").expect_err("given up").to_string();
    assert_eq!(refused, given_up);
    assert_eq!(stored(&rig), [0; 3]);
    let late = rig.echo("cancel-push web:v1", "ctl").await.expect_err("none goes on");
    assert!(late.contains("no push of web:v1 goes on"), "{late}");

    // Somebody else's word is no interrupt of one's own, and a name without a tag has one.
    let begun = written(&ingest);
    let mut push = pushing(&rig, "web", path);
    comes_to(begun, &mut push).await;
    rig.echo("cancel-push web:latest", "ctl").await.expect("taken");
    let (code, err) = ended(push).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("web:latest was given up, nothing of it is kept"), "{err}");
    rig.push(&["v1"]).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_outlived_its_server_is_given_up_at_the_next_one() {
    let mut rig = Rig::start().await;
    let dir = large(&rig, 1024);
    let path = dir.to_str().expect("UTF-8");
    let begun = written(&rig.state().join("node/images/ingest"));
    let mut push = pushing(&rig, "web:v1", path);
    comes_to(begun, &mut push).await;
    rig.kill_server().await;
    let (code, err) = ended(push).await;
    assert_eq!(code, Some(69), "{err}");
    rig.serve().await;
    let again = rig.echo(&format!("push web:v1 {path}"), "ctl").await.expect_err("it goes on");
    assert!(
        again.contains("web:v1 is being pushed: wait for it, or cancel-push web:v1"),
        "{again}"
    );
    rig.echo("cancel-push web:v1", "ctl").await.expect("taken");
    rig.until("events", |text| text.contains("push web:v1 failed: web:v1 was given up")).await;
    assert_eq!(stored(&rig), [0; 3]);
    let late = rig.echo("cancel-push web:v1", "ctl").await.expect_err("none goes on");
    assert!(late.contains("cancel-push web:v1: no push of web:v1 goes on"), "{late}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_server_that_has_just_been_started_waits_for_its_node() {
    let mut rig = Rig::start().await;
    rig.end_server().await;
    end_node(&rig).await;
    rig.serve_until("listening on").await;
    rig.push(&["v1"]).await;
    assert!(rig.cat("images").await.starts_with("web:v1 sha256:"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_server_or_node_ends_is_whole_or_not_there() {
    let mut rig = Rig::start().await;
    let dir = large(&rig, 1024);
    let ingest = rig.state().join("node/images/ingest");
    let path = dir.to_str().expect("UTF-8");
    // The node is told to end: it is given up, and the next node has nothing of it.
    let begun = written(&ingest);
    let mut push = pushing(&rig, "web:v1", path);
    comes_to(begun, &mut push).await;
    let events = rig.cat("events").await.matches(" answers").count();
    kill(rig.node_pid(), Signal::SIGTERM).expect("told");
    let (code, err) = ended(push).await;
    assert!(code == Some(1) && err.contains("push"), "{code:?} {err}");
    rig.until("events", |text| text.matches(" answers").count() > events).await;
    assert_eq!(stored(&rig), [0; 3]);
    assert_eq!(rig.cat("images").await, "");

    // The server is told to end: the push goes on at the node, and the next server hears its end.
    large(&rig, 256);
    let begun = written(&ingest);
    let mut push = pushing(&rig, "web:v1", path);
    comes_to(begun, &mut push).await;
    rig.end_server().await;
    let (code, err) = ended(push).await;
    // Lost in the middle, unless it had ended by then.
    assert!([Some(69), Some(0)].contains(&code), "{err}");
    rig.serve().await;
    let images = rig.until("images", |text| text.starts_with("web:v1 sha256:")).await;
    assert!(images.contains("268435456"), "{images}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_takes_pushed_names_too_and_lists_them_with_their_bytes() {
    let mut rig = Rig::start().await;
    rig.push(&["v1", "v2", "v3"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig.manifest("api", &web("web:v2")).await.expect("right");
    // One that is far from right, and as long as a path may be.
    let long = format!("oci:/{}", "a".repeat(4094));
    rig.manifest("long", &web(&long)).await.expect("right");
    // They are new: whoever pushed them may be about to use them.
    let told = rig.deploy(&["gc"]).await;
    assert!(told.err.contains("  0 images removed, 0 bytes freed"), "{told:?}");
    assert_eq!(told.fine(), "");

    // An hour later, which is a word in a file to the node.
    rig.end_server().await;
    end_node(&rig).await;
    let tags = rig.state().join("node/images/tags");
    let text = std::fs::read_to_string(&tags).expect("read");
    let mut names: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for tag in names["references"].as_object_mut().expect("names").values_mut() {
        tag["at_s"] = (tag["at_s"].as_u64().expect("seconds") - 3700).into();
    }
    std::fs::write(&tags, names.to_string()).expect("written");
    rig.serve().await;
    rig.until("active/web/replicas", |text| text == "3/3").await;

    let told = rig.deploy(&["gc"]).await;
    assert!(told.err.contains("  1 images removed, "), "{told:?}");
    let text = told.fine();
    let rows: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["REFERENCE", "DIGEST", "BYTES"], "{text}");
    assert_eq!((rows.len(), rows[1][0]), (2, "web:v3"), "{text}");
    assert!(rows[1][2].parse::<u64>().expect("bytes") > 100_000, "{text}");
    let images = rig.cat("images").await;
    assert!(images.contains("web:v1 ") && images.contains("web:v2 "), "{images}");
    assert!(!images.contains("web:v3"), "{images}");
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.deploy(&["apply", "api"]).await.fine();
    rig.end().await;
}

/// Has the node end as an upgrade does.
async fn end_node(rig: &Rig) {
    kill(rig.node_pid(), Signal::SIGTERM).expect("told");
    let lock = std::fs::File::open(rig.state().join("node/lock")).expect("the node's lock");
    // The node holds it for as long as it lives.
    let gone = tokio::task::spawn_blocking(move || lock.lock());
    timeout(PATIENCE, gone).await.expect("in time").expect("no panic").expect("locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_never_pushed_is_told_with_those_that_were() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &web("web:v9")).await.expect("right");
    let told = rig.deploy(&["apply", "web"]).await;
    told.refused(4, "no image web:v9 was pushed here (there are web:v1, web:v2), and ");
    told.refused(4, "; push it: deploy push web:v9 DIR");
    assert_eq!(rig.wait("web").await.matches("docker.io/library/web:v9").count(), 1);
    assert_eq!(rig.wait("web").await.lines().count(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_fit_is_no_room_for_a_push_and_for_an_apply() {
    let dir = tempfile::Builder::new().prefix("deploy-test-").tempdir().expect("tempdir");
    let state = dir.path().canonicalize().expect("canonical");
    let _mounted = Mounted::tmpfs(&state, "256m");
    let rig = Rig::at(state.clone()).await;
    let large = large(&rig, 1024);
    let client = rig.client().await;
    let mut watch = client.open("watch", Mode::Read).await.expect("watch");
    let told = rig.deploy(&["push", "web:v1", large.to_str().expect("UTF-8")]).await;
    told.refused(8, "no room: needs 2215 MB");
    told.refused(8, &format!(" MB free on {}", state.join("node/images").display()));
    assert_eq!(stored(&rig), [0; 3]);

    // An archive of the same that is unpacked by an apply.
    let archive = state.join("layout");
    layout(&archive, 200);
    rig.manifest("web", &web(&format!("oci:{}", archive.display()))).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(8, "no room: needs ");
    let events = watch.read_next(8192).await.expect("events");
    assert!(String::from_utf8_lossy(&events).contains("web pulling oci:"), "{events:?}");
    rig.end().await;
}

/// An OCI layout of one plain layer that its documents say is of so many megabytes.
fn layout(dir: &Path, megabytes: u64) {
    use std::fmt::Write as _;
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("made");
    let put = |text: String| {
        use sha2::Digest as _;
        let mut hex = String::new();
        sha2::Sha256::digest(&text).iter().for_each(|b| write!(hex, "{b:02x}").expect("a string"));
        std::fs::write(blobs.join(&hex), &text).expect("written");
        (format!("sha256:{hex}"), text.len())
    };
    let layer = format!("sha256:{}", "7".repeat(64));
    let (os, size) = ("linux", megabytes << 20);
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = serde_json::json!({
        "os": os, "architecture": arch, "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    let (config, length) = put(config.to_string());
    let kind = |what: &str| format!("application/vnd.oci.image.{what}");
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": kind("manifest.v1+json"),
        "config": {"mediaType": kind("config.v1+json"), "digest": config, "size": length},
        "layers": [{"mediaType": kind("layer.v1.tar"), "digest": layer, "size": size}],
    });
    let (manifest, length) = put(manifest.to_string());
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{"mediaType": kind("manifest.v1+json"), "digest": manifest, "size": length}],
    });
    std::fs::write(dir.join("index.json"), index.to_string()).expect("written");
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
}

//! What goes wrong is told once, clearly, in the right place, and changes nothing.

use crate::rig::{Rig, bin, web};
use crate::traces;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_manifest_is_refused_with_every_error_and_its_line() {
    let rig = Rig::start().await;
    let file = rig.state().join("web");
    std::fs::write(&file, "image web:v1\nreplicas many\ncpu -1\nreplica 3\n").expect("written");
    let told = rig.deploy(&["apply", "-f", file.to_str().expect("UTF-8")]).await;
    told.refused(65, "web:2:10:");
    told.refused(65, "web:3:5:");
    assert!(rig.client().await.list("active").await.expect("listed").is_empty());

    // The same through files: kept for an editor, refused at apply, told in `error`.
    let text = std::fs::read_to_string(&file).expect("read");
    rig.manifest("web", &text).await.expect_err("errors are told at the close");
    assert_eq!(rig.cat("manifests/web").await, text.trim_end());
    let refused = rig.echo("apply", "active/web/ctl").await.expect_err("refused");
    assert!(refused.contains("line 2, column 10") && refused.contains("line 3"), "{refused}");
    assert!(rig.cat("active/web/error").await.contains("line 2, column 10"));
    assert!(rig.cat("error").await.contains("line 3"));
    assert_eq!(rig.cat("active/web/update_status").await, "none");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_service_or_verb_is_named() {
    let rig = Rig::start().await;
    rig.deploy(&["pause", "nobody"]).await.refused(1, "nobody: does not exist");
    rig.deploy(&["aply", "web"]).await.refused(64, "apply");
    let refused = rig.echo("puase web", "ctl").await.expect_err("refused");
    assert!(refused.contains("unknown verb \"puase\""), "{refused}");
    assert!(rig.cat("error").await.contains("puase"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_fails_at_once_and_leaves_what_runs() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig.manifest("web", &web("127.0.0.1:9/none:v2")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(4, "127.0.0.1:9/none:v2");
    rig.manifest("web", &web("dir:/nowhere/at/all")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(4, "/nowhere/at/all");
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");

    // One that never ran is removed at once, and that is told as any other removal.
    rig.manifest("lost", &web("127.0.0.1:9/none:v2")).await.expect("right");
    rig.deploy(&["apply", "lost"]).await.refused(4, "127.0.0.1:9/none:v2");
    rig.deploy(&["remove", "lost"]).await.fine();
    let status = rig.cat("status").await;
    assert!(!status.contains("lost"), "{status}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_in_the_image_fails_by_its_name() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &(web("web:v1") + "command nope --now\n")).await.expect("right");
    let told = rig.deploy(&["apply", "web"]).await;
    told.refused(4, "nope");
    assert!(rig.cat("active/web/events").await.contains("nope"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_never_opens_fails_at_the_deadline_with_the_last_answer() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    let text = "image web:v1\nport 8081\nenv LISTEN=elsewhere\nhealth tcp 9999\n\
                health_deadline 2\nstop_timeout 1\nmemory 64M\n";
    rig.manifest("web", text).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(4, "health check timeout after 2");
    let events = rig.cat("active/web/events").await;
    assert!(events.contains("last probe: ") && events.contains("refused"), "{events}");
    rig.until("active/web/events", |text| text.contains("log: ")).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_before_anything_is_touched() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &(web("web:v1").replace("cpu 0.1", "cpu 500"))).await.expect("right");
    let told = rig.deploy(&["apply", "web"]).await;
    told.refused(8, "no room");
    told.refused(8, "cpu");
    assert!(rig.client().await.list("active/web/instances").await.expect("listed").is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_what_runs_goes_on() {
    let dir = tempfile::Builder::new().prefix("deploy-test-").tempdir().expect("tempdir");
    let state = dir.path().canonicalize().expect("canonical");
    mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), Some("size=512m"))
        .expect("a small tmpfs");
    let rig = Rig::at(state.clone()).await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig.manifest("web", &web("web:v2")).await.expect("right");

    let stuff = state.join("stuff");
    let mut file = std::fs::File::create(&stuff).expect("created");
    let chunk = [7_u8; 65536];
    while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    rig.deploy(&["push", "web:v3", bin("web-v3").to_str().expect("UTF-8")])
        .await
        .refused(8, "no room");
    // Nothing is begun of which it is not known that its end can be saved.
    for words in [&["apply", "web"][..], &["scale", "web", "2"], &["restart", "web"]] {
        rig.deploy(words).await.refused(8, "no space left on the disk");
    }
    let stands = ["active/web/update_status", "active/web/replicas", "active/web/target_version"];
    for (file, text) in stands.iter().zip(["none", "3/3", ""]) {
        assert_eq!(rig.cat(file).await, text, "{file}");
    }

    // Room again: everything works again, without a restart of anything.
    // Emptied first: a child of another test may hold the descriptor until it executes.
    file.set_len(0).expect("emptied");
    drop(file);
    std::fs::remove_file(&stuff).expect("removed");
    rig.deploy(&["apply", "web"]).await.fine();
    rig.push(&["v3"]).await;
    rig.end().await;
    umount2(&state, MntFlags::empty()).expect("nothing uses it any more");
    assert!(traces::left(&state).is_empty());
}

#[test]
fn without_root_the_server_says_so_in_one_line() {
    let (_dir, program) = copy_for_all(&bin("deployfs"));
    let told = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["-r", "/tmp/deploy-test-nobody"])
        .stdin(Stdio::null())
        .output()
        .expect("setpriv of util-linux");
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8_lossy(&told.stderr);
    assert!(text.contains("must be root") && text.trim_end().lines().count() == 1, "{text}");
    assert!(!std::path::Path::new("/tmp/deploy-test-nobody").exists());
}

/// A copy in a directory that everybody may enter: the build's may be closed to others.
fn copy_for_all(program: &std::path::Path) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("tempdir");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), all).expect("opened");
    let copy = dir.path().join("deployfs");
    std::fs::copy(program, &copy).expect("copied");
    (dir, copy)
}

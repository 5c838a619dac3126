//! Data that lasts: configuration, named volumes, directories of the machine.

use crate::rig::{Rig, Told};
use std::path::PathBuf;

/// A service of busybox that appends a line to a file on its volume and then waits.
fn service(volumes: &str, says: &str) -> String {
    format!(
        "image box:1\ncpu 0.1\nmemory 64M\nstop_timeout 1\nvalidate 0\n{volumes}\n\
         command /bin/busybox sh -c 'echo {says} >>/data/file; exec /bin/busybox sleep 1000'\n"
    )
}

/// Files of the tests in a directory that the server may give to instances.
fn below(rig: &Rig, name: &str) -> PathBuf {
    let dir = rig.state().join(name);
    std::fs::create_dir_all(&dir).expect("made");
    dir
}

/// An image with busybox in it.
async fn push(rig: &Rig) {
    let root = below(rig, "box");
    let bin = below(rig, "box/bin");
    std::fs::copy("/bin/busybox", bin.join("busybox")).expect("Debian's busybox-static");
    std::fs::create_dir_all(root.join("tmp")).expect("made");
    rig.deploy(&["push", "box:1", root.to_str().expect("UTF-8")]).await.fine();
}

async fn apply(rig: &Rig, name: &str, text: &str) -> Told {
    let path = rig.state().join(name);
    std::fs::write(&path, text).expect("written");
    rig.deploy(&["apply", "-f", path.to_str().expect("UTF-8")]).await
}

/// What is in the volume, by the node's word on where it lies.
fn data(rig: &Rig, volume: &str) -> String {
    let path = rig.state().join("node/volumes").join(volume).join("file");
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_volume_survives_updates_rollbacks_restarts_and_its_service() {
    let mut rig = Rig::start().await;
    push(&rig).await;
    let volume = "volume data /data 10M";
    apply(&rig, "db", &service(volume, "one")).await.fine();
    assert_eq!(data(&rig, "data"), "one\n");

    // One writer: all stop before one starts, and it is told why.
    let told = apply(&rig, "db", &service(volume, "two")).await;
    let why = "volume data has one writer and is not shared";
    assert!(told.code == 0 && told.err.contains(why), "{told:#?}");
    let events = rig.cat("active/db/events").await;
    assert!(events.contains(&format!("replaces all at once: {why}")), "{events}");
    assert_eq!(data(&rig, "data"), "one\ntwo\n");
    rig.deploy(&["rollback", "db"]).await.fine();
    assert_eq!(data(&rig, "data"), "one\ntwo\none\n");
    rig.deploy(&["restart", "db"]).await.fine();
    rig.kill_server().await;
    rig.serve().await;
    assert_eq!(data(&rig, "data"), "one\ntwo\none\none\n");

    let told = rig.cat("volumes/data").await;
    assert!(told.starts_with("state=in use\n") && told.contains("\nsize=10M\n"), "{told}");
    let refused = "volume data is in use by service db, version v";
    rig.deploy(&["volume", "delete", "data"]).await.refused(1, refused);
    rig.deploy(&["remove", "db"]).await.fine();
    assert_eq!(data(&rig, "data"), "one\ntwo\none\none\n");
    apply(&rig, "db", &service(volume, "three")).await.fine();
    assert_eq!(data(&rig, "data"), "one\ntwo\none\none\nthree\n");

    rig.deploy(&["remove", "db"]).await.fine();
    let listed = rig.deploy(&["volume", "list"]).await.fine();
    assert!(listed.contains("data") && listed.contains("free"), "{listed}");
    rig.deploy(&["volume", "delete", "data"]).await.fine();
    assert!(!rig.state().join("node/volumes/data").exists());
    assert_eq!(rig.client().await.list("volumes").await.expect("listed").len(), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_instances_goes_with_them_and_a_shared_one_is_updated_beside_the_old() {
    let rig = Rig::start().await;
    push(&rig).await;
    let volumes = "volume data /data shared\nvolume scratch /scratch ephemeral 1M";
    apply(&rig, "web", &service(volumes, "one")).await.fine();
    let told = apply(&rig, "web", &service(volumes, "two")).await;
    assert!(told.code == 0 && told.err.contains("rolling, batch 1"), "{told:#?}");
    assert_eq!(data(&rig, "data"), "one\ntwo\n");
    assert!(!rig.state().join("node/volumes/scratch").exists());
    let id = rig.of_instance("active/web/instances/0", "id").await;
    let own = rig.state().join("node/instances").join(&id).join("volumes/scratch");
    assert!(own.exists());
    rig.deploy(&["remove", "web"]).await.fine();
    rig.until("events", |_| !own.exists()).await;
    // Two writers want it, and one does not share it.
    apply(&rig, "a", &service("volume data /data shared", "a")).await.fine();
    let told = apply(&rig, "b", &service("volume data /data", "b")).await;
    told.refused(1, "volume data is of service a, and has one writer unless both say shared");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_a_part_of_the_version_and_rollback_gives_it_back() {
    let rig = Rig::start().await;
    push(&rig).await;
    let text = |value: &str| {
        format!(
            "image box:1\ncpu 0.1\nmemory 64M\nstop_timeout 1\nvalidate 0\nuser 1000\n\
             config app.ini='k = {value}'\n\
             command /bin/busybox sh -c '/bin/busybox cat /config/app.ini; \
             echo x >/config/app.ini || echo shut; exec /bin/busybox sleep 1000'\n"
        )
    };
    apply(&rig, "web", &text("one")).await.fine();
    let first = rig.cat("active/web/version").await;
    apply(&rig, "web", &text("two")).await.fine();
    assert_ne!(rig.cat("active/web/version").await, first);
    rig.deploy(&["rollback", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/version").await, first);
    let log = rig.until("active/web/log", |log| log.matches("shut").count() == 3).await;
    let said: Vec<&str> = log.lines().filter_map(|line| line.split("stdout ").nth(1)).collect();
    assert_eq!(said, ["k = oneshut", "k = twoshut", "k = oneshut"], "{log}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_the_machine_is_given_below_what_the_server_allows() {
    let mut rig = Rig::start().await;
    push(&rig).await;
    let www = below(&rig, "www");
    std::fs::write(www.join("page"), "hello").expect("written");
    let text = |dir: &str| {
        format!(
            "image box:1\ncpu 0.1\nmemory 64M\nstop_timeout 1\nvalidate 0\n\
             volume host:{dir} /m ro\n\
             command /bin/busybox sh -c '/bin/busybox cat /m/page; echo x >/m/new || echo shut; \
             exec /bin/busybox sleep 1000'\n"
        )
    };
    let www = www.to_str().expect("UTF-8").to_string();
    let refused = "is not below a directory that this server allows (deployfs --allow-host)";
    apply(&rig, "web", &text(&www)).await.refused(1, refused);
    rig.kill_server().await;
    let allowed: &'static str = Box::leak(www.clone().into_boxed_str());
    rig.serve_with(Box::leak(Box::new(["--no-edge", "--allow-host", allowed]))).await;
    apply(&rig, "web", &text("/etc")).await.refused(1, refused);
    apply(&rig, "web", &text(&www)).await.fine();
    rig.until("active/web/log", |log| log.contains("hello") && log.contains("shut")).await;
    rig.end().await;
}

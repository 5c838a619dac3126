//! The tree as a user finds it.

use crate::rig::{Rig, web};
use deployfs::table::{File, Shape, TREE};
use ninep::client::{Client, Mode};

/// Reads a whole tree, and gives the path of every file in it.
async fn walk(client: &Client) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for stat in client.list(&dir).await.unwrap_or_else(|e| panic!("{dir}: {e}")) {
            let name = String::from_utf8_lossy(&stat.name).into_owned();
            let path = format!("{dir}/{name}").trim_start_matches('/').to_string();
            if stat.kind == ninep::Kind::Dir {
                dirs.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_there_and_every_readable_file_reads() {
    let rig = Rig::with_edge().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let client = rig.client().await;
    let number = rig.cat("tasks/clone").await;
    for path in ["jobs/say", &format!("tasks/{number}/spec")] {
        client.put(path, b"image web:v1\n").await.expect("right");
    }
    let paths = walk(&client).await;
    for row in TREE.iter().filter(|row| row.file != File::Root && !row.varies()) {
        let there = paths.iter().any(|path| path.rsplit('/').next() == Some(row.name()));
        assert!(there, "{} is not in {paths:#?}", row.line);
    }
    for path in &paths {
        let stat = client.stat(path).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        let name = path.rsplit('/').next().unwrap_or_default();
        let waits = TREE.iter().any(|row| row.shape == Shape::Wait && row.name() == name);
        if stat.kind != ninep::Kind::Dir && stat.mode & 0o444 != 0 && !waits {
            let text = client.read(path).await.unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(text.is_empty() || text.ends_with(b"\n"), "{path} ends without a newline");
            let grows = TREE.iter().any(|row| {
                let told = matches!(row.name(), "events" | "audit");
                row.shape == Shape::Grow && path.ends_with(row.name()) && told
            });
            let written = ["manifests/", "jobs/"].iter().any(|dir| path.starts_with(dir));
            let true_length = grows || written || path.ends_with("/spec");
            let length = if true_length { text.len() } else { 0 };
            if !path.ends_with("log") {
                assert_eq!(stat.length, length as u64, "{path}");
            }
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_each_event_of_an_update_and_a_log_what_instances_wrote() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    let client = rig.client().await;
    let mut watch = client.open("active/web/watch", Mode::Read).await.expect("watch");
    rig.echo("apply", "active/web/ctl").await.expect("accepted");
    let mut seen = String::new();
    while !seen.contains("done update v1") {
        let bytes = watch.read_next(8192).await.expect("more");
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    for wanted in ["pulling", "0: scheduled on", "1: starting", "2: healthy"] {
        assert!(seen.contains(wanted), "{wanted} is not in\n{seen}");
    }
    let log = rig.cat("active/web/log").await;
    assert_eq!(log.matches("v1 serves port 8080").count(), 3, "{log}");
    let one = rig.cat("active/web/instances/0/log").await;
    assert_eq!(one.matches("v1 serves port 8080").count(), 1, "{one}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_s_way_of_writing_works_in_manifests() {
    let rig = Rig::start().await;
    let client = rig.client().await;
    client.put("manifests/.web.swp", b"something of an editor's").await.expect("kept");
    client.put("manifests/web.new", web("web:v1").as_bytes()).await.expect("kept");
    client.rename("manifests/web.new", "web").await.expect("renamed");
    client.remove("manifests/.web.swp").await.expect("removed");
    assert_eq!(rig.cat("manifests/web").await, web("web:v1").trim_end());
    let names = client.list("manifests").await.expect("listed");
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(rig.cat("active/web/version").await, "");
    client.remove("manifests/web").await.expect("removed");
    assert!(client.list("active").await.expect("listed").is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readme_s_tree_and_verbs_are_those_of_the_server() {
    let readme = include_str!("../../README");
    for row in TREE.iter().filter(|row| row.file != File::Root) {
        let line = &row.line[2..];
        assert!(
            readme.lines().any(|l| l.starts_with(&format!("\t{line} ")) && l.contains(row.meaning)),
            "README's tree lacks: {line} {}",
            row.meaning
        );
    }
    for verb in deployfs::verbs::VERBS {
        let usage = deployfs::verbs::usage(verb, false);
        assert!(readme.contains(&usage), "README lacks the verb: {usage}");
    }
}

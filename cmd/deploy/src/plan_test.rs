//! Two manifests, and what apply is said to do with them.

use super::*;
use crate::room::Node;

const DIGEST: &str = "sha256:ab12ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn deployed(text: &str) -> Deployed {
    let head = format!("# version ab12cd34ef56 v7\n# image {DIGEST}\n");
    let manifest = manifest::parse("web", text).manifest.unwrap();
    let runs = manifest.replicas;
    Deployed { past: Past::read(head + text), manifest, unsettled: false, runs }
}

fn plan(old: Option<&str>, new: &str) -> Plan {
    let new = manifest::parse("web", new).manifest.unwrap();
    let mut plan = Plan::new("web", old.map(deployed).as_ref(), &new);
    let node = Node { name: "node-1".to_string(), cpu_milli: 1000, memory_bytes: 10_000_000_000 };
    if let Some(room) = plan.room_mut() {
        room.nodes = vec![node];
    }
    plan
}

#[track_caller]
fn check(old: Option<&str>, new: &str, want: &str) {
    let plan = plan(old, new);
    let bare: Vec<String> = plan.text().lines().map(squeeze).collect();
    assert_eq!(bare.join("\n"), want.trim_end());
}

/// One blank where several make columns; the indentation stays.
fn squeeze(line: &str) -> String {
    let indent = if line.starts_with("  ") { "  " } else { "" };
    indent.to_string() + &line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_equal_manifest_changes_nothing() {
    let web = "image app:1.8\nreplicas 4\n";
    check(
        Some(web),
        "replicas 4 # as it was\nimage app:1.8\n",
        "web: v7 unchanged\n  app:1.8 is resolved when it is applied; if its tag moved, \
         instances restart",
    );
    assert!(!plan(Some(web), web).is_change());
}

#[test]
fn another_image_is_rolled_out_with_room_for_the_surge() {
    check(
        Some("image app:1.8\nreplicas 4\n"),
        "image app:1.9\nreplicas 4\n",
        "web: v7 → new rolling, batch 1, never fewer than 4\n  \
         ~ image app:1.8 → app:1.9 restarts instances\n  \
         room: for 1 instance more (cpu 0.25, memory 256M); node-1 takes 4",
    );
}

#[test]
fn what_instances_never_see_is_changed_in_place() {
    check(
        Some("image app:1.8\n"),
        "image app:1.8\nreplicas 3\nupdate_pause 5\n",
        "web: v7 → new in place, nothing restarts\n  + replicas 3 in place\n  \
         + update_pause 5 in place\n  app:1.8 is resolved when it is applied; if its tag moved, \
         instances restart\n  room: for 2 instances more (cpu 0.25, memory 256M); node-1 takes 4",
    );
}

#[test]
fn too_little_room_is_told_with_what_is_free() {
    check(
        None,
        "image app:1.9\nreplicas 3\ncpu 0.5\n",
        "web: new first deploy, 3 instances\n  \
         no room: for 3 instances more (cpu 0.5, memory 256M); node-1 takes 2 \
         (free: cpu 1, memory 10G)",
    );
}

#[test]
fn a_stateful_service_is_replaced() {
    check(
        Some("image db:1\nupdate replace\nstop_timeout 20\n"),
        "image db:1\nupdate replace\nstop_timeout 20\nenv A=1\n",
        "web: v7 → new replace, all old ones stop before new ones start; requests wait for at \
         most 75 s\n  + env A 1 restarts instances\n  db:1 is resolved when it is applied; if its \
         tag moved, instances restart",
    );
}

#[test]
fn a_service_that_is_stopped_is_started_and_not_changed_in_place() {
    let plan = |new: &str| {
        let old = Deployed { runs: 0, ..deployed("image app:1.8\nreplicas 2\n") };
        Plan::new("web", Some(&old), &manifest::parse("web", new).manifest.unwrap())
    };
    let same = plan("image app:1.8\nreplicas 2\n");
    assert!(same.is_change() && same.text().starts_with("web: v7  start, 2 instances; it is stop"));
    let more = plan("image app:1.8\nreplicas 3\n");
    assert!(more.text().starts_with("web: v7 → new  start, 3 instances; it is stopped\n"));
    assert_eq!(more.json()["effect"], "start");
    // Nobody stopped what was scaled to nothing.
    let none = "image app:1.8\nreplicas 0\n";
    assert!(!Plan::new("web", Some(&deployed(none)), &deployed(none).manifest).is_change());
}

#[test]
fn diff_shows_both_sides_of_every_key() {
    let plan = plan(Some("image app:1.8\nenv A=1\n"), "image app:1.9\nenv A=2\nenv B=3\n");
    let want = "--- web v7\n+++ web (web.new)\n-image app:1.8\n+image app:1.9\n-env A 1\n\
                +env A 2\n+env B 3\n";
    assert_eq!(plan.diff("web.new"), want);
    let json = plan.json();
    assert_eq!(json["effect"], "rolling");
    assert_eq!(json["changes"][0]["new"], "app:1.9");
}

#[test]
fn an_update_that_replaces_for_the_sake_of_a_volume_says_so() {
    check(
        Some("image app:1.8\nvolume data /d\n"),
        "image app:1.9\nvolume data /d\n",
        "web: v7 → new replace, all old ones stop before new ones start; requests wait for at most \
         65 s; because volume data has one writer and is not shared\n  \
         ~ image app:1.8 → app:1.9 restarts instances",
    );
    let shared = "image app:1.9\nvolume data /d shared\n";
    assert!(
        plan(Some("image app:1.8\nvolume data /d shared\n"), shared).text().contains("rolling")
    );
}

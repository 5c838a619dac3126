//! What changed, and what that costs.

use super::whole_manifest;
use crate::diff::{diff, outcome};

/// Two texts without their image; the changes, a line each, and what they need together.
#[track_caller]
fn check(old: &str, new: &str, wanted: &str) {
    let read = |text: &str| whole_manifest(&format!("image app:1\n{text}"));
    let changes = diff(&read(old), "sha256:a", &read(new), "sha256:a");
    let mut got = String::new();
    for change in &changes {
        let words = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
        let (old, new) = (words(&change.old), words(&change.new));
        got += &format!("{}: {old} → {new} {:?}\n", change.key, change.effect);
    }
    got += &format!("{:?}", outcome(&changes));
    assert_eq!(got, wanted);
}

#[test]
fn equal_meaning_is_unchanged() {
    check("port 80", "health tcp\nport 80 # web", "Unchanged");
    check("source a\nbuild make a", "source ../b\nbuild make b", "Unchanged");
    check("route a.b /\nroute c.d /\nport 1", "port 1\nroute c.d /\nroute a.b /", "Unchanged");
}

#[test]
fn what_no_instance_has_to_restart_for_is_applied_in_place() {
    check("replicas 2", "replicas 3", "replicas: 2 → 3 InPlace\nInPlace");
    check("", "update_batch 50%", "update_batch: - → 50% InPlace\nInPlace");
    check(
        "health_interval 5",
        "stop_timeout 5\nlog_size 1M",
        "health_interval: 5 → - NewOnes\nstop_timeout: - → 5 InPlace\n\
         log_size: - → 1M 5 NewOnes\nInPlace",
    );
    check(
        "port 1\nroute a.b /",
        "port 1\nroute a.b /x",
        "route: a.b / → - InPlace\nroute: - → a.b /x InPlace\nInPlace",
    );
}

#[test]
fn what_instances_see_is_an_update() {
    check("cpu 1", "cpu 2\nreplicas 2", "replicas: - → 2 InPlace\ncpu: 1 → 2 Restart\nUpdate");
    check("", "command sh -c 'a b'", "command: - → sh -c 'a b' Restart\nUpdate");
    check("cap_drop KILL", "cap_drop KILL CHOWN", "cap_drop: KILL → CHOWN KILL Restart\nUpdate");
}

#[test]
fn the_environment_changes_variable_by_variable() {
    check(
        "env A=1\nenv B=2\nenv C=3",
        "env A=1\nenv B=x\nenv D='4 5'",
        "env B: 2 → x Restart\nenv C: 3 → - Restart\nenv D: - → '4 5' Restart\nUpdate",
    );
}

#[test]
fn an_image_is_its_digest_whatever_it_is_called() {
    let old = whole_manifest("image app:1\nport 80");
    let new = whole_manifest("image other:2\nport 80");
    assert_eq!(diff(&old, "sha256:a", &new, "sha256:a"), []);
    let changes = diff(&old, "sha256:a", &old, "sha256:b");
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].old.as_deref(), Some("app@sha256:a (app:1)"));
    assert_eq!(changes[0].new.as_deref(), Some("app@sha256:b (app:1)"));
}

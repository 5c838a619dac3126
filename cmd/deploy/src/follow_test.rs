//! One service followed against a small tree: from the verb to the last line.

use super::{Ask, Follower};
use crate::fake_tree::{Script, serve};
use crate::plain::Plain;
use crate::verb::Is;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

const TIME: &str = "2026-11-20T12:34:05Z";

fn script(lines: &[&str], outcome: &str) -> Script {
    let digest = format!("sha256:ab12{}", "0".repeat(60));
    let past = format!("# version cd v8\n# image {digest}\nimage app:1.9\nreplicas 4\n");
    let files = [
        ("active/web/manifest", "image app:1.8\nreplicas 4\n".to_string()),
        ("active/web/target_version", "cd\n".to_string()),
        ("active/web/version", "ab\n".to_string()),
        ("active/web/history/cd", past),
    ];
    let files: BTreeMap<String, String> =
        files.into_iter().map(|(path, text)| (path.to_string(), text)).collect();
    let lines = lines.iter().map(|line| format!("{TIME} {line}")).collect();
    Script { files, lines, outcome: outcome.to_string(), refusal: None }
}

/// Follows a verb against a script; gives its exit status and what was printed.
async fn run(verb: Is, line: &str, script: Script) -> (u8, String) {
    let (fake, link) = serve(script).await;
    let (sender, mut reports) = mpsc::channel(64);
    let (service, line) = ("web".to_string(), line.to_string());
    let ask = Ask {
        service,
        verb,
        line: line.clone(),
        lock: None,
        joint: None,
        detach: false,
        rows: false,
    };
    let follower = tokio::spawn(Follower::new(link, ask, sender).run());
    let (mut plain, mut printed) = (Plain::new(false, false), Vec::new());
    while let Some(report) = reports.recv().await {
        printed.extend(plain.take(0, &report).into_iter().map(|say| say.text));
    }
    assert_eq!(*fake.written.lock().unwrap(), [line]);
    (follower.await.unwrap().code(), printed.join("\n"))
}

#[track_caller]
fn check(verb: Is, line: &str, script: Script, exit: u8, want: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let got = runtime.block_on(run(verb, line, script));
    assert_eq!(got, (exit, want.join("\n")));
}

const HEADER: &str =
    "web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 1, never fewer than 4";

#[test]
fn an_update_is_followed_from_its_header_to_its_end() {
    let lines = [
        "pulling app:1.9",
        "rolling update started v7→v8",
        "4: scheduled on node-1",
        "4: healthy (0.2s)",
        "0: old instance stopped",
        "done update v7→v8 (0.9s)",
    ];
    check(
        Is::Apply,
        "apply",
        script(&lines, "done update v7→v8 (0.9s)"),
        0,
        &[
            HEADER,
            "  web: scheduled on node-1",
            "  web: healthy (0.2s)",
            "  web: old instance stopped",
            "  deployed (0.9s)            undo: deploy rollback web",
        ],
    );
}

#[test]
fn the_log_of_what_failed_is_read_where_no_event_told_it() {
    let ended = "failed update v7→v8 (3.0s): exited with code 1";
    let lines = ["rolling update started v7→v8", "4: failed: exited with code 1", ended];
    let mut script = script(&lines, ended);
    let log: String = (0..30).map(|n| format!("{TIME} stderr line {n}\n")).collect();
    script.files.insert("active/web/instances/4/log".to_string(), log);
    let mut want = vec![HEADER.to_string(), "  web: failed: exited with code 1".to_string()];
    want.extend((10..30).map(|n| format!("    {TIME} stderr line {n}")));
    want.push("  deploy failed".to_string());
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    check(Is::Apply, "apply", script, 4, &want);
}

#[test]
fn the_end_of_an_update_that_was_stopped_is_not_the_end_of_the_stop() {
    let lines = ["cancelled update v7→v8 (3.0s)", "stopping", "0: stopped", "done stop v7 (0.3s)"];
    check(
        Is::Stop,
        "stop",
        script(&lines, "done stop v7 (0.3s)"),
        0,
        &[
            "  web: cancelled update v7→v8 (3.0s)",
            "  web: stopping",
            "  web: instance stopped",
            "  web: stopped (0.3s)",
        ],
    );
}

#[test]
fn a_removed_service_is_followed_at_the_root() {
    let lines = ["web removing", "api 0: stopped", "web done remove v7 (0.3s)", "web removed"];
    check(
        Is::Remove,
        "remove",
        script(&lines, "done remove"),
        0,
        &["  web: removing", "  web: removed (0.3s)"],
    );
}

#[test]
fn an_outcome_without_its_event_ends_it_all_the_same() {
    let lines = ["rolling update started v7→v8"];
    let ended = "rolled back v8→v7 (3.0s): exited with code 1";
    check(
        Is::Apply,
        "apply",
        script(&lines, ended),
        3,
        &[HEADER, "  web: exited with code 1", "  deploy failed, rolled back to v7 (3.0s)"],
    );
}

#[test]
fn a_refused_verb_says_why_and_what_it_is_called() {
    let refusal = |text: &str| Script { refusal: Some(text.to_string()), ..script(&[], "none") };
    check(
        Is::Apply,
        "apply",
        refusal("apply: update to v8 in flight; wait for it, or cancel it first"),
        6,
        &["deploy: web: update to v8 in flight; wait for it, or cancel it first"],
    );
    check(
        Is::Scale,
        "scale 9",
        refusal("scale 9: no room: node-1: cpu"),
        8,
        &["deploy: web: no room: node-1: cpu"],
    );
}

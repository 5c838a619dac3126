//! Updates that fail, and versions that do not hold: what goes back, what is told, what stays.

use crate::rig::{Rig, bin};
use serde_json::Value;

/// A manifest of the program that goes wrong: probed four times a second, and gone at once.
pub(crate) fn fault(replicas: u32, more: &str) -> String {
    format!(
        "image fault:1\nreplicas {replicas}\nupdate_batch 4\nport 8080\nhealth http /health\n\
         health_interval 0.25\nhealth_timeout 0.2\nhealth_retries 2\nhealth_deadline 3\ndrain 1\n\
         stop_timeout 2\ncpu 0.1\nmemory 64M\n{more}"
    )
}

/// A server that has the program, with a service of it.
pub(crate) async fn with_fault(replicas: u32, more: &str) -> Rig {
    let rig = Rig::start().await;
    let path = bin("fault");
    rig.deploy(&["push", "fault:1", path.to_str().expect("UTF-8")]).await.fine();
    rig.manifest("web", &fault(replicas, more)).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig
}

/// The file in `history/` of a version by its number.
async fn past(rig: &Rig, number: &str) -> String {
    rig.deploy(&["history", "web", number]).await.fine()
}

/// The same as programs read it.
async fn past_json(rig: &Rig, number: &str) -> Value {
    let text = rig.deploy(&["--json", "history", "web", number]).await.fine();
    serde_json::from_str(&text).expect("one object")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_after_an_update_goes_back_once_and_not_again() {
    let rig = with_fault(2, "validate 2\nmax_restarts 9\n").await;
    let first = rig.cat("active/web/version").await;
    rig.until("active/web/events", |events| events.contains("v1 validated")).await;

    // It serves, and ends at its second probe, which comes late: the update is done before.
    let loops = fault(2, "validate 20\nmax_restarts 9\nenv LEAVE=3\n");
    let loops = loops.replace("health_interval 0.25", "health_interval 2");
    rig.manifest("web", &loops).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(0, "deployed");
    let back = "rolled back v2→v1";
    let events = rig.until("active/web/events", |events| events.contains(back)).await;
    assert!(events.contains("v2 does not hold: 3 exits"), "{events}");
    assert_eq!(rig.cat("active/web/version").await, first);
    rig.until("active/web/replicas", |text| text == "2/2").await;

    // What it was is told, and how the first deploy ended is not forgotten.
    let looped = past(&rig, "v2").await;
    assert!(looped.contains("# ended rolled back v2→v1"), "{looped}");
    assert!(looped.contains("done update v1→v2") && looped.contains("# exit 3"), "{looped}");
    assert!(looped.contains("# log ") && looped.contains("leaves with 3"), "{looped}");
    let good = past(&rig, "v1").await;
    assert!(good.contains("# ended done update v1 ("), "{good}");
    assert!(good.contains("rolled back v2→v1") && good.contains("# validated"), "{good}");
    assert_eq!(rig.cat("active/web/previous_version").await, "");
    rig.deploy(&["rollback", "web"]).await.refused(1, "no previous version");
    rig.deploy(&["rollback", "web", "v2"]).await.refused(1, "cannot be gone back to");

    // The one that was gone back to exits as often, and nothing is rolled back.
    for _ in 0..3 {
        let path = "active/web/instances/0/ctl";
        let before = rig.of_instance("active/web/instances/0", "id").await;
        rig.echo("signal USR2", path).await.expect("sent");
        rig.until("active/web/instances/0/status", |status| {
            !status.contains(&format!("id={before}\n")) && status.contains("health=healthy")
        })
        .await;
    }
    let events = rig.cat("active/web/events").await;
    assert_eq!(events.matches("rollback started").count(), 1, "{events}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_ran_out_is_told_everywhere_and_nothing_that_works_is_touched() {
    let rig = with_fault(1, "").await;
    rig.manifest("web", &fault(1, "env HOG=1\nenv LINES=3\n").replace("64M", "16M"))
        .await
        .expect("right");
    let told = rig.deploy(&["apply", "web"]).await;
    told.refused(4, "killed by SIGKILL, out of memory");
    assert!(rig.cat("active/web/events").await.contains("killed by SIGKILL, out of memory"));
    let failure = &past_json(&rig, "v2").await["failure"];
    assert_eq!(failure["oom"], true, "{failure}");
    assert_eq!(rig.cat("active/web/replicas").await, "1/1");
    let table = rig.cat("status").await;
    assert!(table.contains("failed") && table.contains("out of memory"), "{table}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_probe_and_the_end_of_the_log_are_told_and_kept_until_the_next_success() {
    let mut rig = with_fault(1, "").await;
    let sick = fault(1, "env SICK=1\nenv LINES=30\n").replace("deadline 3", "deadline 1");
    rig.manifest("web", &sick).await.expect("right");
    let told = rig.deploy(&["apply", "web"]).await;
    told.refused(4, "health check timeout after 1s");
    told.refused(4, "HTTP 503");
    told.refused(4, "line 29");
    let end = |text: &str| text.contains("line 29") && text.contains("HTTP 503");
    rig.until("active/web/events", end).await;
    let failure = past_json(&rig, "v2").await["failure"].clone();
    assert_eq!(failure["log_tail"].as_array().map(Vec::len), Some(20), "{failure}");
    assert!(failure["last_probe"].as_str().is_some_and(|probe| probe.contains("HTTP 503")));
    // It is on disk, and so is the whole log of the one that failed.
    rig.kill_server().await;
    rig.serve().await;
    assert_eq!(past_json(&rig, "v2").await["failure"], failure);
    let log = rig.until("active/web/instances/1/log", |log| log.contains("line 29")).await;
    assert!(log.contains("line 0"), "{log}");

    rig.manifest("web", &fault(1, "env LINES=2\n")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    // Its place is free for another, whose log begins anew.
    rig.deploy(&["scale", "web", "2"]).await.fine();
    let log = rig.cat("active/web/instances/1/log").await;
    assert!(!log.contains("line 29"), "{log}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_update_failure_pause_it_stands_says_why_and_goes_on_or_back() {
    let rig = with_fault(1, "").await;
    let text = fault(1, "env SICK=1\nupdate_failure pause\n").replace("deadline 3", "deadline 1");
    rig.manifest("web", &text).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(5, "HTTP 503");
    assert_eq!(rig.cat("active/web/update_status").await, "paused");
    assert!(rig.cat("status").await.contains("health check timeout"));
    rig.deploy(&["rollback", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "1/1");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deploy_that_failed_does_not_look_idle() {
    let rig = Rig::start().await;
    rig.manifest("web", "image 127.0.0.1:9/none:1\nport 80\n").await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(4, "127.0.0.1:9");
    let table = rig.cat("status").await;
    assert!(table.contains("failed") && table.contains("127.0.0.1:9"), "{table}");
    rig.deploy(&["status", "web"]).await.refused(0, "update  failed");
    rig.deploy(&["status", "web"]).await.refused(0, "reason  127.0.0.1:9/none:1");
    let path = bin("fault");
    rig.deploy(&["push", "fault:1", path.to_str().expect("UTF-8")]).await.fine();
    rig.manifest("web", &fault(1, "")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/update_status").await, "none");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_and_what_was_answered_is_in_a_log_that_only_grows() {
    let mut rig = with_fault(1, "").await;
    rig.echo("puase web", "ctl").await.expect_err("no such verb");
    rig.echo("rollback", "active/web/ctl").await.expect_err("nothing to go back to");
    rig.manifest("web", "image fault:1\nreplicas many\n").await.expect_err("told at the close");
    rig.echo("restart", "active/web/instances/0/ctl").await.expect("restarted");
    let check = |audit: &str| {
        let has = |end: &str| {
            let found = audit.lines().find(|line| line.contains(end));
            let line = found.unwrap_or_else(|| panic!("{end}: {audit}"));
            assert!(line.contains("Z uid=0 connection="), "{line}");
        };
        has(" manifests/web: write ");
        has(" active/web/ctl: apply: accepted");
        has(" ctl: puase web: refused: ");
        has(" active/web/ctl: rollback: refused: rollback: no previous version");
        has(": refused: manifest refused: ");
        has(" active/web/instances: restart 0: accepted");
    };
    let audit = rig.cat("audit").await;
    check(&audit);
    rig.kill_server().await;
    rig.serve().await;
    rig.deploy(&["stop", "web"]).await.fine();
    let later = rig.cat("audit").await;
    assert!(later.starts_with(&audit) && later.ends_with(": stop: accepted"), "{later}");
    let stat = rig.client().await.stat("audit").await.expect("there");
    assert_eq!(stat.length, later.len() as u64 + 1);
    let metrics = rig.cat("metrics").await;
    assert!(metrics.contains(&format!("deployfs_audit_bytes {}", stat.length)), "{metrics}");
    rig.end().await;
}

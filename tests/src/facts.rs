//! What a failure is told by to programs: every fact a field of its own, in the last object of the
//! apply, in the history and in the status.

use crate::failures::{fault, with_fault};
use crate::rig::Rig;
use serde_json::{Value, json};

/// The fields of a failure, whatever it was.
const FIELDS: [&str; 8] =
    ["at", "instance", "reason", "exit_code", "signal", "oom", "last_probe", "log_tail"];

/// Applies a manifest that fails; gives the last object of it.
async fn failed(rig: &Rig, manifest: &str) -> Value {
    rig.manifest("web", manifest).await.expect("right");
    let told = rig.deploy(&["--json", "apply", "web"]).await;
    assert_eq!(told.code, 4, "{told:#?}");
    let last = told.out.lines().last().expect("an object a line");
    let object: Value = serde_json::from_str(last).expect("an object");
    assert_eq!((&object["phase"], &object["exit"]), (&json!("failed"), &json!(4)), "{object}");
    object
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).expect("one object")
}

/// Looks whether a failure has all fields, and these values.
#[track_caller]
fn check(failure: &Value, code: Value, signal: Value, oom: bool) {
    let keys: Vec<&String> = failure.as_object().expect("an object").keys().collect();
    assert_eq!(keys[..FIELDS.len()], FIELDS, "{failure}");
    let got = [&failure["exit_code"], &failure["signal"], &failure["oom"]];
    assert_eq!(got, [&code, &signal, &json!(oom)], "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fact_of_a_failure_is_a_field_of_its_own() {
    let rig = with_fault(1, "").await;
    let kept = async |number: &str| {
        let text = rig.deploy(&["--json", "history", "web", number]).await.fine();
        let failure = object(&text)["failure"].clone();
        let status = object(&rig.deploy(&["--json", "status", "web"]).await.fine());
        let last = status["last_failure"].clone();
        assert_eq!(last["version"], number, "{status}");
        FIELDS.iter().for_each(|field| assert_eq!(last[field], failure[field], "{status}"));
        failure
    };
    let sick = fault(1, "env SICK=1\n").replace("deadline 3", "deadline 1");
    let none = Value::Null;
    let cases = [
        (fault(1, "env QUIT=3\nenv LINES=30\n"), json!(3), none.clone(), false),
        (fault(1, "env ABORT=1\n"), json!(139), json!("SEGV"), false),
        (fault(1, "env HOG=1\n").replace("64M", "16M"), json!(137), json!("KILL"), true),
        (fault(1, "command /nowhere/at/all\n"), none.clone(), none.clone(), false),
        // It runs when it has failed, and is stopped for it.
        (sick, none.clone(), none.clone(), false),
    ];
    let mut all = Vec::new();
    for (at, (manifest, code, signal, oom)) in (2..).zip(cases) {
        let told = failed(&rig, &manifest).await;
        let (live, number) = (&told["failure"], format!("v{at}"));
        assert_eq!((&told["to"], &live["instance"]), (&json!(number), &json!(1)), "{told}");
        check(live, code.clone(), signal.clone(), oom);
        // The end of its log comes when the update has ended.
        let logged = |events: &str| !live["log_tail"].is_array() || events.contains(": log: ");
        rig.until("active/web/events", logged).await;
        let failure = kept(&number).await;
        check(&failure, code, signal, oom);
        assert_eq!((&live["reason"], &live["at"]), (&failure["reason"], &failure["at"]));
        all.push((live.clone(), failure));
    }
    let tail = |failure: &Value| failure["log_tail"].as_array().cloned().expect("lines");
    for (live, kept) in &all[..1] {
        for lines in [tail(live), tail(kept)] {
            assert_eq!(lines.len(), 20, "{live}");
            assert!(lines[19].as_str().is_some_and(|line| line.ends_with("line 29")), "{live}");
        }
    }
    let reasons = ["exited with status 3", "killed by SIGSEGV", "out of memory", "/nowhere/at/all"];
    for ((live, _), reason) in all.iter().zip(reasons) {
        assert!(live["reason"].as_str().is_some_and(|text| text.contains(reason)), "{live}");
    }
    for (failure, _) in &all[4..] {
        assert!(failure["last_probe"].as_str().is_some_and(|probe| probe.contains("HTTP 503")));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_a_failure_without_an_instance() {
    let rig = with_fault(1, "").await;
    let missing = fault(1, "").replace("image fault:1", "image 127.0.0.1:9/none:1");
    let told = failed(&rig, &missing).await;
    let failure = &told["failure"];
    check(failure, Value::Null, Value::Null, false);
    assert!(failure["reason"].as_str().is_some_and(|why| why.contains("127.0.0.1:9")), "{told}");
    assert_eq!((&failure["instance"], &failure["log_tail"]), (&Value::Null, &json!([])));
    assert_eq!(rig.cat("active/web/replicas").await, "1/1");
    rig.end().await;
}

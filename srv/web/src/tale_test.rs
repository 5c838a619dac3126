//! Tales of deploys, as ledgers: lines of the tree's events, and what is told of them.

use super::*;

/// What is told of these lines, with each event's name and data as they go over the wire.
#[track_caller]
fn check(manner: Manner, services: &[&str], lines: &str, want: &str) {
    let services = services.iter().map(ToString::to_string);
    let mut tale = Tale::new(Mark::default(), manner, services);
    let mut told = vec![tale.started()];
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert_eq!(tale.end(), None, "before {line}");
        let line = format!("2026-11-20T12:34:05Z {line}");
        told.extend(tale.take(Mark::default(), &line));
    }
    told.extend(tale.end().expect("it has ended"));
    let wire = |event: &Event| {
        event.wire().lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()
    };
    let got: String = told.iter().map(wire).collect();
    assert_eq!(got, want);
}

const UPDATE: Manner = Manner { atomic: false, first: false };

const FIRST: Manner = Manner { first: true, ..UPDATE };

const ATOMIC: Manner = Manner { atomic: true, ..UPDATE };

#[test]
fn a_failed_deploy_is_told_as_it_is_written_in_the_workflow_of_a_rollback() {
    let lines = "office pulling office:bad
                 office rolling update started v1→v2
                 office 1: scheduled on node-2
                 office 1: starting
                 office 1: failed: health check timeout after 30s
                 office 1: stopped
                 office failed update v1→v2 (30.1s): health check timeout after 30s";
    let want = r#"event: progress
data: {"phase": "started"}

event: progress
data: {"service": "office", "phase": "scheduled", "node": "node-2"}

event: progress
data: {"service": "office", "phase": "starting"}

event: failed
data: {"service": "office", "reason": "health check timeout after 30s"}

"#;
    check(UPDATE, &["office"], lines, want);
}

#[test]
fn a_rolling_update_is_told_by_its_phases_and_then_done() {
    let lines = "office done update v0→v1 (9.0s)
                 office pulling office:2
                 office rolling update started v1→v2
                 other 0: starting
                 office 1: scheduled on node-2
                 office 1: starting
                 office 1: healthy (2.1s)
                 office 0: old instance stopped
                 office instances renumbered
                 office done update v1→v2 (4.2s)";
    let want = r#"event: progress
data: {"phase": "started"}

event: progress
data: {"service": "office", "phase": "scheduled", "node": "node-2"}

event: progress
data: {"service": "office", "phase": "starting"}

event: progress
data: {"service": "office", "phase": "healthy", "seconds": 2.1}

event: progress
data: {"service": "office", "phase": "stopped"}

event: done
data: {"seconds": 4.2}

"#;
    check(UPDATE, &["office"], lines, want);
}

#[test]
fn a_first_deploy_tells_of_its_images_at_once_and_one_time() {
    let lines = "api pulling api:1
                 web pulling web:1
                 web first deploy started v1
                 web 0: starting
                 web 0: healthy (1.0s)
                 api unchanged v3
                 web done update v1 (4.8s)";
    let want = r#"event: progress
data: {"phase": "started"}

event: progress
data: {"phase": "pulling"}

event: progress
data: {"service": "web", "phase": "starting"}

event: progress
data: {"service": "web", "phase": "healthy", "seconds": 1.0}

event: done
data: {"seconds": 4.8}

"#;
    check(FIRST, &["web", "api"], lines, want);
}

#[test]
fn one_service_that_fails_ends_no_other_and_the_end_is_one() {
    let lines = "web pulling web:1
                 api pulling api:1
                 api failed: api:1: no such image
                 web 0: starting
                 web done update v1 (2.0s)";
    let want = r#"event: progress
data: {"phase": "started"}

event: progress
data: {"service": "web", "phase": "starting"}

event: failed
data: {"service": "api", "reason": "api:1: no such image"}

"#;
    check(UPDATE, &["api", "web"], lines, want);
    check(
        UPDATE,
        &["web"],
        "web pulling web:1\nweb unchanged v3",
        "event: progress\ndata: {\"phase\": \"started\"}\n\n\
         event: done\ndata: {\"seconds\": 0.0}\n\n",
    );
}

#[test]
fn what_goes_back_is_told_by_its_end_alone() {
    let lines = "web pulling web:3
                 web rolling update started v2→v3
                 web 3: starting
                 web 3: failed: exited with code 1
                 web rollback started v3→v2: exited with code 1
                 web 4: scheduled on node-1
                 web 4: healthy (0.1s)
                 web 0: old instance stopped
                 web rolled back v3→v2 (1.0s): exited with code 1";
    let want = r#"event: progress
data: {"phase": "started"}

event: progress
data: {"service": "web", "phase": "starting"}

event: failed
data: {"service": "web", "reason": "exited with code 1"}

"#;
    check(UPDATE, &["web"], lines, want);
}

#[test]
fn of_all_or_none_nobody_is_done_before_all_are() {
    let lines = "a pulling web:2
                 b pulling web:3
                 c pulling web:2
                 d pulling web:1
                 d unchanged v1
                 a rolling update started v1→v2
                 b rolling update started v1→v2
                 c first deploy started v1
                 a done update v1→v2 (1.0s)
                 c done update v1 (1.0s)
                 b failed update v1→v2 (3.0s): too late
                 a rollback started v2→v1: all or none, and b: too late
                 c taken back: all or none, and b: too late
                 c done stop v1 (0.1s)
                 a rolled back v2→v1 (1.0s): all or none, and b: too late";
    let all = "all or none, and b: too late";
    let want = format!(
        "event: progress\ndata: {{\"phase\": \"started\"}}\n\n\
         event: failed\ndata: {{\"service\": \"a\", \"reason\": \"{all}\"}}\n\n\
         event: failed\ndata: {{\"service\": \"b\", \"reason\": \"too late\"}}\n\n\
         event: failed\ndata: {{\"service\": \"c\", \"reason\": \"{all}\"}}\n\n"
    );
    check(ATOMIC, &["a", "b", "c", "d"], lines, &want);
    let lines = "a pulling web:2\nb pulling web:2\na done update v1→v2 (1.0s)\n\
                 b done update v1→v2 (2.0s)";
    let want = "event: progress\ndata: {\"phase\": \"started\"}\n\n\
                event: done\ndata: {\"seconds\": 2.0}\n\n";
    check(ATOMIC, &["a", "b"], lines, want);
}

fn take(tale: &mut Tale, text: &str) -> Option<Event> {
    let line = format!("2026-11-20T12:34:05Z {text}");
    tale.take(Mark::default(), &line)
}

#[test]
fn where_there_is_nothing_to_take_back_that_is_known() {
    let services = ["a", "b"].map(String::from);
    let mut tale = Tale::new(Mark::default(), ATOMIC, services.into_iter());
    for text in ["a pulling x", "b pulling x", "a done update v1 (1s)", "b 0: starting"] {
        take(&mut tale, text);
        assert!(!tale.awaits_way_back(), "{text}");
    }
    take(&mut tale, "b failed update v1 (1s): no");
    assert!(tale.awaits_way_back());
    tale.outcome("a", "done update v1 (1s)");
    assert_eq!(tale.end().map(|end| end.len()), Some(1));
}

#[test]
fn a_pull_of_an_update_is_told_when_it_takes_a_while_and_once() {
    let services = ["web", "api"].map(String::from);
    let mut tale = Tale::new(Mark::default(), UPDATE, services.into_iter());
    assert!(!tale.pulls());
    assert_eq!(take(&mut tale, "web pulling web:1"), None);
    assert!(tale.pulls());
    assert_eq!(tale.pulling(Mark::default()).data, json!({"phase": "pulling"}));
    assert!(!tale.pulls());
    assert_eq!(take(&mut tale, "api pulling api:1"), None);
    assert!(!tale.pulls());
    tale.refuse_unheard();
    assert_eq!(tale.unended(), ["api", "web"]);
}

#[test]
fn an_id_says_where_its_tale_began_and_how_far_it_came() {
    let (from, line) = (Mark::read("ab").unwrap(), Mark::read("cd").unwrap());
    assert_eq!(Place::read("ab.cd"), Some(Place::Behind { from, line }));
    assert_eq!(Place::read("ab.end-0"), Some(Place::End { from, left: 0 }));
    assert_eq!(Place::read("ab.end-12"), Some(Place::End { from, left: 12 }));
    let wrong = ["", "ab", "ab.", ".cd", "ab.cd.ef", "ab.x", "ab.end", "ab.end-", "ab.end-+1"];
    for wrong in wrong {
        assert_eq!(Place::read(wrong), None, "{wrong}");
    }
}

//! What the history says after stories of updates, and where a rollback would go.

use super::*;
use crate::arrival::{Arrival, Heard};
use crate::record::By;
use crate::turn::Turn;
use crate::world::{Numbers, Service, World};
use rollout::{Action, Event, Exit, Id, Spec};
use std::collections::VecDeque;

/// A service's record, with a node that does at once whatever is asked of it.
struct Story {
    record: Record,
    now: Millis,
    wake: Millis,
}

impl Story {
    fn new() -> Story {
        Story { record: Record::new(1, Numbers::default()), now: 1_000, wake: 0 }
    }

    fn edition(&mut self, version: u32) -> Spec {
        let edition = Edition {
            name: format!("name{version}"),
            text: "image app\n".to_string(),
            digest: "sha256:0".to_string(),
            secrets: std::collections::BTreeMap::new(),
            by: By { uid: 0, name: "root".to_string() },
            at: self.now,
            notes: crate::lock::Notes::default(),
            ended: None,
            ends: Vec::new(),
            completed: false,
            validated: false,
        };
        self.record.versions.entry(Version(version)).or_insert(edition);
        Spec { validate_ms: 10_000, ..Spec::default() }
    }

    fn apply(&mut self, version: u32) -> &mut Story {
        let spec = self.edition(version);
        self.happens(Event::Applied { version: Version(version), spec })
    }

    fn back(&mut self, version: u32) -> &mut Story {
        let spec = self.edition(version);
        self.happens(Event::RolledBack { version: Version(version), spec, reason: None })
    }

    fn pass(&mut self, ms: Millis) -> &mut Story {
        let until = self.now + ms;
        while self.wake > self.now && self.wake <= until {
            self.now = self.wake;
            self.happens(Event::Woke);
        }
        self.now = until;
        self
    }

    /// Lets the instance that serves exit so many times, with its restarts between.
    fn exits(&mut self, times: u32) -> &mut Story {
        for _ in 0..times {
            let serving = self.record.rollout.routed().iter().next().copied();
            let exit = Exit { code: 1, ..Exit::default() };
            self.happens(Event::Exited { id: serving.expect("one serves"), exit }).pass(500);
        }
        self
    }

    fn happens(&mut self, event: Event) -> &mut Story {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in rollout::step(&mut self.record.rollout, self.now, event) {
                match action {
                    Action::Pull { version } => events.push_back(Event::Pulled { version }),
                    Action::Place { id } => {
                        events.push_back(Event::Placed { id, node: "n".to_string() });
                    }
                    // Version 9 ends as soon as it runs.
                    Action::Start { id, version: Version(9), .. } => {
                        let exit = Exit { code: 3, ..Exit::default() };
                        events.extend([Event::Started { id }, Event::Exited { id, exit }]);
                    }
                    Action::Start { id, .. } => {
                        events.extend([Event::Started { id }, Event::Healthy { id, ms: 1 }]);
                    }
                    Action::Publish { generation } => {
                        events.push_back(Event::Served { generation });
                    }
                    Action::Drain { id, .. } => events.push_back(Event::Drained { id }),
                    Action::Stop { id } => {
                        events.push_back(Event::Exited { id, exit: Exit::default() });
                    }
                    Action::Forget { id } => events.push_back(Event::Forgotten { id }),
                    Action::Wake { at } => self.wake = at,
                    Action::Delete => {}
                    Action::Tell(fact) => {
                        self.record.learn(&fact);
                        if let Fact::Ended(outcome) = fact {
                            self.record.end(&outcome, self.now);
                        }
                    }
                }
            }
        }
        self
    }

    fn ended(&self, version: u32) -> &str {
        self.record.versions[&Version(version)].ended.as_deref().unwrap_or("not yet")
    }

    fn previous(&self) -> Option<u32> {
        self.record.previous.map(|version| version.0)
    }
}

#[test]
fn a_way_back_does_not_cover_how_the_first_deploy_ended() {
    let mut story = Story::new();
    story.apply(1).pass(20_000).apply(2);
    story.record.asked = Some(By { uid: 7, name: "ann".to_string() });
    story.back(1);
    assert_eq!(story.ended(1), "done update v1 (0.00s)");
    assert_eq!(story.ended(2), "done update v1→v2 (0.00s)");
    let lines = super::story(&story.record.versions[&Version(1)], None);
    let want = [
        "then 1970-01-01T00:00:01Z done update v1 (0.00s)",
        "then 1970-01-01T00:00:21Z by ann (uid 7): rolled back v2→v1 (0.00s)",
        "validated",
    ];
    assert_eq!(lines, want);
}

#[test]
fn a_version_that_does_not_hold_goes_back_once_and_is_gone_back_to_no_more() {
    let mut story = Story::new();
    story.record.asked = Some(By { uid: 7, name: "ann".to_string() });
    story.apply(1).pass(20_000).apply(2).pass(20_000).apply(3).exits(3);
    assert_eq!(story.record.rollout.current(), Some(Version(2)));
    let reason = "rolled back v3→v2 (0.00s): 3 exits of v3 soon after its update";
    assert_eq!(story.ended(3), reason);
    let last = story.record.versions[&Version(3)].ends.last().unwrap();
    assert_eq!((last.text.as_str(), &last.by), (reason, &None), "it was nobody");
    assert!(!story.record.versions[&Version(3)].completed);
    // Not to where it came from by itself, but to what held before.
    assert_eq!(story.previous(), Some(1));
}

#[test]
fn what_was_validated_is_gone_back_to_before_what_was_only_passed() {
    let mut story = Story::new();
    story.apply(1).apply(2);
    assert_eq!(story.previous(), Some(1), "nothing is validated yet");
    story.pass(20_000).apply(3).apply(4);
    assert_eq!(story.previous(), Some(2), "v3 was left before its time");
}

#[test]
fn what_does_not_hold_is_no_better_for_being_applied_again_or_stopped() {
    let marks = |story: &Story| {
        let edition = &story.record.versions[&Version(1)];
        (edition.completed, edition.validated)
    };
    let mut story = Story::new();
    story.apply(1).exits(3);
    assert_eq!(marks(&story), (false, false), "it loops");
    // An update of it that fails or is cancelled.
    let spec = Spec { replicas: 2, ..story.edition(1) };
    rollout::step(
        &mut story.record.rollout,
        story.now,
        Event::Applied { version: Version(1), spec },
    );
    story.happens(Event::Cancelled);
    assert_eq!(marks(&story), (false, false), "nothing came of it");
    let mut story = Story::new();
    story.apply(1).happens(Event::Stopped).apply(1);
    assert_eq!(marks(&story), (true, false), "stopped while it was watched");
}

#[test]
fn what_failed_in_flight_leaves_what_is_gone_back_to() {
    let mut story = Story::new();
    story.apply(1).pass(20_000).apply(2).pass(20_000).apply(9);
    assert_eq!(story.ended(9), "failed update v2→v9 (0.00s): exited with status 3");
    assert_eq!((story.record.rollout.current(), story.previous()), (Some(Version(2)), Some(1)));
}

#[test]
fn the_first_and_the_last_ends_are_kept() {
    let mut story = Story::new();
    story.apply(1).pass(20_000).apply(2).pass(20_000);
    for _ in 0..ENDS_MAX {
        story.back(1).back(2);
    }
    let ends = &story.record.versions[&Version(1)].ends;
    assert_eq!(ends.len(), ENDS_MAX);
    assert_eq!(ends[0].text, "done update v1 (0.00s)");
    assert_eq!(ends[ENDS_MAX - 1].text, "rolled back v1→v2 (0.00s)");
}

#[test]
fn a_failure_is_told_with_exit_probe_and_the_end_of_its_log() {
    let lines: Vec<String> = (0..30).map(|n| format!("line {n} {}", "é".repeat(600))).collect();
    let mut failure = Failure {
        at: 0,
        id: Id(7),
        number: 3,
        reason: "killed by SIGKILL, out of memory".to_string(),
        exit: "137 KILL out of memory".to_string(),
        probe: "connection refused".to_string(),
        log: Vec::new(),
    };
    failure.wrote(&lines);
    let told = failure.lines();
    assert_eq!(told.len(), 3 + LOG_LINES_MAX);
    assert_eq!(told[0], "failed 1970-01-01T00:00:00Z 3: killed by SIGKILL, out of memory");
    assert_eq!(told[1..3], ["exit 137 KILL out of memory", "probe connection refused"]);
    assert!(told[3].starts_with("log line 10 é") && told[3].len() <= 4 + LOG_LINE_BYTES_MAX);
}

#[test]
fn the_log_of_a_failure_goes_to_it_and_not_to_another_at_its_place() {
    let mut service = Service::new("web", Record::new(1, Numbers::default()));
    for (version, id) in [(2, 3), (1, 4)] {
        let failure = Failure { at: id, id: Id(id), number: 3, ..Failure::default() };
        service.failures.insert(Version(version), failure);
    }
    let mut world = World::default();
    world.services.insert("web".to_string(), service);
    for id in [3, 4] {
        let (service, lines) = ("web".to_string(), vec![format!("of {id}")]);
        let logged = Heard::Logged { service, id: Id(id), number: 3, lines };
        world.arrive(Arrival::Heard(logged), &mut Turn::new(0));
    }
    let failures = &world.services["web"].failures;
    assert_eq!(failures[&Version(2)].log, ["of 3"]);
    assert_eq!(failures[&Version(1)].log, ["of 4"]);
}

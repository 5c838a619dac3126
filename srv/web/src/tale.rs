//! A deploy as it is told: the tree's events of its services in the phases `started pulling
//! scheduled starting healthy stopped`, and exactly one end. Pure: the same lines, the same tale,
//! so that one that broke off is told again from its beginning up to where it was heard.

use crate::event::Event;
use crate::fact::{End, Fact, Line};
use crate::trail::Mark;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What stands in an id behind the last event.
const END: &str = "end";

/// A tale that goes on.
#[derive(Debug)]
pub(crate) struct Tale {
    /// Where in the tree's events it begins.
    from: Mark,
    services: BTreeMap<String, Stand>,
    /// That images are pulled was told.
    pulling: bool,
    seconds: f64,
}

/// How far a service has come.
#[derive(Debug, Clone, PartialEq)]
enum Stand {
    /// Nothing was heard of it yet.
    Asked,
    /// Its image is pulled, or was there already: what comes next says which.
    Pulling,
    /// It is under way.
    Going,
    /// It is over; why not well.
    Over(Option<String>),
}

/// A place in a tale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind the event of that line, in a tale that begins there.
    Behind {
        /// Where the tale begins.
        from: Mark,
        /// The line.
        line: Mark,
    },
    /// Behind all of it.
    End,
}

impl Place {
    /// Reads the id of an event.
    pub(crate) fn read(id: &str) -> Option<Place> {
        let (from, line) = id.split_once('.')?;
        let from = Mark::read(from)?;
        match line {
            END => Some(Place::End),
            line => Some(Place::Behind { from, line: Mark::read(line)? }),
        }
    }
}

impl Tale {
    /// The tale of these services, which begins behind that line.
    pub(crate) fn new(from: Mark, services: impl Iterator<Item = String>) -> Tale {
        let services = services.map(|name| (name, Stand::Asked)).collect();
        Tale { from, services, pulling: false, seconds: 0.0 }
    }

    /// The first event.
    pub(crate) fn started(&self) -> Event {
        self.progress(Mark::default(), json!({"phase": "started"}))
    }

    /// A service was refused.
    pub(crate) fn refused(&mut self, service: &str, why: &str) {
        self.over(service, Some(why.to_string()));
    }

    /// Those of which nothing was heard were refused, and who asked was told why then: what is
    /// accepted is an event before it is answered.
    pub(crate) fn refuse_unheard(&mut self) {
        for stand in self.services.values_mut().filter(|stand| **stand == Stand::Asked) {
            *stand = Stand::Over(Some("refused; its file error says why".to_string()));
        }
    }

    /// Services whose end was not told yet.
    pub(crate) fn unended(&self) -> Vec<String> {
        let open = self.services.iter().filter(|(_, stand)| !matches!(stand, Stand::Over(_)));
        open.map(|(name, _)| name.clone()).collect()
    }

    /// Takes the outcome of a service, where its last event was missed.
    pub(crate) fn outcome(&mut self, service: &str, text: &str) {
        let end = End::read(text).unwrap_or(End { wrong: None, seconds: None });
        self.seconds = self.seconds.max(end.seconds.unwrap_or_default());
        self.over(service, end.wrong);
    }

    /// Takes a line, and gives the event it makes.
    pub(crate) fn take(&mut self, mark: Mark, line: &str) -> Option<Event> {
        let line = Line::read(line)?;
        let stand = self.services.get_mut(line.service)?;
        let fact = Fact::read(line.text);
        match (&*stand, &fact) {
            // It may be the end of something that was before.
            (Stand::Asked, Fact::Pulling) => {
                *stand = Stand::Pulling;
                return None;
            }
            (Stand::Asked | Stand::Over(_), _) => return None,
            (Stand::Pulling | Stand::Going, _) => *stand = Stand::Going,
        }
        let service = line.service;
        let data = match fact {
            Fact::Scheduled(node) => {
                json!({"service": service, "phase": "scheduled", "node": node})
            }
            Fact::Starting => json!({"service": service, "phase": "starting"}),
            Fact::Healthy(seconds) => {
                json!({"service": service, "phase": "healthy", "seconds": seconds})
            }
            Fact::Stopped => json!({"service": service, "phase": "stopped"}),
            Fact::Ended(end) => {
                self.seconds = self.seconds.max(end.seconds.unwrap_or_default());
                self.over(service, end.wrong.clone());
                // The last one's end is that of the tale.
                let reason = end.wrong.filter(|_| !self.unended().is_empty())?;
                json!({"service": service, "phase": "failed", "reason": reason})
            }
            Fact::Pulling | Fact::Other => return None,
        };
        Some(self.progress(mark, data))
    }

    /// Whether an image may be on its way, and it was not told.
    pub(crate) fn pulls(&self) -> bool {
        !self.pulling && self.services.values().any(|stand| *stand == Stand::Pulling)
    }

    /// That images are pulled: told when it takes a while, and once.
    pub(crate) fn pulling(&mut self, at: Mark) -> Event {
        self.pulling = true;
        self.progress(at, json!({"phase": "pulling"}))
    }

    /// The last events, once all is over: `done`, or `failed` for each service that did.
    pub(crate) fn end(&self) -> Option<Vec<Event>> {
        if !self.unended().is_empty() {
            return None;
        }
        let last =
            |name, data| Event { id: format!("{}.{END}", self.from), name: Some(name), data };
        let wrong = self.services.iter().filter_map(|(name, stand)| match stand {
            Stand::Over(Some(reason)) => Some((name, reason)),
            Stand::Asked | Stand::Pulling | Stand::Going | Stand::Over(None) => None,
        });
        let mut failed: Vec<Event> = wrong
            .map(|(service, reason)| last("failed", json!({"service": service, "reason": reason})))
            .collect();
        if failed.is_empty() {
            failed.push(last("done", json!({"seconds": self.seconds})));
        }
        Some(failed)
    }

    fn over(&mut self, service: &str, wrong: Option<String>) {
        if let Some(stand) = self.services.get_mut(service) {
            *stand = Stand::Over(wrong);
        }
    }

    fn progress(&self, at: Mark, data: Value) -> Event {
        Event { id: format!("{}.{at}", self.from), name: Some("progress"), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of these lines, with each event's name and data as they go over the wire.
    #[track_caller]
    fn check(services: &[&str], lines: &str, want: &str) {
        let mut tale = Tale::new(Mark::default(), services.iter().map(ToString::to_string));
        let mut told = vec![tale.started()];
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = format!("2026-11-20T12:34:05Z {line}");
            told.extend(tale.take(Mark::default(), &line));
        }
        told.extend(tale.end().unwrap_or_default());
        let wire = |event: &Event| {
            event.wire().lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()
        };
        let got: String = told.iter().map(wire).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_failed_deploy_is_told_as_it_is_written_in_the_workflow_of_a_rollback() {
        let lines = "office pulling office:bad
                     office rolling update started v1→v2
                     office 1: scheduled on node-2
                     office 1: starting
                     office 1: failed: health check timeout after 30s
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
        check(&["office"], lines, want);
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
                     office done update v1→v2 (4.2s)
                     office instances renumbered";
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
        check(&["office"], lines, want);
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
data: {"service": "api", "phase": "failed", "reason": "api:1: no such image"}

event: progress
data: {"service": "web", "phase": "starting"}

event: failed
data: {"service": "api", "reason": "api:1: no such image"}

"#;
        check(&["api", "web"], lines, want);
        check(
            &["web"],
            "web pulling web:1\nweb unchanged v3",
            "event: progress\ndata: {\"phase\": \"started\"}\n\nevent: done\ndata: {\"seconds\": 0.0}\n\n",
        );
    }

    #[test]
    fn a_pull_is_told_when_it_takes_a_while_and_once() {
        let services = ["web", "api"].map(String::from);
        let mut tale = Tale::new(Mark::default(), services.into_iter());
        assert!(!tale.pulls());
        let take = |tale: &mut Tale, text: &str| {
            let line = format!("2026-11-20T12:34:05Z {text}");
            tale.take(Mark::default(), &line)
        };
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
        assert_eq!(Place::read("ab.end"), Some(Place::End));
        for wrong in ["", "ab", "ab.", ".cd", "ab.cd.ef", "ab.x"] {
            assert_eq!(Place::read(wrong), None, "{wrong}");
        }
    }
}

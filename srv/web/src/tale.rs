//! A deploy as it is told: the tree's events of its services in the phases `started pulling
//! scheduled starting healthy stopped`, and exactly one end. Pure: the same lines, the same tale,
//! so that one that broke off is told again from its beginning up to where it was heard.

use crate::event::Event;
use crate::fact::{End, Fact, Line};
use crate::trail::Mark;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What stands in the id of one of the last events, before how many come behind it. No mark has
/// such letters.
const END: &str = "end-";

/// A tale that goes on.
#[derive(Debug)]
pub(crate) struct Tale {
    /// Where in the tree's events it begins.
    from: Mark,
    manner: Manner,
    services: BTreeMap<String, Stand>,
    /// That images are pulled was told.
    pulling: bool,
    seconds: f64,
}

/// How a deploy goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// All or none: one that fails takes the others back.
    pub(crate) atomic: bool,
    /// One of the services was not deployed before: that images are pulled is told at once, and
    /// not only when it takes a while.
    pub(crate) first: bool,
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
    /// It has what it was to have, of all or none.
    Serves,
    /// It goes back; why, where that is told at once.
    Back(Option<String>),
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
    /// Behind one of the last events, of which so many are left.
    End {
        /// Where the tale begins.
        from: Mark,
        /// How many come behind it.
        left: usize,
    },
}

impl Place {
    /// Reads the id of an event.
    pub(crate) fn read(id: &str) -> Option<Place> {
        let (from, line) = id.split_once('.')?;
        let from = Mark::read(from)?;
        match line.strip_prefix(END) {
            Some(left) if left.bytes().all(|b| b.is_ascii_digit()) => {
                Some(Place::End { from, left: left.parse().ok()? })
            }
            _ => Some(Place::Behind { from, line: Mark::read(line)? }),
        }
    }
}

impl Tale {
    /// The tale of these services, which begins behind that line.
    pub(crate) fn new(from: Mark, manner: Manner, services: impl Iterator<Item = String>) -> Tale {
        let services = services.map(|name| (name, Stand::Asked)).collect();
        Tale { from, manner, services, pulling: false, seconds: 0.0 }
    }

    /// The first event.
    pub(crate) fn started(&self) -> Event {
        self.progress(Mark::default(), json!({"phase": "started"}))
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
        let failed = self.services.values().any(|stand| matches!(stand, Stand::Over(Some(_))));
        let open = self.services.iter().filter(|(_, stand)| match stand {
            Stand::Asked | Stand::Pulling | Stand::Going | Stand::Back(_) => true,
            // It will be taken back.
            Stand::Serves => failed,
            Stand::Over(_) => false,
        });
        open.map(|(name, _)| name.clone()).collect()
    }

    /// Whether nothing but the way back of those is waited for that have what they were to have:
    /// where there is nothing to take back nobody tells so.
    pub(crate) fn awaits_way_back(&self) -> bool {
        let unended = self.unended();
        let serves = |name: &String| self.services.get(name) == Some(&Stand::Serves);
        !unended.is_empty() && unended.iter().all(serves)
    }

    /// Takes the outcome of a service, where its last event was missed.
    pub(crate) fn outcome(&mut self, service: &str, text: &str) {
        let end = End::read(text).unwrap_or(End { wrong: None, unchanged: true, seconds: None });
        self.seconds = self.seconds.max(end.seconds.unwrap_or_default());
        self.over(service, end.wrong);
    }

    /// Takes a line, and gives the event it makes.
    pub(crate) fn take(&mut self, mark: Mark, line: &str) -> Option<Event> {
        let line = Line::read(line)?;
        let stand = self.services.get_mut(line.service)?;
        match (&*stand, Fact::read(line.text)) {
            (Stand::Asked, Fact::Pulling) => {
                *stand = Stand::Pulling;
                (self.manner.first && !self.pulling).then(|| self.pulling(mark))
            }
            // It may be the end of something that was before.
            (Stand::Asked | Stand::Over(_), _) => None,
            (_, Fact::Back) => {
                *stand = Stand::Back(None);
                None
            }
            (_, Fact::TakenBack(why)) => {
                *stand = Stand::Back(Some(why));
                None
            }
            (Stand::Back(why), Fact::Ended(end)) => {
                let why = why.clone().or(end.wrong);
                self.ended(line.service, End { wrong: why, ..end });
                None
            }
            (Stand::Back(_) | Stand::Serves, _) => None,
            (Stand::Pulling | Stand::Going, fact) => {
                *stand = Stand::Going;
                let data = self.going(line.service, fact)?;
                Some(self.progress(mark, data))
            }
        }
    }

    /// What is told of a service that is under way.
    fn going(&mut self, service: &str, fact: Fact) -> Option<Value> {
        match fact {
            Fact::Scheduled(node) => {
                Some(json!({"service": service, "phase": "scheduled", "node": node}))
            }
            Fact::Starting => Some(json!({"service": service, "phase": "starting"})),
            Fact::Healthy(seconds) => {
                Some(json!({"service": service, "phase": "healthy", "seconds": seconds}))
            }
            Fact::Stopped => Some(json!({"service": service, "phase": "stopped"})),
            Fact::Ended(end) => {
                self.ended(service, end);
                None
            }
            Fact::Pulling | Fact::First | Fact::Back | Fact::TakenBack(_) | Fact::Other => None,
        }
    }

    fn ended(&mut self, service: &str, end: End) {
        self.seconds = self.seconds.max(end.seconds.unwrap_or_default());
        match self.manner.atomic && end.wrong.is_none() && !end.unchanged {
            true => drop(self.services.insert(service.to_string(), Stand::Serves)),
            false => self.over(service, end.wrong),
        }
    }

    /// Whether an image may be on its way, and it was not told.
    pub(crate) fn pulls(&self) -> bool {
        !self.pulling && self.services.values().any(|stand| *stand == Stand::Pulling)
    }

    /// That images are pulled: told once.
    pub(crate) fn pulling(&mut self, at: Mark) -> Event {
        self.pulling = true;
        self.progress(at, json!({"phase": "pulling"}))
    }

    /// The last events, once all is over: `done`, or `failed` for each service that did.
    pub(crate) fn end(&self) -> Option<Vec<Event>> {
        if !self.unended().is_empty() {
            return None;
        }
        let wrong = self.services.iter().filter_map(|(name, stand)| match stand {
            Stand::Over(Some(reason)) => Some((name, reason)),
            Stand::Asked | Stand::Pulling | Stand::Going => None,
            Stand::Serves | Stand::Back(_) | Stand::Over(None) => None,
        });
        let mut last: Vec<(&'static str, Value)> = wrong
            .map(|(service, reason)| ("failed", json!({"service": service, "reason": reason})))
            .collect();
        if last.is_empty() {
            last.push(("done", json!({"seconds": self.seconds})));
        }
        let left = (0..last.len()).rev();
        let event = |(left, (name, data)): (usize, (&'static str, Value))| Event {
            id: format!("{}.{END}{left}", self.from),
            name: Some(name),
            data,
        };
        Some(left.zip(last).map(event).collect())
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
#[path = "tale_test.rs"]
mod tests;

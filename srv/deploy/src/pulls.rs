//! Applies that wait for their images: each is given up when its image has made no step forward
//! for the manifest's `progress_deadline`.

use crate::arrival::Heard;
use crate::clock::{Millis, seconds};
use std::collections::BTreeMap;

/// The deadline of an apply whose manifest is not readable any more, in milliseconds.
pub(crate) const PULL_MS_MAX: Millis = 600_000;

/// What every waiting apply is given, by the service. It is not saved: after a restart the time
/// begins anew, as the pull does.
#[derive(Debug, Default)]
pub(crate) struct Pulls(BTreeMap<String, Pull>);

#[derive(Debug)]
struct Pull {
    reference: String,
    deadline_ms: Millis,
    /// Bytes that were there at the last step forward.
    done: u64,
    due: Millis,
}

impl Pulls {
    /// An apply waits from now on.
    pub(crate) fn begin(
        &mut self,
        service: &str,
        reference: &str,
        deadline_ms: Millis,
        now: Millis,
    ) {
        let (reference, due) = (reference.to_string(), now.saturating_add(deadline_ms));
        self.0.insert(service.to_string(), Pull { reference, deadline_ms, done: 0, due });
    }

    /// An apply waits that may have waited before: its time runs on while no node answers.
    pub(crate) fn go_on(&mut self, service: &str, reference: &str, ms: Millis, now: Millis) {
        if self.0.get(service).is_none_or(|pull| pull.reference != reference) {
            self.begin(service, reference, ms, now);
        }
    }

    /// Whether it waits.
    #[cfg(test)]
    pub(crate) fn waits(&self, service: &str) -> bool {
        self.0.contains_key(service)
    }

    /// It waits no more.
    pub(crate) fn end(&mut self, service: &str) {
        self.0.remove(service);
    }

    /// So many bytes of an image are there.
    pub(crate) fn came(&mut self, reference: &str, done: u64, now: Millis) {
        for pull in self.0.values_mut().filter(|pull| pull.reference == reference) {
            if pull.done != done {
                (pull.done, pull.due) = (done, now.saturating_add(pull.deadline_ms));
            }
        }
    }

    /// When the first of them is to be given up.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.0.values().map(|pull| pull.due).min()
    }

    /// Gives up those whose time has come.
    pub(crate) fn pass(&mut self, now: Millis) -> Vec<Heard> {
        let late = self.0.extract_if(.., |_, pull| pull.due <= now);
        let failed = |(service, pull): (String, Pull)| {
            let reason = format!("no progress for {}", seconds(pull.deadline_ms));
            Heard::PullLate { service, reference: pull.reference, reason }
        };
        late.map(failed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_given_up_when_it_has_made_no_step_forward_for_its_deadline() {
        let mut pulls = Pulls::default();
        pulls.begin("web", "web:1", 1_000, 0);
        pulls.begin("api", "api:1", 5_000, 0);
        assert_eq!(pulls.due(), Some(1_000));
        pulls.came("web:1", 7, 900);
        pulls.came("web:1", 7, 1_500);
        assert!(pulls.pass(1_899).is_empty());
        let given_up = pulls.pass(1_900);
        let [Heard::PullLate { service, reference, reason }] = &given_up[..] else {
            panic!("{given_up:?}")
        };
        assert_eq!([service, reference, reason], ["web", "web:1", "no progress for 1.0s"]);
        pulls.end("api");
        assert_eq!(pulls.due(), None);
    }
}

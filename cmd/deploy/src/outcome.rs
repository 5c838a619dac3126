//! How an update ended, read from the one line that `wait` gives and that is its last event.

use crate::error::is_no_room;
use crate::exit::Exit;
use crate::verb::Is;

/// The end of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// What it was, in the server's word: update, change, restart, stop, remove; none for a
    /// rollback, and where it came to nothing.
    pub(crate) kind: Option<String>,
    /// The version left, like `v7`.
    pub(crate) from: Option<String>,
    /// The version gone to.
    pub(crate) to: Option<String>,
    /// How long it took, as it is written: `0.9s`.
    pub(crate) took: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
}

/// The ways an update can end, and the two in which there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed,
    RolledBack,
    Cancelled,
    Paused,
    Unchanged,
    None,
}

const VERDICTS: [(&str, Verdict); 7] = [
    ("done", Verdict::Done),
    ("failed", Verdict::Failed),
    ("rolled back", Verdict::RolledBack),
    ("cancelled", Verdict::Cancelled),
    ("paused", Verdict::Paused),
    ("unchanged", Verdict::Unchanged),
    ("none", Verdict::None),
];

impl Verdict {
    /// Its word on the wire.
    pub(crate) fn word(self) -> &'static str {
        VERDICTS.iter().find(|(_, verdict)| *verdict == self).map_or("", |(word, _)| word)
    }
}

impl Outcome {
    /// Reads a line: `done update v1→v2 (0.9s)`, `failed: app:2: no such image`, `unchanged v3`.
    /// `None` when the line is no outcome.
    pub(crate) fn read(line: &str) -> Option<Outcome> {
        let line = line.trim();
        let (verdict, rest) = VERDICTS.iter().find_map(|(word, verdict)| {
            let rest = line.strip_prefix(word)?;
            (rest.is_empty() || rest.starts_with([' ', ':'])).then_some((*verdict, rest))
        })?;
        let (head, reason) = match rest.strip_prefix(':') {
            Some(reason) => ("", Some(reason)),
            None => rest.split_once("): ").map_or((rest, None), |(head, why)| (head, Some(why))),
        };
        let mut outcome = Outcome {
            verdict,
            kind: None,
            from: None,
            to: None,
            took: None,
            reason: reason.map(|text| text.trim().to_string()),
        };
        let mut words = Vec::new();
        for word in head.split_whitespace() {
            if let Some(took) = word.strip_prefix('(') {
                outcome.took = Some(took.trim_end_matches(')').to_string());
            } else if let Some((from, to)) = word.split_once('→') {
                (outcome.from, outcome.to) = (Some(from.to_string()), Some(to.to_string()));
            } else if is_version(word) {
                outcome.to = Some(word.to_string());
            } else {
                words.push(word);
            }
        }
        match words[..] {
            [] => {}
            [kind] => outcome.kind = Some(kind.to_string()),
            // `cancelled before anything was started`.
            _ => outcome.reason = Some(words.join(" ")),
        }
        Some(outcome)
    }

    /// How the command that asked for it ends: what was asked for and came to pass is done, and
    /// so is, to who only waits, what anybody asked for.
    pub(crate) fn exit(&self, asked: Is) -> Exit {
        match self.verdict {
            _ if self.is_overtaken(asked) => Exit::Other,
            Verdict::Done | Verdict::Unchanged | Verdict::None => Exit::Done,
            Verdict::Cancelled if matches!(asked, Is::Cancel | Is::Wait) => Exit::Done,
            // Nothing failed, and nothing came of it.
            Verdict::Cancelled => Exit::Other,
            Verdict::Paused if asked == Is::Pause => Exit::Done,
            Verdict::RolledBack if asked == Is::Rollback => Exit::Done,
            // Without a reason somebody asked for it, so that it is as it should be.
            Verdict::RolledBack if asked == Is::Wait && self.reason.is_none() => Exit::Done,
            Verdict::RolledBack => Exit::RolledBack,
            Verdict::Paused => Exit::Paused,
            Verdict::Failed if self.reason.as_deref().is_some_and(is_no_room) => Exit::NoRoom,
            Verdict::Failed => Exit::Failed,
        }
    }

    /// Somebody stopped or removed the service meanwhile, and that is what ended.
    pub(crate) fn is_overtaken(&self, asked: Is) -> bool {
        match self.kind.as_deref() {
            Some("stop") => !matches!(asked, Is::Stop | Is::Remove | Is::Wait),
            Some("remove") => !matches!(asked, Is::Remove | Is::Wait),
            Some(_) | None => false,
        }
    }
}

/// Whether a word is a version's number, like `v12`.
pub(crate) fn is_version(word: &str) -> bool {
    let digits = word.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Is, line: &str, want: &str) {
        let got = match Outcome::read(line) {
            None => "no outcome".to_string(),
            Some(outcome) => {
                let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_string());
                format!(
                    "{} | {} {} {} {} | {} | {}",
                    outcome.verdict.word(),
                    or(&outcome.kind),
                    or(&outcome.from),
                    or(&outcome.to),
                    or(&outcome.took),
                    or(&outcome.reason),
                    outcome.exit(asked).code(),
                )
            }
        };
        assert_eq!(got, want, "of {line:?}");
    }

    #[test]
    fn what_was_asked_for_and_came_to_pass_is_exit_0() {
        check(Is::Apply, "done update v1→v2 (0.9s)", "done | update v1 v2 0.9s | - | 0");
        check(Is::Apply, "done update v1 (4.8s)", "done | update - v1 4.8s | - | 0");
        check(Is::Apply, "unchanged v3", "unchanged | - - v3 - | - | 0");
        check(Is::Scale, "done change v3→v4 (0.1s)", "done | change v3 v4 0.1s | - | 0");
        check(Is::Rollback, "rolled back v2→v1 (0.9s)", "rolled back | - v2 v1 0.9s | - | 0");
        check(Is::Cancel, "cancelled update v1→v2 (3s)", "cancelled | update v1 v2 3s | - | 0");
        check(Is::Pause, "paused update v1→v2 (3s)", "paused | update v1 v2 3s | - | 0");
        check(Is::Remove, "done remove", "done | remove - - - | - | 0");
        check(Is::Wait, "none", "none | - - - - | - | 0");
        check(Is::Wait, "cancelled update v1→v2 (3s)", "cancelled | update v1 v2 3s | - | 0");
        check(Is::Wait, "rolled back v2→v1 (9s)", "rolled back | - v2 v1 9s | - | 0");
        check(Is::Wait, "done stop v2 (0.3s)", "done | stop - v2 0.3s | - | 0");
    }

    #[test]
    fn a_failure_that_was_rolled_back_is_exit_3_and_one_that_was_not_is_4() {
        check(
            Is::Apply,
            "failed update v2→v3 (30.1s): health check timeout after 30s",
            "failed | update v2 v3 30.1s | health check timeout after 30s | 4",
        );
        check(
            Is::Apply,
            "rolled back v3→v2 (31.0s): exited with code 1 (again): bad",
            "rolled back | - v3 v2 31.0s | exited with code 1 (again): bad | 3",
        );
        check(
            Is::Rollback,
            "failed v3→v2 (1.0s): exited with code 1",
            "failed | - v3 v2 1.0s | exited with code 1 | 4",
        );
        check(
            Is::Apply,
            "failed: app:2: no such image",
            "failed | - - - - | app:2: no such image | 4",
        );
    }

    #[test]
    fn what_somebody_else_did_to_it_is_not_done() {
        check(Is::Apply, "cancelled update v1→v2 (3s)", "cancelled | update v1 v2 3s | - | 1");
        check(Is::Restart, "cancelled restart v2 (3s)", "cancelled | restart - v2 3s | - | 1");
        check(Is::Apply, "done stop v2 (0.3s)", "done | stop - v2 0.3s | - | 1");
        check(Is::Scale, "done remove", "done | remove - - - | - | 1");
        check(Is::Stop, "done remove v2 (1s)", "done | remove - v2 1s | - | 1");
        check(Is::Apply, "paused update v1→v2 (3s)", "paused | update v1 v2 3s | - | 5");
        check(Is::Apply, "rolled back v2→v1 (9s)", "rolled back | - v2 v1 9s | - | 3");
        check(
            Is::Apply,
            "cancelled before anything was started",
            "cancelled | - - - - | before anything was started | 1",
        );
    }

    #[test]
    fn no_room_is_exit_8() {
        check(
            Is::Apply,
            "failed: no room: node-1: cpu",
            "failed | - - - - | no room: node-1: cpu | 8",
        );
        check(
            Is::Apply,
            "failed: web:2: no room: needs 9 MB, 1 MB free on /a",
            "failed | - - - - | web:2: no room: needs 9 MB, 1 MB free on /a | 8",
        );
        check(
            Is::Apply,
            "failed update v1→v2 (600s): no progress in 600s: 3: no room: n: cpu",
            "failed | update v1 v2 600s | no progress in 600s: 3: no room: n: cpu | 8",
        );
    }

    #[test]
    fn a_line_that_only_looks_like_one_is_none() {
        check(Is::Apply, "3: failed: no such file", "no outcome");
        check(Is::Apply, "doneness", "no outcome");
        check(Is::Apply, "", "no outcome");
    }
}

//! The last line of a deploy: how it ended, and what can be said next.

use crate::exit::Exit;
use crate::outcome::{Outcome, Verdict};
use crate::verb::Is;

/// Where the hint begins when the line before it is short, in characters.
const HINT_COLUMN: usize = 29;

/// How an update ended, in one line without its indentation.
pub(crate) fn closing(service: &str, asked: Is, outcome: &Outcome) -> String {
    let took = outcome.took.as_ref().map(|took| format!(" ({took})")).unwrap_or_default();
    let to = outcome.to.as_deref().unwrap_or("the version before");
    let what = what(asked, outcome);
    let back = || match (&outcome.from, &outcome.to) {
        (Some(from), Some(to)) if from != to => format!(", back to {from}"),
        _ => String::new(),
    };
    let far = || outcome.reason.as_ref().map(|far| format!(": {far}")).unwrap_or_default();
    let text = match (outcome.verdict, outcome.exit(asked)) {
        _ if outcome.is_overtaken(asked) => {
            let what = outcome.kind.as_deref().unwrap_or_default();
            format!("{} ended by somebody's {what}{took}", word(asked, None))
        }
        (Verdict::Done, _) => format!("{what}{took}"),
        (Verdict::Unchanged, _) => format!("unchanged ({to})"),
        (Verdict::None, _) => "nothing was ever in flight".to_string(),
        (Verdict::Failed, _) => format!("{what} failed"),
        (Verdict::RolledBack, Exit::Done) => format!("rolled back to {to}{took}"),
        (Verdict::RolledBack, _) if outcome.reason.is_none() => {
            format!("{what} ended by somebody's rollback to {to}{took}")
        }
        (Verdict::RolledBack, _) if outcome.to.is_none() => {
            format!("{what} failed, as it was before")
        }
        (Verdict::RolledBack, _) => format!("{what} failed, rolled back to {to}{took}"),
        (Verdict::Cancelled, Exit::Done) => format!("cancelled{took}{}", far()),
        (Verdict::Cancelled, _) => format!("{what} cancelled by somebody{}{}", back(), far()),
        (Verdict::Paused, _) => "paused".to_string(),
    };
    match hint(service, outcome) {
        Some(hint) => format!("{text:<width$}{hint}", width = HINT_COLUMN - 2),
        None => text,
    }
}

/// What it was: what came to pass when it is done, else the word that stands before `failed`.
fn what(asked: Is, outcome: &Outcome) -> &'static str {
    let done = outcome.verdict == Verdict::Done;
    match (outcome.kind.as_deref(), asked) {
        (Some("update"), _) if done => "deployed",
        (Some("change"), Is::Scale) if done => "scaled",
        (Some("change"), _) if done => "changed in place",
        (Some("restart"), _) if done => "restarted",
        (Some("stop"), _) if done => "stopped",
        (Some("remove"), _) if done => "removed",
        _ if done => "done",
        (kind, asked) => word(asked, kind),
    }
}

/// What was to come to pass, in one word.
fn word(asked: Is, kind: Option<&str>) -> &'static str {
    match (kind, asked) {
        (Some("restart"), _) | (None, Is::Restart) => "restart",
        (Some("stop"), _) | (None, Is::Stop) => "stop",
        (Some("remove"), _) => "remove",
        (Some("change") | None, Is::Scale) => "scale",
        (None, Is::Rollback) => "rollback",
        _ => "deploy",
    }
}

fn hint(service: &str, outcome: &Outcome) -> Option<String> {
    let left = outcome.from.is_some() && outcome.from != outcome.to;
    let changed = matches!(outcome.kind.as_deref(), Some("update" | "change"));
    match outcome.verdict {
        Verdict::Done if changed && left => Some(format!("undo: deploy rollback {service}")),
        Verdict::Paused => {
            Some(format!("go on: deploy resume {service}   back: deploy rollback {service}"))
        }
        Verdict::Done
        | Verdict::Failed
        | Verdict::RolledBack
        | Verdict::Cancelled
        | Verdict::Unchanged
        | Verdict::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Is, line: &str, want: &str) {
        let outcome = Outcome::read(line).unwrap();
        assert_eq!(closing("web", asked, &outcome), want, "of {line:?}");
    }

    #[test]
    fn a_deploy_that_is_done_says_how_to_undo_it() {
        check(
            Is::Apply,
            "done update v7→v8 (0.9s)",
            "deployed (0.9s)            undo: deploy rollback web",
        );
        check(Is::Apply, "done update v1 (4.8s)", "deployed (4.8s)");
        check(Is::Apply, "unchanged v3", "unchanged (v3)");
        check(Is::Restart, "done restart v3 (2.0s)", "restarted (2.0s)");
        check(Is::Remove, "done remove", "removed");
    }

    #[test]
    fn a_failure_never_looks_like_a_success() {
        check(Is::Apply, "failed update v2→v3 (30.1s): timeout", "deploy failed");
        check(Is::Apply, "failed: app:2: no such image", "deploy failed");
        let back = "rolled back v3→v2 (31.0s): timeout";
        check(Is::Apply, back, "deploy failed, rolled back to v2 (31.0s)");
        check(Is::Apply, "rolled back: all or none, and b: bad", "deploy failed, as it was before");
        check(Is::Rollback, "failed v3→v2 (1.0s): exited", "rollback failed");
        check(
            Is::Apply,
            "cancelled update v2→v3 (1.0s)",
            "deploy cancelled by somebody, back to v2",
        );
        check(Is::Apply, "cancelled update v1 (1.0s)", "deploy cancelled by somebody");
        check(Is::Restart, "cancelled restart v2 (1.0s)", "restart cancelled by somebody");
        check(Is::Apply, "done stop v2 (0.3s)", "deploy ended by somebody's stop (0.3s)");
        check(Is::Scale, "done remove", "scale ended by somebody's remove");
        check(
            Is::Apply,
            "rolled back v3→v2 (1.0s)",
            "deploy ended by somebody's rollback to v2 (1.0s)",
        );
    }

    #[test]
    fn what_was_asked_for_is_said_plainly() {
        check(Is::Rollback, "rolled back v3→v2 (0.9s)", "rolled back to v2 (0.9s)");
        check(Is::Cancel, "cancelled update v2→v3 (1.0s)", "cancelled (1.0s)");
        check(
            Is::Cancel,
            "cancelled update v2→v3 (6.0s): 0 of 1 serve as before, the rest follows",
            "cancelled (6.0s): 0 of 1 serve as before, the rest follows",
        );
        check(
            Is::Pause,
            "paused update v2→v3 (1.0s)",
            "paused                     go on: deploy resume web   back: deploy rollback web",
        );
    }
}

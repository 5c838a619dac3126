//! One line of `events`, `watch` or `log`, as a value. Texts that this version does not know
//! are kept as they are, so that a newer server loses nothing.

use crate::outcome::{Outcome, is_version};

/// What an event line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// An image is being fetched: its reference or digest.
    Pulling(String),
    /// A change of the service began.
    Began(Began),
    /// An instance has its node.
    Scheduled {
        /// Its place.
        number: u32,
        /// Where.
        node: String,
    },
    /// An instance is told to run.
    Starting {
        /// Its place.
        number: u32,
    },
    /// An instance answered its first probe, after this time: `0.2s`.
    Healthy {
        /// Its place.
        number: u32,
        /// Since its process started.
        took: String,
    },
    /// An instance that was told to stop is gone.
    Stopped {
        /// Its place.
        number: u32,
        /// A newer one replaced it.
        old: bool,
    },
    /// An instance failed.
    Failed {
        /// Its place.
        number: u32,
        /// Why.
        reason: String,
    },
    /// One of the last lines that a failed instance wrote.
    Log {
        /// Its place.
        number: u32,
        /// The line.
        line: String,
    },
    /// Anything else of one instance.
    Of {
        /// Its place.
        number: u32,
        /// What.
        text: String,
    },
    /// The update stands, and why when a failure did it.
    Paused(Option<String>),
    /// The update ended.
    Ended(Outcome),
    /// Anything else.
    Text(String),
}

/// What began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Began {
    /// How it goes.
    pub(crate) how: How,
    /// The version left, like `v7`.
    pub(crate) from: Option<String>,
    /// The version gone to.
    pub(crate) to: String,
    /// In which order instances come and go.
    pub(crate) pace: Pace,
    /// Why, when nobody asked for it.
    pub(crate) reason: Option<String>,
}

/// How a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    First,
    Rolling,
    Replace,
    Restart,
    InPlace,
    Rollback,
}

/// In which order new instances come and old ones go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// New ones serve before old ones leave.
    Surge,
    /// One leaves before its successor comes.
    TurnRound,
    /// All old ones are gone before a new one comes.
    Replace,
}

const BEGINNINGS: [(&str, How); 6] = [
    ("first deploy started ", How::First),
    ("rolling update started ", How::Rolling),
    ("replace update started ", How::Replace),
    ("restart started ", How::Restart),
    ("change in place started ", How::InPlace),
    ("rollback started ", How::Rollback),
];

impl Fact {
    /// Reads the text of an event, without its time and service.
    pub(crate) fn read(text: &str) -> Fact {
        if let Some(fact) = of_instance(text) {
            return fact;
        }
        if let Some(began) = began(text) {
            return Fact::Began(began);
        }
        if let Some(what) = text.strip_prefix("pulling ") {
            // `image of v8 sha256:…` speaks of a version that is resolved, else of a reference.
            let what = what.rsplit(' ').next().unwrap_or(what);
            return Fact::Pulling(what.to_string());
        }
        match text.strip_prefix("update paused") {
            Some("") => return Fact::Paused(None),
            Some(rest) if rest.starts_with(": ") => {
                return Fact::Paused(Some(rest[2..].to_string()));
            }
            Some(_) | None => {}
        }
        match Outcome::read(text) {
            Some(outcome) => Fact::Ended(outcome),
            None => Fact::Text(text.to_string()),
        }
    }
}

fn of_instance(text: &str) -> Option<Fact> {
    let (number, text) = text.split_once(": ")?;
    let number: u32 = number.parse().ok()?;
    let inside = |start, end| text.strip_prefix(start)?.strip_suffix(end).map(str::to_string);
    let fact = if let Some(node) = inside("scheduled on ", "") {
        Fact::Scheduled { number, node }
    } else if let Some(took) = inside("healthy (", ")") {
        Fact::Healthy { number, took }
    } else if let Some(reason) = inside("failed: ", "") {
        Fact::Failed { number, reason }
    } else if let Some(line) = inside("log: ", "") {
        Fact::Log { number, line }
    } else {
        match text {
            "starting" => Fact::Starting { number },
            "stopped" => Fact::Stopped { number, old: false },
            "old instance stopped" => Fact::Stopped { number, old: true },
            other => Fact::Of { number, text: other.to_string() },
        }
    };
    Some(fact)
}

fn began(text: &str) -> Option<Began> {
    let (rest, how) =
        BEGINNINGS.iter().find_map(|(start, how)| Some((text.strip_prefix(start)?, *how)))?;
    let (versions, reason) = match rest.split_once(": ") {
        Some((versions, reason)) => (versions, Some(reason.to_string())),
        None => (rest, None),
    };
    // `, replicas 4` of a change in place is read from the manifest.
    let (versions, more) = versions.split_once(", ").unwrap_or((versions, ""));
    let pace = match more {
        "replace" => Pace::Replace,
        "one stops before one starts" => Pace::TurnRound,
        _ if how == How::Replace => Pace::Replace,
        _ => Pace::Surge,
    };
    let (from, to) = match versions.split_once('→') {
        Some((from, to)) => (Some(from), to),
        None => (None, versions),
    };
    let known = is_version(to) && from.is_none_or(is_version);
    let (from, to) = (from.map(str::to_string), to.to_string());
    known.then_some(Began { how, from, to, pace, reason })
}

/// A line of an `events` file: its time, its service where the file is the root's, its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// As written: `2026-11-20T12:34:05Z`.
    pub(crate) time: &'a str,
    /// Of which service.
    pub(crate) service: &'a str,
    /// What happened.
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    /// A line of `active/SERVICE/events`.
    pub(crate) fn of_service(line: &'a str, service: &'a str) -> Option<Line<'a>> {
        let (time, text) = line.split_once(' ')?;
        is_time(time).then_some(Line { time, service, text })
    }

    /// A line of the root's `events`; the service is `-` for what concerns the server.
    pub(crate) fn of_root(line: &'a str) -> Option<Line<'a>> {
        let (time, rest) = line.split_once(' ')?;
        let (service, text) = rest.split_once(' ')?;
        is_time(time).then_some(Line { time, service, text })
    }
}

fn is_time(word: &str) -> bool {
    word.ends_with('Z') && word.contains('T') && word.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Fact) {
        assert_eq!(Fact::read(text), want, "of {text:?}");
    }

    fn began(how: How, from: Option<&str>, to: &str, reason: Option<&str>) -> Fact {
        let (from, reason) = (from.map(str::to_string), reason.map(str::to_string));
        let pace = if how == How::Replace { Pace::Replace } else { Pace::Surge };
        Fact::Began(Began { how, from, to: to.to_string(), pace, reason })
    }

    #[test]
    fn a_beginning_says_in_which_order_instances_come_and_go() {
        let check = |text: &str, want: Pace| {
            let Fact::Began(began) = Fact::read(text) else { panic!("{text} began nothing") };
            assert_eq!((began.to.as_str(), began.pace), ("v2", want), "{text}");
        };
        check("rollback started v3→v2, replace", Pace::Replace);
        check("rollback started v3→v2, replace: 3: exited, with code 1", Pace::Replace);
        check("rollback started v3→v2, one stops before one starts", Pace::TurnRound);
        check("rollback started v3→v2: 3: exited, replace", Pace::Surge);
        check("restart started v2, replace", Pace::Replace);
        check("change in place started v1→v2, replicas 5", Pace::Surge);
    }

    #[test]
    fn every_beginning_is_known() {
        check("first deploy started v1", began(How::First, None, "v1", None));
        check("rolling update started v1→v2", began(How::Rolling, Some("v1"), "v2", None));
        check("replace update started v1→v2", began(How::Replace, Some("v1"), "v2", None));
        check("restart started v3", began(How::Restart, None, "v3", None));
        let place = "change in place started v3→v4, replicas 5";
        check(place, began(How::InPlace, Some("v3"), "v4", None));
        let back = "rollback started v3→v2: 3: exited with code 1";
        check(back, began(How::Rollback, Some("v3"), "v2", Some("3: exited with code 1")));
    }

    #[test]
    fn what_an_instance_does_has_its_number() {
        let (number, text) = (3, |text: &str| text.to_string());
        check("3: scheduled on node-1", Fact::Scheduled { number, node: text("node-1") });
        check("3: starting", Fact::Starting { number });
        check("3: healthy (0.2s)", Fact::Healthy { number, took: text("0.2s") });
        check("3: old instance stopped", Fact::Stopped { number, old: true });
        check("3: stopped", Fact::Stopped { number, old: false });
        check("3: failed: out: of memory", Fact::Failed { number, reason: text("out: of memory") });
        check("3: log: failed: x", Fact::Log { number, line: text("failed: x") });
        check("3: last probe: refused", Fact::Of { number, text: text("last probe: refused") });
    }

    #[test]
    fn a_pull_says_what_is_pulled() {
        check("pulling app:1.9", Fact::Pulling("app:1.9".to_string()));
        check("pulling image of v8 sha256:ab12", Fact::Pulling("sha256:ab12".to_string()));
    }

    #[test]
    fn a_pause_is_no_end_of_the_update() {
        check("update paused", Fact::Paused(None));
        check("update paused: 3: failed", Fact::Paused(Some("3: failed".to_string())));
    }

    #[test]
    fn a_text_of_a_newer_server_is_kept() {
        check("aligned with the moon", Fact::Text("aligned with the moon".to_string()));
        check("rolling update started soon", Fact::Text("rolling update started soon".to_string()));
    }

    #[test]
    fn the_roots_lines_name_their_service() {
        let line = "2026-11-20T12:34:05Z web 3: starting";
        let want = Line { time: "2026-11-20T12:34:05Z", service: "web", text: "3: starting" };
        assert_eq!(Line::of_root(line), Some(want));
        let line = "2026-11-20T12:34:05Z 3: starting";
        assert_eq!(Line::of_service(line, "web"), Some(want));
        assert_eq!(Line::of_service("lost 10 bytes: this reader was too slow", "web"), None);
    }
}

//! A line of the tree's `events` as a value, as far as a deploy is told by it. What is not known
//! is passed over, so that a newer server loses nothing.

/// A line of the root's `events`; the service is `-` for what concerns the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    pub(crate) service: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    pub(crate) fn read(line: &'a str) -> Option<Line<'a>> {
        let (time, rest) = line.split_once(' ')?;
        let (service, text) = rest.split_once(' ')?;
        let is_time = time.ends_with('Z') && time.contains('T');
        is_time.then_some(Line { time, service, text })
    }

    /// The place of the instance it is about.
    pub(crate) fn instance(&self) -> Option<u32> {
        self.text.split_once(": ")?.0.parse().ok()
    }
}

/// What a line tells of a deploy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    /// The image is asked for: an apply was accepted.
    Pulling,
    /// A service that was not deployed begins.
    First,
    /// The way back begins; what comes then is no part of what was asked for.
    Back,
    /// It is taken back where there is no way back, and why.
    TakenBack(String),
    /// An instance has its node.
    Scheduled(String),
    /// An instance is told to run.
    Starting,
    /// An instance answered its first probe, so many seconds after its process began.
    Healthy(Option<f64>),
    /// An old instance is gone. That a new one is, is told by why it failed.
    Stopped,
    /// It came to its end.
    Ended(End),
    /// Anything else.
    Other,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    /// Why not well; none when what was asked for came to be.
    pub(crate) wrong: Option<String>,
    /// Nothing was to be done.
    pub(crate) unchanged: bool,
    /// How long it took, where that was told.
    pub(crate) seconds: Option<f64>,
}

impl Fact {
    pub(crate) fn read(text: &str) -> Fact {
        if text.starts_with("pulling ") {
            return Fact::Pulling;
        }
        if text.starts_with("first deploy started ") {
            return Fact::First;
        }
        if text.starts_with("rollback started ") {
            return Fact::Back;
        }
        if let Some(why) = text.strip_prefix("taken back: ") {
            return Fact::TakenBack(why.to_string());
        }
        let of_instance = text.split_once(": ").filter(|(number, _)| number.parse::<u32>().is_ok());
        if let Some((_, text)) = of_instance {
            return Fact::of_instance(text);
        }
        End::read(text).map_or(Fact::Other, Fact::Ended)
    }

    fn of_instance(text: &str) -> Fact {
        if let Some(node) = text.strip_prefix("scheduled on ") {
            return Fact::Scheduled(node.to_string());
        }
        let took = text.strip_prefix("healthy (").and_then(|text| text.strip_suffix(')'));
        match (text, took) {
            (_, Some(took)) => Fact::Healthy(seconds(took)),
            ("starting", _) => Fact::Starting,
            ("old instance stopped", _) => Fact::Stopped,
            _ => Fact::Other,
        }
    }
}

impl End {
    /// Reads an outcome: the last event of an update, or the line of `wait`.
    pub(crate) fn read(text: &str) -> Option<End> {
        const PAUSED: &str = "paused; resume, cancel or roll back";
        let text = text.trim_end();
        let after = |word: &str| {
            let rest = text.strip_prefix(word)?;
            (rest.is_empty() || rest.starts_with([' ', ':'])).then_some(rest)
        };
        let (head, why) = match text.split_once("): ") {
            Some((head, why)) => (head, Some(why)),
            None => (text.trim_end_matches(')'), None),
        };
        let took = head.rsplit_once(" (").and_then(|(_, took)| seconds(took));
        let said = why.or(text.split_once(": ").map(|(_, why)| why));
        let unchanged = after("unchanged").is_some();
        let end = |wrong: Option<String>| Some(End { wrong, unchanged, seconds: took });
        let because = |what: &str| Some(said.map_or(what.to_string(), str::to_string));
        if let Some(rest) = after("done") {
            let kind = rest.split_whitespace().next().unwrap_or_default();
            let overtaken = matches!(kind, "stop" | "remove");
            return end(overtaken.then(|| format!("ended by somebody's {kind}")));
        }
        if unchanged {
            return end(None);
        }
        if after("failed").is_some() {
            return end(because("failed"));
        }
        if after("rolled back").is_some() {
            return end(because("ended by somebody's rollback"));
        }
        if after("cancelled").is_some() {
            return end(Some("cancelled".to_string()));
        }
        if after("update paused").is_some() || after("paused").is_some() {
            let why = said.map_or(PAUSED.to_string(), |why| format!("{why}; {PAUSED}"));
            return end(Some(why));
        }
        None
    }
}

/// `0.2s`, `1m30s`.
fn seconds(text: &str) -> Option<f64> {
    let text = text.strip_suffix('s')?;
    let (minutes, rest) = text
        .split_once('m')
        .map_or((0.0, text), |(minutes, rest)| (minutes.parse().unwrap_or(0.0), rest));
    Some(minutes * 60.0 + rest.parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_its_service_and_its_instance() {
        let line = Line::read("2026-11-20T12:34:05Z web 3: starting").unwrap();
        assert_eq!((line.service, line.text, line.instance()), ("web", "3: starting", Some(3)));
        let line = Line::read("2026-11-20T12:34:05Z - edge main is connected").unwrap();
        assert_eq!((line.service, line.instance()), ("-", None));
        assert_eq!(Line::read("lost 10 bytes: this reader was too slow"), None);
    }

    #[test]
    fn what_an_instance_does_is_told_without_its_place() {
        let check = |text: &str, want: Fact| assert_eq!(Fact::read(text), want, "{text}");
        check("pulling web:2", Fact::Pulling);
        check("2: scheduled on node-2", Fact::Scheduled("node-2".to_string()));
        check("2: starting", Fact::Starting);
        check("2: healthy (2.1s)", Fact::Healthy(Some(2.1)));
        check("2: healthy (1m0.5s)", Fact::Healthy(Some(60.5)));
        check("0: old instance stopped", Fact::Stopped);
        check("0: stopped", Fact::Other);
        check("first deploy started v1", Fact::First);
        check("rollback started v2→v1: no", Fact::Back);
        check("taken back: all or none", Fact::TakenBack("all or none".to_string()));
        check("2: failed: done", Fact::Other);
        check("2: healthy again", Fact::Other);
        check("rolling update started v1→v2", Fact::Other);
        check("doneness", Fact::Other);
        check("", Fact::Other);
    }

    #[test]
    fn an_end_is_good_or_says_why_not() {
        let check = |text: &str, wrong: Option<&str>, seconds: Option<f64>| {
            let unchanged = text.starts_with("unchanged");
            let want = End { wrong: wrong.map(str::to_string), unchanged, seconds };
            assert_eq!(Fact::read(text), Fact::Ended(want), "{text}");
        };
        check("done update v1→v2 (4.2s)", None, Some(4.2));
        check("done change v3→v4 (0.1s)", None, Some(0.1));
        check("unchanged v3", None, None);
        let late = "health check timeout after 30s";
        check(&format!("failed update v2→v3 (30.1s): {late}"), Some(late), Some(30.1));
        check("failed: app:2: no such image", Some("app:2: no such image"), None);
        let back = "rolled back v3→v2 (31.0s): exited with code 1 (again): bad";
        check(back, Some("exited with code 1 (again): bad"), Some(31.0));
        check("rolled back v3→v2 (1.0s)", Some("ended by somebody's rollback"), Some(1.0));
        check("cancelled update v1→v2 (3.0s)", Some("cancelled"), Some(3.0));
        check("cancelled before anything was started", Some("cancelled"), None);
        check("done stop v2 (0.3s)", Some("ended by somebody's stop"), Some(0.3));
        check("update paused", Some("paused; resume, cancel or roll back"), None);
        check("update paused: bad", Some("bad; paused; resume, cancel or roll back"), None);
    }
}

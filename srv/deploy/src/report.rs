//! What a node tells, from the lines of its `events` and the `key=value` lines of its `status`
//! files: the edge at which the node's texts become values.

use ninep::numberless;
use rollout::Exit;
use std::collections::BTreeMap;
use thiserror::Error;

/// One thing a node told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are those of the node's events")]
pub enum Report {
    /// A pull goes on.
    Pulling { reference: String, done: u64, total: u64 },
    /// An image is there.
    Pulled { reference: String, digest: String },
    /// An image could not be had.
    PullFailed { reference: String, reason: String, permanent: bool },
    /// An image was made.
    Pushed { name: String, digest: String },
    /// An image could not be made.
    PushFailed { name: String, reason: String },
    /// A collection took an image's name.
    Collected { name: String, digest: String, bytes: u64 },
    /// A collection has ended.
    Swept { images: u64, bytes: u64 },
    /// A first process runs.
    Started { container: String, pid: u32, address: String, port: Option<u16> },
    /// A container could not be started.
    Failed { container: String, reason: String, permanent: bool },
    /// A probe was answered otherwise than before.
    Probe { container: String, answer: String },
    /// A container is healthy, for the first time or again.
    Healthy { container: String, ms: u64 },
    /// Too many probes failed in a row.
    Unhealthy { container: String, reason: String },
    /// A container's first process is gone.
    Exited { container: String, exit: Exit },
    /// Nothing of the container is left but its log, of so many bytes.
    Removed { container: String, log_bytes: u64 },
    /// Something of it could not be removed; the node tries again by itself.
    RemoveFailed { container: String, reason: String },
}

/// A line that is not one of a node's.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("node sent a line that is none of its events: \"{0}\"")]
pub struct Strange(String);

/// Reads one line of a node's `events`.
///
/// # Errors
/// A kind that is not known, or one without what belongs to it.
pub fn parse(line: &str) -> Result<Report, Strange> {
    read(line).ok_or_else(|| Strange(line.chars().take(200).collect()))
}

fn read(line: &str) -> Option<Report> {
    let mut words = line.splitn(5, ' ');
    let (_seq, _at) = (words.next()?, words.next()?);
    let kind = words.next()?;
    let subject = words.next()?.to_string();
    let mut values = Values::of(words.next().unwrap_or_default());
    let report = match kind {
        "pulling" => Report::Pulling {
            reference: subject,
            done: values.number("done").unwrap_or(0),
            total: values.number("total").unwrap_or(0),
        },
        "pulled" => Report::Pulled { reference: subject, digest: values.take("digest")? },
        "pull-failed" => Report::PullFailed {
            reference: subject,
            reason: values.take("reason")?,
            permanent: values.yes("permanent"),
        },
        "pushed" => Report::Pushed { name: subject, digest: values.take("digest")? },
        "push-failed" => Report::PushFailed { name: subject, reason: values.take("reason")? },
        "collected" => Report::Collected {
            name: subject,
            digest: values.take("digest")?,
            bytes: values.number("bytes")?,
        },
        "swept" => {
            Report::Swept { images: values.number("count")?, bytes: values.number("bytes")? }
        }
        "started" => Report::Started {
            container: subject,
            pid: values.number("pid")?,
            address: values.take("address").unwrap_or_default(),
            port: values.number("port"),
        },
        "failed" => Report::Failed {
            container: subject,
            reason: values.take("reason")?,
            permanent: values.yes("permanent"),
        },
        "probe" => Report::Probe { container: subject, answer: values.take("answer")? },
        "healthy" => Report::Healthy { container: subject, ms: values.number("ms").unwrap_or(0) },
        "unhealthy" => Report::Unhealthy { container: subject, reason: values.take("reason")? },
        "exited" => Report::Exited { container: subject, exit: values.exit()? },
        "removed" => {
            Report::Removed { container: subject, log_bytes: values.number("log").unwrap_or(0) }
        }
        "remove-failed" => {
            Report::RemoveFailed { container: subject, reason: values.take("reason")? }
        }
        _ => return None,
    };
    Some(report)
}

/// `key=value` pairs on one line; values with blanks are quoted as in rc.
#[derive(Debug, Default)]
struct Values(BTreeMap<String, String>);

impl Values {
    fn of(text: &str) -> Values {
        let mut pairs = BTreeMap::new();
        let mut rest = text.trim_start();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = word(after);
            pairs.insert(key.to_string(), value);
            rest = after.trim_start();
        }
        Values(pairs)
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key).map(|text| numberless(&text))
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        self.take(key)?.parse().ok()
    }

    fn yes(&mut self, key: &str) -> bool {
        self.take(key).is_some_and(|v| v == "true")
    }

    fn exit(&mut self) -> Option<Exit> {
        Some(Exit {
            code: self.number("code")?,
            signal: self.take("signal"),
            oom: self.yes("oom"),
            reason: self.take("reason"),
        })
    }
}

/// One word: up to a blank, or in single quotes, where two quotes stand for one.
fn word(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find(' ').unwrap_or(text.len());
        return (text[..end].to_string(), &text[end..]);
    };
    let (mut value, mut rest) = (String::new(), quoted);
    loop {
        let Some(at) = rest.find('\'') else { return (value + rest, "") };
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return (value, rest),
        }
    }
}

/// What is known of a container: the mirror of its `status` on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// `new pulling starting running exited failed`.
    pub state: String,
    /// Of its first process; 0 when there is none.
    pub pid: u32,
    /// Where it is reached.
    pub address: String,
    /// The port it was given.
    pub port: Option<u16>,
    /// `none starting healthy unhealthy`.
    pub health: String,
    /// The last probe's answer.
    pub probe: String,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Why it could not be started.
    pub reason: String,
    /// Starting it again cannot help.
    pub permanent: bool,
    /// When it was started, in milliseconds since 1970; 0 for not yet.
    pub started: u64,
    /// What the machine could not give it.
    pub warnings: Vec<String>,
}

/// Reads a container's `status` file. Keys that are not known are left out.
#[must_use]
pub fn container(text: &str) -> Container {
    let mut found = Container::default();
    let (mut exit, mut ended) = (Exit::default(), false);
    for (key, value) in lines(text) {
        match key {
            "state" => found.state = value,
            "pid" => found.pid = value.parse().unwrap_or(0),
            "address" => found.address = value,
            "port" => found.port = value.parse().ok(),
            "health" => found.health = value,
            "probe" => found.probe = value,
            "started" => found.started = value.parse().unwrap_or(0),
            "warning" => found.warnings.push(value),
            "exit" => {
                ended = !value.is_empty();
                exit.code = value.parse().unwrap_or(0);
            }
            "signal" => exit.signal = Some(value).filter(|v| !v.is_empty()),
            "oom" => exit.oom = value == "true",
            "reason" => found.reason = value,
            "permanent" => found.permanent = value == "true",
            _ => {}
        }
    }
    exit.reason = Some(found.reason.clone()).filter(|v| !v.is_empty());
    found.exit = ended.then_some(exit);
    found
}

/// The `key=value` lines of a text; `\n` in a value is a newline.
pub fn lines(text: &str) -> impl Iterator<Item = (&str, String)> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key, value.replace("\\n", "\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_a_node_s_events_is_understood() {
        let web = || "web-3".to_string();
        let cases = [
            (
                "7 1795178045999 started web-3 pid=42 address=10.89.0.5 port=8080",
                Report::Started {
                    container: web(),
                    pid: 42,
                    address: "10.89.0.5".into(),
                    port: Some(8080),
                },
            ),
            ("8 1 healthy web-3 ms=12", Report::Healthy { container: web(), ms: 12 }),
            (
                "9 1 exited web-3 code=137 signal=KILL oom=true",
                Report::Exited {
                    container: web(),
                    exit: Exit { code: 137, signal: Some("KILL".into()), oom: true, reason: None },
                },
            ),
            (
                "9 1 failed web-3 permanent=true reason='command not found: \"it''s\"'",
                Report::Failed {
                    container: web(),
                    reason: "command not found: \"it's\"".into(),
                    permanent: true,
                },
            ),
            (
                "9 1 push-failed web:1 reason='/x: no such file (os error 2)'",
                Report::PushFailed { name: "web:1".into(), reason: "/x: no such file".into() },
            ),
            ("9 1 removed web-3", Report::Removed { container: web(), log_bytes: 0 }),
            ("9 1 removed web-3 log=7", Report::Removed { container: web(), log_bytes: 7 }),
            (
                "9 1 collected web:1 digest=sha256:a bytes=7",
                Report::Collected { name: "web:1".into(), digest: "sha256:a".into(), bytes: 7 },
            ),
            ("9 1 swept images count=1 bytes=9", Report::Swept { images: 1, bytes: 9 }),
            (
                "9 1 pull-failed web:v9 permanent=false reason='no route'",
                Report::PullFailed {
                    reference: "web:v9".into(),
                    reason: "no route".into(),
                    permanent: false,
                },
            ),
        ];
        for (line, want) in cases {
            assert_eq!(parse(line).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn a_strange_line_is_told_and_never_panics() {
        for line in ["", "1 2", "1 2 danced web-1", "1 2 started web-1", "1 2 exited web-1 code=x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(word("'a''b' c"), ("a'b".to_string(), " c"));
        assert_eq!(word("'open"), ("open".to_string(), ""));
    }

    #[test]
    fn a_status_says_how_a_container_ended() {
        let found =
            container("state=exited\nexit=2\nsignal=\noom=false\nreason=\nwarning=no cpu\n");
        assert_eq!(found.exit, Some(Exit { code: 2, ..Exit::default() }));
        assert_eq!(found.warnings, ["no cpu"]);
        assert_eq!(container("state=running\nexit=\npid=7\n").exit, None);
    }
}

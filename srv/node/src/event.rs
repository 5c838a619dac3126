//! What the node tells: one closed list of things that happened, one line each.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use crate::id::Id;
use crate::quote::quote;

/// Something that happened. Display is the line without its number and time:
/// `<kind> <subject> [key=value ...]`, values quoted as in rc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes of an image arrived; at most four a second a pull.
    Pulling { reference: String, layer: String, done: u64, total: u64 },
    /// An image is complete here.
    Pulled { reference: String, digest: String, bytes: u64 },
    /// An image is not here.
    PullFailed { reference: String, permanent: bool, reason: String },
    /// An image was made here.
    Pushed { name: String, digest: String },
    /// It was not.
    PushFailed { name: String, reason: String },
    /// A collection took a name, and so much with it.
    Collected { reference: String, digest: String, bytes: u64 },
    /// A collection has ended: names that went and bytes freed, those of no name included.
    Swept { images: usize, bytes: u64 },
    /// The program runs.
    Started { id: Id, pid: i32, address: Option<IpAddr>, port: Option<u16>, warnings: Vec<String> },
    /// The program never ran.
    Failed { id: Id, permanent: bool, reason: String },
    /// A probe was answered otherwise than the one before.
    Probe { id: Id, answer: String },
    /// The instance became healthy, `ms` after its process started.
    Healthy { id: Id, ms: u64 },
    /// A healthy instance became unhealthy.
    Unhealthy { id: Id, reason: String },
    /// The program ended.
    Exited { id: Id, code: i32, signal: Option<String>, oom: bool, reason: Option<String> },
    /// Its directory could not be removed; it is tried again, until `removed` comes.
    RemoveFailed { id: Id, reason: String },
    /// Nothing of the instance is left but its log, of so many bytes.
    Removed { id: Id, log_bytes: u64 },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, subject, rest) = self.parts();
        write!(f, "{kind} {}{rest}", quote(subject))
    }
}

impl Event {
    fn parts(&self) -> (&'static str, &str, Keys) {
        let keys = Keys::default();
        match self {
            Event::Pulling { reference, layer, done, total } => (
                "pulling",
                reference,
                keys.with("layer", layer).with("done", done).with("total", total),
            ),
            Event::Pulled { reference, digest, bytes } => {
                ("pulled", reference, keys.with("digest", digest).with("bytes", bytes))
            }
            Event::PullFailed { reference, permanent, reason } => {
                ("pull-failed", reference, keys.with("permanent", permanent).with("reason", reason))
            }
            Event::Pushed { name, digest } => ("pushed", name, keys.with("digest", digest)),
            Event::PushFailed { name, reason } => {
                ("push-failed", name, keys.with("reason", reason))
            }
            Event::Collected { reference, digest, bytes } => {
                ("collected", reference, keys.with("digest", digest).with("bytes", bytes))
            }
            Event::Swept { images, bytes } => {
                ("swept", "images", keys.with("count", images).with("bytes", bytes))
            }
            Event::Started { id, pid, address, port, warnings } => {
                let keys = keys.with("pid", pid).maybe("address", address).maybe("port", port);
                let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
                ("started", id.as_str(), keys.maybe("warning", &warning))
            }
            Event::Failed { id, permanent, reason } => {
                ("failed", id.as_str(), keys.with("permanent", permanent).with("reason", reason))
            }
            Event::Probe { id, answer } => ("probe", id.as_str(), keys.with("answer", answer)),
            Event::Healthy { id, ms } => ("healthy", id.as_str(), keys.with("ms", ms)),
            Event::Unhealthy { id, reason } => {
                ("unhealthy", id.as_str(), keys.with("reason", reason))
            }
            Event::Exited { id, code, signal, oom, reason } => {
                let keys = keys.with("code", code).maybe("signal", signal).with("oom", oom);
                ("exited", id.as_str(), keys.maybe("reason", reason))
            }
            Event::RemoveFailed { id, reason } => {
                ("remove-failed", id.as_str(), keys.with("reason", reason))
            }
            Event::Removed { id, log_bytes } => {
                let kept = Some(log_bytes).filter(|bytes| **bytes > 0);
                ("removed", id.as_str(), keys.maybe("log", &kept))
            }
        }
    }
}

/// The keys of a line, each with a blank before it.
#[derive(Default)]
struct Keys(String);

impl Keys {
    fn with(mut self, key: &str, value: impl ToString) -> Keys {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {key}={}", quote(&value.to_string()));
        self
    }

    fn maybe(self, key: &str, value: &Option<impl ToString>) -> Keys {
        match value {
            Some(value) => self.with(key, value.to_string()),
            None => self,
        }
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: Event, line: &str) {
        assert_eq!(event.to_string(), line);
    }

    #[test]
    fn an_event_is_one_line_of_kind_subject_and_keys() {
        let id: Id = "web-1".parse().unwrap();
        let web = || id.clone();
        let started = |warnings| Event::Started {
            id: web(),
            pid: 7,
            address: Some([10, 89, 0, 5].into()),
            port: Some(80),
            warnings,
        };
        check(started(vec![]), "started web-1 pid=7 address=10.89.0.5 port=80");
        check(
            started(vec!["no pids".into(), "no cpu".into()]),
            "started web-1 pid=7 address=10.89.0.5 port=80 warning='no pids; no cpu'",
        );
        let (signal, reason) = (Some("KILL".into()), Some("it's\nover".into()));
        check(
            Event::Exited { id: web(), code: 137, signal, oom: true, reason },
            "exited web-1 code=137 signal=KILL oom=true reason='it''s over'",
        );
        check(
            Event::Exited { id: web(), code: 0, signal: None, oom: false, reason: None },
            "exited web-1 code=0 oom=false",
        );
        check(Event::Removed { id: web(), log_bytes: 0 }, "removed web-1");
        check(Event::Removed { id: web(), log_bytes: 7 }, "removed web-1 log=7");
        check(
            Event::RemoveFailed { id: web(), reason: "disk is read-only".into() },
            "remove-failed web-1 reason='disk is read-only'",
        );
        check(
            Event::PullFailed { reference: "x:1".into(), permanent: true, reason: "".into() },
            "pull-failed x:1 permanent=true reason=''",
        );
        check(
            Event::Pulling { reference: "x:1".into(), layer: "sha256:a".into(), done: 1, total: 2 },
            "pulling x:1 layer=sha256:a done=1 total=2",
        );
        let (reference, digest) = ("x:1".into(), "sha256:a".into());
        check(
            Event::Collected { reference, digest, bytes: 7 },
            "collected x:1 digest=sha256:a bytes=7",
        );
        check(Event::Swept { images: 1, bytes: 9 }, "swept images count=1 bytes=9");
    }
}

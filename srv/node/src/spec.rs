//! What an instance shall be: written by the client once, as JSON, before the start.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::id::Id;
use crate::signal;

/// Bytes a spec may have.
pub(crate) const SPEC_BYTES_MAX: usize = 256 * 1024;
/// Words a command or an exec check may have.
const ARGV_LEN_MAX: usize = 1024;
/// Milliseconds any of the times may be: a day.
const TIME_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Milliseconds between two probes at least, so that nobody probes in a busy loop.
const HEALTH_INTERVAL_MS_MIN: u64 = 100;

/// An instance's spec. What a client writes has every key and no other ([`Spec::parse`]); what
/// another version of the node wrote may have fewer or more ([`Spec::recover`]).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Spec {
    /// The service, given to the program as `SERVICE`.
    pub(crate) service: String,
    /// What to pull when the digest is not here: a reference or a source.
    pub(crate) image: String,
    /// `sha256:…` the image must have; empty: whatever the reference gives.
    pub(crate) digest: String,
    /// Replaces the image's entry point and command.
    pub(crate) command: Option<Vec<String>>,
    /// `uid[:gid]` or names; none: the image's.
    pub(crate) user: Option<String>,
    /// Absolute; none: the image's.
    pub(crate) workdir: Option<String>,
    /// Added to the image's environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The port the program listens on.
    pub(crate) port: Option<u16>,
    /// Thousandths of a core: reserved and the limit.
    pub(crate) cpu_milli: u64,
    /// Bytes: reserved and the limit.
    pub(crate) memory_bytes: u64,
    /// Processes and threads at most.
    pub(crate) pids: u64,
    /// A network of its own or the machine's.
    pub(crate) network: Wanted,
    /// Root mounted read-only.
    pub(crate) read_only: bool,
    /// Capabilities beyond the short list.
    pub(crate) cap_add: Vec<String>,
    /// Capabilities taken away.
    pub(crate) cap_drop: Vec<String>,
    /// How its health is found out.
    pub(crate) health: Health,
    /// Between two probes of a healthy instance.
    pub(crate) health_interval_ms: u64,
    /// For one probe.
    pub(crate) health_timeout_ms: u64,
    /// Consecutive failures that make it unhealthy.
    pub(crate) health_retries: u32,
    /// How long it must answer well before it counts.
    pub(crate) min_healthy_ms: u64,
    /// Asks the program to end; none: the image's or TERM.
    pub(crate) stop_signal: Option<String>,
    /// From that signal to the kill.
    pub(crate) stop_timeout_ms: u64,
    /// Bytes at which the log is rotated.
    pub(crate) log_size_bytes: u64,
    /// Log files kept, the current one included.
    pub(crate) log_files: u32,
    /// Host name seen inside.
    pub(crate) hostname: String,
    /// Where the names of services are answered; none: nowhere. It may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns: Option<IpAddr>,
    /// Files below `/config`, by name; may be missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) config: BTreeMap<String, String>,
    /// Directories that are more than the container's; may be missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes: Vec<Volume>,
    /// What is handed over before the start, named for people; never a value. May be missing, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) secrets: Vec<String>,
}

/// A directory bound into the container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Volume {
    /// A named volume of this node, made when it is not there.
    Named { name: String, path: String },
    /// The instance's own, which goes with it.
    Own { name: String, path: String },
    /// A directory of the machine, which must lie below an allowed one; that comes with each spec,
    /// so that it is always as the server says today.
    Host { dir: String, below: Option<String>, path: String, read_only: bool },
}

impl Volume {
    fn fault(&self) -> Option<String> {
        let (name, paths) = match self {
            Volume::Named { name, path } | Volume::Own { name, path } => (Some(name), vec![path]),
            Volume::Host { dir, below, path, .. } => {
                (None, [dir, path].into_iter().chain(below).collect())
            }
        };
        let climbs = |path: &&&String| !path.starts_with('/') || path.split('/').any(|p| p == "..");
        let bad_name = name.and_then(|name| name.parse::<Id>().err());
        bad_name.map(|error| error.to_string()).or_else(|| {
            let path = paths.iter().find(climbs)?;
            Some(format!("volume '{path}' does not begin with '/', or climbs"))
        })
    }
}

/// The network an instance asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    /// A namespace on the node's bridge.
    Bridge,
    /// The machine's own, with a port of the node's choice.
    Host,
}

/// How to find out whether an instance is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Health {
    /// A GET that answers 200 to 399.
    Http { path: String, port: u16 },
    /// A connection that is accepted.
    Tcp { port: u16 },
    /// A command in the instance that ends with 0.
    Exec { argv: Vec<String> },
    /// A file in the instance that is not empty.
    File { path: String },
    /// A second without an exit.
    Running,
}

impl Spec {
    /// Reads and checks a spec; the error names `id` and what is wrong.
    pub(crate) fn parse(id: &Id, bytes: &[u8]) -> Result<Spec> {
        let bad = |why: String| Error::Spec { id: id.to_string(), why };
        let spec: Spec = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        let given: Value = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        let known = serde_json::to_value(&spec).map_err(|e| bad(e.to_string()))?;
        match stranger(&given, &known).or_else(|| spec.fault()) {
            None => Ok(spec),
            Some(why) => Err(bad(why)),
        }
    }

    /// Understands as much as can be of a spec that another version of the node took: a key that
    /// is missing or cannot be read is as usual, one that is not known is passed over, and no
    /// limit of today is held against it. What runs goes on, whatever its spec looks like.
    pub(crate) fn recover(given: &Value) -> Spec {
        let mut spec = Spec::usual();
        let Ok(Value::Object(mut known)) = serde_json::to_value(&spec) else { return spec };
        let Some(given) = given.as_object() else { return spec };
        for (key, value) in given {
            let Some(before) = known.insert(key.clone(), value.clone()) else {
                known.remove(key);
                continue;
            };
            match serde_json::from_value(Value::Object(known.clone())) {
                Ok(better) => spec = better,
                Err(_) => {
                    known.insert(key.clone(), before);
                }
            }
        }
        spec
    }

    /// Where a written spec says nothing: an instance that is left alone.
    fn usual() -> Spec {
        Spec {
            service: String::new(),
            image: String::new(),
            digest: String::new(),
            command: None,
            user: None,
            workdir: None,
            env: BTreeMap::new(),
            port: None,
            cpu_milli: 0,
            memory_bytes: 0,
            pids: 512,
            network: Wanted::Bridge,
            read_only: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            health: Health::Running,
            health_interval_ms: 10_000,
            health_timeout_ms: 5_000,
            health_retries: 3,
            min_healthy_ms: 0,
            stop_signal: None,
            stop_timeout_ms: 10_000,
            log_size_bytes: 10_000_000,
            log_files: 5,
            hostname: String::new(),
            dns: None,
            config: BTreeMap::new(),
            volumes: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// What makes the spec useless, if anything does. What only the shim can know is left to it.
    fn fault(&self) -> Option<String> {
        let argv = |what: &str, argv: &[String]| match argv.len() {
            0 => Some(format!("{what} is empty: name a program")),
            1..=ARGV_LEN_MAX => None,
            _ => Some(format!("{what} has more than {ARGV_LEN_MAX} words")),
        };
        let absolute = |what: &str, path: &str| {
            (!path.starts_with('/')).then(|| format!("{what} '{path}' does not begin with '/'"))
        };
        let health = match &self.health {
            Health::Http { path, .. } => absolute("health path", path),
            Health::File { path } => absolute("health path", path),
            Health::Exec { argv: words } => argv("health argv", words),
            Health::Tcp { .. } | Health::Running => None,
        };
        let signal = self.stop_signal.as_deref().filter(|name| signal::parse(name).is_none());
        let times = [
            ("health_interval_ms", self.health_interval_ms, HEALTH_INTERVAL_MS_MIN),
            ("health_timeout_ms", self.health_timeout_ms, 1),
            ("min_healthy_ms", self.min_healthy_ms, 0),
            ("stop_timeout_ms", self.stop_timeout_ms, 0),
        ];
        let time = times.iter().find_map(|(key, ms, min)| {
            let range = *min..=TIME_MS_MAX;
            (!range.contains(ms)).then(|| format!("{key} is {ms}, not {min} to {TIME_MS_MAX}"))
        });
        health
            .or_else(|| self.command.as_deref().and_then(|words| argv("command", words)))
            .or_else(|| self.workdir.as_deref().and_then(|path| absolute("workdir", path)))
            .or_else(|| signal.map(|name| format!("no signal '{name}'")))
            .or(time)
            .or_else(|| self.image.is_empty().then(|| "image is empty".to_owned()))
            .or_else(|| self.volumes.iter().find_map(Volume::fault))
            .or_else(|| self.config.keys().find_map(|name| file_fault(name)))
            .or_else(|| (self.health_retries == 0).then(|| "health_retries is 0".to_owned()))
    }
}

/// A name that would be no file of one directory.
fn file_fault(name: &str) -> Option<String> {
    let bad = name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']);
    bad.then(|| format!("config '{name}' is no file's name"))
}

/// The first key of a written spec, or of its health, that means nothing.
fn stranger(given: &Value, known: &Value) -> Option<String> {
    let pairs = [(given, known), (&given["health"], &known["health"])];
    let strange = pairs.into_iter().find_map(|(given, known)| {
        let known = known.as_object()?;
        given.as_object()?.keys().find(|key| !known.contains_key(*key))
    });
    strange.map(|key| format!("unknown field `{key}`"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A spec with every key, some of them replaced.
    pub(crate) fn text(changes: Value) -> Vec<u8> {
        let mut spec = serde_json::json!({
            "service": "web", "image": "dir:/srv/root", "digest": "", "command": ["/bin/web"],
            "user": null, "workdir": null, "env": {"A": "b"}, "port": 8080, "cpu_milli": 250,
            "memory_bytes": 268435456, "pids": 512, "network": "bridge", "read_only": false,
            "cap_add": [], "cap_drop": [], "health": {"kind": "http", "path": "/", "port": 8080},
            "health_interval_ms": 10000, "health_timeout_ms": 5000, "health_retries": 3,
            "min_healthy_ms": 0, "stop_signal": null, "stop_timeout_ms": 10000,
            "log_size_bytes": 10000000, "log_files": 5, "hostname": "web-1"
        });
        for (key, value) in changes.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec.to_string().into_bytes()
    }

    fn check(changes: Value, fault: &str) {
        let id: Id = "web-1".parse().unwrap();
        match Spec::parse(&id, &text(changes)) {
            Ok(_) => assert_eq!(fault, ""),
            Err(error) => {
                let error = error.to_string();
                assert!(!fault.is_empty() && error.contains(fault), "{error}");
                assert!(error.starts_with("spec of web-1: "), "{error}");
            }
        }
    }

    #[test]
    fn a_spec_has_every_key_and_no_other() {
        check(serde_json::json!({}), "");
        check(serde_json::json!({"prot": 1}), "unknown field `prot`");
        let health = serde_json::json!({"kind": "tcp", "port": 1, "path": "/"});
        check(serde_json::json!({"health": health}), "unknown field `path`");
        let id: Id = "web-1".parse().unwrap();
        let without = br#"{"service":"web"}"#;
        assert!(Spec::parse(&id, without).unwrap_err().to_string().contains("missing field"));
    }

    #[test]
    fn of_another_versions_spec_all_is_kept_that_can_be_understood() {
        let id: Id = "web-1".parse().unwrap();
        let today = |changes| Spec::parse(&id, &text(changes)).unwrap();
        let recovered = |text: &[u8]| Spec::recover(&serde_json::from_slice(text).unwrap());
        let health = serde_json::json!({"kind": "tcp", "port": 1, "tls": true});
        let other = text(serde_json::json!({
            "later": [1], "health": health, "network": "wireless", "stop_timeout_ms": u64::MAX
        }));
        let plain = serde_json::json!({"health": {"kind": "tcp", "port": 1}});
        assert_eq!(recovered(&other), Spec { stop_timeout_ms: u64::MAX, ..today(plain) });
        let earlier = recovered(br#"{"service":"web","port":8080}"#);
        assert_eq!((earlier.service.as_str(), earlier.port), ("web", Some(8080)));
        assert_eq!(recovered(b"[]"), Spec::usual());
        assert_eq!(recovered(&text(serde_json::json!({}))), today(serde_json::json!({})));
    }

    #[test]
    fn where_names_are_answered_may_be_missing() {
        let id: Id = "web-1".parse().unwrap();
        let spec = |dns| Spec::parse(&id, &text(serde_json::json!({"dns": dns}))).unwrap();
        assert_eq!(spec("10.89.0.1").dns, Some(IpAddr::from([10, 89, 0, 1])));
        assert_eq!(Spec::parse(&id, &text(serde_json::json!({}))).unwrap().dns, None);
        check(serde_json::json!({"dns": "nowhere"}), "invalid IP address");
    }

    #[test]
    fn every_kind_of_health_is_read() {
        for health in [
            serde_json::json!({"kind": "tcp", "port": 1}),
            serde_json::json!({"kind": "exec", "argv": ["/bin/true"]}),
            serde_json::json!({"kind": "file", "path": "/ready"}),
            serde_json::json!({"kind": "running"}),
        ] {
            check(serde_json::json!({"health": health}), "");
        }
        check(serde_json::json!({"health": {"kind": "luck"}}), "unknown variant `luck`");
    }

    #[test]
    fn a_value_that_cannot_work_is_refused_with_its_key() {
        check(serde_json::json!({"command": []}), "command is empty");
        check(serde_json::json!({"workdir": "x"}), "workdir 'x' does not begin");
        check(serde_json::json!({"stop_signal": "TREM"}), "no signal 'TREM'");
        check(serde_json::json!({"health_interval_ms": 1}), "health_interval_ms is 1");
        check(serde_json::json!({"health_retries": 0}), "health_retries is 0");
        check(serde_json::json!({"image": ""}), "image is empty");
        check(serde_json::json!({"health": {"kind": "file", "path": "x"}}), "does not begin");
        check(serde_json::json!({"health": {"kind": "exec", "argv": []}}), "health argv is empty");
    }

    #[test]
    fn volumes_and_configuration_stay_in_their_directories() {
        let named = |name: &str, path: &str| {
            let named = serde_json::json!({"kind": "named", "name": name, "path": path});
            serde_json::json!({"volumes": [named]})
        };
        check(named("data", "/d"), "");
        check(named("../data", "/d"), "bad instance name '../data'");
        check(named("data", "d"), "volume 'd' does not begin with '/'");
        check(named("data", "/d/../e"), "or climbs");
        let host = |dir: &str| {
            let host = serde_json::json!({
                "kind": "host", "dir": dir, "below": "/srv", "path": "/m", "read_only": true
            });
            serde_json::json!({ "volumes": [host] })
        };
        check(host("/srv/a"), "");
        check(host("/srv/../etc"), "or climbs");
        check(serde_json::json!({"config": {"a.ini": "x"}}), "");
        check(serde_json::json!({"config": {"../a": "x"}}), "config '../a' is no file's name");
        check(serde_json::json!({"config": {".x": "x"}}), "is no file's name");
    }

    #[test]
    fn a_spec_written_again_is_the_same_spec() {
        let id: Id = "web-1".parse().unwrap();
        let spec = Spec::parse(&id, &text(serde_json::json!({}))).unwrap();
        assert_eq!(Spec::parse(&id, &serde_json::to_vec(&spec).unwrap()).unwrap(), spec);
    }
}

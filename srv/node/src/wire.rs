//! What is said between node and shim, as the node says it; the contract stands in the first
//! file of the shim's crate, which this one must not know.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spec::Spec;

/// `shim.json`: all that a shim gets to know.
#[derive(Debug, Serialize)]
pub(crate) struct Config<'a> {
    /// Name of the instance and of its cgroup.
    pub(crate) id: &'a str,
    /// Absolute path of the cgroup above it.
    pub(crate) cgroup_parent: &'a str,
    /// Unpacked layers, the top-most last.
    pub(crate) layers: &'a [PathBuf],
    /// A directory in place of layers.
    pub(crate) rootfs: Option<&'a PathBuf>,
    /// The image's configuration.
    pub(crate) image_config: &'a Value,
    /// The image's digest; for a later node, the shim passes over it.
    pub(crate) image_digest: &'a str,
    /// The instance's spec, with the port the program must listen on.
    pub(crate) spec: &'a Spec,
    /// Address and prefix length.
    pub(crate) address: Option<String>,
    /// The bridge's address.
    pub(crate) gateway: Option<String>,
    /// The descriptor of the network namespace.
    pub(crate) netns_fd: Option<i32>,
    /// The directory in which named volumes lie.
    pub(crate) volumes_dir: PathBuf,
    /// The descriptor of the memory file with its secrets.
    pub(crate) secrets_fd: Option<i32>,
    /// Text of `/etc/hosts`.
    pub(crate) hosts: String,
    /// Text of `/etc/resolv.conf`.
    pub(crate) resolv: String,
}

/// What of `shim.json` is wanted back after a restart. Another version may have written it, so
/// that each key is taken by itself.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Address and prefix length.
    pub(crate) address: Option<String>,
    /// The image's digest.
    pub(crate) image_digest: String,
    /// The spec as the shim got it: with the port that was picked.
    pub(crate) spec: Option<Spec>,
}

impl Given {
    /// Takes what can be understood.
    pub(crate) fn recover(text: &[u8]) -> Given {
        let Ok(all) = serde_json::from_slice::<Value>(text) else { return Given::default() };
        Given {
            address: all["address"].as_str().map(str::to_owned),
            image_digest: all["image_digest"].as_str().unwrap_or_default().to_owned(),
            spec: all["spec"].is_object().then(|| Spec::recover(&all["spec"])),
        }
    }
}

/// How an instance ended: the `exit` file, and a line of the socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Exit {
    /// The program's status; 128 + number for a signal; 125 to 127 when it never ran.
    pub(crate) code: i32,
    /// Name of the signal without `SIG`.
    pub(crate) signal: Option<String>,
    /// The kernel killed it for want of memory.
    #[serde(default)]
    pub(crate) oom: bool,
    /// What is known beyond code and signal.
    pub(crate) reason: Option<String>,
    /// Unix time in milliseconds.
    #[serde(default)]
    pub(crate) finished_ms: u64,
    /// The program never ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) failed: bool,
    /// Another try fails in the same way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) permanent: bool,
}

/// A line from the shim about its instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Said {
    /// The container is being made.
    Starting,
    /// The program runs.
    Running {
        pid: i32,
        started_ms: u64,
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// The program has ended.
    Exited(Exit),
    /// The program never ran.
    Failed {
        reason: String,
        #[serde(default)]
        permanent: bool,
    },
}

impl From<Exit> for Said {
    fn from(exit: Exit) -> Said {
        if !exit.failed {
            return Said::Exited(exit);
        }
        let reason = exit.reason.unwrap_or_else(|| "it could not be started".to_owned());
        Said::Failed { reason, permanent: exit.permanent }
    }
}

/// Any line from the shim.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// About the instance.
    Said(Said),
    /// The answer to an exec.
    Ran { n: u64, exec: Ran },
    /// A refused request.
    Error { n: Option<u64>, error: String },
}

/// What came of an exec.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Ran {
    /// Its status, as [`Exit::code`].
    pub(crate) code: i32,
    /// The first KiB it printed.
    pub(crate) output: String,
}

/// A line to the shim.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a> {
    /// Carried back by the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) n: Option<u64>,
    /// What to do.
    #[serde(flatten)]
    pub(crate) order: Asked<'a>,
}

/// What a shim can be asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Asked<'a> {
    /// Send a signal to the first process.
    Signal(&'a str),
    /// End it in two steps; null: what spec or image say.
    Stop { signal: Option<&'a str>, timeout_ms: Option<u64> },
    /// Kill everything.
    Kill(bool),
    /// Run a command in the container.
    Exec { argv: &'a [String], timeout_ms: u64 },
}

/// The `pid` file.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Pids {
    /// The boot that the numbers belong to.
    pub(crate) boot_id: String,
    /// The shim.
    pub(crate) shim: Process,
    /// The container's first process, once it is made.
    pub(crate) init: Option<Process>,
}

/// A process, told from a later one of the same number.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`.
    pub(crate) start: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let line: Line = serde_json::from_str(line).unwrap();
        assert_eq!(format!("{line:?}"), expected);
    }

    #[test]
    fn every_line_of_a_shim_is_understood() {
        check(r#"{"state":"starting"}"#, "Said(Starting)");
        check(
            r#"{"state":"running","pid":42,"started_ms":9,"warnings":["w"]}"#,
            r#"Said(Running { pid: 42, started_ms: 9, warnings: ["w"] })"#,
        );
        check(
            r#"{"state":"exited","code":137,"signal":"KILL","oom":false,"reason":null,
                "finished_ms":1}"#,
            "Said(Exited(Exit { code: 137, signal: Some(\"KILL\"), oom: false, reason: None, \
             finished_ms: 1, failed: false, permanent: false }))",
        );
        check(
            r#"{"state":"failed","reason":"no","permanent":true}"#,
            r#"Said(Failed { reason: "no", permanent: true })"#,
        );
        check(
            r#"{"n":7,"exec":{"code":0,"output":"x"}}"#,
            r#"Ran { n: 7, exec: Ran { code: 0, output: "x" } }"#,
        );
        check(r#"{"error":"no"}"#, r#"Error { n: None, error: "no" }"#);
    }

    #[test]
    fn requests_are_as_the_contract_writes_them() {
        let text = |n, order| serde_json::to_string(&Request { n, order }).unwrap();
        assert_eq!(text(None, Asked::Signal("TERM")), r#"{"signal":"TERM"}"#);
        assert_eq!(
            text(None, Asked::Stop { signal: None, timeout_ms: Some(5) }),
            r#"{"stop":{"signal":null,"timeout_ms":5}}"#
        );
        assert_eq!(text(None, Asked::Kill(true)), r#"{"kill":true}"#);
        let argv = ["/bin/true".to_owned()];
        assert_eq!(
            text(Some(7), Asked::Exec { argv: &argv, timeout_ms: 5 }),
            r#"{"n":7,"exec":{"argv":["/bin/true"],"timeout_ms":5}}"#
        );
    }

    #[test]
    fn an_exit_of_what_never_ran_is_a_failure() {
        let exit = r#"{"code":127,"signal":null,"oom":false,"reason":"no","finished_ms":1,
            "failed":true,"permanent":true}"#;
        let exit: Exit = serde_json::from_str(exit).unwrap();
        assert_eq!(Said::from(exit), Said::Failed { reason: "no".into(), permanent: true });
    }
}

//! What is known of an instance that failed: why, how its process ended, what its last probe was
//! answered, and the end of what it wrote. Each is a field of its own to programs.

use serde_json::{Map, Value, json};

/// What stands behind a status when the kernel ended the process for want of memory.
const OUT_OF_MEMORY: &str = "out of memory";

/// An instance that failed, or what failed before there was one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// When, as the server says; empty when that is not known.
    pub(crate) at: String,
    /// Its place.
    pub(crate) instance: Option<u32>,
    /// Why.
    pub(crate) reason: String,
    /// How its process ended, if it did.
    pub(crate) end: End,
    /// What its last probe was answered.
    pub(crate) probe: Option<String>,
    /// The end of what it wrote.
    pub(crate) log: Vec<String>,
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// Its exit status; 128 and the signal's number when it was a signal.
    pub(crate) code: Option<i32>,
    /// The signal's name, without `SIG`.
    pub(crate) signal: Option<String>,
    /// The kernel ended it for want of memory.
    pub(crate) oom: bool,
}

impl End {
    /// Reads `3`, `137 KILL`, `137 KILL out of memory`; nothing of a process that runs.
    pub(crate) fn read(text: &str) -> End {
        let (rest, oom) = match text.strip_suffix(OUT_OF_MEMORY) {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut words = rest.split_whitespace();
        let code = words.next().and_then(|word| word.parse().ok());
        End { code, signal: words.next().map(String::from), oom }
    }

    /// Its fields.
    pub(crate) fn put(&self, object: &mut Map<String, Value>) {
        object.insert("exit_code".to_string(), json!(self.code));
        object.insert("signal".to_string(), json!(self.signal));
        object.insert("oom".to_string(), json!(self.oom));
    }
}

impl Failure {
    /// Reads `2026-11-20T13:00:00Z 2: killed by SIGKILL`: when, where and why.
    pub(crate) fn began(&mut self, text: &str) {
        let (at, rest) = text.split_once(' ').unwrap_or(("", text));
        let (number, reason) = rest.split_once(": ").unwrap_or(("", rest));
        (self.at, self.reason) = (at.to_string(), reason.to_string());
        self.instance = number.parse().ok();
    }

    /// As programs read it: every field is there, and null where nothing is known.
    pub(crate) fn json(&self) -> Value {
        let mut object = Map::new();
        let at = Some(&self.at).filter(|at| !at.is_empty());
        object.insert("at".to_string(), json!(at));
        object.insert("instance".to_string(), json!(self.instance));
        object.insert("reason".to_string(), json!(self.reason));
        self.end.put(&mut object);
        object.insert("last_probe".to_string(), json!(self.probe));
        object.insert("log_tail".to_string(), json!(self.log));
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_process_ended_is_read_from_its_words() {
        let check = |text: &str, code: Option<i32>, signal: Option<&str>, oom: bool| {
            let signal = signal.map(String::from);
            assert_eq!(End::read(text), End { code, signal, oom }, "{text:?}");
        };
        check("3", Some(3), None, false);
        check("137 KILL", Some(137), Some("KILL"), false);
        check("137 KILL out of memory", Some(137), Some("KILL"), true);
        check("1 out of memory", Some(1), None, true);
        check("", None, None, false);
    }

    #[test]
    fn every_field_is_there_whatever_is_known() {
        let mut failure = Failure::default();
        failure.began("2026-11-20T13:00:00Z 2: exited: badly");
        failure.end = End::read("3");
        let want = json!({
            "at": "2026-11-20T13:00:00Z", "instance": 2, "reason": "exited: badly",
            "exit_code": 3, "signal": null, "oom": false, "last_probe": null, "log_tail": [],
        });
        assert_eq!(failure.json(), want);
        let none = Failure { reason: "no such image".to_string(), ..Failure::default() };
        assert_eq!(none.json()["at"], Value::Null);
        assert_eq!(none.json().as_object().map(Map::len), want.as_object().map(Map::len));
    }
}

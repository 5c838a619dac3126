//! The verbs of the two `ctl` files: one table each, and the lines read by it.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::quote::words;
use crate::signal;

/// Bytes of one write to a `ctl` file.
pub(crate) const CTL_BYTES_MAX: usize = 64 * 1024;
/// Seconds a stop may wait: a day.
const STOP_S_MAX: f64 = 24.0 * 60.0 * 60.0;

/// A row of a table of verbs.
pub(crate) struct Row<V> {
    /// The first word of the line.
    pub(crate) name: &'static str,
    /// The words after it, as people read them.
    pub(crate) words: &'static str,
    /// What it does.
    pub(crate) meaning: &'static str,
    /// Makes a verb of those words; the error says what is wrong with them.
    read: fn(&[&str]) -> Result<V, String>,
}

/// What can be asked of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeVerb {
    /// Fetch an image.
    Pull(String),
    /// Make an image of a directory or a program.
    Push { name: String, path: PathBuf },
    /// Give up a push that goes on.
    CancelPush(String),
    /// Forget a reference.
    RemoveImage(String),
    /// Stop all instances, take the network away, end.
    Down,
}

/// What can be asked of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Run it, once.
    Start,
    /// Ask it to end, then kill it; none, `-` as a word: what spec or image say.
    Stop { signal: Option<String>, timeout_ms: Option<u64> },
    /// Send a signal to its first process.
    Signal(String),
    /// Kill it and leave nothing of it.
    Remove,
}

/// The verbs of `/ctl`.
pub(crate) const NODE: &[Row<NodeVerb>] = &[
    Row { name: "pull", words: "REF", meaning: "fetch an image", read: pull },
    Row { name: "push", words: "NAME:TAG PATH", meaning: "make an image of a path", read: push },
    Row { name: "cancel-push", words: "NAME:TAG", meaning: "give up a push", read: cancel_push },
    Row { name: "remove-image", words: "REF", meaning: "forget a reference", read: remove_image },
    Row { name: "down", words: "", meaning: "stop all instances and end", read: down },
];

/// The verbs of `/instances/<id>/ctl`.
pub(crate) const INSTANCE: &[Row<Verb>] = &[
    Row { name: "start", words: "", meaning: "run it, once", read: start },
    Row { name: "stop", words: "[SIGNAL|- [SECONDS]]", meaning: "end it in two steps", read: stop },
    Row { name: "signal", words: "SIGNAL", meaning: "send a signal", read: send },
    Row { name: "remove", words: "", meaning: "kill it, leave nothing of it", read: remove },
];

/// The verbs of a table, a line each.
pub(crate) fn help<V>(table: &[Row<V>]) -> String {
    let line = |row: &Row<V>| {
        let verb = format!("{} {}", row.name, row.words);
        format!("    {verb:<28} {}\n", row.meaning)
    };
    table.iter().map(line).collect()
}

/// All lines of one write; one that cannot be read refuses them all.
pub(crate) fn parse<V>(table: &[Row<V>], data: &[u8]) -> Result<Vec<V>> {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let verbs: Vec<V> = lines.map(|line| parse_line(table, line)).collect::<Result<_>>()?;
    if verbs.is_empty() { Err(Error::Empty) } else { Ok(verbs) }
}

fn parse_line<V>(table: &[Row<V>], line: &str) -> Result<V> {
    let wrong = |why: String| Error::Words { line: line.to_owned(), why };
    let all = words(line).map_err(|why| wrong(why.to_owned()))?;
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (verb, rest) = all.split_first().ok_or(Error::Empty)?;
    let Some(row) = table.iter().find(|row| row.name == *verb) else {
        let known = table.iter().map(|row| row.name).collect::<Vec<_>>().join(" ");
        return Err(Error::Verb { verb: (*verb).to_owned(), line: line.to_owned(), known });
    };
    (row.read)(rest).map_err(|why| match why.is_empty() {
        true if row.words.is_empty() => wrong(format!("{} takes no words", row.name)),
        true => wrong(format!("{} takes {}", row.name, row.words)),
        false => wrong(why),
    })
}

/// The words do not fit the row; its own text says what does.
fn unfit<V>() -> Result<V, String> {
    Err(String::new())
}

fn pull(words: &[&str]) -> Result<NodeVerb, String> {
    match words {
        [reference] => Ok(NodeVerb::Pull((*reference).to_owned())),
        _ => unfit(),
    }
}

fn push(words: &[&str]) -> Result<NodeVerb, String> {
    match words {
        [name, path] if path.starts_with('/') => {
            Ok(NodeVerb::Push { name: (*name).to_owned(), path: PathBuf::from(path) })
        }
        [_, path] => Err(format!("path '{path}' does not begin with '/'")),
        _ => unfit(),
    }
}

fn cancel_push(words: &[&str]) -> Result<NodeVerb, String> {
    match words {
        [name] => Ok(NodeVerb::CancelPush((*name).to_owned())),
        _ => unfit(),
    }
}

fn remove_image(words: &[&str]) -> Result<NodeVerb, String> {
    match words {
        [reference] => Ok(NodeVerb::RemoveImage((*reference).to_owned())),
        _ => unfit(),
    }
}

fn down(words: &[&str]) -> Result<NodeVerb, String> {
    if words.is_empty() { Ok(NodeVerb::Down) } else { unfit() }
}

fn start(words: &[&str]) -> Result<Verb, String> {
    if words.is_empty() { Ok(Verb::Start) } else { unfit() }
}

fn stop(words: &[&str]) -> Result<Verb, String> {
    let (signal, seconds) = match words {
        [] => (None, None),
        [signal] => (Some(*signal), None),
        [signal, seconds] => (Some(*signal), Some(*seconds)),
        _ => return unfit(),
    };
    let signal = signal.filter(|&name| name != "-");
    let timeout_ms = seconds.map(milliseconds).transpose()?;
    Ok(Verb::Stop { signal: signal.map(known_signal).transpose()?, timeout_ms })
}

fn send(words: &[&str]) -> Result<Verb, String> {
    match words {
        [signal] => known_signal(signal).map(Verb::Signal),
        _ => unfit(),
    }
}

fn remove(words: &[&str]) -> Result<Verb, String> {
    if words.is_empty() { Ok(Verb::Remove) } else { unfit() }
}

fn known_signal(name: &str) -> Result<String, String> {
    match signal::parse(name) {
        Some(_) => Ok(name.to_ascii_uppercase()),
        None => Err(format!("no signal '{name}'")),
    }
}

fn milliseconds(seconds: &str) -> Result<u64, String> {
    let number = seconds.parse::<f64>().ok().filter(|s| (0.0..=STOP_S_MAX).contains(s));
    let number = number.ok_or_else(|| format!("'{seconds}' is not 0 to {STOP_S_MAX} seconds"))?;
    // In range by the check above; what is lost is below a millisecond.
    Ok((number * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<V: std::fmt::Debug>(table: &[Row<V>], text: &str, expected: &str) {
        let got = match parse(table, text.as_bytes()) {
            Ok(verbs) => format!("{verbs:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn a_line_is_a_verb_and_its_words() {
        check(INSTANCE, "start\n", "[Start]");
        check(INSTANCE, "stop", "[Stop { signal: None, timeout_ms: None }]");
        check(
            INSTANCE,
            "stop int 2.5",
            r#"[Stop { signal: Some("INT"), timeout_ms: Some(2500) }]"#,
        );
        check(INSTANCE, "stop - 0.001", "[Stop { signal: None, timeout_ms: Some(1) }]");
        check(INSTANCE, "signal HUP\nremove", r#"[Signal("HUP"), Remove]"#);
        check(NODE, "pull 'a b'", r#"[Pull("a b")]"#);
        check(NODE, "push web:1 /srv/web", r#"[Push { name: "web:1", path: "/srv/web" }]"#);
        check(NODE, "cancel-push web:1", r#"[CancelPush("web:1")]"#);
        check(NODE, "down", "[Down]");
    }

    #[test]
    fn a_refusal_names_the_line_and_the_word() {
        check(INSTANCE, "", "nothing to do in an empty write");
        check(
            INSTANCE,
            "stpo now",
            "no verb 'stpo' in 'stpo now': one of start stop signal remove is needed",
        );
        check(INSTANCE, "start now", "'start now': start takes no words");
        check(INSTANCE, "stop TREM", "'stop TREM': no signal 'TREM'");
        check(INSTANCE, "stop TERM -1", "'stop TERM -1': '-1' is not 0 to 86400 seconds");
        check(INSTANCE, "signal", "'signal': signal takes SIGNAL");
        check(INSTANCE, "stop 'a", "'stop 'a': a quote is not closed");
        check(NODE, "push web:1 web", "'push web:1 web': path 'web' does not begin with '/'");
        check(NODE, "cancel-push", "'cancel-push': cancel-push takes NAME:TAG");
    }

    #[test]
    fn one_bad_line_refuses_the_whole_write() {
        check(
            INSTANCE,
            "start\nsotp",
            "no verb 'sotp' in 'sotp': one of start stop signal remove is needed",
        );
    }
}

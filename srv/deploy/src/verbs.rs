//! The verbs of `ctl`: one table, and the parser that reads a write of one or several lines.

use std::collections::BTreeSet;
use std::path::PathBuf;
use thiserror::Error;

/// A row of the table: what a user may write, and what it means.
#[derive(Debug)]
pub struct Row {
    /// The word a line begins with.
    pub name: &'static str,
    /// Its words, as help shows them.
    pub words: &'static str,
    /// What it does, in a few words.
    pub meaning: &'static str,
    /// Whether the verb speaks of one service; such a verb stands in that service's own `ctl`
    /// without its name, and in the root `ctl` with it.
    pub of_service: bool,
    parse: fn(&[&str]) -> Option<Verb>,
}

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Make the service what its manifest in `manifests/` says.
    Apply,
    /// The same of one of several: no update begins before the images of all are there.
    Together {
        /// All or none: one that fails takes the others back.
        atomic: bool,
        /// Which line of the write names them.
        line: u64,
    },
    /// Hold the update in flight.
    Pause,
    /// Go on with a paused update.
    Resume,
    /// Give the update in flight up and go back to the deployed version.
    Cancel,
    /// Go back to the previous version, or to the one named.
    Rollback(Option<String>),
    /// Replace every instance by a fresh one of the same version.
    Restart,
    /// Run that many instances.
    Scale(u32),
    /// End all instances; keep the service.
    Stop,
    /// End all instances and forget the service.
    Remove,
    /// Take the deploy lock from a holder who has had it too long.
    Unlock,
    /// Make an image of a directory or a program on the server's machine.
    Push {
        /// What it shall be called: `name:tag`.
        name: String,
        /// A directory or an executable.
        path: PathBuf,
    },
    /// Give up a push that goes on.
    CancelPush(String),
    /// Remove images that nothing uses.
    Collect,
    /// Seal every secret under a new key.
    RotateKey,
    /// End every instance, the node and the server.
    Down,
}

impl Verb {
    /// The name it makes an image of.
    #[must_use]
    pub fn pushes(&self) -> Option<&str> {
        if let Verb::Push { name, .. } = self { Some(name) } else { None }
    }

    /// Whether its answer waits for the node's.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Verb::Push { .. } | Verb::CancelPush(_))
    }

    /// Whether it begins a deploy, which somebody else's lock stands against. What ends something
    /// or goes back does not: the way out is never locked.
    #[must_use]
    pub fn deploys(&self) -> bool {
        matches!(self, Verb::Apply | Verb::Together { .. } | Verb::Restart | Verb::Scale(_))
    }

    /// Whether it must be the only line of its write: what it does cannot be taken back. Locks
    /// may be broken together, all or none.
    pub(crate) fn stands_alone(&self) -> bool {
        self.waits() || matches!(self, Verb::Unlock | Verb::RotateKey)
    }

    /// Whether instances are started by it, which needs room for what comes of them.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.deploys() || matches!(self, Verb::Rollback(_))
    }

    /// Whether the node has to be there to be asked.
    #[must_use]
    pub fn needs_node(&self) -> bool {
        matches!(self, Verb::Push { .. } | Verb::CancelPush(_) | Verb::Collect | Verb::Down)
    }
}

/// Every verb, in the order help shows them.
pub const VERBS: &[Row] = &[
    row("apply", "", "make the service what manifests/ says", true, |w| none(w, Verb::Apply)),
    row("pause", "", "hold the update in flight", true, |w| none(w, Verb::Pause)),
    row("resume", "", "go on with a paused update", true, |w| none(w, Verb::Resume)),
    row("cancel", "", "give up the update in flight, or the build", true, |w| {
        none(w, Verb::Cancel)
    }),
    row("rollback", "[version]", "go back to an earlier version", true, |w| match w {
        [] => Some(Verb::Rollback(None)),
        [version] => Some(Verb::Rollback(Some((*version).to_string()))),
        _ => None,
    }),
    row("restart", "", "replace every instance, same version", true, |w| none(w, Verb::Restart)),
    row("scale", "N", "run N instances", true, |w| match w {
        [n] => n.parse().ok().filter(|n| *n <= manifest::limits::REPLICAS_MAX).map(Verb::Scale),
        _ => None,
    }),
    row("stop", "", "end all instances, keep the service", true, |w| none(w, Verb::Stop)),
    row("remove", "", "end all instances, forget the service", true, |w| none(w, Verb::Remove)),
    row("unlock", "", "take a deploy lock older than 5 minutes from its holder", true, |w| {
        none(w, Verb::Unlock)
    }),
    row("together", "SERVICE…", "apply these, when the images of all are there", false, |w| {
        several(w, false)
    }),
    row(
        "atomic",
        "SERVICE…",
        "the same, all or none: one that fails takes all back",
        false,
        |w| several(w, true),
    ),
    row("push", "name:tag PATH", "make an image of a directory or a program", false, |w| match w {
        [name, path] => Some(Verb::Push { name: (*name).to_string(), path: PathBuf::from(*path) }),
        _ => None,
    }),
    row("cancel-push", "name:tag", "give up a push that goes on", false, |w| match w {
        [name] => Some(Verb::CancelPush((*name).to_string())),
        _ => None,
    }),
    row("gc", "", "remove images that nothing uses", false, |w| none(w, Verb::Collect)),
    row("rotate-key", "", "seal every secret under a new key", false, |w| none(w, Verb::RotateKey)),
    row("down", "", "end every instance, the node and the server", false, |w| none(w, Verb::Down)),
];

const fn row(
    name: &'static str,
    words: &'static str,
    meaning: &'static str,
    of_service: bool,
    parse: fn(&[&str]) -> Option<Verb>,
) -> Row {
    Row { name, words, meaning, of_service, parse }
}

fn none(words: &[&str], verb: Verb) -> Option<Verb> {
    words.is_empty().then_some(verb)
}

fn several(words: &[&str], atomic: bool) -> Option<Verb> {
    let fits = (1..=manifest::limits::APP_SERVICES_MAX).contains(&words.len());
    fits.then_some(Verb::Together { atomic, line: 0 })
}

/// Lines in one write of a `ctl`, at most.
pub const LINES_MAX: usize = 64;

/// Letters of a line that the answer to it repeats.
const QUOTED_CHARS: usize = 80;

/// Why a write of a `ctl` was refused before anything was looked at.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// The write is not text.
    #[error("invalid argument: a ctl takes lines of text")]
    NotText,
    /// Nothing but blanks.
    #[error("invalid argument: empty; write one of: {}", names(*.at_root))]
    Empty {
        /// To the root's `ctl`, which takes more verbs.
        at_root: bool,
    },
    /// Too many lines.
    #[error("invalid argument: more than {LINES_MAX} lines in one write")]
    TooMany,
    /// No such verb.
    #[error(
        "invalid argument: unknown verb \"{word}\" in \"{line}\"; the verbs are: {}",
        names(*.at_root)
    )]
    Unknown {
        /// The line.
        line: String,
        /// Its first word.
        word: String,
        /// In the root's `ctl`, which takes more verbs.
        at_root: bool,
    },
    /// A verb with wrong words.
    #[error("invalid argument: \"{line}\": say: {usage}")]
    Words {
        /// The line.
        line: String,
        /// How the verb is written.
        usage: String,
    },
    /// A root `ctl` needs to know of which service.
    #[error("invalid argument: \"{line}\": which service? say: {usage}")]
    WhichService {
        /// The line.
        line: String,
        /// How the verb is written.
        usage: String,
    },
    /// A verb that is not of a service, in a service's `ctl`.
    #[error("invalid argument: \"{line}\": write it to the ctl at the root")]
    NotHere {
        /// The line.
        line: String,
    },
}

/// One line of a write: the verb and, where it has one, its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As written.
    pub text: String,
    /// Of which service; absent for verbs of the whole server.
    pub service: Option<String>,
    /// What is asked.
    pub verb: Verb,
}

/// Reads a write. `here` is the service whose `ctl` was written, absent at the root.
///
/// # Errors
/// The first line that cannot be read refuses the whole write.
pub fn parse(text: &[u8], here: Option<&str>) -> Result<Vec<Line>, Refused> {
    let text = std::str::from_utf8(text).map_err(|_| Refused::NotText)?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    match lines.len() {
        0 => Err(Refused::Empty { at_root: here.is_none() }),
        n if n > LINES_MAX => Err(Refused::TooMany),
        _ => {
            let lines: Result<Vec<Line>, Refused> =
                lines.into_iter().map(|line| parse_line(line, here)).collect();
            Ok((0..).zip(lines?).flat_map(|(at, line)| each(line, at)).collect())
        }
    }
}

/// A line that names several services, as a line each; who is named twice is meant once.
fn each(line: Line, at: u64) -> Vec<Line> {
    let Verb::Together { atomic, .. } = line.verb else { return vec![line] };
    let mut words = line.text.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let names: BTreeSet<&str> = words.collect();
    let one = |name: &str| Line {
        text: format!("{verb} {name}"),
        service: Some(name.to_string()),
        verb: Verb::Together { atomic, line: at },
    };
    names.into_iter().map(one).collect()
}

fn parse_line(line: &str, here: Option<&str>) -> Result<Line, Refused> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let word = words.remove(0);
    let text = line.to_string();
    let at_root = here.is_none();
    let Some(row) = VERBS.iter().find(|row| row.name == word) else {
        return Err(Refused::Unknown { line: quoted(line), word: quoted(word), at_root });
    };
    let usage = usage(row, at_root);
    let service = match (row.of_service, here) {
        (false, None) => None,
        (false, Some(_)) => return Err(Refused::NotHere { line: quoted(line) }),
        (true, Some(name)) => Some(name.to_string()),
        (true, None) if words.is_empty() => {
            return Err(Refused::WhichService { line: text, usage });
        }
        (true, None) => Some(words.remove(0).to_string()),
    };
    match (row.parse)(&words) {
        Some(verb) => Ok(Line { text, service, verb }),
        None => {
            let most = manifest::limits::REPLICAS_MAX;
            let limit =
                if row.name == "scale" { format!(", N from 0 to {most}") } else { String::new() };
            Err(Refused::Words { line: quoted(line), usage: usage + &limit })
        }
    }
}

/// As much of a line as an answer repeats.
fn quoted(line: &str) -> String {
    match line.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_string(),
    }
}

/// How a verb is written, in a service's `ctl` or at the root.
pub fn usage(row: &Row, at_root: bool) -> String {
    let service = if row.of_service && at_root { "SERVICE" } else { "" };
    let words = [row.name, service, row.words];
    words.iter().filter(|w| !w.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// The verbs that a `ctl` takes.
fn names(at_root: bool) -> String {
    let rows = VERBS.iter().filter(|row| at_root || row.of_service);
    rows.map(|row| row.name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses at the root or in the `ctl` of `web` and compares verbs, or the error's text.
    fn check(here: Option<&str>, text: &str, want: &str) {
        let got = match parse(text.as_bytes(), here) {
            Ok(lines) => lines
                .iter()
                .map(|l| match &l.service {
                    Some(name) => format!("{name}: {:?}", l.verb),
                    None => format!("{:?}", l.verb),
                })
                .collect::<Vec<_>>()
                .join("; "),
            Err(refused) => refused.to_string(),
        };
        assert!(got.starts_with(want), "{text:?}\n got {got}\nwant {want}");
    }

    #[test]
    fn a_service_s_ctl_takes_verbs_without_its_name() {
        check(Some("web"), "apply\n", "web: Apply");
        check(Some("web"), "  rollback\n", "web: Rollback(None)");
        check(Some("web"), "rollback ab12", "web: Rollback(Some(\"ab12\"))");
        check(Some("web"), "scale 5", "web: Scale(5)");
        check(Some("web"), "pause\nresume\n", "web: Pause; web: Resume");
    }

    #[test]
    fn the_root_ctl_wants_the_service_named() {
        check(None, "apply web\nstop api", "web: Apply; api: Stop");
        check(None, "apply", "invalid argument: \"apply\": which service? say: apply SERVICE");
        check(None, "gc", "Collect");
        check(None, "cancel-push web:1", "CancelPush(\"web:1\")");
        check(Some("web"), "gc", "invalid argument: \"gc\": write it to the ctl at the root");
    }

    #[test]
    fn a_wrong_write_quotes_the_line_and_the_word() {
        check(Some("web"), "puase", "invalid argument: unknown verb \"puase\" in \"puase\"");
        check(Some("web"), "scale", "invalid argument: \"scale\": say: scale N, N from 0 to 1000");
        check(Some("web"), "scale 1000", "web: Scale(1000)");
        check(
            Some("web"),
            "scale 1001",
            "invalid argument: \"scale 1001\": say: scale N, N from 0 to 1000",
        );
        check(Some("web"), "scale -1", "invalid argument: \"scale -1\": say: scale N");
        check(Some("web"), "pause now", "invalid argument: \"pause now\": say: pause");
        check(Some("web"), "\n \n", "invalid argument: empty");
        check(None, "scale web", "invalid argument: \"scale web\": say: scale SERVICE N");
        let refused = parse(b"\xff\xfe", None).unwrap_err();
        assert_eq!(refused, Refused::NotText);
        let many = "pause\n".repeat(LINES_MAX + 1);
        check(Some("web"), &many, "invalid argument: more than 64 lines");
    }

    #[test]
    fn a_ctl_names_the_verbs_it_takes_itself_and_repeats_no_more_than_a_line() {
        let told = |here, text: &str| parse(text.as_bytes(), here).unwrap_err().to_string();
        for text in ["puase", "\n"] {
            assert!(told(None, text).ends_with(" gc rotate-key down"), "{}", told(None, text));
            assert!(told(Some("web"), text).ends_with("scale stop remove unlock"), "{text}");
        }
        let long = "x".repeat(10_000);
        assert!(told(None, &long).len() < 500);
        assert!(told(Some("web"), &format!("scale {long}")).len() < 500);
    }

    #[test]
    fn one_wrong_line_refuses_the_whole_write() {
        check(Some("web"), "pause\nfly\n", "invalid argument: unknown verb \"fly\"");
    }
}

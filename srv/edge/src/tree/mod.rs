//! The edge's own file tree: one directory, a row a file.

pub(crate) mod desk;

use std::fmt::Write as _;
use std::sync::Arc;

use ninep::{Answer, Error as Refusal, How, Kind, Open, Stat, Tree, User, text};

use desk::Desk;

/// Bytes of one write to `ctl`.
const CTL_BYTES_MAX: usize = 4096;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    Help,
    Ctl,
    Error,
    Status,
    Metrics,
    Routes,
}

/// A row: name, mode, which it is, what it gives or takes.
struct Row(&'static str, u32, File, &'static str);

/// The tree; `/` stands above.
const TREE: &[Row] = &[
    Row("help", 0o444, File::Help, "this tree and the verbs"),
    Row("ctl", 0o220, File::Ctl, "written: end: a verb a line"),
    Row("error", 0o444, File::Error, "the last refused write, in full"),
    Row("status", 0o444, File::Status, "key=value lines about the edge"),
    Row("metrics", 0o444, File::Metrics, "Prometheus text"),
    Row("routes", 0o444, File::Routes, "the table that is served, as it came"),
];

/// The verbs of `ctl`: name, meaning.
const VERBS: &[(&str, &str)] = &[("end", "take nobody any more, end what is in flight, then end")];

/// The tree of one process.
pub(crate) struct EdgeTree {
    desk: Arc<Desk>,
    uid: u32,
}

/// A place: a row's number, or the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Root,
    Row(usize),
}

impl EdgeTree {
    /// The tree over `desk`; `uid`, the user the edge runs as, and root may write.
    pub(crate) fn new(desk: Arc<Desk>, uid: u32) -> EdgeTree {
        EdgeTree { desk, uid }
    }

    /// A text that is made while others are served: it may be long, and is read from files.
    fn made(&self, make: fn(&Desk) -> String) -> Answer<Box<dyn Open>> {
        let desk = self.desk.clone();
        Answer::later(async move {
            let made = tokio::task::spawn_blocking(move || text(make(&desk))).await;
            made.map_err(|_| Refusal::Interrupted)
        })
    }

    fn stat_of(&self, spot: Spot) -> Stat {
        let mut stat = match spot {
            Spot::Root => Stat::new(Kind::Dir, "/", 0, 0o555),
            Spot::Row(at) => {
                let Row(name, mode, _, _) = &TREE[at];
                Stat::new(Kind::File, *name, at as u64 + 1, *mode)
            }
        };
        (stat.uid, stat.version) = (self.uid, self.desk.version());
        stat
    }
}

impl Tree for EdgeTree {
    type Node = Spot;

    fn attach(&self, _user: &User, aname: &[u8]) -> ninep::Result<Spot> {
        match aname {
            b"" | b"/" => Ok(Spot::Root),
            name => self.walk(&Spot::Root, name),
        }
    }

    fn walk(&self, at: &Spot, name: &[u8]) -> ninep::Result<Spot> {
        if *at != Spot::Root {
            return Err(Refusal::NotDir);
        }
        let found = TREE.iter().position(|row| row.0.as_bytes() == name);
        found.map(Spot::Row).ok_or(Refusal::NotFound)
    }

    fn parent(&self, _at: &Spot) -> Spot {
        Spot::Root
    }

    fn stat(&self, at: &Spot) -> ninep::Result<Stat> {
        Ok(self.stat_of(*at))
    }

    fn entries(&self, at: &Spot) -> ninep::Result<Vec<Stat>> {
        match at {
            Spot::Root => Ok((0..TREE.len()).map(|row| self.stat_of(Spot::Row(row))).collect()),
            Spot::Row(_) => Err(Refusal::NotDir),
        }
    }

    fn open(&self, at: &Spot, _how: How, _user: &User) -> Answer<Box<dyn Open>> {
        let Spot::Row(row) = *at else { return Answer::Now(Err(Refusal::IsDir)) };
        Answer::Now(Ok(match TREE[row].2 {
            File::Help => text(help()),
            File::Ctl => Box::new(Ctl(self.desk.clone())),
            File::Error => text(self.desk.refused()),
            File::Status => return self.made(Desk::status),
            File::Metrics => return self.made(Desk::metrics),
            File::Routes => text(self.desk.routes()),
        }))
    }
}

fn help() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for Row(name, mode, _, words) in TREE {
        let _ = writeln!(text, "{name:<12} {mode:04o}  {words}");
    }
    let _ = writeln!(text, "\nctl");
    for (verb, meaning) in VERBS {
        let _ = writeln!(text, "    {verb:<12} {meaning}");
    }
    text
}

/// The open `ctl`: the lines of a write are done together or not at all.
struct Ctl(Arc<Desk>);

impl Open for Ctl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let done = match verbs(data) {
            Ok(()) => {
                self.0.end();
                Ok(data.len() as u32)
            }
            Err(why) => {
                self.0.refuse(&why);
                Err(Refusal::invalid(why))
            }
        };
        Answer::Now(done)
    }
}

/// There is one verb, so that what is to be done is known when all lines are it.
fn verbs(data: &[u8]) -> Result<(), String> {
    if data.len() > CTL_BYTES_MAX {
        return Err(format!("ctl takes {CTL_BYTES_MAX} bytes"));
    }
    let data = String::from_utf8_lossy(data);
    let mut lines = data.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_none() {
        return Err("nothing to do in an empty write".to_owned());
    }
    let known = |line: &str| VERBS.iter().any(|(verb, _)| *verb == line);
    match lines.find(|line| !known(line)) {
        Some(line) => Err(format!("no verb '{line}': one of end is needed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctl_takes_its_verbs_and_says_what_is_wrong_with_others() {
        assert_eq!(verbs(b"end\n"), Ok(()));
        assert_eq!(verbs(b"\n"), Err("nothing to do in an empty write".to_owned()));
        let wrong = verbs(b"end\nstop now\n").unwrap_err();
        assert!(wrong.starts_with("no verb 'stop now'"), "{wrong}");
        assert!(verbs(&[b'a'; CTL_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn help_has_every_file_and_every_verb() {
        let help = help();
        for Row(name, ..) in TREE {
            assert!(help.contains(name), "{name}");
        }
        assert!(help.contains("    end "));
    }
}

//! The audit log: who asked for what, over which connection, and what was answered. A file in the
//! state directory that only grows; this server never cuts it.
//!
//! Law: what was asked for is in it, on disk, before it is done and before it is answered.

use crate::arrival::{InstanceVerb, Request};
use crate::clock::{Millis, stamp};
use crate::errands::TaskVerb;
use crate::hold::Ask;
use crate::lock::{Asker, Hand};
use crate::secrets::Wish;
use crate::verbs;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of what was asked, and of a refusal, that a line has, each.
const TEXT_BYTES_MAX: usize = 512;
/// Lines that are kept for when the log can be written again; what goes beyond is in this server's
/// own log alone.
const OWED_LINES_MAX: usize = 1_000;
/// Root alone reads it where it lies; the group reads it in the tree.
const MODE: u32 = 0o600;

/// One thing that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Millis,
    /// By whose hand.
    pub hand: Hand,
    /// The file that was written.
    pub file: String,
    /// What was written there.
    pub what: String,
    /// The refusal, where it was refused.
    pub refused: Option<String>,
}

impl fmt::Display for Line {
    /// `2026-11-20T12:34:05Z uid=0 connection=12 active/web/ctl: apply: accepted`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hand { uid, connection, .. } = self.hand;
        let (at, file, what) = (stamp(self.at), &self.file, plain(&self.what));
        write!(f, "{at} uid={uid} connection={connection} {file}: {what}: ")?;
        match &self.refused {
            None => f.write_str("accepted"),
            Some(why) => write!(f, "refused: {}", plain(why)),
        }
    }
}

/// A text as a part of one line, whatever somebody wrote.
fn plain(text: &str) -> String {
    let cut = text.trim_end();
    let cut = &cut[..cut.floor_char_boundary(TEXT_BYTES_MAX)];
    cut.replace(|c: char| c.is_control(), " ")
}

/// The file and the lines that a request amounts to; none of what edges do by themselves, or a
/// lock's holder says of himself.
#[must_use]
pub fn asked(request: &Request) -> Vec<(String, String)> {
    let draft = |service: &str| format!("manifests/{service}");
    match request {
        Request::Verbs { lines, .. } => {
            lines.iter().map(|line| (ctl(line), line.text.clone())).collect()
        }
        Request::Instance { service, id, verb } => {
            let verb = match verb {
                InstanceVerb::Restart => "restart".to_string(),
                InstanceVerb::Stop => "stop".to_string(),
                InstanceVerb::Signal(signal) => format!("signal {signal}"),
            };
            vec![(format!("active/{service}/instances"), format!("{verb} {id}"))]
        }
        Request::Manifest { service, text } => {
            vec![(draft(service), format!("write {} bytes", text.len()))]
        }
        Request::Secrets(wish) => match wish {
            Wish::Set { name, version, .. } => {
                vec![(format!("secrets/{name}"), format!("set version {version}"))]
            }
            Wish::Delete { name } => vec![(format!("secrets/{name}"), "remove".to_string())],
            Wish::Grant { service, text } => {
                let names: Vec<&str> = text.split_whitespace().collect();
                vec![(format!("grants/{service}"), names.join(" "))]
            }
            Wish::Reseal { .. } => Vec::new(),
        },
        Request::Unlink { service } => vec![(draft(service), "remove".to_string())],
        Request::DropVolume { volume } => {
            vec![(format!("volumes/{volume}"), "remove".to_string())]
        }
        Request::TaskSpec { number, text, .. } => {
            vec![(format!("tasks/{number}/spec"), format!("write {} bytes", text.len()))]
        }
        Request::Task { number, verb } => {
            let verb = match verb {
                TaskVerb::Start => "start".to_string(),
                TaskVerb::Kill => "kill".to_string(),
                TaskVerb::Signal(signal) => format!("signal {signal}"),
            };
            vec![(format!("tasks/{number}/ctl"), verb)]
        }
        Request::Job { job, text } => {
            vec![(format!("jobs/{job}"), format!("write {} bytes", text.len()))]
        }
        Request::DropJob { job } => vec![(format!("jobs/{job}"), "remove".to_string())],
        Request::Renew { edge } => vec![(format!("edges/{edge}/ctl"), "restart".to_string())],
        Request::Strange { file, what, .. } => vec![(file.clone(), what.clone())],
        Request::Over { request, .. } => asked(request),
        Request::Place { .. } | Request::Edge { .. } | Request::Lock { .. } => Vec::new(),
    }
}

/// The opening of a lock, by whom: it has no verb, and whose deploy it is none either.
pub(crate) fn opened(service: &str, ask: &Ask) -> Option<(Hand, String, String)> {
    let Ask::Take { asker, wait } = ask else { return None };
    let Asker { open, connection, ref by } = *asker;
    let hand = Hand { uid: by.uid, connection, open: Some(open) };
    let file = if *wait { "queue" } else { "lock" };
    Some((hand, format!("active/{service}/{file}"), "open".to_string()))
}

/// The `ctl` that a line was written to: at the root the line names its service.
fn ctl(line: &verbs::Line) -> String {
    let named = line.text.split_whitespace().nth(1);
    match line.service.as_deref().filter(|name| named != Some(*name)) {
        Some(name) => format!("active/{name}/ctl"),
        None => "ctl".to_string(),
    }
}

/// The file.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: Option<File>,
    /// What could not be written, as refused: of some of it a line may lie there that says
    /// accepted.
    owed: Vec<String>,
}

impl Audit {
    /// The audit log of a state directory; it is opened when there is something to write.
    #[must_use]
    pub fn new(state: &Path) -> Audit {
        Audit { path: path(state), file: None, owed: Vec::new() }
    }

    /// Adds lines, and returns when they are on disk. The file may have been moved away meanwhile:
    /// then there is a new one.
    ///
    /// # Errors
    /// They could not be written; a part of them may be there. What they tell of is refused then,
    /// and the next write that succeeds begins with that.
    pub fn write(&mut self, lines: &[Line]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let told = lines.iter().map(|line| format!("{line}\n"));
        let text: String = self.owed.iter().cloned().chain(told).collect();
        match self.append(&text) {
            Ok(()) => self.owed.clear(),
            Err(error) => {
                // What is behind half a line begins a new one.
                self.file = None;
                self.owe(lines, &error);
                return Err(error);
            }
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let file = self.opened()?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }

    fn owe(&mut self, lines: &[Line], why: &io::Error) {
        for line in lines {
            let refused =
                line.refused.clone().or_else(|| Some(format!("audit log: {}", ninep::words(why))));
            let line = Line { refused, ..line.clone() };
            match self.owed.len() < OWED_LINES_MAX {
                true => self.owed.push(format!("{line}\n")),
                false => tracing::error!("not in the audit log: {line}"),
            }
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.path
    }

    fn opened(&mut self) -> io::Result<&mut File> {
        let is = |file: &File| {
            let (there, here) = (std::fs::metadata(&self.path).ok()?, file.metadata().ok()?);
            Some((there.dev(), there.ino()) == (here.dev(), here.ino()))
        };
        let file = match self.file.take().filter(|file| is(file) == Some(true)) {
            Some(file) => file,
            None => open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }
}

/// Where it lies.
#[must_use]
pub fn path(state: &Path) -> PathBuf {
    state.join("audit")
}

/// Bytes of the file, and which file of that name it is; none while there is none.
#[must_use]
pub fn length(path: &Path) -> (u64, u64) {
    std::fs::metadata(path).map_or((0, 0), |found| (found.len(), found.ino()))
}

/// Opens the file to add to it; a line that was cut short by a crash is ended.
fn open(path: &Path) -> io::Result<File> {
    let new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
    if new && let Some(dir) = path.parent() {
        // Its name, too, is to be on disk.
        File::open(dir)?.sync_all()?;
    }
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: &str, refused: Option<&str>) -> Line {
        let hand = Hand { uid: 7, connection: 12, open: None };
        let (file, what) = ("ctl".to_string(), what.to_string());
        Line { at: 0, hand, file, what, refused: refused.map(String::from) }
    }

    #[test]
    fn a_line_says_when_who_over_what_where_what_and_the_answer() {
        let told = line("apply web", None).to_string();
        assert_eq!(told, "1970-01-01T00:00:00Z uid=7 connection=12 ctl: apply web: accepted");
        let told = line("a\nb: accepted", Some("two\nlines\n")).to_string();
        assert!(told.ends_with(" ctl: a b: accepted: refused: two lines"), "{told}");
        assert!(line(&"é".repeat(9_999), None).to_string().len() < 600);
    }

    #[test]
    fn of_a_verb_it_is_told_which_service_it_was_for() {
        let by = crate::record::By { uid: 7, name: "ann".to_string() };
        let told = |text: &str, here: Option<&str>| {
            let lines = verbs::parse(text.as_bytes(), here).unwrap();
            let asked = asked(&Request::Verbs { lines, by: by.clone() });
            let told: Vec<String> =
                asked.into_iter().map(|(file, what)| format!("{file}: {what}")).collect();
            told.join("; ")
        };
        assert_eq!(told("scale 3\nrollback v1", Some("web")), {
            "active/web/ctl: scale 3; active/web/ctl: rollback v1"
        });
        assert_eq!(told("stop web\ngc", None), "ctl: stop web; ctl: gc");
    }

    #[test]
    fn it_is_added_to_after_a_restart_a_torn_line_and_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let mut audit = Audit::new(dir.path());
        audit.write(&[]).unwrap();
        assert!(!dir.path().join("audit").exists(), "nothing was asked for");
        audit.write(&[line("apply web", None), line("stop web", None)]).unwrap();
        std::fs::write(dir.path().join("audit"), read("audit") + "1970-01-01T00").unwrap();
        let mut audit = Audit::new(dir.path());
        audit.write(&[line("remove web", None)]).unwrap();
        let all = read("audit");
        assert_eq!(all.lines().count(), 4, "{all}");
        assert!(all.ends_with(
            "T00\n1970-01-01T00:00:00Z uid=7 connection=12 ctl: remove web: accepted\n"
        ));

        std::fs::rename(dir.path().join("audit"), dir.path().join("audit.1")).unwrap();
        audit.write(&[line("apply api", None)]).unwrap();
        assert_eq!((read("audit.1"), read("audit").lines().count()), (all, 1));
    }

    #[test]
    fn what_could_not_be_written_is_told_as_refused_before_what_comes_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut audit = Audit::new(dir.path());
        assert!(audit.write(&[line("apply web", None)]).is_err());
        assert!(audit.write(&[line("stop web", Some("lock is in use"))]).is_err());
        std::fs::remove_file(&path).unwrap();
        audit.write(&[line("apply api", None)]).unwrap();
        audit.write(&[line("stop api", None)]).unwrap();
        let all = std::fs::read_to_string(&path).unwrap();
        let told: Vec<&str> = all.lines().map(|line| line.split_once("ctl: ").unwrap().1).collect();
        assert!(told[0].starts_with("apply web: refused: audit log: no space left"), "{all}");
        let rest =
            ["stop web: refused: lock is in use", "apply api: accepted", "stop api: accepted"];
        assert_eq!(told[1..], rest);
        for _ in 0..=OWED_LINES_MAX {
            audit.owe(&[line("apply web", None)], &io::ErrorKind::StorageFull.into());
        }
        assert_eq!(audit.owed.len(), OWED_LINES_MAX);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("audit")).unwrap();
        assert!(Audit::new(dir.path()).write(&[line("apply web", None)]).is_err());
    }
}

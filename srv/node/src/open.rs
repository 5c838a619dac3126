//! What is behind each open file of the tree.

use std::fmt::Write as _;
use std::fs::File as Disk;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ninep::{Answer, Error as Refusal, How, Open, text};
use tokio::task::spawn_blocking;

use crate::capacity;
use crate::desk::Desk;
use crate::error::{Error, Result};
use crate::fact::Request;
use crate::handed::SecretsFile;
use crate::id::Id;
use crate::images::{self, KEEP_BYTES_MAX};
use crate::instance::Instance;
use crate::quote::value;
use crate::record;
use crate::ring::Reader;
use crate::spec::{SPEC_BYTES_MAX, Spec};
use crate::table::{File, TREE};
use crate::tail::Tail;
use crate::verb::{self, CTL_BYTES_MAX, NodeVerb};
use crate::volumes;

/// Bytes of the log given by one read at most.
const LOG_READ_MAX: usize = 1 << 20;

/// An error as a client gets it; the text is kept for the `error` file.
pub(crate) fn refuse(desk: &Desk, error: Error) -> Refusal {
    desk.refuse(&error);
    let text = Refusal::with(error.errno() as u32, error.refusal());
    // Clients know these two facts by the protocol's own texts.
    let missing = matches!(error, Error::NoInstance(_)).then_some(Refusal::NotFound);
    let exists = matches!(error, Error::Exists(_)).then_some(Refusal::Exists);
    missing.or(exists).unwrap_or(text)
}

/// Opens a file; those below an instance with that instance.
pub(crate) fn open(
    desk: &Arc<Desk>,
    file: File,
    one: Option<&Instance>,
    how: How,
) -> Answer<Box<dyn Open>> {
    let now = |open: Box<dyn Open>| Answer::Now(Ok(open));
    let desk = desk.clone();
    match (file, one) {
        (File::Help, _) => now(text(help())),
        (File::Ctl, _) => now(Box::new(Ctl { desk })),
        (File::Error, _) => now(text(desk.refused())),
        (File::Status, _) => Answer::later(async move { Ok(text(status(&desk).await)) }),
        (File::Events, _) => now(Box::new(Events(desk.ring.reader()))),
        (File::Images, _) => Answer::later(async move {
            let listed = desk.means.images.list().await.map_err(|error| refuse(&desk, error))?;
            let table = images::table(&listed, &desk.world());
            Ok(text(table))
        }),
        (File::Gc, _) => now(Box::new(Gc { desk, written: Vec::new() })),
        (File::InstanceCtl, Some(one)) => now(Box::new(InstanceCtl { desk, id: one.id.clone() })),
        (File::Spec, Some(one)) => {
            let was = one.written.as_ref().map(|written| written.text.clone());
            let written = how.write.then(Vec::new);
            now(Box::new(SpecFile { desk, id: one.id.clone(), was, written }))
        }
        (File::Secrets, Some(one)) => {
            now(Box::new(SecretsFile::new(desk, one.id.clone(), one.may_start())))
        }
        (File::InstanceStatus, Some(one)) => now(text(one.status())),
        (File::Log, Some(one)) => {
            let path = desk.means.dirs.instance(&one.id).join(record::LOG);
            Answer::later(async move { log(path).await })
        }
        (File::Tail, Some(one)) => {
            let dir = desk.means.dirs.instance(&one.id);
            Answer::later(async move {
                let tail = Tail::open(&desk.notices, &dir).map_err(|error| refuse(&desk, error))?;
                Ok(Box::new(TailFile(tail)) as Box<dyn Open>)
            })
        }
        (File::Root | File::Instances | File::Instance | File::Logs | File::Volumes, _) => {
            Answer::Now(Err(Refusal::IsDir))
        }
        // Of what is gone there is no instance; the tree opens it by itself.
        (
            File::InstanceCtl
            | File::Spec
            | File::Secrets
            | File::InstanceStatus
            | File::Log
            | File::Tail,
            None,
        )
        | (File::Kept | File::Volume, _) => Answer::Now(Err(Refusal::NotFound)),
    }
}

/// The text of `help`: the tree, then the verbs of the node and those of an instance.
fn help() -> String {
    let mut text = String::new();
    for row in TREE {
        let words = [row.read, row.write].into_iter().filter(|words| !words.is_empty());
        let words = words.collect::<Vec<_>>().join("; written: ");
        let _ = writeln!(text, "{:<20} {:04o}  {words}", row.indented(), row.mode);
    }
    for (file, verbs) in [("ctl", verb::help(verb::NODE)), ("<id>/ctl", verb::help(verb::INSTANCE))]
    {
        let _ = write!(text, "\n{file}\n{verbs}");
    }
    text
}

/// The node's `status`.
async fn status(desk: &Desk) -> String {
    let usage = desk.means.images.usage().await;
    let mut text = String::new();
    let mut line = |key: &str, of: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}={}", value(&of.to_string()));
    };
    line("name", &capacity::name());
    line("version", &env!("CARGO_PKG_VERSION"));
    line("capacity_cpu", &capacity::cpu_milli());
    line("capacity_memory", &capacity::memory_bytes());
    let (cpu, memory, instances) = {
        let world = desk.world();
        let (cpu, memory) = world.allocated();
        (cpu, memory, world.instances.len())
    };
    line("capacity_volumes", &volumes::capacity(&desk.means.dirs.volumes()));
    line("allocated_cpu", &cpu);
    line("allocated_memory", &memory);
    line("instances", &instances);
    match desk.means.net.gateway() {
        Some(gateway) => {
            line("network", &"bridge");
            line("gateway", &gateway);
        }
        None => line("network", &"host"),
    }
    match usage {
        Ok(usage) => {
            line("image_bytes", &usage.bytes);
            line("image_inodes", &usage.inodes);
            line("free_bytes", &usage.free_bytes);
            line("free_inodes", &usage.free_inodes);
        }
        Err(error) => line("warning", &error),
    }
    for warning in desk.means.net.warnings() {
        line("warning", warning);
    }
    text
}

/// The node's `ctl`: each write is lines of verbs.
struct Ctl {
    desk: Arc<Desk>,
}

impl Open for Ctl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let (desk, count) = (self.desk.clone(), data.len());
        let verbs: Result<Vec<NodeVerb>> =
            limited("ctl", data, CTL_BYTES_MAX).and_then(|data| verb::parse(verb::NODE, data));
        Answer::later(async move {
            let done = async { desk.node(verbs?).await };
            done.await.map_err(|error| refuse(&desk, error))?;
            Ok(count as u32)
        })
    }
}

/// An instance's `ctl`: the lines of a write are done together or not at all.
struct InstanceCtl {
    desk: Arc<Desk>,
    id: Id,
}

impl Open for InstanceCtl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let (desk, id, count) = (self.desk.clone(), self.id.clone(), data.len());
        let verbs =
            limited("ctl", data, CTL_BYTES_MAX).and_then(|data| verb::parse(verb::INSTANCE, data));
        Answer::later(async move {
            let done = async {
                let request = |verb| Request::Do { id: id.clone(), verb };
                desk.ask(verbs?.into_iter().map(request).collect()).await
            };
            done.await.map_err(|error| refuse(&desk, error))?;
            Ok(count as u32)
        })
    }
}

fn limited<'a>(what: &'static str, data: &'a [u8], max: usize) -> Result<&'a [u8]> {
    if data.len() > max { Err(Error::TooLong { what, max }) } else { Ok(data) }
}

/// An instance's `spec`: reads as it was written; what is written counts when it is closed.
struct SpecFile {
    desk: Arc<Desk>,
    id: Id,
    was: Option<Bytes>,
    /// None: not open for writing.
    written: Option<Vec<u8>>,
}

impl Open for SpecFile {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        text(self.was.clone().unwrap_or_default()).read(offset, count)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let Some(written) = &mut self.written else { return Answer::Now(Err(Refusal::BadUse)) };
        match put(written, offset, data, SPEC_BYTES_MAX) {
            Some(count) => Answer::Now(Ok(count)),
            None => {
                let error = Error::TooLong { what: "spec", max: SPEC_BYTES_MAX };
                Answer::Now(Err(refuse(&self.desk, error)))
            }
        }
    }

    fn close(&mut self) -> Answer<()> {
        let Some(bytes) = self.written.take().filter(|bytes| !bytes.is_empty()) else {
            return Answer::Now(Ok(()));
        };
        let (desk, id) = (self.desk.clone(), self.id.clone());
        Answer::later(async move {
            let done = async {
                let spec = Box::new(Spec::parse(&id, &bytes)?);
                desk.ask(vec![Request::Specify { id, spec, text: bytes.into() }]).await
            };
            done.await.map_err(|error| refuse(&desk, error))
        })
    }
}

/// Puts data into a text that is being written; none when it would be longer than that, or have
/// a hole.
fn put(text: &mut Vec<u8>, offset: u64, data: &[u8], max: usize) -> Option<u32> {
    let end = usize::try_from(offset).ok().and_then(|at| at.checked_add(data.len()));
    let end = end.filter(|&end| end <= max && offset <= text.len() as u64)?;
    let at = end - data.len();
    text.resize(text.len().max(end), 0);
    text[at..end].copy_from_slice(data);
    u32::try_from(data.len()).ok()
}

/// The node's `gc`: what is written counts when it is closed.
struct Gc {
    desk: Arc<Desk>,
    written: Vec<u8>,
}

impl Open for Gc {
    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        match put(&mut self.written, offset, data, KEEP_BYTES_MAX) {
            Some(count) => Answer::Now(Ok(count)),
            None => {
                // What came is not all, so it must not count.
                self.written.clear();
                let error = Error::TooLong { what: "gc", max: KEEP_BYTES_MAX };
                Answer::Now(Err(refuse(&self.desk, error)))
            }
        }
    }

    fn close(&mut self) -> Answer<()> {
        let (desk, written) = (self.desk.clone(), std::mem::take(&mut self.written));
        if written.is_empty() {
            return Answer::Now(Ok(()));
        }
        Answer::later(async move {
            let done = async { desk.collect(images::keep(&written)?).await };
            done.await.map_err(|error| refuse(&desk, error))
        })
    }
}

/// The node's `events`.
struct Events(Reader);

impl Open for Events {
    fn read(&mut self, _offset: u64, count: u32) -> Answer<Bytes> {
        let reader = self.0.clone();
        Answer::later(async move { Ok(reader.read(count as usize).await) })
    }

    fn stream(&self) -> bool {
        true
    }
}

/// An instance's `tail`.
struct TailFile(Tail);

impl Open for TailFile {
    fn read(&mut self, _offset: u64, count: u32) -> Answer<Bytes> {
        let tail = self.0.clone();
        Answer::later(async move { tail.read(count as usize).await.map_err(system) })
    }

    fn stream(&self) -> bool {
        true
    }
}

/// An instance's `log`: the file that was the current one when it was opened.
struct LogFile(Arc<Disk>);

impl Open for LogFile {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let file = self.0.clone();
        Answer::later(async move {
            let read = spawn_blocking(move || {
                let mut buffer = vec![0; (count as usize).min(LOG_READ_MAX)];
                let count = file.read_at(&mut buffer, offset)?;
                buffer.truncate(count);
                io::Result::Ok(Bytes::from(buffer))
            });
            match read.await {
                Ok(read) => read.map_err(system),
                Err(_) => Err(Refusal::Interrupted),
            }
        })
    }
}

async fn log(path: PathBuf) -> ninep::Result<Box<dyn Open>> {
    match spawn_blocking(move || Disk::open(path)).await {
        Ok(Ok(file)) => Ok(Box::new(LogFile(Arc::new(file)))),
        // It has said nothing yet.
        Ok(Err(why)) if why.kind() == io::ErrorKind::NotFound => Ok(text("")),
        Ok(Err(why)) => Err(system(why)),
        Err(_) => Err(Refusal::Interrupted),
    }
}

fn system(why: io::Error) -> Refusal {
    let error = Error::Io { what: "read", path: record::LOG.into(), why };
    Refusal::with(error.errno() as u32, error.refusal())
}

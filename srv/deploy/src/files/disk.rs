//! A file of the tree that lies on disk as it is, and grows there: the audit log.

use bytes::Bytes;
use ninep::{Answer, Error, Open};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Bytes given by one read at most.
const READ_MAX: usize = 1 << 20;

/// Opens the file that has that name now; one that is not there is empty.
pub(super) fn open(path: Option<PathBuf>) -> Answer<Box<dyn Open>> {
    let Some(path) = path else { return Answer::Now(Ok(ninep::text(Bytes::new()))) };
    Answer::later(async move {
        match spawn_blocking(move || File::open(path)).await {
            Ok(Ok(file)) => Ok(Box::new(OnDisk(Arc::new(file))) as Box<dyn Open>),
            Ok(Err(why)) if why.kind() == io::ErrorKind::NotFound => Ok(ninep::text(Bytes::new())),
            Ok(Err(why)) => Err(Error::invalid(why.to_string())),
            Err(_) => Err(Error::Interrupted),
        }
    })
}

struct OnDisk(Arc<File>);

impl Open for OnDisk {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let file = Arc::clone(&self.0);
        Answer::later(async move {
            let read = spawn_blocking(move || {
                let mut buffer = vec![0; (count as usize).min(READ_MAX)];
                let filled = file.read_at(&mut buffer, offset)?;
                buffer.truncate(filled);
                io::Result::Ok(Bytes::from(buffer))
            });
            match read.await {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(why)) => Err(Error::invalid(why.to_string())),
                Err(_) => Err(Error::Interrupted),
            }
        })
    }
}

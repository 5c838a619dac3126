//! Whole files by path: what `cat`, `echo`, `cp`, `mkdir`, `rm`, `ls` and `mv` are.

use std::sync::Arc;

use bytes::Bytes;

use super::fid::Fid;
use super::message::{self, Ask, Reply};
use super::walk::{Reached, go, reach};
use super::{Client, ClientError, Mode, path};
use crate::Stat;

/// The longest file or directory that is read whole, in bytes: what a server says has to stop
/// somewhere. Longer ones are read through `open`.
pub const WHOLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Permissions of a file that `put` makes; the server takes off what the directory lacks.
const FILE_MODE: u32 = 0o664;

/// Permissions of a directory that `mkdir` makes; the server takes off what its parent lacks.
const DIRECTORY_MODE: u32 = 0o775;

impl Client {
    /// The contents of the file `path`.
    ///
    /// One round trip, if it fits into one message (128 KiB with servers of ours). A read that
    /// brings less than it asked for is the end of the file: servers of ours fill a read as long
    /// as there is something, *wait* files apart, which are read through `open`.
    ///
    /// # Errors
    /// `Refused` with the server's text, `TooLong` over `WHOLE_BYTES_MAX`, or the connection's.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let names = path::names(path)?;
        let count = self.link.0.payload();
        let asks = [Ask::Open { mode: Mode::Read }, Ask::Read { offset: 0, count }];
        let (fid, mut replies) = go(&self.link, &names, asks).await?;
        let unit = match replies.next()?.opened()?.unit {
            0 => count,
            unit => unit.min(count),
        };
        let mut last = replies.next()?.data()?;
        let mut whole = last.to_vec();
        while last.len() >= unit as usize {
            last = self.read_on(path, &fid, whole.len() as u64).await?;
            whole.extend_from_slice(&last);
        }
        Ok(whole)
    }

    /// Writes `data` to the file `path` in one message, as `echo` does to a `ctl`: what is there
    /// stays, and it is taken whole or not at all. Waits until the file is closed.
    ///
    /// # Errors
    /// `Refused` with the server's text, `TooLong` when it does not fit into one message,
    /// `Short` when only a part was taken, or the connection's.
    pub async fn write(&self, path: &str, data: &[u8]) -> Result<(), ClientError> {
        let names = path::names(path)?;
        let (sent, most) = (data.len() as u64, u64::from(self.link.0.payload()));
        if sent > most {
            return Err(ClientError::TooLong { what: path.to_owned(), have: sent, most });
        }
        let asks = [Ask::Open { mode: Mode::Write }, Ask::Write { offset: 0, data, sealed: false }];
        let (fid, mut replies) = go(&self.link, &names, asks).await?;
        replies.next()?.opened()?;
        let taken = u64::from(replies.next()?.taken()?);
        self.ask(&fid, Ask::Clunk).await?.done()?;
        match taken == sent {
            true => Ok(()),
            false => Err(ClientError::Short { path: path.to_owned(), taken, sent }),
        }
    }

    /// Makes `data` the contents of the file `path`, which is created when it is not there.
    /// Waits until the file is closed, which is when a server may refuse what it now holds.
    ///
    /// # Errors
    /// `Refused` with the server's text, `Short` when the server takes no more, or the
    /// connection's; what is there then is the beginning of `data`.
    pub async fn put(&self, path: &str, data: &[u8]) -> Result<(), ClientError> {
        self.put_all(path, data, false).await
    }

    /// As `put`, of what nobody else is to see: where it lay on its way is wiped.
    ///
    /// # Errors
    /// As `put`.
    pub async fn put_sealed(&self, path: &str, data: &[u8]) -> Result<(), ClientError> {
        self.put_all(path, data, true).await
    }

    async fn put_all(&self, path: &str, data: &[u8], sealed: bool) -> Result<(), ClientError> {
        let (above, last) = path::split(path)?;
        let names = path::names(path)?;
        let (first, _) = data.split_at(data.len().min(self.link.0.payload() as usize));
        // An empty write would be an event of its own to a server.
        let write = (!first.is_empty()).then_some(Ask::Write { offset: 0, data: first, sealed });
        let open = [Ask::Open { mode: Mode::Truncate }].into_iter().chain(write);
        let (fid, mut replies) = match reach(&self.link, &names, open).await? {
            Reached::There(fid, replies) => (fid, replies),
            Reached::Stuck(stuck) if stuck.at == above.len() => {
                let create = Ask::Create { name: last, perm: FILE_MODE, mode: Mode::Write };
                go(&self.link, &above, [create].into_iter().chain(write)).await?
            }
            Reached::Stuck(stuck) => return Err(stuck.reason(&self.link, &names).await),
        };
        replies.next()?.opened()?;
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            let taken = match done {
                0 => replies.next()?,
                _ => self.write_on(&fid, done as u64, rest, sealed).await?,
            };
            match taken.taken()? as usize {
                0 => {
                    let (taken, sent) = (done as u64, data.len() as u64);
                    return Err(ClientError::Short { path: path.to_owned(), taken, sent });
                }
                taken => done += taken,
            }
        }
        self.ask(&fid, Ask::Clunk).await?.done()
    }

    /// Makes the directory `path`.
    ///
    /// # Errors
    /// `Refused` with the server's text, also when it is there already, or the connection's.
    pub async fn mkdir(&self, path: &str) -> Result<(), ClientError> {
        let (above, last) = path::split(path)?;
        let perm = message::DIRECTORY | DIRECTORY_MODE;
        let create = Ask::Create { name: last, perm, mode: Mode::Read };
        let (_, mut replies) = go(&self.link, &above, [create]).await?;
        replies.next()?.opened().map(drop)
    }

    /// Removes the file or directory `path`.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn remove(&self, path: &str) -> Result<(), ClientError> {
        let names = path::names(path)?;
        let (_, mut replies) = go(&self.link, &names, [Ask::Remove]).await?;
        replies.next()?.done()
    }

    /// What the server says of `path`.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn stat(&self, path: &str) -> Result<Stat, ClientError> {
        let names = path::names(path)?;
        let (_, mut replies) = go(&self.link, &names, [Ask::Stat]).await?;
        replies.next()?.stat()
    }

    /// Gives `path` the name `name`, in the same directory.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn rename(&self, path: &str, name: &str) -> Result<(), ClientError> {
        let names = path::names(path)?;
        if !matches!(path::split(name)?, (above, last) if above.is_empty() && last == name) {
            return Err(ClientError::Path(name.to_owned(), "want one name"));
        }
        let (_, mut replies) = go(&self.link, &names, [Ask::Rename { name }]).await?;
        replies.next()?.done()
    }

    /// The entries of the directory `path`, in the server's order.
    ///
    /// # Errors
    /// `Refused` with the server's text, `Path` when it is no directory, `TooLong` over
    /// `WHOLE_BYTES_MAX`, or the connection's.
    pub async fn list(&self, path: &str) -> Result<Vec<Stat>, ClientError> {
        let names = path::names(path)?;
        let count = self.link.0.payload();
        let asks = [Ask::Open { mode: Mode::Read }, Ask::Read { offset: 0, count }];
        let (fid, mut replies) = go(&self.link, &names, asks).await?;
        if !replies.next()?.opened()?.directory {
            return Err(ClientError::Path(path.to_owned(), "it is not a directory"));
        }
        let mut last = replies.next()?.data()?;
        let (mut entries, mut offset) = (Vec::new(), 0);
        // A read brings whole entries, so a short one says nothing; an empty one is the end.
        while !last.is_empty() {
            offset += last.len() as u64;
            message::entries(&last, &mut entries).map_err(ClientError::Protocol)?;
            last = self.read_on(path, &fid, offset).await?;
        }
        Ok(entries)
    }

    async fn read_on(&self, path: &str, fid: &Arc<Fid>, offset: u64) -> Result<Bytes, ClientError> {
        if offset > WHOLE_BYTES_MAX {
            let (have, most) = (offset, WHOLE_BYTES_MAX);
            return Err(ClientError::TooLong { what: path.to_owned(), have, most });
        }
        let count = self.link.0.payload();
        self.ask(fid, Ask::Read { offset, count }).await?.data()
    }

    async fn write_on(
        &self,
        fid: &Arc<Fid>,
        offset: u64,
        rest: &[u8],
        sealed: bool,
    ) -> Result<Reply, ClientError> {
        let most = self.link.0.payload() as usize;
        let data = &rest[..rest.len().min(most)];
        self.ask(fid, Ask::Write { offset, data, sealed }).await
    }

    async fn ask(&self, fid: &Arc<Fid>, ask: Ask<'_>) -> Result<Reply, ClientError> {
        let mut batch = self.link.batch_on(fid);
        batch.ask(ask);
        let (_, mut pending) = batch.send().await?;
        match pending.pop() {
            Some(reply) => reply.await,
            None => Err(ClientError::Protocol("a batch of nothing".to_owned())),
        }
    }
}

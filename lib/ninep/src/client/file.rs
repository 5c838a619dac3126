//! An open file.

use std::sync::Arc;

use bytes::Bytes;

use super::fid::Fid;
use super::link::{Link, Pending};
use super::message::{Ask, Reply};
use super::walk::go;
use super::{Client, ClientError, path};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reading.
    Read,
    /// Writing; what is there stays.
    Write,
    /// Reading and writing; what is there stays.
    ReadWrite,
    /// Writing, from nothing.
    Truncate,
}

/// An open file. Dropping it clunks its fid and flushes a read that is on its way.
pub struct File {
    link: Arc<Link>,
    fid: Arc<Fid>,
    /// The most bytes that one message carries to or from this file.
    unit: u32,
    cursor: u64,
    next: Next,
}

/// The state of `read_next`.
enum Next {
    /// Bytes that came and were not asked for yet; mostly none.
    Here(Bytes),
    /// A read on its way; kept when the future that began it is dropped.
    Coming(Pending),
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("fid", &self.fid.number()).finish_non_exhaustive()
    }
}

impl Client {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn open(&self, path: &str, mode: Mode) -> Result<File, ClientError> {
        let names = path::names(path)?;
        let (fid, mut replies) = go(&self.link, &names, [Ask::Open { mode }]).await?;
        let most = self.link.0.payload();
        let unit = match replies.next()?.opened()?.unit {
            0 => most,
            unit => unit.min(most),
        };
        Ok(File { link: self.link.clone(), fid, unit, cursor: 0, next: Next::Here(Bytes::new()) })
    }
}

impl File {
    /// Reads at most `count` bytes at `offset`, in one message; none at the end of the file.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn read_at(&self, offset: u64, count: u32) -> Result<Bytes, ClientError> {
        self.begin_read(offset, count).await?.await.and_then(Reply::data)
    }

    /// Reads at most `count` bytes where the last `read_next` ended; none at the end of the
    /// file. On a file that waits this waits.
    ///
    /// Safe to give up: the read goes on, and the next call takes what it brings, so that no
    /// event of a stream is lost to a `select!`. It is flushed when the file is dropped.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn read_next(&mut self, count: u32) -> Result<Bytes, ClientError> {
        if let Next::Here(rest) = &mut self.next {
            if !rest.is_empty() {
                return Ok(rest.split_to(rest.len().min(count as usize)));
            }
            self.next = Next::Coming(self.begin_read(self.cursor, count).await?);
        }
        let reply = match &mut self.next {
            Next::Coming(pending) => pending.await,
            Next::Here(_) => return Ok(Bytes::new()),
        };
        self.next = Next::Here(Bytes::new());
        let mut data = reply.and_then(Reply::data)?;
        self.cursor += data.len() as u64;
        // A read that was given up may have asked for more than this call does.
        let rest = data.split_off(data.len().min(count as usize));
        self.next = Next::Here(rest);
        Ok(data)
    }

    /// Writes `data` at `offset`, in one message; gives how many bytes were taken.
    ///
    /// # Errors
    /// `TooLong` when it does not fit into one message, `Refused` with the server's text, or the
    /// connection's.
    pub async fn write_at(&self, offset: u64, data: &[u8]) -> Result<u32, ClientError> {
        if data.len() > self.unit as usize {
            let (have, most) = (data.len() as u64, u64::from(self.unit));
            return Err(ClientError::TooLong { what: "a write".to_owned(), have, most });
        }
        self.ask(Ask::Write { offset, data, sealed: false }).await.and_then(Reply::taken)
    }

    /// What the server says of the file now.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's.
    pub async fn stat(&self) -> Result<crate::Stat, ClientError> {
        self.ask(Ask::Stat).await.and_then(Reply::stat)
    }

    /// Closes the file and waits for the answer: what is refused at the end of a write is said
    /// here.
    ///
    /// # Errors
    /// `Refused` with the server's text, or the connection's; the file is closed even so.
    pub async fn clunk(mut self) -> Result<(), ClientError> {
        // Flushes a read on its way, which might hold the clunk up.
        self.next = Next::Here(Bytes::new());
        self.ask(Ask::Clunk).await.and_then(Reply::done)
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Reply, ClientError> {
        self.begin(ask).await?.await
    }

    async fn begin_read(&self, offset: u64, count: u32) -> Result<Pending, ClientError> {
        self.begin(Ask::Read { offset, count: count.min(self.unit) }).await
    }

    async fn begin(&self, ask: Ask<'_>) -> Result<Pending, ClientError> {
        let mut batch = self.link.batch_on(&self.fid);
        batch.ask(ask);
        let (_, mut pending) = batch.send().await?;
        pending.pop().ok_or_else(|| ClientError::Protocol("a batch of nothing".to_owned()))
    }
}

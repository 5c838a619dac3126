//! The beginning of a connection: version and attach, in one write.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::ClientError;
use super::message::{ROOT, refused};
use super::task::{fill, lost, next_frame};
use crate::wire::{Dialect, NOFID, NONUNAME, NOTAG, Rmsg, Tmsg, Uid};

/// The largest message asked for, in bytes: 128 KiB of data and a header, which is what the
/// kernel's client is told to use as well.
const MSIZE: u32 = 128 * 1024 + 24;

/// The smallest maximum taken from a server, in bytes: a walk of sixteen long names must fit.
const MSIZE_MIN: u32 = 8192;

/// The longest attach name, in bytes.
const ANAME_BYTES_MAX: usize = 4096;

/// The longest user name that is sent, in bytes.
const UNAME_BYTES_MAX: usize = 255;

/// Nothing else is on its way yet.
const ATTACH_TAG: u16 = 0;

/// The longest wait for version and attach together.
const GREETING_MAX: Duration = Duration::from_secs(10);

/// Agrees on version and size and attaches the root's fid. Gives the size and what was read
/// already.
pub(super) async fn greet<S>(stream: &mut S, aname: &str) -> Result<(u32, BytesMut), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(GREETING_MAX, talk(stream, aname)).await {
        Ok(done) => done,
        Err(_) => Err(ClientError::Lost("no answer within 10 s".to_owned())),
    }
}

async fn talk<S>(stream: &mut S, aname: &str) -> Result<(u32, BytesMut), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if aname.len() > ANAME_BYTES_MAX {
        let (have, most) = (aname.len() as u64, ANAME_BYTES_MAX as u64);
        return Err(ClientError::TooLong { what: "the attach name".to_owned(), have, most });
    }
    stream.write_all(&greeting(aname)).await.map_err(|error| lost(&error))?;
    let mut input = BytesMut::new();
    let version = frame(stream, &mut input, MSIZE).await?;
    let msize = agreed(&version).map_err(ClientError::Protocol)?;
    let attach = frame(stream, &mut input, msize).await?;
    attached(&attach)?;
    Ok((msize, input))
}

fn greeting(aname: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let version = Tmsg::Version { msize: MSIZE, version: Dialect::P9.name().as_bytes() };
    version.encode(NOTAG, Dialect::P9, &mut out);
    let (user, aname) = (user(), aname.as_bytes());
    let uname = user.as_bytes();
    let attach = Tmsg::Attach { fid: ROOT, afid: NOFID, uname, aname, n_uname: Uid(NONUNAME) };
    attach.encode(ATTACH_TAG, Dialect::P9, &mut out);
    out
}

/// The size for messages that the server agrees to.
fn agreed(frame: &[u8]) -> Result<u32, String> {
    match Rmsg::decode(frame, Dialect::P9).map_err(|why| why.to_string())? {
        (NOTAG, Rmsg::Version { msize, version }) if version == Dialect::P9.name().as_bytes() => {
            match msize {
                MSIZE_MIN..=MSIZE => Ok(msize),
                _ => Err(format!("msize {msize}, want {MSIZE_MIN} to {MSIZE}")),
            }
        }
        (NOTAG, Rmsg::Version { version, .. }) => {
            Err(format!("its version is \"{}\", want 9P2000", version.escape_ascii()))
        }
        (NOTAG, Rmsg::Error { ename }) => Err(String::from_utf8_lossy(ename).into_owned()),
        (tag, other) => Err(format!("{} with tag {tag} in answer to Tversion", other.name())),
    }
}

fn attached(frame: &[u8]) -> Result<(), ClientError> {
    let decoded = Rmsg::decode(frame, Dialect::P9);
    match decoded.map_err(|why| ClientError::Protocol(why.to_string()))? {
        (ATTACH_TAG, Rmsg::Attach { .. }) => Ok(()),
        (ATTACH_TAG, Rmsg::Error { ename }) => Err(refused(ename)),
        (tag, other) => {
            let why = format!("{} with tag {tag} in answer to Tattach", other.name());
            Err(ClientError::Protocol(why))
        }
    }
}

async fn frame<S>(stream: &mut S, input: &mut BytesMut, most: u32) -> Result<Bytes, ClientError>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(frame) = next_frame(input, most).map_err(ClientError::Protocol)? {
            return Ok(frame);
        }
        fill(stream, input).await.map_err(|error| lost(&error))?;
    }
}

/// The name to attach with. Servers of ours go by the peer's credential and do not look at it;
/// others want one.
fn user() -> String {
    let named = std::env::var("USER").ok().filter(|name| name.len() <= UNAME_BYTES_MAX);
    named.unwrap_or_else(|| "none".to_owned())
}

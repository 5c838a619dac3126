//! The task that owns a connection's socket: whole messages in, waiting bytes out.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::ClientError;
use super::link::{Output, Shared};
use crate::wire::frame_size;

/// Room that is made for a read at least, in bytes: many small answers come with one read.
const READ_ROOM: usize = 16 * 1024;

/// Moves bytes until the connection is lost or nobody holds it any more, and then tells
/// everybody who waits.
pub(super) async fn run<S>(stream: S, input: BytesMut, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let end = End(shared);
    let why = pump(stream, input, &end.0).await;
    end.0.fail(why);
}

/// Nobody may wait for ever because the runtime ended, and the task with it.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.fail(ClientError::Lost("its runtime has ended".to_owned()));
    }
}

async fn pump<S>(stream: S, mut input: BytesMut, shared: &Shared) -> ClientError
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut output, mut written) = (Output::default(), 0);
    loop {
        if let Err(why) = take(&mut input, shared) {
            return ClientError::Protocol(why);
        }
        // Nothing is owed to the server then: the end of a connection clunks every fid.
        if shared.closing() {
            return ClientError::Lost("closed here".to_owned());
        }
        if written == output.bytes.len() {
            (output, written) = (shared.output(), 0);
        }
        let rest = &output.bytes[written..];
        // Each of the three loses nothing when another one is first.
        tokio::select! {
            read = fill(&mut reader, &mut input) => match read {
                Ok(()) => {}
                Err(error) => return lost(&error),
            },
            sent = writer.write(rest), if !rest.is_empty() => match sent {
                Ok(0) => return lost(&io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) => return lost(&error),
            },
            () = shared.wake.notified() => {}
        }
    }
}

/// Hands every whole message in `input` on.
fn take(input: &mut BytesMut, shared: &Shared) -> Result<(), String> {
    while let Some(frame) = next_frame(input, shared.msize)? {
        shared.receive(frame)?;
    }
    Ok(())
}

/// The next whole message of `input`, with its header; `most` is the largest there may be.
pub(super) fn next_frame(input: &mut BytesMut, most: u32) -> Result<Option<Bytes>, String> {
    match frame_size(input, most).map_err(|why| why.to_string())? {
        Some(size) if size <= input.len() => Ok(Some(input.split_to(size).freeze())),
        Some(size) => {
            input.reserve(size - input.len());
            Ok(None)
        }
        None => Ok(None),
    }
}

/// Reads what there is; the end of the stream is an error.
pub(super) async fn fill<R>(reader: &mut R, input: &mut BytesMut) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    input.reserve(READ_ROOM);
    match reader.read_buf(input).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended it")),
        _ => Ok(()),
    }
}

pub(super) fn lost(error: &io::Error) -> ClientError {
    ClientError::Lost(crate::error::words(error))
}

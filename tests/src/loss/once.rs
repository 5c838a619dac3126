//! Requests on a connection of their own.

use super::load::Target;
use super::score::Wrong;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpStream;

/// Pieces of a body, and bytes of each.
const PIECES: usize = 10;
const PIECE_BYTES: usize = 8 << 10;
/// Between two pieces, so that a body is under way for a while.
const PIECE_EVERY: Duration = Duration::from_millis(30);

pub(crate) fn failed(what: &str) -> impl FnOnce(hyper::Error) -> Wrong {
    move |why| Wrong::Failed(format!("{what}: {}", chain(&why)))
}

/// An error and what it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

pub(crate) async fn connect(target: &Target) -> Result<TokioIo<TcpStream>, Wrong> {
    let stream = TcpStream::connect(target.address).await;
    let stream = stream.map_err(|why| Wrong::Failed(format!("connect: {why}")))?;
    stream.set_nodelay(true).map_err(|why| Wrong::Failed(format!("nodelay: {why}")))?;
    Ok(TokioIo::new(stream))
}

/// A connection for HTTP/1.1, driven until it ends, upgrades too.
pub(crate) async fn http1<B>(target: &Target) -> Result<SendRequest<B>, Wrong>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let io = connect(target).await?;
    let (sender, connection) = handshake(io).await.map_err(failed("handshake"))?;
    // How it ends is told to whoever has a request on it.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(sender)
}

/// The whole body of an answer that must be 200.
pub(crate) async fn body(response: Response<Incoming>) -> Result<Bytes, Wrong> {
    let status = response.status();
    let collected = response.into_body().collect().await;
    let bytes = collected.map_err(|why| Wrong::Cut(chain(&why)))?.to_bytes();
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    Err(Wrong::Failed(format!("{status}: {}", String::from_utf8_lossy(&bytes).trim())))
}

/// A GET that is answered with the name of an instance.
pub(crate) async fn get(target: &Target, path: &str) -> Result<(), Wrong> {
    let mut sender = http1::<Empty<Bytes>>(target).await?;
    let request = Request::get(path).header(HOST, &target.host).header(CONNECTION, "close");
    let request = request.body(Empty::new()).map_err(|why| Wrong::Failed(why.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed("get"))?;
    named(&body(response).await?)
}

/// The answer is a line that an instance wrote.
pub(crate) fn named(answer: &[u8]) -> Result<(), Wrong> {
    match answer.ends_with(b"\n") {
        true => Ok(()),
        false => Err(Wrong::Cut(format!("{:?}", String::from_utf8_lossy(answer)))),
    }
}

/// A POST with a body that comes in pieces, and is answered with its length and digest.
pub(crate) async fn post(target: &Target) -> Result<(), Wrong> {
    let piece = Bytes::from(vec![b'x'; PIECE_BYTES]);
    let sent = piece.clone();
    let pieces = stream::unfold(0, move |n| {
        let piece = sent.clone();
        async move {
            if n == PIECES {
                return None;
            }
            tokio::time::sleep(PIECE_EVERY).await;
            Some((Ok::<_, Infallible>(Frame::data(piece)), n + 1))
        }
    });
    let mut sender = http1(target).await?;
    let request = Request::post("/sum").header(HOST, &target.host).header(CONNECTION, "close");
    let request = request.body(StreamBody::new(Box::pin(pieces)));
    let request = request.map_err(|why| Wrong::Failed(why.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed("post"))?;
    let mut digest = Sha256::new();
    (0..PIECES).for_each(|_| digest.update(&piece));
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let (want, got) = (format!("{} {hex}\n", PIECES * PIECE_BYTES), body(response).await?);
    match got == want {
        true => Ok(()),
        false => Err(Wrong::Failed(format!("another sum: {}", String::from_utf8_lossy(&got)))),
    }
}

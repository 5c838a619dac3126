//! What each path answers.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::socket;

/// How long the slow answer takes.
const SLOW: Duration = Duration::from_secs(4);
/// Events of a stream.
const EVENTS: u32 = 20;
/// Between two events.
const EVENT_EVERY: Duration = Duration::from_millis(100);

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// The answer to a request.
pub(crate) async fn to(request: Request<Incoming>, name: &str) -> Response<Body> {
    match request.uri().path() {
        "/health" => text("fine\n"),
        "/slow" => {
            tokio::time::sleep(SLOW).await;
            text(name)
        }
        "/sum" => sum(request.into_body()).await,
        "/events" => events(),
        "/socket" => socket::open(request),
        "/" => text(name),
        _ => status(StatusCode::NOT_FOUND),
    }
}

pub(crate) fn text(text: &str) -> Response<Body> {
    Response::new(full(text))
}

pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = text("");
    *response.status_mut() = status;
    response
}

fn full(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed()
}

/// Length and digest of what came.
async fn sum(mut body: Incoming) -> Response<Body> {
    let (mut length, mut digest) = (0, Sha256::new());
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    length += bytes.len();
                    digest.update(bytes);
                }
            }
            Some(Err(_)) => return status(StatusCode::BAD_REQUEST),
            None => break,
        }
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    text(&format!("{length} {hex}\n"))
}

/// A stream of server-sent events, numbered, the last of them `end`.
fn events() -> Response<Body> {
    let each = stream::unfold(0, |n| async move {
        if n > EVENTS {
            return None;
        }
        tokio::time::sleep(EVENT_EVERY).await;
        let data = if n == EVENTS { "end".to_owned() } else { n.to_string() };
        let frame = Frame::data(Bytes::from(format!("id: {n}\ndata: {data}\n\n")));
        Some((Ok(frame), n + 1))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(each)));
    let kind = hyper::header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

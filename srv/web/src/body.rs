//! What answers are made of: a text that is there, or pieces as they come.

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// An answer with its head.
pub(crate) type Answer = Response<Body>;

/// What an answer's body is.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it; none when it was given.
    Whole(Option<Bytes>),
    /// What somebody sends, until he is gone.
    Pieces(mpsc::Receiver<Bytes>),
}

/// What every answer says besides: nothing of another site runs in, frames, or learns from it.
const GUARDS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |bytes: Bytes| Ok(Frame::data(bytes));
        match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(frame)),
            Body::Pieces(come) => come.poll_recv(cx).map(|bytes| bytes.map(frame)),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Pieces(_) => SizeHint::default(),
        }
    }
}

/// An answer of that kind, which nobody keeps.
pub(crate) fn answer(kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    let head = answer.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in GUARDS {
        head.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

/// A text.
pub(crate) fn text(kind: &'static str, text: impl Into<Bytes>) -> Answer {
    answer(kind, Body::Whole(Some(text.into())))
}

/// A value, and a newline for whoever reads it on a terminal.
pub(crate) fn json(value: &Value) -> Answer {
    text("application/json", format!("{value}\n"))
}

/// Pieces of server-sent events.
pub(crate) fn events(pieces: mpsc::Receiver<Bytes>) -> Answer {
    answer("text/event-stream", Body::Pieces(pieces))
}

//! The two bodies that pass through, frame by frame, never gathered.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::flight::Flight;
use super::streams;

/// Bytes of an answer that are handed to a stream of HTTP/2 at a time. Whoever takes fewer in
/// `stall_time` takes nothing, as far as can be told.
const PART_BYTES_MAX: usize = 16 * 1024;

/// How far a user's body has come on its way to an instance.
#[derive(Debug)]
pub(crate) struct Progress {
    /// All of it has been handed on.
    pub(crate) done: Cell<bool>,
    /// It broke off, or what came is no body.
    pub(crate) failed: Cell<bool>,
    /// Whoever hands it on waits for the user; else it is the instance that takes no more.
    pub(crate) waits: Cell<bool>,
    /// When the last part was.
    pub(crate) last: Cell<Instant>,
}

/// A request's body on its way to an instance.
#[derive(Debug)]
pub(crate) enum Upload {
    /// There is none.
    None,
    /// As the user sends it.
    Streaming(Incoming, Rc<Progress>),
}

impl Upload {
    pub(crate) fn of(body: Incoming) -> Self {
        match body.is_end_stream() {
            true => Self::None,
            false => {
                let (done, failed, waits) = Default::default();
                let last = Cell::new(Instant::now());
                Self::Streaming(body, Rc::new(Progress { done, failed, waits, last }))
            }
        }
    }

    /// How far it has come; nothing to tell when there is none.
    pub(crate) fn progress(&self) -> Option<Rc<Progress>> {
        match self {
            Self::None => None,
            Self::Streaming(_, progress) => Some(Rc::clone(progress)),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Streaming(body, progress) => {
                let polled = Pin::new(&mut *body).poll_frame(context);
                progress.waits.set(polled.is_pending());
                if polled.is_ready() {
                    progress.last.set(Instant::now());
                    progress.failed.set(matches!(polled, Poll::Ready(Some(Err(_)))));
                    let ended = matches!(polled, Poll::Ready(None)) || body.is_end_stream();
                    progress.done.set(ended);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Streaming(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Streaming(body, _) => body.size_hint(),
        }
    }
}

/// An answer's body on its way to the user.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a text of ours is rare, and all others are large")]
pub(crate) enum Download {
    /// A text of ours, or nothing.
    Text(Option<Bytes>),
    /// As the instance sends it, and what of it is still to be handed on. The flight ends when the
    /// instance has sent all; over HTTP/2, where every answer has room of its own, when all of it
    /// has found some.
    Streaming(Incoming, Flight, Bytes),
}

impl Download {
    fn next(&mut self, context: &mut Context<'_>) -> Polled {
        let (body, flight, rest) = match self {
            Self::Text(text) => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            Self::Streaming(_, flight, rest) if !rest.is_empty() => return first(rest, flight),
            Self::Streaming(_, flight, _) if flight.is_released() => {
                // What was handed on before this has found room.
                flight.land();
                return Poll::Ready(None);
            }
            Self::Streaming(body, flight, rest) => (body, flight, rest),
        };
        let polled = flight.poll_for(context, |context| Pin::new(&mut *body).poll_frame(context));
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                flight.moved(frame.data_ref().map_or(0, Bytes::len));
                let parts = flight.alone && frame.is_data();
                match body.is_end_stream() {
                    true if parts => flight.release(),
                    true => _ = flight.land(),
                    false => {}
                }
                match frame.into_data() {
                    Ok(data) if parts => {
                        *rest = data;
                        first(rest, flight)
                    }
                    Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(frame) => Poll::Ready(Some(Ok(frame))),
                }
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                flight.land();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(why))) => {
                flight.broke();
                Poll::Ready(Some(Err(why)))
            }
        }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, hyper::Error>>>;

/// The first part of this. A part is taken when there is room for its first byte: the last byte of
/// a long answer is one of its own, so that the answer ends when there is room for all of it.
fn first(rest: &mut Bytes, flight: &Flight) -> Polled {
    let last = flight.is_released() && flight.sent_bytes() > PART_BYTES_MAX as u64;
    let part = match rest.len() {
        len if len > PART_BYTES_MAX => PART_BYTES_MAX,
        len @ 2.. if last => len - 1,
        len => len,
    };
    Poll::Ready(Some(Ok(Frame::data(rest.split_to(part)))))
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let polled = self.get_mut().next(context);
        let handed = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().is_some_and(|data| !data.is_empty()),
            Poll::Ready(Some(Err(_)) | None) | Poll::Pending => false,
        };
        streams::asked(handed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Streaming(body, flight, rest) => {
                rest.is_empty() && body.is_end_stream() && !flight.is_released()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Streaming(body, _, _) => body.size_hint(),
        }
    }
}

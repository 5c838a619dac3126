//! The two bodies that pass through, frame by frame, never gathered.

use std::cell::{Cell, RefCell};
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
    /// As the user sends it.
    body: RefCell<Option<Incoming>>,
    /// Which try hands it on; what is left of one before has no part in it any more.
    turn: Cell<u32>,
    /// Some of it has been handed on.
    begun: Cell<bool>,
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
    /// As the user sends it, and the turn that this is for.
    Streaming(Rc<Progress>, u32),
}

impl Progress {
    fn of(body: Incoming) -> Self {
        Self {
            body: RefCell::new(Some(body)),
            turn: Cell::new(0),
            begun: Cell::new(false),
            done: Cell::new(false),
            failed: Cell::new(false),
            waits: Cell::new(false),
            last: Cell::new(Instant::now()),
        }
    }

    /// The same body for another try, if nothing of it went out with the one before.
    pub(crate) fn again(self: &Rc<Self>) -> Option<Upload> {
        if self.begun.get() || self.body.borrow().is_none() {
            return None;
        }
        self.turn.set(self.turn.get() + 1);
        Some(Upload::Streaming(Rc::clone(self), self.turn.get()))
    }

    fn poll(&self, context: &mut Context<'_>) -> Polled {
        let mut slot = self.body.borrow_mut();
        let Some(body) = &mut *slot else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(context);
        self.waits.set(polled.is_pending());
        if polled.is_ready() {
            self.begun.set(true);
            self.last.set(Instant::now());
            self.failed.set(matches!(polled, Poll::Ready(Some(Err(_)))));
            self.done.set(matches!(polled, Poll::Ready(None)) || body.is_end_stream());
        }
        polled
    }
}

impl Upload {
    pub(crate) fn of(body: Incoming) -> Self {
        match body.is_end_stream() {
            true => Self::None,
            false => Self::Streaming(Rc::new(Progress::of(body)), 0),
        }
    }

    /// How far it has come; nothing to tell when there is none.
    pub(crate) fn progress(&self) -> Option<Rc<Progress>> {
        match self {
            Self::None => None,
            Self::Streaming(progress, _) => Some(Rc::clone(progress)),
        }
    }

    /// The body, if it is this one's turn to hand it on.
    fn own(&self) -> Option<&Progress> {
        match self {
            Self::None => None,
            Self::Streaming(progress, turn) => (progress.turn.get() == *turn).then_some(progress),
        }
    }
}

impl Drop for Upload {
    /// Whoever had it wants no more of it: the user need not send the rest, unless nothing has
    /// gone out and there may be another try.
    fn drop(&mut self) {
        if let Some(body) = self.own().filter(|body| body.begun.get()) {
            body.body.take();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        self.own().map_or(Poll::Ready(None), |body| body.poll(context))
    }

    fn is_end_stream(&self) -> bool {
        let body = self.own().map(|own| own.body.borrow());
        body.is_none_or(|body| body.as_ref().is_none_or(Incoming::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        let hint = |body: &Incoming| body.size_hint();
        let body = self.own().map(|own| own.body.borrow());
        let hint = body.and_then(|body| body.as_ref().map(hint));
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
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

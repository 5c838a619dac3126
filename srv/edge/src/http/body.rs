//! The two bodies that pass through, frame by frame, never gathered.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::flight::Flight;

/// How far a user's body has come on its way to an instance.
#[derive(Debug)]
pub(crate) struct Progress {
    /// All of it has been handed on.
    pub(crate) done: Cell<bool>,
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
                let (done, last) = (Cell::new(false), Cell::new(Instant::now()));
                Self::Streaming(body, Rc::new(Progress { done, last }))
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
                if polled.is_ready() {
                    progress.last.set(Instant::now());
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
pub(crate) enum Download {
    /// A text of ours, or nothing.
    Text(Option<Bytes>),
    /// As the instance sends it; the flight ends with it.
    Streaming(Incoming, Flight),
}

impl Body for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Streaming(body, flight) => {
                let polled =
                    flight.poll_for(context, |context| Pin::new(&mut *body).poll_frame(context));
                match &polled {
                    Poll::Pending => {}
                    Poll::Ready(None) => _ = flight.land(),
                    Poll::Ready(Some(Err(_))) => flight.broke(),
                    Poll::Ready(Some(Ok(frame))) => {
                        flight.moved(frame.data_ref().map_or(0, Bytes::len));
                        if body.is_end_stream() {
                            flight.land();
                        }
                    }
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Streaming(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Streaming(body, _) => body.size_hint(),
        }
    }
}

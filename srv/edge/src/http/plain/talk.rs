//! A user's connection, as long as its requests are plain ones.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::turn::{Turn, turn};
use crate::http::guard::Pulse;
use crate::http::head::Peer;
use crate::worker::Worker;

/// Bytes of users' requests that are read before they are answered.
const ASKED_BYTES_MAX: usize = 4096;

/// What follows when the plain requests are at an end.
#[derive(Debug)]
pub(in crate::http) enum After {
    /// What came last goes the long way.
    Other(Vec<u8>),
    /// Nothing: the connection is over.
    Over,
}

/// One side of the talk: the user's.
pub(super) struct User<'a, S> {
    stream: &'a mut S,
    /// What came and was not answered.
    pub(super) came: Vec<u8>,
    /// What is to be written; also the request's head before that.
    pub(super) out: Vec<u8>,
    pub(super) peer: &'a Rc<Peer>,
    pulse: &'a Pulse,
    /// He has ended his side. What he asked for before that, he may wait for.
    ended: bool,
    /// Becomes true when the edge leaves.
    pub(super) leaves: &'a Cell<bool>,
}

/// Answers plain requests until another comes or the edge leaves; `fresh` becomes false with
/// the first.
pub(in crate::http) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    worker: &Rc<Worker>,
    stream: &mut S,
    came: Vec<u8>,
    peer: &Rc<Peer>,
    pulse: &Pulse,
    leaves: &Cell<bool>,
    fresh: &Cell<bool>,
) -> After {
    pulse.holds_nothing();
    let mut user = User { stream, came, out: Vec::new(), peer, pulse, ended: false, leaves };
    loop {
        if user.came.is_empty() || leaves.get() {
            match poll_fn(|context| user.poll_next(context)).await {
                Next::Some => {}
                Next::Leave => return After::Other(user.came),
                Next::Gone => return After::Over,
            }
        }
        match turn(worker, &mut user).await {
            Turn::Done => fresh.set(false),
            Turn::Last => {
                // Who does not hear of the end has gone.
                let _ = user.stream.shutdown().await;
                return After::Over;
            }
            Turn::Other => return After::Other(user.came),
            Turn::Over => return After::Over,
        }
    }
}

enum Next {
    Some,
    Leave,
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> User<'_, S> {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if self.leaves.get() {
            return Poll::Ready(Next::Leave);
        }
        Poll::Ready(match ready!(self.poll_read(context)) {
            Ok(1..) => Next::Some,
            Ok(0) | Err(_) => Next::Gone,
        })
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.came.reserve_exact(ASKED_BYTES_MAX.saturating_sub(self.came.len()));
        pin!(self.stream.read_buf(&mut self.came)).poll(context)
    }

    /// Whether he has gone away. What he asks in the meantime is kept, and so much only.
    pub(super) fn is_gone(&mut self, context: &mut Context<'_>) -> bool {
        while !self.ended && self.came.len() < ASKED_BYTES_MAX {
            match self.poll_read(context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => {
                    // Who attends to the connection knows for how long he may be silent.
                    self.ended = true;
                    self.pulse.ends_half();
                }
                Poll::Ready(Err(_)) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    /// Writes all that is to be written.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        let all = poll_fn(|context| {
            while written < self.out.len() {
                let polled = Pin::new(&mut *self.stream).poll_write(context, &self.out[written..]);
                self.pulse.wrote(polled.is_ready());
                match ready!(polled)? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    some => written += some,
                }
                self.pulse.moved();
            }
            // Over TLS what was taken may not have gone.
            let flushed = Pin::new(&mut *self.stream).poll_flush(context);
            self.pulse.wrote(flushed.is_ready());
            flushed
        })
        .await;
        self.out.clear();
        all
    }
}

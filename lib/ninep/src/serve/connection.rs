//! One connection's machine: received bytes, session, jobs, bytes to send.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::session::{Command, Effects, Job, Session};
use crate::tree::Tree;
use crate::wire::Malformed;

use super::buffer::Buffer;
use super::jobs::Jobs;
use super::trace::Trace;

/// When so many bytes wait to be sent, nothing more is read or answered until the peer has taken
/// some. An answer more may be added to them.
const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Why a connection ended.
pub(super) enum End {
    Closed,
    Lost(io::Error),
    Framing(Malformed),
    NoVersion,
    Stopped,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by the peer"),
            Self::Lost(error) => write!(f, "lost: {error}"),
            Self::Framing(error) => write!(f, "{error}"),
            Self::NoVersion => f.write_str("no version agreed on in time"),
            Self::Stopped => f.write_str("the server stops"),
        }
    }
}

/// One connection but for its stream.
pub(super) struct Connection<T: Tree> {
    session: Session<T>,
    trace: Option<Trace>,
    received: Buffer,
    jobs: Jobs<Job<T::Node>>,
    fx: Effects<T::Node>,
    /// How much of the replies the peer has taken.
    sent: usize,
    flushed: bool,
    /// The peer sends no more.
    eof: bool,
    ended: bool,
}

impl<T: Tree> Connection<T> {
    pub(super) fn new(session: Session<T>, trace: Option<Trace>) -> Self {
        Self {
            session,
            trace,
            received: Buffer::new(),
            jobs: Jobs::new(),
            fx: Effects::default(),
            sent: 0,
            flushed: true,
            eof: false,
            ended: false,
        }
    }

    /// Serves the stream until it ends. `deadline` is for the peer to agree on a version.
    pub(super) async fn run<S>(&mut self, mut stream: S, deadline: impl Future<Output = ()>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut deadline = pin!(deadline);
        poll_fn(|cx| match self.poll(&mut stream, cx) {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending if self.session.dialect().is_some() => Poll::Pending,
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| End::NoVersion),
        })
        .await
    }

    /// Closes what is open, and waits for that and for what cannot be taken back.
    pub(super) async fn close(mut self) {
        self.end();
        poll_fn(|cx| poll_rest(&mut self.jobs, cx)).await;
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.session.end(&mut self.fx);
            self.obey();
            self.jobs.keep(Job::must_end);
        }
    }

    fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<End>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let all = match self.answer(cx) {
                Ok(all) => all,
                Err(error) => return Poll::Ready(End::Framing(error)),
            };
            match self.poll_send(stream, cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(End::Lost(error)),
                Poll::Ready(Ok(())) if !all => continue,
                // What changes something is run to its end anyway, and its answer may be wanted.
                Poll::Ready(Ok(())) if self.eof && self.jobs.any(Job::must_end) => {
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if self.eof => return Poll::Ready(self.at_end()),
                Poll::Ready(Ok(())) => {}
                // Nothing is read while there is something to answer: it would only pile up.
                Poll::Pending if self.eof || !all => return Poll::Pending,
                Poll::Pending => {}
            }
            match self.received.poll_fill(stream, cx) {
                // What was asked before is still answered, as far as it need not be waited for.
                Poll::Ready(Ok(0)) => {
                    self.eof = true;
                    self.session.interrupt_all();
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(End::Lost(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes every message and every outcome there is, while there is room for answers; whether
    /// that was all.
    fn answer(&mut self, cx: &mut Context<'_>) -> Result<bool, Malformed> {
        loop {
            let from = self.fx.replies.len();
            if from - self.sent >= UNSENT_BYTES_MAX {
                return Ok(false);
            }
            if self.session.turn(&mut self.fx) {
                // One that waited: it came before what is still to be read.
            } else if let Some(frame) = self.received.next(self.session.msize())? {
                if let Some(trace) = self.trace {
                    let hidden = self.session.hides(frame);
                    trace.asked(frame, self.session.dialect(), hidden);
                }
                self.session.message(frame, &mut self.fx);
                if std::mem::take(&mut self.fx.wipe) {
                    self.received.wipe();
                }
            } else if let Poll::Ready((ticket, outcome)) = self.jobs.poll_next(cx) {
                self.session.complete(ticket, outcome, &mut self.fx);
            } else {
                return Ok(true);
            }
            self.obey();
            if let Some(trace) = self.trace {
                trace.answered(&self.fx.replies[from..], self.session.dialect());
            }
        }
    }

    fn poll_send<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while self.sent < self.fx.replies.len() {
            self.flushed = false;
            let unsent = &self.fx.replies[self.sent..];
            match Pin::new(&mut *stream).poll_write(cx, unsent) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.forget_sent();
                    return Poll::Pending;
                }
            }
        }
        self.forget_sent();
        if !self.flushed {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn forget_sent(&mut self) {
        self.fx.replies.drain(..self.sent);
        self.sent = 0;
    }

    fn obey(&mut self) {
        for command in self.fx.commands.drain(..) {
            match command {
                Command::Start(ticket, job) => self.jobs.start(ticket, job),
                Command::Drop(ticket) => self.jobs.drop(ticket),
            }
        }
    }

    fn at_end(&self) -> End {
        if self.received.is_empty() {
            End::Closed
        } else {
            End::Lost(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl<T: Tree> Drop for Connection<T> {
    /// However the connection ends, also when its task is given up: what is open is closed, and
    /// what must end goes on in the runtime as long as there is one.
    fn drop(&mut self) {
        self.end();
        if self.jobs.is_empty() {
            return;
        }
        let mut jobs = std::mem::replace(&mut self.jobs, Jobs::new());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(poll_fn(move |cx| poll_rest(&mut jobs, cx)));
        }
    }
}

/// Runs to their end the jobs of a connection that is no more.
fn poll_rest<N: Clone>(jobs: &mut Jobs<Job<N>>, cx: &mut Context<'_>) -> Poll<()> {
    while !jobs.is_empty() {
        let (ticket, outcome) = ready!(jobs.poll_next(cx));
        if let Some(job) = outcome.leave() {
            jobs.start(ticket, job);
        }
    }
    Poll::Ready(())
}

//! A connection of HTTP/1.1 to an instance, as one request has it.
//!
//! As long as nothing but answers moves on it, it is driven by who waits for them: no task of
//! its own has to be woken for every request. With a body to send, or to be switched, it gets one.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};

use super::body::Upload;
use super::pool::{Held, Pool};

type Connection = http1::Connection<TokioIo<TcpStream>, Upload>;

/// A connection and who drives it.
#[derive(Debug)]
pub(crate) struct Link {
    sender: http1::SendRequest<Upload>,
    /// The connection, unless a task of its own drives it.
    drive: Option<Box<(Connection, Held)>>,
}

impl Link {
    pub(super) fn new(
        sender: http1::SendRequest<Upload>,
        connection: Connection,
        held: Held,
    ) -> Self {
        Self { sender, drive: Some(Box::new((connection, held))) }
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(drive) = &mut self.drive
            && Pin::new(&mut drive.0).poll(context).is_ready()
        {
            // How it ended, its request hears from its sender.
            self.drive = None;
        }
    }

    /// Becomes true when a request may be sent, false when none may be ever.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.drive(context);
        self.sender.poll_ready(context).map(|ready| ready.is_ok())
    }

    /// Whether a request may be sent now.
    pub(super) fn is_ready(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready()
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_closed()
    }
}

/// A connection that is used by one request.
#[derive(Debug)]
pub(crate) struct Lent {
    pool: Rc<Pool>,
    link: Link,
    /// It has served before, so the instance may be closing it right now.
    pub(crate) reused: bool,
    own: Own,
}

/// The task of a connection that has one. A request that is given up ends it: what it waits for may
/// never come.
#[derive(Debug, Default)]
struct Own(Option<AbortHandle>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Lent {
    pub(super) fn new(pool: &Rc<Pool>, link: Link, reused: bool) -> Self {
        Self { pool: Rc::clone(pool), link, reused, own: Own::default() }
    }

    /// What sends on it.
    pub(crate) fn sender(&mut self) -> &mut http1::SendRequest<Upload> {
        &mut self.link.sender
    }

    /// Gives it a task of its own.
    pub(crate) fn detach(&mut self) {
        if let Some(drive) = self.link.drive.take() {
            let (connection, held) = *drive;
            let task = spawn_local(async move {
                let _ = connection.with_upgrades().await;
                drop(held);
            });
            self.own = Own(Some(task.abort_handle()));
        }
    }

    /// Polls something that comes from this connection, and the connection for it.
    pub(crate) fn poll_for<T>(
        &mut self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.link.drive.is_none() {
            return poll(context);
        }
        // Only driving the connection makes it ready, so nobody has to be woken by it.
        let mut nobody = Context::from_waker(Waker::noop());
        let polled = poll(&mut nobody);
        if polled.is_ready() {
            return polled;
        }
        self.link.drive(context);
        match self.link.drive {
            Some(_) => poll(&mut nobody),
            None => poll(context),
        }
    }

    /// It rests until the next request, unless it cannot serve one.
    pub(crate) fn give_back(mut self, now: Instant) {
        self.own.0 = None;
        self.pool.rest(self.link, now);
    }
}

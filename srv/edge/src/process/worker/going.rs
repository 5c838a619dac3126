//! The way of a worker out: it takes nobody any more, and goes on with what it has until that
//! ends. One that another has followed has no limit; one whose edge ends has.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Worker;
use crate::follow::ledger::Ledger;
use crate::follow::older::{Teller, Why};
use crate::process::sockets::Place;

/// How long everything that is in flight may take when the edge ends for good.
pub(crate) const END_TIME_MAX: Duration = Duration::from_secs(30);
/// How long resting connections may take to be closed: each is answered for a while, so that it
/// can be told to close, and an answer may be late on a busy machine. After it nobody comes any
/// more, and what is in flight has its drain.
const LINGER: Duration = Duration::from_secs(3);
/// How long who wrote `end` may take to close `ctl` and hear that all is well.
const TOLD: Duration = Duration::from_millis(100);

/// Why it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Going {
    /// Another edge serves.
    Leave,
    /// Nobody is to serve any more.
    End,
}

impl Worker {
    /// No new connections, the present ones to their end.
    pub(super) async fn go(&mut self, going: Going, teller: &mut Teller) {
        tracing::info!("going: {going:?}");
        (self.door, self.revival) = (None, None);
        self.leaving.say();
        match going {
            Going::Leave => {
                self.yield_to_newer().await;
                self.tree_leaving.say();
                self.sockets.retain(|_| false);
                self.go_on(teller).await;
            }
            Going::End => {
                self.stop_following().await;
                self.sockets.retain(|place| *place == Place::Lock);
                self.books.older(Ledger::older_end);
                let olders = std::mem::take(&mut self.olders);
                let rest = async { _ = tokio::join!(self.end(LINGER), olders.gone()) };
                tokio::join!(limited(rest, END_TIME_MAX), sleep(TOLD));
            }
        }
        self.front.logged().await;
        match going {
            Going::Leave => self.front.counted(),
            Going::End => self.front.forget_counts(),
        }
    }

    /// Follows the tables of newer processes, until nothing is on its way any more or what is has
    /// to end. An instance that leaves has its drain, as ever.
    async fn go_on(&mut self, teller: &mut Teller) {
        let left = self.front.left();
        let mut left = std::pin::pin!(left);
        let why = tokio::select! {
            () = &mut left => return,
            why = teller.end() => why,
            _ = self.terminated.recv() => Why::End,
        };
        tracing::warn!("what is on its way has to end: {why:?}");
        if why == Why::Crowd {
            self.front.hurry();
        }
        let longest = self.front.longest_drain();
        self.books.close().await;
        limited(left, (longest + LINGER).min(END_TIME_MAX)).await;
    }

    /// Serves no route any more when resting connections had time to close. Whoever still holds
    /// an instance when its drain has passed is cut.
    async fn end(&self, linger: Duration) {
        let longest = self.front.longest_drain();
        let rest = async {
            let mut left = std::pin::pin!(self.front.left());
            if timeout(linger, &mut left).await.is_err() {
                self.books.close().await;
                left.await;
            }
        };
        limited(rest, longest + LINGER + LINGER).await;
    }
}

async fn limited(rest: impl Future<Output = ()>, limit: Duration) {
    if timeout(limit, rest).await.is_err() {
        tracing::warn!("connections do not end: they are closed");
    }
}

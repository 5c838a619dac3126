//! A worker whose supervisor is gone: it answers the next edge itself, and starts one.

use tokio::sync::oneshot;

use super::{Going, Worker};
use crate::process::handover::Step;
use crate::process::orphan;
use crate::process::sockets::Sockets;

impl Worker {
    /// The supervisor is gone: this process answers for it until there is another.
    pub(super) async fn orphaned(&mut self) {
        tracing::warn!("the supervisor ended: another one is started");
        self.talk = None;
        if self.follower.is_none() {
            // Who was about to take over talked to it, and has lost it too.
            self.lead().await;
        }
        self.door = self.sockets.door();
        self.revival = Some(orphan::revive(&self.options));
    }

    /// What a new edge wants, when there is no supervisor to ask.
    pub(super) async fn asked(&mut self, step: Step) -> Option<Going> {
        match step {
            Step::Yield(reply) => {
                self.yield_to_newer().await;
                let _: Result<(), Sockets> = oneshot::Sender::send(reply, self.sockets.clone());
            }
            Step::Lost => {
                if self.follower.is_none() {
                    self.lead().await;
                }
                self.door = self.sockets.door();
            }
            Step::Took => return Some(Going::Leave),
        }
        None
    }
}

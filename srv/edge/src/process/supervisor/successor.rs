//! The edge after this one, which is to take over from it, and the one before.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{LEAVE_TIME, Phase, Supervisor};
use crate::error::Error;
use crate::process::handover::{Step, receive};
use crate::process::sockets::Sockets;
use crate::process::state::State;
use crate::process::talk::Talk;

/// How long the one before may take to answer whether it still serves.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// The sockets of the edge that serves, and the talk with it; new ones when there is none.
pub(super) async fn found(state: &State) -> Result<(Sockets, Option<Talk>), Error> {
    if let Some(lock) = state.lock()? {
        return Ok((state.begin(lock)?, None));
    }
    let up = state.up();
    let what = format!("take over from the edge at {}", up.display());
    let talk = Talk::dial(&up).map_err(Error::io(what.clone()))?;
    let sockets = receive(&talk).await.map_err(Error::io(what))?;
    Ok((sockets, Some(talk)))
}

impl Supervisor {
    /// Asks the edge before this one whether it goes on.
    pub(super) async fn still_led(&self) -> bool {
        let ask = async {
            let talk = Talk::dial(&self.state.up())?;
            receive(&talk).await
        };
        timeout(ANSWER_TIME_MAX, ask).await.is_ok_and(|answer| answer.is_ok())
    }

    /// What a new edge wants. Whether this process ends with that.
    pub(super) async fn asked(&mut self, step: Step) -> bool {
        match step {
            Step::Yield(reply) => {
                self.yielding = Some(reply);
                if self.phase == Phase::Serving {
                    self.phase = Phase::Yielded;
                }
                match self.worker {
                    Some(_) => self.say("yield").await,
                    None => {
                        self.restart = None;
                        self.yielded();
                    }
                }
            }
            Step::Lost => {
                self.yielding = None;
                if self.phase == Phase::Yielded {
                    self.phase = Phase::Serving;
                    self.say("lead").await;
                    if self.worker.is_none() {
                        self.start().await;
                    }
                }
                if self.phase == Phase::Serving {
                    self.door = self.sockets.door();
                }
            }
            Step::Took => {
                tracing::info!("another edge has taken over");
                self.phase = Phase::Leaving;
                (self.door, self.restart) = (None, None);
                self.deadline = Some(Instant::now() + LEAVE_TIME);
                self.sockets = Sockets::default();
                self.say("leave").await;
                return self.worker.is_none();
            }
        }
        false
    }

    /// Tells who waits for it that the worker has yielded.
    pub(super) fn yielded(&mut self) {
        if let Some(reply) = self.yielding.take() {
            // The new edge may be gone by now, which is said as well.
            let _ = reply.send(self.sockets.clone());
        }
    }
}

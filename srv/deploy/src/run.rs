//! The loop: everything that can change the world comes through here, one batch at a time. What
//! a turn is stands in `wheel`; here are the clock, the queue and the hands around it.

use crate::act::Hands;
use crate::arrival::Arrival;
use crate::clock::{Moment, Stopwatch};
use crate::save::Journal;
use crate::wheel::Wheel;
use crate::world::Shared;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Arrivals that may wait for the loop.
pub const ARRIVALS_MAX: usize = 1_024;
/// Arrivals taken in one turn, and saved together: a save waits for the disk twice, however much
/// it saves. Readers wait for a turn to be decided, so that it may not be as long as the queue.
const BATCH_MAX: usize = 256;
/// How long a loop sleeps that nothing wakes.
const REST_MAX: Duration = Duration::from_secs(3600);

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody can send it anything any more.
    Alone,
    /// `down` was asked, and the node has ended.
    Down,
}

/// The loop.
pub struct Loop {
    wheel: Wheel,
    hands: Hands,
}

impl Loop {
    /// A loop over a loaded world.
    #[must_use]
    pub fn new(world: Shared, journal: Journal, hands: Hands) -> Loop {
        Loop { wheel: Wheel::new(world, journal, Moment::now()), hands }
    }

    /// Turns until nobody is left or `down` was asked.
    pub async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) -> End {
        while !self.wheel.ended() {
            let mut batch: Vec<Arrival> = Vec::new();
            let held = self.wheel.held();
            let rest = self.wheel.rest(Moment::now()).map_or(REST_MAX, Duration::from_millis);
            tokio::select! {
                biased;
                // What cannot be saved is held back within a bound; the node says what was missed.
                first = arrivals.recv(), if held < ARRIVALS_MAX => match first {
                    Some(first) => batch.push(first),
                    None => return End::Alone,
                },
                () = sleep(rest) => {}
            }
            while held + batch.len() < BATCH_MAX {
                let Ok(next) = arrivals.try_recv() else { break };
                batch.push(next);
            }
            let watch = Stopwatch::start();
            let orders = self.wheel.turn(Moment::now(), batch).await;
            self.wheel.spent(watch.took());
            for order in orders {
                self.hands.perform(order);
            }
        }
        End::Down
    }
}

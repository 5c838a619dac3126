//! Connections to the node for logs alone. A read that waits holds one of its connection's tags
//! for as long as it waits: on the connection that orders go over, enough of them would keep the
//! orders from the node.

use crate::link::Link;
use ninep::client::{Client, ClientError};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Who may read on one connection at a time; each holds a tag of the client's 128.
const SEATS_MAX: usize = 64;

/// The connections. Those that nobody reads on are used again.
#[derive(Debug)]
pub(crate) struct Lanes {
    link: Link,
    lanes: Mutex<Vec<Seat>>,
}

/// A place on a connection, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) client: Client,
    /// One more than are held.
    count: Arc<()>,
}

impl Lanes {
    pub(crate) fn new(link: Link) -> Lanes {
        Lanes { link, lanes: Mutex::default() }
    }

    /// Whether the node answers now.
    pub(crate) fn are_open(&self) -> bool {
        self.link.client().is_some()
    }

    /// The node as it comes and goes.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Client>> {
        self.link.changes()
    }

    /// A place on a connection that has one, or on a new connection.
    pub(crate) async fn seat(&self) -> Result<Seat, ClientError> {
        let mut lanes = self.lanes.lock().await;
        let free = lanes.iter().find(|lane| Arc::strong_count(&lane.count) <= SEATS_MAX);
        if let Some(lane) = free {
            return Ok(lane.again());
        }
        let lane = Seat { client: self.link.dial().await?, count: Arc::default() };
        let seat = lane.again();
        lanes.push(lane);
        Ok(seat)
    }

    /// Gives a place up; a connection that was lost is not used again.
    pub(crate) async fn leave(&self, seat: Seat, why: &ClientError) {
        match why {
            ClientError::Lost(_) | ClientError::Protocol(_) | ClientError::Unreachable(_) => {
                let mut lanes = self.lanes.lock().await;
                lanes.retain(|lane| !Arc::ptr_eq(&lane.count, &seat.count));
            }
            ClientError::Refused(_)
            | ClientError::Path(..)
            | ClientError::TooLong { .. }
            | ClientError::Short { .. }
            | ClientError::Full(_) => {}
        }
    }
}

impl Seat {
    fn again(&self) -> Seat {
        Seat { client: self.client.clone(), count: Arc::clone(&self.count) }
    }
}

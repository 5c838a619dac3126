//! Performs what the loop asked for, on the node and the clock. Results come back as arrivals;
//! an order that was lost with the node's connection is given again when the node answers.

use crate::arrival::{Arrival, Heard, Order};
use crate::link::Link;
use ninep::client::{Client, ClientError};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Lines of a failed container's log that are told.
pub const TAIL_LINES: usize = 20;
/// Bytes of the log that are read for them.
const TAIL_BYTES: u64 = 8 * 1024;

/// Whoever performs.
#[derive(Debug)]
pub struct Hands {
    link: Link,
    arrivals: mpsc::Sender<Arrival>,
    /// One queue a container, so that its orders stay in order and nobody waits for another.
    /// They have no bound of their own: the loop asks for few things of a container, and an order
    /// that was dropped would be missing until the node is connected anew.
    queues: HashMap<String, mpsc::UnboundedSender<Order>>,
}

impl Hands {
    /// Hands that reach the node by that link.
    #[must_use]
    pub fn new(link: Link, arrivals: mpsc::Sender<Arrival>) -> Hands {
        Hands { link, arrivals, queues: HashMap::new() }
    }

    /// Begins to perform an order; never waits.
    pub fn perform(&mut self, order: Order) {
        let key = match &order {
            Order::Start { container, .. }
            | Order::Stop { container }
            | Order::Signal { container, .. }
            | Order::Remove { container }
            | Order::Tail { container, .. } => container.clone(),
            Order::Pull { .. } | Order::Push { .. } | Order::Collect { .. } => String::new(),
            // No edge runs on this machine, so every edge has acknowledged, and nothing drains.
            Order::Publish { service, generation } => {
                let (service, generation) = (service.clone(), *generation);
                return self.hear(Heard::Served { service, generation });
            }
            Order::Drain { service, id } => {
                return self.hear(Heard::Drained { service: service.clone(), id: *id });
            }
            Order::Down => {
                self.link.end();
                String::new()
            }
            // The loop keeps the timers itself.
            Order::Wake { .. } => return,
        };
        self.queues.retain(|_, queue| !queue.is_closed());
        let (link, arrivals) = (&self.link, &self.arrivals);
        let queue = self.queues.entry(key).or_insert_with(|| worker(link, arrivals));
        if let Err(mpsc::error::SendError(order)) = queue.send(order) {
            // Its worker has just found nothing left to do.
            *queue = worker(link, arrivals);
            let _ = queue.send(order);
        }
    }

    fn hear(&self, heard: Heard) {
        let arrivals = self.arrivals.clone();
        tokio::spawn(async move { arrivals.send(Arrival::Heard(heard)).await });
    }
}

/// Performs one container's orders, one after the other, and ends when there are none.
fn worker(link: &Link, arrivals: &mpsc::Sender<Arrival>) -> mpsc::UnboundedSender<Order> {
    let (sender, mut orders) = mpsc::unbounded_channel::<Order>();
    let (link, arrivals) = (link.clone(), arrivals.clone());
    tokio::spawn(async move {
        while let Some(order) = orders.recv().await {
            let Some(client) = link.client() else { continue };
            let told = order.clone();
            if let Err(error) = on_node(&client, &arrivals, order).await {
                refused(told, &error, &arrivals).await;
            }
            if orders.is_empty() {
                orders.close();
            }
        }
    });
    sender
}

/// Writes an order into the node's tree.
async fn on_node(
    client: &Client,
    arrivals: &mpsc::Sender<Arrival>,
    order: Order,
) -> Result<(), ClientError> {
    let ctl = |container: &str| format!("instances/{container}/ctl");
    match order {
        Order::Pull { reference } => {
            client.write("ctl", format!("pull {reference}").as_bytes()).await
        }
        Order::Push { name, path } => {
            client.write("ctl", format!("push {name} {}", path.display()).as_bytes()).await
        }
        Order::Collect { keep } => {
            client.write("ctl", format!("gc keep={}", keep.join(",")).as_bytes()).await
        }
        Order::Down => client.write("ctl", b"down").await,
        Order::Start { container, spec } => {
            let made = client.mkdir(&format!("instances/{container}")).await;
            // One that is there already was asked for before, and only the answer was lost.
            if let Err(error @ ClientError::Lost(_)) = made {
                return Err(error);
            }
            client.write(&format!("instances/{container}/spec"), spec.as_bytes()).await?;
            client.write(&ctl(&container), b"start").await
        }
        Order::Stop { container } => client.write(&ctl(&container), b"stop").await,
        Order::Signal { container, signal } => {
            client.write(&ctl(&container), format!("signal {signal}").as_bytes()).await
        }
        Order::Remove { container } => client.write(&ctl(&container), b"remove").await,
        Order::Tail { service, number, container } => {
            let path = format!("instances/{container}/log");
            let length = client.stat(&path).await?.length;
            let file = client.open(&path, ninep::client::Mode::Read).await?;
            let from = length.saturating_sub(TAIL_BYTES);
            let bytes = file.read_at(from, u32::try_from(TAIL_BYTES).unwrap_or(u32::MAX)).await?;
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<String> = text.lines().map(String::from).collect();
            let lines = lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec();
            let _ = arrivals.send(Arrival::Heard(Heard::Logged { service, number, lines })).await;
            Ok(())
        }
        Order::Publish { .. } | Order::Drain { .. } | Order::Wake { .. } => Ok(()),
    }
}

/// What a refused order means for the decision. A lost connection means nothing: the order is
/// given again.
async fn refused(order: Order, error: &ClientError, arrivals: &mpsc::Sender<Arrival>) {
    let ClientError::Refused(reason) = error else { return };
    let reason = reason.clone();
    let heard = match order {
        Order::Start { container, .. } => Heard::StartRefused { container, reason },
        Order::Stop { container } => Heard::Missing { container },
        Order::Remove { container } => Heard::Told(crate::report::Report::Removed { container }),
        Order::Pull { reference } => {
            Heard::Told(crate::report::Report::PullFailed { reference, reason, permanent: true })
        }
        Order::Push { name, .. } => Heard::Told(crate::report::Report::PushFailed { name, reason }),
        Order::Collect { .. } | Order::Signal { .. } | Order::Tail { .. } | Order::Down => {
            return tracing::warn!("the node refused {order:?}: {reason}");
        }
        // These are none of the node's.
        Order::Publish { .. } | Order::Drain { .. } | Order::Wake { .. } => return,
    };
    let _ = arrivals.send(Arrival::Heard(heard)).await;
}

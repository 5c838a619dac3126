//! Performs what the loop asked for, on the node and the clock. Results come back as arrivals;
//! an order that was lost with the node's connection is given again when the node answers.

use crate::arrival::{Arrival, Heard, Order};
use crate::link::Link;
use crate::report::Report;
use crate::secrets::Handover;
use crate::vault::Vault;
use ninep::client::{Client, ClientError};
use std::collections::HashMap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Lines of a failed container's log that are told.
pub const TAIL_LINES: usize = 20;
/// Bytes of the log that are read for them.
const TAIL_BYTES: u64 = 8 * 1024;
/// Queues that are kept before those that have ended are looked for.
const QUEUES_MIN: usize = 64;

/// Whoever performs.
#[derive(Debug)]
pub struct Hands {
    link: Link,
    arrivals: mpsc::Sender<Arrival>,
    /// One queue a container, so that its orders stay in order and nobody waits for another.
    /// They have no bound of their own: the loop asks for few things of a container, and an order
    /// that was dropped would be missing until the node is connected anew.
    queues: HashMap<String, Queue>,
    /// So many queues, and those that have ended are taken out: a look at all of them at every
    /// order would cost more than the orders.
    full: usize,
}

impl Hands {
    /// Hands that reach the node by that link.
    #[must_use]
    pub fn new(link: Link, arrivals: mpsc::Sender<Arrival>) -> Hands {
        Hands { link, arrivals, queues: HashMap::new(), full: QUEUES_MIN }
    }

    /// Begins to perform an order; never waits.
    pub fn perform(&mut self, order: Order) {
        let key = match &order {
            Order::Start { container, .. }
            | Order::Stop { container, .. }
            | Order::Signal { container, .. }
            | Order::Remove { container }
            | Order::DropLog { container }
            | Order::Tail { container, .. } => container.clone(),
            Order::Pull { .. } | Order::Push { .. } | Order::CancelPush { .. } => String::new(),
            // It takes as long as the disk does; no pull waits for it.
            Order::Collect { .. } => "gc".to_string(),
            // It may hold much; no container waits for it, and nobody else is asked about it.
            Order::DropVolume { volume } => format!("volumes/{volume}"),
            Order::Down => {
                self.link.end();
                String::new()
            }
            // The loop keeps the timers itself, and what edges owe.
            Order::Wake { .. } | Order::Publish { .. } | Order::Drain { .. } => return,
        };
        if self.queues.len() >= self.full {
            self.queues.retain(|_, queue| !queue.has_ended());
            self.full = (self.queues.len() * 2).max(QUEUES_MIN);
        }
        let (link, arrivals) = (&self.link, &self.arrivals);
        let queue = self.queues.entry(key).or_insert_with(|| Queue::after(None, link, arrivals));
        if let Err(mpsc::error::SendError(order)) = queue.orders.send(order) {
            // Its worker has just found nothing left to do, or is at what came behind that look.
            *queue = Queue::after(queue.worker.take(), link, arrivals);
            let _ = queue.orders.send(order);
        }
    }
}

/// One container's orders, and who performs them.
#[derive(Debug)]
struct Queue {
    orders: mpsc::UnboundedSender<Order>,
    worker: Option<JoinHandle<()>>,
}

impl Queue {
    /// Begins when the queue before it has ended.
    fn after(
        before: Option<JoinHandle<()>>,
        link: &Link,
        arrivals: &mpsc::Sender<Arrival>,
    ) -> Queue {
        let (sender, orders) = mpsc::unbounded_channel::<Order>();
        let (link, arrivals) = (link.clone(), arrivals.clone());
        let worker = tokio::spawn(async move {
            if let Some(before) = before {
                // However it ended, it does nothing more.
                let _ = before.await;
            }
            work(orders, &link, &arrivals).await;
        });
        Queue { orders: sender, worker: Some(worker) }
    }

    fn has_ended(&self) -> bool {
        self.worker.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Performs one container's orders, one after the other, and ends when there are none.
async fn work(
    mut orders: mpsc::UnboundedReceiver<Order>,
    link: &Link,
    arrivals: &mpsc::Sender<Arrival>,
) {
    while let Some(order) = orders.recv().await {
        match link.client() {
            Some(client) => {
                let told = order.clone();
                if let Err(error) = on_node(&client, link.vault(), arrivals, order).await {
                    refused(told, &error, arrivals).await;
                }
            }
            // There is no node that would have to end first.
            None if order == Order::Down => {
                let reason = "it was gone already".to_string();
                let _ = arrivals.send(Arrival::Heard(Heard::NodeDown { reason })).await;
            }
            // It is asked for again when the node answers.
            None => {}
        }
        if orders.is_empty() {
            orders.close();
        }
    }
}

/// Writes an order into the node's tree.
async fn on_node(
    client: &Client,
    vault: &Vault,
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
        Order::CancelPush { name } => {
            client.write("ctl", format!("cancel-push {name}").as_bytes()).await?;
            let told = Heard::CancelTold { name, told: Ok(()) };
            let _ = arrivals.send(Arrival::Heard(told)).await;
            Ok(())
        }
        Order::Collect { keep } => {
            let lines: String = keep.iter().map(|one| format!("{one}\n")).collect();
            client.put("gc", format!("{lines}gc\n").as_bytes()).await
        }
        Order::Down => client.write("ctl", b"down").await,
        Order::Start { container, spec, secrets } => {
            start(client, vault, &container, &spec, &secrets).await
        }
        Order::Stop { container, timeout_ms: None } => {
            client.write(&ctl(&container), b"stop").await
        }
        Order::Stop { container, timeout_ms: Some(ms) } => {
            let line = format!("stop - {}.{:03}", ms / 1000, ms % 1000);
            match client.write(&ctl(&container), line.as_bytes()).await {
                // A node of a build that takes no time knows the one of the start.
                Err(ClientError::Refused(text)) if text.contains("no signal") => {
                    client.write(&ctl(&container), b"stop").await
                }
                told => told,
            }
        }
        Order::Signal { container, signal } => {
            client.write(&ctl(&container), format!("signal {signal}").as_bytes()).await
        }
        Order::Remove { container } => client.write(&ctl(&container), b"remove").await,
        Order::DropVolume { volume } => drop_volume(client, arrivals, volume).await,
        Order::DropLog { container } => client.remove(&format!("logs/{container}")).await,
        Order::Tail { service, id, number, container } => {
            let path = format!("instances/{container}/log");
            let length = client.stat(&path).await?.length;
            let file = client.open(&path, ninep::client::Mode::Read).await?;
            let from = length.saturating_sub(TAIL_BYTES);
            let bytes = file.read_at(from, u32::try_from(TAIL_BYTES).unwrap_or(u32::MAX)).await?;
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<String> = text.lines().map(String::from).collect();
            let lines = lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec();
            let logged = Heard::Logged { service, id, number, lines };
            let _ = arrivals.send(Arrival::Heard(logged)).await;
            Ok(())
        }
        Order::Publish { .. } | Order::Drain { .. } | Order::Wake { .. } => Ok(()),
    }
}

/// Has a volume removed, and tells when it is.
async fn drop_volume(
    client: &Client,
    arrivals: &mpsc::Sender<Arrival>,
    volume: String,
) -> Result<(), ClientError> {
    client.remove(&format!("volumes/{volume}")).await?;
    let gone = Heard::VolumeGone { volume, told: Ok(()) };
    let _ = arrivals.send(Arrival::Heard(gone)).await;
    Ok(())
}

/// Has a container run. What it is handed over is opened only now.
async fn start(
    client: &Client,
    vault: &Vault,
    container: &str,
    spec: &str,
    secrets: &[Handover],
) -> Result<(), ClientError> {
    let at = |file: &str| format!("instances/{container}/{file}");
    let made = client.mkdir(&format!("instances/{container}")).await;
    // One that is there already was asked for before, and only the answer was lost.
    if made != Err(ClientError::Refused(ninep::Error::Exists.to_string())) {
        made?;
    }
    client.write(&at("spec"), spec.as_bytes()).await?;
    if !secrets.is_empty() {
        let parcel = vault.parcel(secrets).map_err(ClientError::Refused)?;
        client.put_sealed(&at("secrets"), parcel.bytes()).await?;
    }
    client.write(&at("ctl"), b"start").await
}

/// What a refused order means for the decision. A lost connection means nothing, nor does a node
/// that is ending: the order is given again to the next one.
async fn refused(order: Order, error: &ClientError, arrivals: &mpsc::Sender<Arrival>) {
    let Some(Refusal { reason, permanent, missing }) = refusal(error) else { return };
    let heard = match order {
        Order::Start { container, .. } => Heard::StartRefused { container, reason, permanent },
        Order::Stop { container, .. } if missing => Heard::Missing { container },
        Order::Remove { container } if missing => {
            Heard::Told(Report::Removed { container, log_bytes: 0 })
        }
        Order::Pull { reference } => {
            Heard::Told(Report::PullFailed { reference, reason, permanent })
        }
        Order::Push { name, .. } => Heard::Told(Report::PushFailed { name, reason }),
        Order::CancelPush { name } => Heard::CancelTold { name, told: Err(reason) },
        Order::Collect { .. } => Heard::CollectRefused { reason },
        Order::DropVolume { volume } => {
            let told = if missing { Ok(()) } else { Err(reason) };
            Heard::VolumeGone { volume, told }
        }
        Order::DropLog { .. } if missing => return,
        Order::Signal { .. }
        | Order::DropLog { .. }
        | Order::Tail { .. }
        | Order::Down
        | Order::Stop { .. }
        | Order::Remove { .. } => {
            return tracing::warn!("the node refused {order:?}: {reason}");
        }
        // These are none of the node's.
        Order::Publish { .. } | Order::Drain { .. } | Order::Wake { .. } => return,
    };
    let _ = arrivals.send(Arrival::Heard(heard)).await;
}

/// A refusal as the node words it.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    reason: String,
    /// Trying again cannot help.
    permanent: bool,
    /// There is no such container.
    missing: bool,
}

/// Reads a refusal; nothing where there was none.
fn refusal(error: &ClientError) -> Option<Refusal> {
    match error {
        ClientError::Lost(_) | ClientError::Unreachable(_) => None,
        ClientError::Refused(text) if text.starts_with("node is ending") => None,
        ClientError::Refused(text) => {
            let missing = *text == ninep::Error::NotFound.to_string();
            let passing = text.strip_prefix("temporary: ");
            let reason = passing.unwrap_or(text).to_string();
            Some(Refusal { reason, permanent: passing.is_none(), missing })
        }
        ClientError::Protocol(_) | ClientError::Full(_) | ClientError::Short { .. } => {
            Some(Refusal { reason: error.to_string(), permanent: false, missing: false })
        }
        ClientError::Path(..) | ClientError::TooLong { .. } => {
            Some(Refusal { reason: error.to_string(), permanent: true, missing: false })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninep::dial::Address;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::{oneshot, watch};

    #[tokio::test]
    async fn a_queue_that_follows_another_begins_when_that_has_ended() {
        let (_, node) = watch::channel(None);
        let link = Link::new(node, Address::Unix("/nowhere".into()));
        let (sender, mut arrivals) = mpsc::channel(1);
        let (end, ended) = oneshot::channel::<()>();
        let done = Arc::new(AtomicBool::new(false));
        let before = tokio::spawn({
            let done = Arc::clone(&done);
            async move {
                let _ = ended.await;
                done.store(true, Ordering::SeqCst);
            }
        });
        let next = Queue::after(Some(before), &link, &sender);
        next.orders.send(Order::Down).unwrap();
        // As often as it would take to begin, and more.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(arrivals.is_empty() && !next.has_ended());
        end.send(()).unwrap();
        let told = arrivals.recv().await;
        assert!(matches!(told, Some(Arrival::Heard(Heard::NodeDown { .. }))), "{told:?}");
        assert!(done.load(Ordering::SeqCst));
        // With nothing left to do it ends, and is replaced at the next order.
        next.worker.unwrap().await.unwrap();
    }

    #[test]
    fn a_refusal_is_passing_or_permanent_by_the_node_s_words() {
        let check = |text: &str| refusal(&ClientError::Refused(text.to_string()));
        let told = |reason: &str, permanent, missing| {
            Some(Refusal { reason: reason.to_string(), permanent, missing })
        };
        assert_eq!(check("bad spec"), told("bad spec", true, false));
        assert_eq!(check("temporary: too many starts"), told("too many starts", false, false));
        assert_eq!(check("file does not exist"), told("file does not exist", true, true));
        assert_eq!(check("node is ending: ask the next"), None);
        assert_eq!(refusal(&ClientError::Lost("gone".to_string())), None);
    }
}

//! Open files that are more than a text: those that grow, those that wait, and `ctl`.

use super::{refusal, send};
use crate::arrival::{Arrival, InstanceVerb, Request};
use crate::grow::{Grow, Read};
use crate::lock::Hand;
use crate::logs::View;
use crate::record::By;
use crate::vault::Vault;
use crate::verbs::{self, Verb};
use crate::world::{Shared, World};
use bytes::Bytes;
use ninep::{Answer, Error, Open, User};
use nix::sys::signal::Signal;
use rollout::Id;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Who a user is, for the history.
pub(super) fn by(user: &User) -> By {
    By { uid: user.uid, name: user.name.clone() }
}

/// By whose hand a user writes to other files than a lock.
pub(super) fn hand(user: &User) -> Hand {
    Hand { uid: user.uid, connection: user.connection, open: None }
}

/// A request by somebody's hand.
pub(super) fn over(hand: Hand, request: Request) -> Request {
    Request::Over { hand, request: Box::new(request) }
}

/// A file that only grows.
#[derive(Debug)]
pub(super) struct Follow {
    grow: Arc<Grow>,
    generation: u32,
}

impl Follow {
    pub(super) fn new(grow: Arc<Grow>) -> Follow {
        let (_, generation) = grow.length();
        Follow { grow, generation }
    }
}

impl Open for Follow {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        match self.grow.read(self.generation, offset, count as usize) {
            Read::Bytes(bytes) => Answer::Now(Ok(Bytes::from(bytes))),
            // The file this reader has open ended; the name stands for a new one.
            Read::Rotated => Answer::Now(Ok(Bytes::new())),
        }
    }
}

/// A file of a log, which is gathered for as long as it is open.
#[derive(Debug)]
pub(super) struct Held<F> {
    file: F,
    _view: Arc<View>,
}

impl<F> Held<F> {
    pub(super) fn new(file: F, view: Arc<View>) -> Held<F> {
        Held { file, _view: view }
    }
}

impl<F: Open> Open for Held<F> {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        self.file.read(offset, count)
    }

    fn stream(&self) -> bool {
        self.file.stream()
    }
}

/// A file whose reader waits at its end: each line as it happens, from the open on.
#[derive(Debug)]
pub(super) struct Watch {
    grow: Arc<Grow>,
    cursor: Arc<tokio::sync::Mutex<u64>>,
}

impl Watch {
    pub(super) fn new(grow: Arc<Grow>) -> Watch {
        let cursor = Arc::new(tokio::sync::Mutex::new(grow.now()));
        Watch { grow, cursor }
    }
}

impl Open for Watch {
    fn read(&mut self, _offset: u64, count: u32) -> Answer<Bytes> {
        let (grow, cursor) = (Arc::clone(&self.grow), Arc::clone(&self.cursor));
        Answer::later(async move {
            let mut cursor = cursor.lock().await;
            Ok(Bytes::from(grow.next(&mut cursor, count as usize).await))
        })
    }

    fn stream(&self) -> bool {
        true
    }
}

/// `wait`: the read waits until nothing is in flight, gives the outcome, and then the file ends.
#[derive(Debug)]
pub(super) struct Wait {
    world: Shared,
    name: String,
    /// The outcome, once it is known: reads by offset are of this text.
    text: Arc<tokio::sync::OnceCell<Bytes>>,
}

impl Wait {
    pub(super) fn new(world: Shared, name: String) -> Wait {
        Wait { world, name, text: Arc::default() }
    }
}

impl Open for Wait {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let (world, name, text) = (self.world.clone(), self.name.clone(), Arc::clone(&self.text));
        Answer::later(async move {
            let text = text.get_or_init(|| settled(world, name)).await;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
            let to = from.saturating_add(count as usize).min(text.len());
            Ok(text.slice(from..to))
        })
    }
}

/// Waits until the service has nothing in flight, and gives its outcome.
async fn settled(world: Shared, name: String) -> Bytes {
    let mut revision = world.lock().revision.subscribe();
    loop {
        revision.borrow_and_update();
        let outcome = outcome_of(&world.lock(), &name);
        match outcome {
            Some(outcome) => return Bytes::from(format!("{outcome}\n")),
            None if revision.changed().await.is_err() => return Bytes::new(),
            None => {}
        }
    }
}

/// The outcome of what was in flight, once it is, and is saved.
fn outcome_of(world: &World, name: &str) -> Option<String> {
    match world.services.get(name) {
        _ if world.unsaved => None,
        None => Some("done remove".to_string()),
        Some(service) if !service.in_flight() => Some(service.outcome()),
        Some(_) => None,
    }
}

/// `ctl`: of a service, or at the root.
#[derive(Debug)]
pub(super) struct Ctl {
    pub(super) world: Shared,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) service: Option<String>,
    pub(super) by: By,
    pub(super) hand: Hand,
    /// The push that was written here last.
    pub(super) push: Option<Pushing>,
    pub(super) vault: Vault,
}

/// A push, and whether it goes on.
#[derive(Debug)]
pub(super) struct Pushing {
    name: String,
    going: Arc<AtomicBool>,
}

impl Open for Ctl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let lines = match verbs::parse(data, self.service.as_deref()) {
            Ok(lines) => lines,
            Err(refused) => {
                let what = String::from_utf8_lossy(data).into_owned();
                let (service, why) = (self.service.clone(), refused.to_string());
                return strange(&self.arrivals, self.hand, Strange { service, what, why });
            }
        };
        let pushed = lines.iter().find_map(|line| line.verb.pushes().map(String::from));
        let going = Arc::new(AtomicBool::new(true));
        self.push = pushed.map(|name| Pushing { name, going: Arc::clone(&going) });
        let needs_node = lines.iter().any(|line| line.verb.needs_node());
        let (world, arrivals) = (self.world.clone(), self.arrivals.clone());
        let (by, hand, written) = (self.by.clone(), self.hand, data.len());
        let rotates = lines.iter().any(|line| line.verb == Verb::RotateKey);
        let vault = self.vault.clone();
        Answer::later(async move {
            // A server that was just started has not heard of its node yet.
            if needs_node {
                world.node_tried().await;
                if !going.load(Ordering::SeqCst) {
                    return Err(Error::Interrupted);
                }
            }
            let done = taken(&arrivals, over(hand, Request::Verbs { lines, by }), written).await;
            going.store(false, Ordering::SeqCst);
            if rotates && done.is_ok() {
                vault.rotate(&arrivals).await.map_err(refusal)?;
            }
            done
        })
    }

    /// A push is answered when it has ended, and who wants no answer wants no image.
    fn interrupt(&mut self) {
        let push = self.push.take().filter(|push| push.going.swap(false, Ordering::SeqCst));
        let Some(Pushing { name, .. }) = push else { return };
        let text = format!("cancel-push {name}");
        let lines = vec![verbs::Line { text, service: None, verb: Verb::CancelPush(name) }];
        let (arrivals, by) = (self.arrivals.clone(), self.by.clone());
        let request = over(self.hand, Request::Verbs { lines, by });
        // It may have ended by itself meanwhile.
        tokio::spawn(async move { drop(send(&arrivals, request).await) });
    }

    fn close(&mut self) -> Answer<()> {
        self.interrupt();
        Answer::Now(Ok(()))
    }
}

/// The `ctl` of one instance.
#[derive(Debug)]
pub(super) struct InstanceCtl {
    pub(super) hand: Hand,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) service: String,
    pub(super) id: Id,
}

impl Open for InstanceCtl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let text = String::from_utf8_lossy(data);
        let words: Vec<&str> = text.split_whitespace().collect();
        let verb = match words.as_slice() {
            ["restart"] => InstanceVerb::Restart,
            ["stop"] => InstanceVerb::Stop,
            ["signal", name] if format!("SIG{name}").parse::<Signal>().is_ok() => {
                InstanceVerb::Signal((*name).to_string())
            }
            _ => {
                let what = text.trim();
                let why = format!(
                    "invalid argument: \"{what}\": say: restart | stop | signal NAME (as TERM, HUP)"
                );
                let (service, what) = (Some(self.service.clone()), format!("{what}: {}", self.id));
                return strange(&self.arrivals, self.hand, Strange { service, what, why });
            }
        };
        let request = Request::Instance { service: self.service.clone(), id: self.id, verb };
        let request = over(self.hand, request);
        let (arrivals, written) = (self.arrivals.clone(), data.len());
        Answer::later(async move { taken(&arrivals, request, written).await })
    }
}

/// A write that makes no sense.
struct Strange {
    service: Option<String>,
    what: String,
    why: String,
}

/// Has a write refused that makes no sense, and kept in mind as one that was.
fn strange(arrivals: &mpsc::Sender<Arrival>, hand: Hand, of: Strange) -> Answer<u32> {
    let Strange { service, what, why } = of;
    let file = service.as_ref().map_or("ctl".to_string(), |name| format!("active/{name}/ctl"));
    let request = over(hand, Request::Strange { service, file, what, why });
    let arrivals = arrivals.clone();
    Answer::later(async move { taken(&arrivals, request, 0).await })
}

/// Asks the loop, and takes the whole write when it is saved.
pub(super) async fn taken(
    arrivals: &mpsc::Sender<Arrival>,
    request: Request,
    written: usize,
) -> ninep::Result<u32> {
    send(arrivals, request).await.map_err(refusal)?;
    u32::try_from(written).map_err(|_| Error::Length)
}

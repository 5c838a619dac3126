//! What the holders of a connection share with the task that owns its socket.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use zeroize::Zeroize;

use super::ClientError;
use super::fid::Fid;
use super::message::{Answer, Ask, Expect, ROOT, Reply, few};
use super::table::{Effect, FIDS_MAX, REQUESTS_MAX, Slot, Table, Ticket, To};
use crate::wire::{Dialect, IO_HEADER_BYTES, Names, Tmsg, WALK_NAMES_MAX};

/// Keeps the connection: when the last one is dropped, it is closed.
pub(super) struct Link(pub(super) Arc<Shared>);

/// Bytes of a request at most, but for names and data.
const FIELDS_BYTES_MAX: usize = 64;

/// Both sides' state.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the connection is to be closed.
    pub(super) wake: Notify,
    /// One permit a free request tag.
    tags: Semaphore,
    lost: watch::Sender<Option<ClientError>>,
    /// The largest message, in bytes, as agreed.
    pub(super) msize: u32,
}

struct State {
    table: Table,
    /// Encoded requests that the task has not taken yet: bounded by the tags, each of which
    /// stands for one message of `msize` bytes at most.
    out: VecDeque<Output>,
    closing: bool,
    dead: Option<ClientError>,
}

/// Bytes to be written.
#[derive(Default)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// Nobody else is to see them: they never move, and are wiped when they are written or given
    /// up.
    sealed: bool,
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.sealed {
            self.bytes.zeroize();
        }
    }
}

impl State {
    /// Where further requests are put.
    fn out(&mut self) -> &mut Vec<u8> {
        if self.out.back().is_none_or(|last| last.sealed) {
            self.out.push_back(Output::default());
        }
        let last = self.out.len() - 1;
        &mut self.out[last].bytes
    }

    /// Room for requests of so many bytes that nobody else is to see.
    fn seal(&mut self, bytes: usize) {
        self.out.push_back(Output { bytes: Vec::with_capacity(bytes), sealed: true });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.0.state().closing = true;
        self.0.wake.notify_one();
    }
}

impl Shared {
    pub(super) fn new(msize: u32) -> Arc<Self> {
        let state = State { table: Table::new(), out: VecDeque::new(), closing: false, dead: None };
        Arc::new(Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            tags: Semaphore::new(usize::from(REQUESTS_MAX)),
            lost: watch::Sender::new(None),
            msize,
        })
    }

    /// Waits until the connection is lost, and says why.
    pub(super) async fn lost(&self) -> ClientError {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(Some(why)) => why,
            Ok(None) | Err(_) => closed(),
        }
    }

    /// Whether nobody holds the connection any more.
    pub(super) fn closing(&self) -> bool {
        self.state().closing
    }

    /// Takes the bytes that wait to be written.
    pub(super) fn output(&self) -> Output {
        self.state().out.pop_front().unwrap_or_default()
    }

    /// Takes one whole message. An error says what is wrong with it.
    pub(super) fn receive(&self, frame: Bytes) -> Result<(), String> {
        let answer = Answer::decode(&frame)?;
        let finished = self.state().table.answer(answer)?;
        if finished.is_some() {
            self.tags.add_permits(1);
        }
        // The request, dropped here, may hold the last of a fid, which takes the lock again.
        drop(finished);
        Ok(())
    }

    /// The most bytes of a file that one message carries.
    pub(super) fn payload(&self) -> u32 {
        self.msize - IO_HEADER_BYTES
    }

    /// Ends everything that waits, with the reason.
    pub(super) fn fail(&self, why: ClientError) {
        let left = {
            let mut state = self.state();
            if state.dead.is_some() {
                return;
            }
            state.dead = Some(why.clone());
            state.table.drain()
        };
        for mut slot in left {
            slot.tell(Err(why.clone()));
        }
        self.tags.close();
        self.lost.send_replace(Some(why));
    }

    /// Called when the last holder of a fid lets it go.
    pub(super) fn retire(&self, fid: u32, known: bool) {
        let mut state = self.state();
        if state.dead.is_some() {
            return;
        }
        if known {
            let tag = state.table.clunk(fid);
            Tmsg::Clunk { fid }.encode(tag, Dialect::P9, state.out());
            self.wake.notify_one();
        } else {
            state.table.free_fid(fid);
        }
    }

    /// Gives a request up.
    fn flush(&self, ticket: Ticket) {
        let mut state = self.state();
        if state.dead.is_some() {
            return;
        }
        if let Some(tag) = state.table.flush(ticket) {
            let flush = Tmsg::Flush { oldtag: ticket.tag() };
            flush.encode(tag, Dialect::P9, state.out());
            self.wake.notify_one();
        }
    }

    fn take_fid(self: &Arc<Self>) -> Result<Arc<Fid>, ClientError> {
        let number = self.state().table.take_fid().ok_or(ClientError::Full(FIDS_MAX))?;
        Ok(Fid::new(number, self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests on one fid that are written together.
pub(super) struct Batch<'a> {
    shared: &'a Arc<Shared>,
    /// None: a new one.
    fid: Option<Arc<Fid>>,
    requests: Vec<(Request<'a>, Expect, Effect)>,
}

enum Request<'a> {
    /// From the root to the new fid.
    Walk(Names<'a>),
    /// From the fid to itself.
    Further(Names<'a>),
    Ask(Ask<'a>),
}

impl Link {
    /// Begins requests on a new fid; to walk it comes first.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { shared: &self.0, fid: None, requests: Vec::new() }
    }

    /// Begins requests on a fid that is there.
    pub(super) fn batch_on(&self, fid: &Arc<Fid>) -> Batch<'_> {
        Batch { shared: &self.0, fid: Some(fid.clone()), requests: Vec::new() }
    }
}

impl<'a> Batch<'a> {
    /// Walks the new fid to `names` from the root, in as many messages as that takes, and gives
    /// their number.
    pub(super) fn walk(&mut self, names: &[&'a str]) -> usize {
        let (first, more) = names.split_at(names.len().min(WALK_NAMES_MAX));
        self.add_walk(Request::Walk(few(first)), first.len(), Effect::Makes);
        for names in more.chunks(WALK_NAMES_MAX) {
            self.add_walk(Request::Further(few(names)), names.len(), Effect::None);
        }
        self.requests.len()
    }

    fn add_walk(&mut self, request: Request<'a>, names: usize, effect: Effect) {
        self.requests.push((request, Expect::Walk(names), effect));
    }

    /// Adds a request on the fid.
    pub(super) fn ask(&mut self, ask: Ask<'a>) {
        let effect = if ask.ends_fid() { Effect::Ends } else { Effect::None };
        let expect = ask.expect();
        self.requests.push((Request::Ask(ask), expect, effect));
    }

    /// Sends them in one piece, when there are tags for all; the answers come in this order.
    pub(super) async fn send(self) -> Result<(Arc<Fid>, Vec<Pending>), ClientError> {
        let shared = self.shared;
        let Ok(permits) = shared.tags.acquire_many(self.requests.len() as u32).await else {
            return Err(shared.state().dead.clone().unwrap_or_else(closed));
        };
        // Before the lock is taken, so that it is dropped after the lock is let go.
        let fid = match self.fid {
            Some(fid) => fid,
            None => shared.take_fid()?,
        };
        let mut pending = Vec::with_capacity(self.requests.len());
        let mut state = shared.state();
        if let Some(why) = &state.dead {
            return Err(why.clone());
        }
        let sealed = self.requests.iter().any(|(request, ..)| request.is_sealed());
        if sealed {
            state.seal(self.requests.iter().map(|(request, ..)| request.bytes_max()).sum());
        }
        for (request, expect, effect) in self.requests {
            let (to, from) = oneshot::channel();
            let slot = Slot { expect, effect, fid: fid.clone(), to: To::Waiter(to) };
            // A permit is a free tag, so there is one.
            let ticket = state.table.start(slot).ok_or_else(closed)?;
            let out = match state.out.back_mut() {
                Some(last) if sealed => &mut last.bytes,
                Some(_) | None => state.out(),
            };
            request.put(ticket.tag(), fid.number(), out);
            pending.push(Pending { shared: shared.clone(), ticket, from });
        }
        permits.forget();
        drop(state);
        shared.wake.notify_one();
        Ok((fid, pending))
    }
}

impl Request<'_> {
    fn is_sealed(&self) -> bool {
        matches!(self, Self::Ask(Ask::Write { sealed: true, .. }))
    }

    /// Bytes of its message at most.
    fn bytes_max(&self) -> usize {
        let names = |names: &Names<'_>| names.as_slice().iter().map(|name| name.len() + 2).sum();
        let more: usize = match self {
            Self::Walk(walked) | Self::Further(walked) => names(walked),
            Self::Ask(ask) => ask.bytes(),
        };
        FIELDS_BYTES_MAX + more
    }

    fn put(self, tag: u16, fid: u32, out: &mut Vec<u8>) {
        let message = match self {
            Self::Walk(names) => Tmsg::Walk { fid: ROOT, newfid: fid, names },
            Self::Further(names) => Tmsg::Walk { fid, newfid: fid, names },
            Self::Ask(ask) => ask.message(fid),
        };
        message.encode(tag, Dialect::P9, out);
    }
}

/// An answer on its way; dropping it flushes the request.
pub(super) struct Pending {
    shared: Arc<Shared>,
    ticket: Ticket,
    from: oneshot::Receiver<Result<Reply, ClientError>>,
}

impl Future for Pending {
    type Output = Result<Reply, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.from).poll(cx).map(|told| told.unwrap_or_else(|_| Err(closed())))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.flush(self.ticket);
    }
}

fn closed() -> ClientError {
    ClientError::Lost("closed".to_owned())
}

//! The streams of one connection of HTTP/2. A user who grants no room for an answer would hold
//! its instance for as long as he answers pings: the next part of an answer is asked for only
//! when the one before has found room, so a part that has waited for too long tells of him.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::rt::Executor;
use tokio::task::{AbortHandle, spawn_local};
use tokio::task_local;

task_local! {
    /// The stream that is served by the task which runs.
    static OWN: Rc<Stream>;
}

/// All that are under way; runs them, each in a task of its own on this thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Rc<RefCell<Vec<Rc<Stream>>>>);

#[derive(Debug, Default)]
struct Stream {
    /// Since when a part of its answer waits for room, if one does.
    waits: Cell<Option<Instant>>,
    /// It is ended because that took too long.
    stalled: Cell<bool>,
    /// Its place among all.
    at: Cell<usize>,
    task: OnceCell<AbortHandle>,
}

/// The answer of the stream that is served here was asked for more; `handed` says whether there
/// was any. That may wait now, and what came before does not. Nothing over HTTP/1.1.
pub(super) fn asked(handed: bool) {
    let _ = OWN.try_with(|stream| stream.waits.set(handed.then(Instant::now)));
}

/// Whether the stream that is served here is ended because its user took nothing.
pub(super) fn is_stalled() -> bool {
    OWN.try_with(|stream| stream.stalled.get()).unwrap_or(false)
}

impl Streams {
    /// Resets those of which the user has taken nothing for so long, though there was something.
    /// One that has nothing to send is not among them.
    pub(super) fn end_stalled(&self, now: Instant, stall_time: Duration) {
        for stream in self.0.borrow().iter() {
            let since = stream.waits.get().filter(|since| *since + stall_time <= now);
            if let (Some(_), Some(task)) = (since, stream.task.get()) {
                // What is dropped before its end is reset, and lets go of its instance.
                stream.stalled.set(true);
                stream.waits.set(None);
                task.abort();
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, work: F) {
        let stream = Rc::new(Stream::default());
        let place = Place::take(self, &stream);
        let task = spawn_local(OWN.scope(Rc::clone(&stream), async move {
            let _place = place;
            work.await
        }));
        // The work has not begun yet: all this is one thread.
        let _ = stream.task.set(task.abort_handle());
    }
}

/// A place among all, for as long as this lives.
struct Place {
    all: Streams,
    stream: Rc<Stream>,
}

impl Place {
    fn take(all: &Streams, stream: &Rc<Stream>) -> Self {
        let mut places = all.0.borrow_mut();
        stream.at.set(places.len());
        places.push(Rc::clone(stream));
        Self { all: all.clone(), stream: Rc::clone(stream) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (mut places, at) = (self.all.0.borrow_mut(), self.stream.at.get());
        places.swap_remove(at);
        if let Some(moved) = places.get(at) {
            moved.at.set(at);
        }
    }
}

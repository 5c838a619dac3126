//! The thread that follows goes before those that serve: a core that is full of requests turns to
//! a new table at once, not when the time of a request's thread is used up. A table is some
//! microseconds of work, so that nobody misses what it takes; whatever could be more, as the DNS
//! and the tree, stays with the first thread.

use rustix::io;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::gettid;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::Error;

/// The nice value (setpriority(2), where it is each thread's own): of what a core has, such a
/// thread is due nine times as much as others.
const NICE: i32 = -10;

/// The thread; it ends with this.
#[derive(Debug)]
pub(crate) struct Ahead {
    handle: Handle,
    /// None: it has ended.
    runtime: Option<Runtime>,
}

impl Ahead {
    /// Starts it.
    pub(crate) fn start() -> Result<Ahead, Error> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("follow").enable_all();
        let runtime = builder.on_thread_start(go_before).build();
        let runtime = runtime.map_err(Error::io("start a thread"))?;
        Ok(Ahead { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Does this there.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.handle.spawn(work)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Puts the calling thread before others. Who may not do that stays where it is.
fn go_before() {
    if let Err(why) = raise() {
        tracing::debug!("tables are taken in turn with requests: {why}");
    }
}

fn raise() -> io::Result<()> {
    match getpriority_process(Some(gettid()))? > NICE {
        true => setpriority_process(Some(gettid()), NICE),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        getpriority_process(Some(gettid())).unwrap()
    }

    #[tokio::test]
    async fn who_follows_goes_before_and_nobody_else() {
        let (own, (tell, told)) = (nice(), tokio::sync::oneshot::channel());
        let ahead = Ahead::start().unwrap();
        ahead.spawn(async move { tell.send(nice()).unwrap() }).await.unwrap();
        assert_eq!(told.await.unwrap(), NICE.min(own));
        assert_eq!(nice(), own);
    }
}

//! Looks at the directory of certificates whenever something changes there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use inotify::{Inotify, WatchMask, Watches};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::Tls;
use super::folder::{self, Places};

/// Nothing must have changed for so long: pairs are two files, and are often copied in parts.
const SETTLED: Duration = Duration::from_millis(100);
/// How many changes are waited out: somebody may never rest.
const CHANGES_MAX: usize = 1000;
/// How long until the directory is looked at without a notice: for certificates that expire, for
/// links to where nobody watches, and for file systems that tell nothing.
const LOOK: Duration = Duration::from_secs(60);
/// Bytes for notices.
const NOTICE_BYTES: usize = 4096;

type Notices = std::pin::Pin<Box<dyn Stream<Item = ()> + Send>>;

/// Serves what is in these places from now on. Has looked at them when this returns.
pub(crate) async fn keep(tls: &Arc<Tls>, places: Places) {
    let dir = places.given.clone();
    if tls.places.set(places).is_err() {
        return;
    }
    let (mut notices, watches) = match notices() {
        Ok((notices, watches)) => (notices, Some(watches)),
        Err(why) => {
            tracing::warn!("certificates are looked at every {LOOK:?} only: {why}");
            (futures_util::stream::pending().boxed(), None)
        }
    };
    let tls = Arc::clone(tls);
    look(&tls, dir.clone(), watches.clone()).await;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                noticed = notices.next() => match noticed {
                    Some(()) => settle(&mut notices).await,
                    None => notices = futures_util::stream::pending().boxed(),
                },
                () = sleep(LOOK) => {}
            }
            look(&tls, dir.clone(), watches.clone()).await;
        }
    });
}

async fn look(tls: &Arc<Tls>, dir: Option<PathBuf>, watches: Option<Watches>) {
    let tls = Arc::clone(tls);
    let looked = spawn_blocking(move || {
        // Watched first: what changes after it was read is noticed.
        if let (Some(watches), Some(dir)) = (watches, &dir) {
            watch(watches, dir);
        }
        tls.look();
    });
    if let Err(why) = looked.await {
        tracing::warn!("certificates: {why}");
    }
}

fn notices() -> std::io::Result<(Notices, Watches)> {
    let stream = Inotify::init()?.into_event_stream(vec![0; NOTICE_BYTES])?;
    let watches = stream.watches();
    // Whatever it says, also that some were lost, the directory is looked at.
    Ok((stream.map(|_| ()).boxed(), watches))
}

fn watch(mut watches: Watches, dir: &std::path::Path) {
    let mask = WatchMask::CLOSE_WRITE
        | WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVE
        | WatchMask::ATTRIB
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    for place in folder::places(dir) {
        // One that is not there is told of by who looks; the same one again is one watch.
        if let Err(why) = watches.add(&place, mask) {
            tracing::debug!("watch {}: {why}", place.display());
        }
    }
}

/// Waits until no notice has come for a while.
async fn settle(notices: &mut Notices) {
    for _ in 0..CHANGES_MAX {
        if !matches!(timeout(SETTLED, notices.next()).await, Ok(Some(()))) {
            return;
        }
    }
}

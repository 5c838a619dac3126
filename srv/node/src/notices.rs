//! The kernel's notices about directories, for all who wait for any: one inotify(7) instance, of
//! which a user has 128 by default, with a watch a directory.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use inotify::{Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes for notices; one that does not fit is one of many that say the same.
const NOTICE_BYTES: usize = 4096;

/// Where notices come from; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notices(Arc<Mutex<Option<Kernel>>>);

/// There from the first who wants to be told on.
#[derive(Debug)]
struct Kernel {
    watches: Watches,
    /// Who is told about each directory; forgotten with the last of them.
    told: HashMap<WatchDescriptor, watch::Sender<()>>,
    /// Passes on what the kernel says; ends with this.
    _teller: JoinSet<()>,
}

/// One who is told when something in a directory changes; not told any more when dropped.
#[derive(Debug)]
pub(crate) struct Notice {
    of: Notices,
    watch: WatchDescriptor,
    told: watch::Receiver<()>,
}

impl Notices {
    /// Tells about what is written, made, renamed and removed in `dir` from now on.
    pub(crate) fn about(&self, dir: &Path) -> io::Result<Notice> {
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        let mut kernel = self.lock();
        let kernel = match &mut *kernel {
            Some(kernel) => kernel,
            none => none.insert(self.begin()?),
        };
        // The same directory has the same watch, however often it is asked for.
        let watch = kernel.watches.add(dir, mask)?;
        let told = kernel.told.entry(watch.clone()).or_default().subscribe();
        Ok(Notice { of: self.clone(), watch, told })
    }

    fn begin(&self) -> io::Result<Kernel> {
        let mut stream = Inotify::init()?.into_event_stream([0; NOTICE_BYTES])?;
        let watches = stream.watches();
        let (weak, mut teller) = (Arc::downgrade(&self.0), JoinSet::new());
        teller.spawn(async move {
            while let Some(notice) = stream.next().await {
                let Some(all) = weak.upgrade() else { return };
                let kernel = Notices(all);
                let kernel = kernel.lock();
                let Some(kernel) = &*kernel else { return };
                match notice.ok().and_then(|notice| kernel.told.get(&notice.wd)) {
                    Some(told) => told.send_replace(()),
                    // Some were lost, or it is about one that is forgotten: all look for
                    // themselves, which does no harm.
                    None => kernel.told.values().for_each(|told| told.send_replace(())),
                }
            }
        });
        Ok(Kernel { watches, told: HashMap::new(), _teller: teller })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kernel>> {
        // Every change is whole before the lock is given back, so a panic elsewhere hurts nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notice {
    /// Waits until something has changed since the last time. Giving the future up loses nothing.
    pub(crate) async fn changed(&mut self) {
        // The sender is there for as long as this is.
        let _ = self.told.changed().await;
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let mut kernel = self.of.lock();
        let Some(kernel) = &mut *kernel else { return };
        // This one is still counted.
        if kernel.told.get(&self.watch).is_some_and(|told| told.receiver_count() <= 1) {
            kernel.told.remove(&self.watch);
            // The watch is gone already when the directory is.
            let _ = kernel.watches.remove(self.watch.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Instances of inotify(7) this process has.
    fn instances() -> usize {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.filter(|link| link.as_os_str() == "anon_inode:inotify").count()
    }

    #[tokio::test]
    async fn many_who_wait_share_one_instance_and_each_is_told_of_its_own_directory() {
        let (notices, root) = (Notices::default(), tempfile::tempdir().unwrap());
        let mut all = Vec::new();
        for number in 0..200 {
            let dir = root.path().join(number.to_string());
            fs::create_dir(&dir).unwrap();
            all.push((notices.about(&dir).unwrap(), notices.about(&dir).unwrap(), dir));
        }
        // Tests beside this one have some, too.
        assert!(instances() < 100, "{}", instances());
        for (first, second, dir) in &mut all {
            fs::write(dir.join("log"), "x").unwrap();
            first.changed().await;
            second.changed().await;
        }
    }

    #[tokio::test]
    async fn who_is_left_is_told_and_the_last_takes_the_watch_away() {
        let (notices, dir) = (Notices::default(), tempfile::tempdir().unwrap());
        let (first, mut second) =
            (notices.about(dir.path()).unwrap(), notices.about(dir.path()).unwrap());
        drop(first);
        fs::write(dir.path().join("log"), "x").unwrap();
        second.changed().await;
        drop(second);
        assert!(notices.lock().as_ref().unwrap().told.is_empty());
        let mut third = notices.about(dir.path()).unwrap();
        fs::write(dir.path().join("log"), "y").unwrap();
        third.changed().await;
    }
}

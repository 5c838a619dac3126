//! The state directory, as an edge uses it.
//!
//! `edge/` is the edge's own: `lock`, `routes`, `left` and a socket a process. `edge.sock` is its
//! file tree, `edge.up` where the next edge asks for everything.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::sockets::{Place, Sockets};
use super::talk::Door;
use crate::error::Error;

/// The places in it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    root: PathBuf,
}

impl State {
    /// Makes what is missing in it. It is there itself: an edge that lives on where everything
    /// was removed must not bring it back.
    pub(crate) fn open(root: &Path) -> Result<State, Error> {
        let state = State { root: root.to_owned() };
        let dir = state.edge();
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(state),
            made => made.map(|()| state).map_err(Error::io(format!("make {}", dir.display()))),
        }
    }

    /// The edge's own directory.
    pub(crate) fn edge(&self) -> PathBuf {
        self.root.join("edge")
    }

    /// Where the next edge asks for everything.
    pub(crate) fn up(&self) -> PathBuf {
        self.root.join("edge.up")
    }

    fn tree(&self) -> PathBuf {
        self.root.join("edge.sock")
    }

    /// The lock, unless an edge has it. It is held until every process that was given the
    /// descriptor has let it go.
    pub(crate) fn lock(&self) -> Result<Option<OwnedFd>, Error> {
        let path = self.edge().join("lock");
        let tried = format!("lock {}", path.display());
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let file = options.open(&path).map_err(Error::io(tried.clone()))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file.into())),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(why) => Err(Error::io(tried)(why.into())),
        }
    }

    /// Makes the sockets of an edge that nobody was before; whoever has the lock may.
    pub(crate) fn begin(&self, lock: OwnedFd) -> Result<Sockets, Error> {
        self.remove_sockets();
        let (up, tree) = (self.up(), self.tree());
        let mut sockets = Sockets::default();
        sockets.put(Place::Lock, lock);
        let door = Door::bind(&up).map_err(Error::io(format!("listen on {}", up.display())))?;
        sockets.put(Place::Up, door);
        let listen = || -> io::Result<OwnedFd> {
            let listener = std::os::unix::net::UnixListener::bind(&tree)?;
            listener.set_nonblocking(true)?;
            // Who may is decided by who the peer is, not by who can reach the file.
            fs::set_permissions(&tree, Permissions::from_mode(0o666))?;
            Ok(listener.into())
        };
        let listener = listen().map_err(Error::io(format!("listen on {}", tree.display())))?;
        sockets.put(Place::Tree, listener);
        Ok(sockets)
    }

    /// Takes the sockets' files away; nobody listens any more.
    pub(crate) fn remove_sockets(&self) {
        for path in [self.up(), self.tree()] {
            // It is not there, or in the way of the next, which says so.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_lock_is_held_until_the_last_copy_of_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let lock = state.lock().unwrap().unwrap();
        let copy = lock.try_clone().unwrap();
        drop(lock);
        assert!(state.lock().unwrap().is_none());
        drop(copy);
        assert!(state.lock().unwrap().is_some());
        assert_eq!(fs::metadata(state.edge()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_state_directory_that_is_gone_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(State::open(&gone).is_err());
        assert!(!gone.exists());
    }

    #[test]
    fn sockets_that_a_killed_edge_has_left_are_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        for _ in 0..2 {
            let sockets = state.begin(state.lock().unwrap().unwrap()).unwrap();
            assert_eq!(sockets.there().count(), 3);
        }
        state.remove_sockets();
        assert!(!state.up().exists() && !state.tree().exists());
    }
}

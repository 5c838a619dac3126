//! The state directory: where everything of one node lies, and the names derived from it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::id::Id;

/// Hex digits of the tag.
const TAG_LEN: usize = 8;

/// The places below a state directory.
#[derive(Clone, Debug)]
pub(crate) struct Dirs {
    root: PathBuf,
    tag: String,
}

impl Dirs {
    /// Makes what is missing of the directories of `root`.
    pub(crate) fn open(root: &Path) -> Result<Dirs> {
        fs::create_dir_all(root).map_err(Error::io("make", root))?;
        let root = root.canonicalize().map_err(Error::io("find", root))?;
        let tag = tag(&root);
        let dirs = Dirs { root, tag };
        private(&dirs.root.join("node"))?;
        private(&dirs.instances())?;
        Ok(dirs)
    }

    /// Eight hex digits that tell this state directory from every other on the machine.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// The node's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("node.sock")
    }

    /// The image store.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("node/images")
    }

    /// The directory with a directory an instance.
    pub(crate) fn instances(&self) -> PathBuf {
        self.root.join("node/instances")
    }

    /// The directory of one instance.
    pub(crate) fn instance(&self, id: &Id) -> PathBuf {
        self.instances().join(id.as_str())
    }

    /// The cgroup all instances live under.
    pub(crate) fn cgroup_parent(&self) -> String {
        format!("/deploy-{}", self.tag)
    }

    /// Takes the state directory for this process, for as long as the answer is kept.
    pub(crate) fn lock(&self) -> Result<Flock<File>> {
        let path = self.root.join("node/lock");
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = open.map_err(Error::io("open", &path))?;
        let mut lock =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(mut file, _)| {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let who = match pid.trim() {
                    "" => String::new(),
                    pid => format!(" (pid {pid})"),
                };
                Error::Locked { dir: self.root.clone(), who }
            })?;
        // Only for the message above; the lock is what counts.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(lock)
    }
}

fn private(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(Error::io("make", dir))
}

fn tag(root: &Path) -> String {
    let hash = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let mut tag: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    tag.truncate(TAG_LEN);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_state_directories_never_share_a_name() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |dir: &Path| Dirs::open(dir).unwrap();
        let (first, second) = (open(a.path()), open(b.path()));
        assert_ne!(first.tag(), second.tag());
        assert_eq!(first.tag(), open(&a.path().join("node/..")).tag());
        assert_eq!(first.cgroup_parent(), format!("/deploy-{}", first.tag()));
        assert_eq!(tag(Path::new("/var/lib/deploy")).len(), TAG_LEN);
    }

    #[test]
    fn a_second_lock_is_refused_and_says_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs::open(dir.path()).unwrap();
        let held = dirs.lock().unwrap();
        let text = dirs.lock().unwrap_err().to_string();
        let who = format!("is served by another node (pid {})", std::process::id());
        assert!(text.contains(&who), "{text}");
        drop(held);
        dirs.lock().unwrap();
    }
}

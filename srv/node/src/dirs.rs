//! The state directory: where everything of one node lies, and the names derived from it.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
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
        private(&dirs.images())?;
        private(&dirs.instances())?;
        private(&dirs.logs())?;
        private(&dirs.volumes())?;
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

    /// The directory with the logs of instances that are gone, a directory each.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("node/logs")
    }

    /// What is kept of one of them.
    pub(crate) fn kept(&self, id: &Id) -> PathBuf {
        self.logs().join(id.as_str())
    }

    /// The directory with a directory a named volume.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("node/volumes")
    }

    /// The cgroup all instances live under.
    pub(crate) fn cgroup_parent(&self) -> String {
        format!("/deploy-{}", self.tag)
    }

    /// Takes the state directory for this process, for as long as the answer is kept.
    pub(crate) fn lock(&self) -> Result<Flock<File>> {
        let path = self.root.join("node/lock");
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let file = options.open(&path).map_err(Error::io("open", &path))?;
        let closed = file.set_permissions(Permissions::from_mode(0o600));
        closed.map_err(Error::io("close to others", &path))?;
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

/// Makes a directory that is ours alone, or closes one that is there already.
///
/// Law: nobody else gets below it. Layers hold programs that run as root for whoever starts them
/// (setuid), and such a program must be out of reach of this machine's users.
fn private(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(Error::io("make", dir))?;
    let own = nix::unistd::geteuid().as_raw();
    // The link too, where there is one: another's could lead anywhere tomorrow.
    let name = fs::symlink_metadata(dir).map_err(Error::io("open", dir))?;
    let open = File::open(dir).map_err(Error::io("open", dir))?;
    let found = open.metadata().map_err(Error::io("open", dir))?;
    if let Some(uid) = [name.uid(), found.uid()].into_iter().find(|uid| *uid != own) {
        return Err(Error::NotOurs { dir: dir.to_owned(), uid, own });
    }
    let closed = open.set_permissions(Permissions::from_mode(0o700));
    closed.map_err(Error::io("close to others", dir))
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
    fn what_an_earlier_node_left_open_to_others_is_closed() {
        let root = tempfile::tempdir().unwrap();
        let places = ["node", "node/images", "node/instances", "node/logs"];
        let places = places.map(|name| root.path().join(name));
        for dir in &places {
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
        }
        let lock = root.path().join("node/lock");
        fs::write(&lock, "").unwrap();
        fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
        drop(Dirs::open(root.path()).unwrap().lock().unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(places.map(|dir| mode(&dir)), [0o700; 4]);
        assert_eq!(mode(&lock), 0o600);
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let root = tempfile::tempdir().unwrap();
        // Root can give a directory away; for anybody else root's is another's.
        let given = std::os::unix::fs::chown(root.path(), Some(1000), None);
        let dir = given.map_or(Path::new("/"), |()| root.path());
        let text = private(dir).unwrap_err().to_string();
        assert!(text.contains(" belongs to user ") && text.contains("give it back"), "{text}");
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

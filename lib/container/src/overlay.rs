//! The root file system: layers below, a fresh upper directory above.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::unistd::{chdir, getcwd};

use crate::error::Error;
use crate::plan::Base;

/// The kernel takes no more lower directories than this (OVL_MAX_STACK).
pub const LAYERS_MAX: usize = 500;

/// Options that make an upper layer plain: no redirects, which a hostile layer could carry; no
/// metadata-only copies; no index, which would tie the upper directory to this mount. A kernel
/// built without them refuses the mount, so it is tried without them then.
const PLAIN: &str = "redirect_dir=nofollow,metacopy=off,index=off,";

/// The directories of a mount.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    pub(crate) base: &'a Base,
    /// A directory for short names of the others; on a file system that goes away by itself.
    pub(crate) names: PathBuf,
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) merged: PathBuf,
}

impl Overlay<'_> {
    /// Mounts it. All directories are given to the kernel as short links in the current directory:
    /// the options must fit a page, and so no path, however long or strange, is ever part of them.
    pub(crate) fn mount(&self) -> Result<(), Error> {
        let layers: Vec<&Path> = match self.base {
            Base::Layers(layers) => layers.iter().rev().map(PathBuf::as_path).collect(),
            Base::Directory(directory) => vec![directory],
        };
        if layers.is_empty() || layers.len() > LAYERS_MAX {
            let text = format!("an image must have 1 to {LAYERS_MAX} layers, not {}", layers.len());
            return Err(Error::Runtime(text));
        }
        for directory in [&self.names, &self.upper, &self.work, &self.merged] {
            fs::create_dir_all(directory).map_err(Error::io("make directory", directory))?;
        }
        let mut lower = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            if !layer.is_dir() {
                let why = std::io::Error::from(Errno::ENOENT);
                return Err(Error::io("layer", *layer)(why));
            }
            lower.push(self.name(&number.to_string(), layer)?);
        }
        let upper = self.name("u", &self.upper)?;
        let work = self.name("w", &self.work)?;
        let options = format!("lowerdir={},upperdir={upper},workdir={work}", lower.join(":"));
        self.mount_with(&options)
    }

    fn name(&self, short: &str, directory: &Path) -> Result<String, Error> {
        let absolute = fs::canonicalize(directory).map_err(Error::io("find", directory))?;
        symlink(absolute, self.names.join(short)).map_err(Error::io("link", directory))?;
        Ok(short.to_owned())
    }

    fn mount_with(&self, options: &str) -> Result<(), Error> {
        let failed = |why| Error::os("mount overlay", &self.merged)(why);
        let here = getcwd().map_err(failed)?;
        let merged = fs::canonicalize(&self.merged).map_err(Error::io("find", &self.merged))?;
        chdir(&self.names).map_err(failed)?;
        let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
        let attempt =
            |options: &str| mount(Some("overlay"), &merged, Some("overlay"), flags, Some(options));
        let mounted = match attempt(&format!("{PLAIN}{options}")) {
            Err(Errno::EINVAL) => attempt(options),
            other => other,
        };
        let back = chdir(&here);
        mounted.and(back).map_err(failed)
    }
}

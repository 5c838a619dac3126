//! The few files of a program's image, gathered in memory: files of this machine at the place
//! they have here, with the links that lead to them, and files put elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::Size;
use super::layer::{Layer, Look};

/// Links followed on the way to one file, Linux' own limit.
const LINKS_MAX: u32 = 40;

/// One thing of the tree; everything belongs to root and was made in 1970.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Directory(u32),
    Link(PathBuf),
    /// Mode, and the file of this machine it is.
    Copy(u32, PathBuf),
    /// Mode and bytes.
    Text(u32, &'static str),
}

/// A root file system in the making; paths are relative to it.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<PathBuf, Node>);

impl Tree {
    /// A directory with this mode.
    pub(super) fn directory(&mut self, path: &str, mode: u32) {
        self.0.insert(path.into(), Node::Directory(mode));
    }

    /// A file with this text, for all to read.
    pub(super) fn text(&mut self, path: &str, text: &'static str) {
        self.0.insert(path.into(), Node::Text(0o644, text));
    }

    /// True when there is something at this path.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }

    /// The file at an absolute path of this machine, at the same path, with every link on the
    /// way there.
    pub(super) fn mirror(&mut self, host: &Path) -> io::Result<()> {
        let mut todo: Vec<OsString> = parts(host).into_iter().rev().collect();
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(&part);
            let here = Path::new("/").join(&at);
            let found = fs::symlink_metadata(&here)?;
            if found.is_symlink() {
                links += 1;
                if links > LINKS_MAX {
                    return Err(io::Error::other("too many symbolic links"));
                }
                let target = fs::read_link(&here)?;
                self.0.insert(at.clone(), Node::Link(target.clone()));
                at.pop();
                if target.is_absolute() {
                    at.clear();
                }
                todo.extend(parts(&target).into_iter().rev());
            } else if found.is_dir() {
                self.0.entry(at.clone()).or_insert(Node::Directory(0o755));
            } else {
                self.0.insert(at.clone(), Node::Copy(mode(found.mode()), here));
            }
        }
        Ok(())
    }

    /// A file of this machine at another path, unless something is there; links that are in the
    /// tree already lead where they lead.
    pub(super) fn put(&mut self, path: &Path, host: &Path) -> io::Result<()> {
        let mut todo: Vec<OsString> = parts(path).into_iter().rev().collect();
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(&part);
            match self.0.get(&at) {
                Some(Node::Link(target)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    todo.extend(parts(target).into_iter().rev());
                    let absolute = target.is_absolute();
                    at.pop();
                    if absolute {
                        at.clear();
                    }
                }
                Some(_) => {}
                None if todo.is_empty() => {
                    let found = fs::metadata(host)?;
                    self.0.insert(at.clone(), Node::Copy(mode(found.mode()), host.to_owned()));
                }
                None => drop(self.0.insert(at.clone(), Node::Directory(0o755))),
            }
        }
        Ok(())
    }

    /// What its layer will take.
    pub(super) fn size(&self) -> io::Result<Size> {
        let mut size = Size { bytes: 0, entries: self.0.len() as u64 };
        for node in self.0.values() {
            if let Node::Copy(_, host) = node {
                size.bytes = size.bytes.saturating_add(fs::metadata(host)?.len());
            }
        }
        Ok(size)
    }

    /// Writes it as a layer; a directory comes before what is in it.
    pub(super) fn write(&self, out: impl Write) -> io::Result<()> {
        let mut layer = Layer::new(out);
        for (path, node) in &self.0 {
            let look = |mode| Look { mode, ..Look::default() };
            match node {
                Node::Directory(mode) => layer.directory(path, look(*mode))?,
                Node::Link(target) => layer.symlink(path, target, look(0o777))?,
                Node::Text(mode, text) => {
                    layer.file(path, look(*mode), text.len() as u64, text.as_bytes())?;
                }
                Node::Copy(mode, host) => {
                    let file = File::open(host)?;
                    let size = file.metadata()?.len();
                    layer.file(path, look(*mode), size, file)?;
                }
            }
        }
        layer.finish()
    }
}

/// A file is for all to read, and to run when anybody may here; never setuid.
fn mode(mode: u32) -> u32 {
    if mode & 0o111 == 0 { 0o644 } else { 0o755 }
}

fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mirrored_file_comes_with_its_links_and_a_put_one_follows_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::write(root.join("usr/lib/x.so.1.2"), "x").unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("x.so.1.2", root.join("usr/lib/x.so")).unwrap();
        let mut tree = Tree::default();
        tree.mirror(&root.join("lib/x.so")).unwrap();
        let at = |path: &str| root.join(path).strip_prefix("/").unwrap().to_owned();
        assert_eq!(tree.0[&at("lib")], Node::Link("usr/lib".into()));
        assert_eq!(tree.0[&at("usr/lib/x.so")], Node::Link("x.so.1.2".into()));
        assert!(matches!(&tree.0[&at("usr/lib/x.so.1.2")], Node::Copy(0o644, _)));
        tree.put(&root.join("lib/y/../z.so"), &root.join("usr/lib/x.so.1.2")).unwrap();
        assert!(tree.has(&at("usr/lib/z.so")));
    }
}

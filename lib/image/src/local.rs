//! Images that lie on this machine: an OCI layout as a directory or in a tar (image-spec
//! `image-layout.md`), and what `docker save` writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Deserialize;

use crate::digest::{Digest, Hashed};
use crate::disk::{Disk, RESERVE_BYTES};
use crate::document::{self, Choice, DOCUMENT_BYTES_MAX, Descriptor, Document, LAYERS_MAX};
use crate::reference::{Form, Lying};
use crate::store::same;
use crate::tarball::{Archive, Broken, Kind, shown};
use crate::unpack::{Compression, compressed, decompress};
use crate::{Error, Result};

/// Headers of an archive.
const ENTRIES_MAX: u64 = 100_000;
/// Bytes of the names in an archive.
const NAMES_BYTES_MAX: usize = 64 << 20;
/// Links followed from a name of an archive to its bytes.
const LINKS_MAX: u32 = 8;

/// An image on this machine.
#[derive(Debug)]
pub(crate) struct Local {
    /// The reference, for messages.
    what: String,
    /// What the reference names.
    top: (Digest, Vec<u8>),
    blobs: Blobs,
}

#[derive(Debug)]
enum Blobs {
    /// `blobs/sha256` of a layout.
    Dir(PathBuf),
    /// Places in an archive, and documents that were made here.
    Tar { tar: Tar, at: HashMap<Digest, String>, made: HashMap<Digest, Vec<u8>> },
}

impl Local {
    /// Opens an image that lies here; the error says so when it is another one by now.
    pub(crate) fn open(disk: &Disk, what: &str, lying: &Lying) -> Result<Self> {
        let (path, tag) = (&lying.path, lying.tag.as_deref());
        let local = match lying.form {
            Form::Layout => Self::layout(what, path, tag)?,
            Form::OciArchive => Self::archive(disk, what, path, tag)?,
            Form::DockerArchive => Self::docker(disk, what, path, tag)?,
        };
        if let Some(wanted) = &lying.digest {
            same(what, wanted, &local.top.0)?;
        }
        Ok(local)
    }

    fn layout(what: &str, dir: &Path, tag: Option<&str>) -> Result<Self> {
        let path = dir.join("index.json");
        let mut index = Vec::new();
        let read = open_file(&path)?.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut index);
        read.map_err(|e| source(&path, &e))?;
        let blobs = Blobs::Dir(dir.join("blobs/sha256"));
        let mut local = Self { what: what.into(), top: (Digest::of(b""), Vec::new()), blobs };
        local.top = local.named(&index, tag)?;
        Ok(local)
    }

    fn archive(disk: &Disk, what: &str, file: &Path, tag: Option<&str>) -> Result<Self> {
        let tar = Tar::open(disk, file)?;
        let index = tar.small(file, "index.json")?;
        let names = tar.files.keys().filter_map(|name| {
            let hex = name.strip_prefix("blobs/sha256/")?;
            Some((Digest::parse(&format!("sha256:{hex}"))?, name.clone()))
        });
        let blobs = Blobs::Tar { at: names.collect(), made: HashMap::new(), tar };
        let mut local = Self { what: what.into(), top: (Digest::of(b""), Vec::new()), blobs };
        local.top = local.named(&index, tag)?;
        Ok(local)
    }

    /// The parts of what `docker save` wrote get the manifest they lack.
    fn docker(disk: &Disk, what: &str, file: &Path, tag: Option<&str>) -> Result<Self> {
        let tar = Tar::open(disk, file)?;
        let saved: Vec<Saved> =
            serde_json::from_slice(&tar.small(file, "manifest.json")?).map_err(|e| {
                Error::Document { what: what.into(), why: format!("manifest.json: {e}") }
            })?;
        let saved = pick(what, saved, tag)?;
        if saved.layers.len() > LAYERS_MAX {
            let why = format!("{} layers, at most {LAYERS_MAX}", saved.layers.len());
            return Err(Error::Document { what: what.into(), why });
        }
        let config = tar.small(file, &saved.config)?;
        let mut at = HashMap::new();
        let mut layers: Vec<Descriptor> = Vec::new();
        for (n, name) in saved.layers.iter().enumerate() {
            // One that is named again is not read again.
            if let Some(same) = saved.layers[..n].iter().position(|earlier| earlier == name) {
                layers.push(layers[same].clone());
                continue;
            }
            let mut open = tar.open_file(name).map_err(|e| source(file, &e))?;
            let mut first = [0; 4];
            let n = open.read(&mut first).map_err(|e| source(file, &e))?;
            let mut hashed = Hashed::new(io::Cursor::new(first).take(n as u64).chain(open));
            io::copy(&mut hashed, &mut io::sink()).map_err(|e| source(file, &e))?;
            let (digest, size) = hashed.finish();
            let kind = match compressed(&first[..n]) {
                Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
                Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
                Compression::Plain => "application/vnd.oci.image.layer.v1.tar",
            };
            at.insert(digest.clone(), name.clone());
            layers.push(Descriptor { digest, size, media_type: kind.into() });
        }
        let top = document::write_manifest(&config, &layers);
        let made = HashMap::from([(Digest::of(&config), config)]);
        let top = (Digest::of(&top), top);
        Ok(Self { what: what.into(), top, blobs: Blobs::Tar { tar, at, made } })
    }

    /// The manifest or index the reference names, or the one with this digest.
    pub(crate) fn manifest(&self, digest: Option<&Descriptor>) -> Result<(Digest, Vec<u8>)> {
        match digest {
            None => Ok(self.top.clone()),
            Some(wanted) => Ok((wanted.digest.clone(), self.document(wanted)?)),
        }
    }

    /// Opens a blob; its digest is for the caller to check.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Box<dyn Read + Send>> {
        let missing = || Error::NotFound { what: digest.to_string(), place: self.what.clone() };
        match &self.blobs {
            Blobs::Dir(dir) => {
                let path = dir.join(digest.hex());
                match path.try_exists() {
                    Ok(false) => Err(missing()),
                    Ok(true) | Err(_) => Ok(Box::new(open_file(&path)?)),
                }
            }
            Blobs::Tar { tar, at, made } => match (made.get(digest), at.get(digest)) {
                (Some(bytes), _) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
                (None, Some(name)) => {
                    Ok(Box::new(tar.open_file(name).map_err(|e| source(&tar.path, &e))?))
                }
                (None, None) => Err(missing()),
            },
        }
    }

    fn document(&self, wanted: &Descriptor) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let what = || format!("{} in {}", wanted.digest, self.what);
        let mut blob = self.blob(&wanted.digest)?.take(DOCUMENT_BYTES_MAX + 1);
        blob.read_to_end(&mut bytes).map_err(|e| Error::Io { what: what(), source: e })?;
        let actual = Digest::of(&bytes);
        if actual != wanted.digest {
            let (expected, actual) = (wanted.digest.to_string(), actual.to_string());
            return Err(Error::Digest { what: what(), expected, actual });
        }
        Ok(bytes)
    }

    /// The image a layout's index has under a tag, or its only one.
    fn named(&self, index: &[u8], tag: Option<&str>) -> Result<(Digest, Vec<u8>)> {
        let Document::Index(choices) = document::document(&self.what, index)? else {
            let why = "index.json is no index".into();
            return Err(Error::Document { what: self.what.clone(), why });
        };
        let named = |choice: &&Choice| tag.is_none() || choice.name.as_deref() == tag;
        let found: Vec<&Choice> = choices.iter().filter(named).collect();
        match (&found[..], tag) {
            ([only], _) => Ok((only.manifest.digest.clone(), self.document(&only.manifest)?)),
            ([], Some(tag)) => {
                let names = choices.iter().filter_map(|choice| choice.name.clone());
                Err(no_tag(&self.what, tag, names.collect()))
            }
            ([], None) => {
                Err(Error::NotFound { what: "an image".into(), place: self.what.clone() })
            }
            _ => {
                let names = choices.iter().filter_map(|choice| choice.name.clone());
                Err(many(&self.what, names.collect()))
            }
        }
    }
}

/// An image of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The saved image with this name or tag, or the only one.
fn pick(what: &str, mut saved: Vec<Saved>, tag: Option<&str>) -> Result<Saved> {
    let names = |saved: &[Saved]| {
        saved.iter().flat_map(|s| s.repo_tags.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    let Some(tag) = tag else {
        return match (saved.len(), saved.pop()) {
            (1, Some(only)) => Ok(only),
            (_, None) => Err(Error::NotFound { what: "an image".into(), place: what.into() }),
            (_, Some(last)) => {
                saved.push(last);
                Err(many(what, names(&saved)))
            }
        };
    };
    let ending = [format!("/{tag}"), format!(":{tag}")];
    let fits = |name: &String| name == tag || ending.iter().any(|end| name.ends_with(end));
    match saved.iter().position(|s| s.repo_tags.iter().flatten().any(fits)) {
        Some(at) => Ok(saved.swap_remove(at)),
        None => Err(no_tag(what, tag, names(&saved))),
    }
}

fn no_tag(what: &str, tag: &str, names: Vec<String>) -> Error {
    let names = if names.is_empty() { "no names".into() } else { names.join(", ") };
    Error::NotFound { what: format!("tag '{tag}'"), place: format!("{what} (it has {names})") }
}

fn many(what: &str, names: Vec<String>) -> Error {
    let why = format!("more than one image; add a tag of: {}", names.join(", "));
    Error::Document { what: what.into(), why }
}

fn source(path: &Path, error: &io::Error) -> Error {
    Error::Source { path: path.to_owned(), why: error.to_string() }
}

/// Opens a regular file for reading. Of what else there may be in its place a pipe would make us
/// wait for good, and a device has no end.
fn open_file(path: &Path) -> Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|e| source(path, &e))?;
    match file.metadata().map_err(|e| source(path, &e))?.is_file() {
        true => Ok(file),
        false => Err(Error::Source { path: path.into(), why: "is no regular file".into() }),
    }
}

/// An archive whose files can be read in any order.
#[derive(Debug)]
struct Tar {
    path: PathBuf,
    /// The archive, uncompressed.
    file: File,
    files: HashMap<String, Place>,
}

#[derive(Clone, Debug)]
enum Place {
    /// Offset and bytes.
    Bytes(u64, u64),
    /// The name it is a link to.
    Link(String),
}

impl Tar {
    /// Notes where everything is; a compressed archive is written out first.
    fn open(disk: &Disk, path: &Path) -> Result<Self> {
        let failed = |e: io::Error| source(path, &e);
        let mut file = open_file(path)?;
        let mut first = [0; 4];
        let n = file.read(&mut first).map_err(failed)?;
        file.rewind().map_err(failed)?;
        if compressed(&first[..n]) != Compression::Plain {
            file = spread(disk, file).map_err(|e| disk.full(&e).unwrap_or_else(|| failed(e)))?;
        }
        let reader = io::BufReader::new(file.try_clone().map_err(failed)?);
        let mut archive = Archive::new(reader, ENTRIES_MAX);
        let mut files = HashMap::new();
        let mut names_bytes = 0;
        let broken = |broken| match broken {
            Broken::Io(e) => failed(e),
            Broken::Entry { name, why } => {
                Error::Source { path: path.into(), why: format!("entry '{name}': {why}") }
            }
        };
        // The reader seeks nowhere, but it shares its place with the file: every later read
        // seeks first.
        while let Some(entry) = archive.entry().map_err(broken)? {
            let name = plain_name(&entry.path);
            names_bytes += entry.path.len() + entry.link.len();
            if names_bytes > NAMES_BYTES_MAX {
                let why = "more than 64 MiB of names".into();
                return Err(Error::Source { path: path.into(), why });
            }
            let place = match entry.kind {
                Kind::File => Place::Bytes(archive.offset(), entry.size),
                Kind::Hardlink => Place::Link(plain_name(&entry.link)),
                Kind::Symlink => Place::Link(beside(&name, &entry.link)),
                Kind::Directory | Kind::Fifo | Kind::Device => continue,
            };
            files.insert(name, place);
        }
        Ok(Self { path: path.into(), file, files })
    }

    fn open_file(&self, name: &str) -> io::Result<Part> {
        let mut name = plain_name(name.as_bytes());
        for _ in 0..LINKS_MAX {
            match self.files.get(&name) {
                Some(Place::Bytes(at, size)) => {
                    return Ok(Part { file: self.file.try_clone()?, at: *at, left: *size });
                }
                Some(Place::Link(to)) => name.clone_from(to),
                None => break,
            }
        }
        let why = format!("no file '{}' in it", shown(name.as_bytes()));
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }

    /// The bytes of a document.
    fn small(&self, path: &Path, name: &str) -> Result<Vec<u8>> {
        let part = self.open_file(name).map_err(|e| source(path, &e))?;
        let mut bytes = Vec::new();
        let mut part = part.take(DOCUMENT_BYTES_MAX + 1);
        part.read_to_end(&mut bytes).map_err(|e| source(path, &e))?;
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            let why = format!("{name} has more than 4 MiB");
            return Err(Error::Source { path: path.into(), why });
        }
        Ok(bytes)
    }
}

/// Part of a file; others may read other parts at the same time.
struct Part {
    file: File,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Uncompresses into a nameless file of the store.
fn spread(disk: &Disk, file: File) -> io::Result<File> {
    let scratch = disk.scratch();
    let mut plain = File::options().create_new(true).read(true).write(true).open(&scratch.0)?;
    let limit = disk.free().map_or(u64::MAX, |(bytes, _)| bytes.saturating_sub(RESERVE_BYTES));
    let copied = io::copy(&mut decompress(file)?.take(limit), &mut plain)?;
    if copied == limit {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    plain.seek(SeekFrom::Start(0))?;
    // The name goes with the guard, the file with its last reader.
    Ok(plain)
}

/// A name of an archive without what does not matter.
fn plain_name(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.split('/').filter(|p| !p.is_empty() && *p != ".").collect::<Vec<_>>().join("/")
}

/// The name a link's text means for a link called `name`; it only ever finds names of the
/// archive.
fn beside(name: &str, target: &[u8]) -> String {
    let target = String::from_utf8_lossy(target);
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_an_archive_mean_names_of_the_archive() {
        let check = |name: &str, target: &str, want: &str| {
            assert_eq!(beside(name, target.as_bytes()), want);
        };
        check("a/layer.tar", "../b/layer.tar", "b/layer.tar");
        check("a/layer.tar", "x", "a/x");
        check("a", "../../../etc/passwd", "etc/passwd");
        assert_eq!(plain_name(b"./a//b/"), "a/b");
    }

    #[test]
    fn a_saved_image_is_picked_by_name_or_tag() {
        let saved = |tags: &[&str]| Saved {
            config: tags.join(" "),
            repo_tags: Some(tags.iter().map(|t| t.to_string()).collect()),
            layers: Vec::new(),
        };
        let all = || vec![saved(&["quay.io/app:1", "quay.io/app:x"]), saved(&["web:2"])];
        let check = |tag: Option<&str>, want: &str| {
            let got = pick("f", all(), tag).map(|s| s.config).unwrap_or_else(|e| e.to_string());
            assert_eq!(got, want);
        };
        check(Some("web:2"), "web:2");
        check(Some("2"), "web:2");
        check(Some("app:x"), "quay.io/app:1 quay.io/app:x");
        check(Some("3"), "tag '3' not found in f (it has quay.io/app:1, quay.io/app:x, web:2)");
        check(None, "f: more than one image; add a tag of: quay.io/app:1, quay.io/app:x, web:2");
    }
}

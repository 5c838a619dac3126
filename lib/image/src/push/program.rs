//! A program with the libraries the loader would load for it on this machine. What it opens by
//! itself later (`dlopen`, certificates, time zones) is not seen.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use super::elf::{self, Elf};
use super::libraries::Loader;
use super::source;
use super::tree::Tree;
use crate::{Error, Result, document};

/// Libraries of a program.
const LIBRARIES_MAX: usize = 1000;
/// The users a program's image knows.
const PASSWD: &str =
    "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
/// Names are looked up in `/etc/hosts` first, which older C libraries do not do by themselves.
const NSSWITCH: &str = "hosts: files dns\n";

/// A program's image.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) tree: Tree,
    /// What its environment needs so that the loader finds everything.
    pub(super) env: Vec<String>,
}

/// A program or library, here and in the image.
struct Loaded {
    host: PathBuf,
    image: PathBuf,
    elf: Elf,
}

/// A directory to look in, here and in the image.
type Place = (PathBuf, PathBuf);

/// Gathers the program at `path` as `/name`.
pub(super) fn gather(name: &str, path: &Path) -> Result<Gathered> {
    let program = elf::read(path).map_err(|e| source(path, &e.to_string()))?;
    if elf::machine().is_some_and(|ours| ours != program.kind.1) {
        return Err(Error::Platform {
            wanted: document::platform(),
            reference: path.display().to_string(),
            has: elf::machine_name(program.kind),
        });
    }
    let mut tree = Tree::default();
    tree.directory("etc", 0o755);
    tree.directory("tmp", 0o1777);
    tree.text("etc/passwd", PASSWD);
    tree.text("etc/group", GROUP);
    tree.text("etc/nsswitch.conf", NSSWITCH);
    let mut extra = BTreeSet::new();
    if let Some(interpreter) = program.interpreter.clone() {
        tree.mirror(&interpreter).map_err(|_| Error::Library {
            program: path.to_owned(),
            library: interpreter.display().to_string(),
            searched: "its place".into(),
        })?;
        let image = Path::new("/").join(name);
        let root = Loaded { host: path.to_owned(), image, elf: program };
        let mut closure = Closure::new(Loader::of(&interpreter), &root.elf);
        closure.all(root)?;
        closure.fill(&mut tree)?;
        extra = closure.extra;
    }
    if tree.has(Path::new(name)) {
        let why = format!("the image needs a /{name} of its own; push it under another name");
        return Err(source(path, &why));
    }
    tree.put(Path::new(name), path).map_err(|e| source(path, &e.to_string()))?;
    let dirs: Vec<String> = extra.iter().map(|dir: &PathBuf| dir.display().to_string()).collect();
    let env =
        if dirs.is_empty() { vec![] } else { vec![format!("LD_LIBRARY_PATH={}", dirs.join(":"))] };
    Ok(Gathered { tree, env })
}

/// The libraries of a program.
struct Closure {
    loader: Loader,
    kind: (bool, u16),
    configured: Vec<PathBuf>,
    built_in: Vec<PathBuf>,
    /// What was looked for, found or part of the loader.
    known: HashSet<String>,
    found: Vec<Place>,
    /// Directories the loader knows here by configuration only.
    extra: BTreeSet<PathBuf>,
}

impl Closure {
    fn new(loader: Loader, program: &Elf) -> Self {
        let (configured, built_in) = (loader.configured(), loader.built_in());
        let (known, found, extra) = Default::default();
        Self { loader, kind: program.kind, configured, built_in, known, found, extra }
    }

    /// Finds what the program needs, and what that needs, each once.
    fn all(&mut self, program: Loaded) -> Result<()> {
        // The program's own DT_RPATH counts for its libraries too (ld.so(8)).
        let inherited = match program.elf.runpath.is_empty() {
            true => places(&program, &program.elf.rpath),
            false => Vec::new(),
        };
        let mut todo = VecDeque::from([program]);
        while let Some(loaded) = todo.pop_front() {
            for name in &loaded.elf.needed {
                if self.loader.is_own(name) || !self.known.insert(name.clone()) {
                    continue;
                }
                if self.known.len() > LIBRARIES_MAX {
                    let why = format!("needs more than {LIBRARIES_MAX} libraries");
                    return Err(source(&loaded.host, &why));
                }
                todo.push_back(self.find(&loaded, name, &inherited)?);
            }
        }
        Ok(())
    }

    fn find(&mut self, by: &Loaded, name: &str, inherited: &[Place]) -> Result<Loaded> {
        let mut own = match by.elf.runpath.is_empty() {
            true => places(by, &by.elf.rpath),
            false => Vec::new(),
        };
        own.extend(inherited.iter().cloned());
        own.extend(places(by, &by.elf.runpath));
        if name.contains('/') {
            // A path is no name to look for.
            own = vec![(PathBuf::new(), PathBuf::new())];
        }
        let same = |dir: &PathBuf| (dir.clone(), dir.clone());
        let configured = self.configured.iter().map(same);
        let places: Vec<Place> =
            own.into_iter().chain(configured).chain(self.built_in.iter().map(same)).collect();
        for (host, image) in &places {
            let path = host.join(name);
            let fits = elf::read(&path).ok().filter(|elf| elf.kind == self.kind);
            let Some(elf) = fits else { continue };
            if self.configured.contains(host) && !self.built_in.contains(host) {
                self.extra.insert(host.clone());
            }
            let image = image.join(name);
            self.found.push((path.clone(), image.clone()));
            return Ok(Loaded { host: path, image, elf });
        }
        let dirs: BTreeSet<String> =
            places.iter().map(|(host, _)| host.display().to_string()).collect();
        let searched = dirs.into_iter().collect::<Vec<_>>().join(" ");
        Err(Error::Library { program: by.host.clone(), library: name.to_owned(), searched })
    }

    /// Puts what was found into the tree: first what keeps its place, whose links decide where
    /// the rest goes.
    fn fill(&self, tree: &mut Tree) -> Result<()> {
        let failed = |path: &Path, e: io::Error| source(path, &e.to_string());
        let stays = |(host, image): &&Place| host == image;
        for (host, _) in self.found.iter().filter(stays) {
            tree.mirror(host).map_err(|e| failed(host, e))?;
        }
        for (host, image) in self.found.iter().filter(|place| !stays(place)) {
            tree.put(image, host).map_err(|e| failed(host, e))?;
        }
        Ok(())
    }
}

/// The directories a file names, with `$ORIGIN` for where it is here and in the image.
fn places(of: &Loaded, dirs: &[String]) -> Vec<Place> {
    let expand = |dir: &str, file: &Path| {
        let origin = file.parent().unwrap_or(Path::new("/")).display().to_string();
        // A `..` stays: behind a link it leads elsewhere than it reads, and the loader leaves that
        // to the kernel.
        PathBuf::from(dir.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
    };
    let named = dirs.iter().filter(|dir| !dir.is_empty());
    named.map(|dir| (expand(dir, &of.host), expand(dir, &of.image))).collect()
}

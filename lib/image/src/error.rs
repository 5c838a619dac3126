//! Everything that can go wrong with an image, as one short lower-case text each.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Bytes in the megabyte of messages.
const MB: u64 = 1_000_000;

/// What failed, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no image reference.
    #[error("bad image reference '{}': {why}", cut(.reference))]
    Reference {
        /// The text as given.
        reference: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry, archive or store has no such thing.
    #[error("{what} not found in {place}")]
    NotFound {
        /// The reference or digest.
        what: String,
        /// Where it was looked for.
        place: String,
    },
    /// A name without a registry that is neither here nor at the one it stands for.
    #[error(
        "no image {name} was pushed here ({there}), and {why}; push it: deploy push {push} DIR"
    )]
    NotPushed {
        /// As it was given, with its tag.
        name: String,
        /// Names that were pushed, like it if there are such.
        there: String,
        /// What it stands for at a registry, and why that could not be had.
        why: String,
        /// What a push would have to be called.
        push: String,
        /// Whether asking the registry again cannot help.
        permanent: bool,
    },
    /// A push was given up by whoever asked for it.
    #[error("{what} was given up, nothing of it is kept")]
    GivenUp {
        /// The name it was to have.
        what: String,
    },
    /// The registry does not let us (401, 403).
    #[error("{registry} refuses access to {what}: {why}")]
    Denied {
        /// Host of the registry.
        registry: String,
        /// The reference.
        what: String,
        /// What may be the reason, and what to do; names the credentials file.
        why: String,
    },
    /// The image exists, but not for this machine.
    #[error("no image for {wanted} in {reference} (it has {has})")]
    Platform {
        /// `linux/amd64`
        wanted: String,
        /// The reference.
        reference: String,
        /// The platforms that are there.
        has: String,
    },
    /// Bytes are not what their digest says.
    #[error("{what}: digest is {actual}, expected {expected}")]
    Digest {
        /// Which bytes.
        what: String,
        /// The digest that was asked for.
        expected: String,
        /// The digest the bytes have.
        actual: String,
    },
    /// What lies on this machine is another image than when its digest was written down.
    #[error("{what} changed: its digest is {actual} now, and {expected} is not kept; apply again")]
    Changed {
        /// The reference.
        what: String,
        /// The digest it is to have.
        expected: String,
        /// The digest it has.
        actual: String,
    },
    /// Bytes are longer or shorter than their descriptor says.
    #[error("{what}: {actual} bytes, expected {expected}")]
    Size {
        /// Which bytes.
        what: String,
        /// Bytes by the descriptor.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// A manifest, index, configuration or archive that cannot be used.
    #[error("{what}: {why}")]
    Document {
        /// Which document.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// An entry of a layer that cannot or must not be unpacked.
    #[error("layer {layer}: entry '{entry}': {why}")]
    Entry {
        /// Digest of the layer.
        layer: String,
        /// Name of the entry, escaped.
        entry: String,
        /// Why not.
        why: String,
    },
    /// A layer that as a whole cannot be unpacked.
    #[error("layer {layer}: {why}")]
    Layer {
        /// Digest of the layer.
        layer: String,
        /// Why not.
        why: String,
    },
    /// The file system is full, or would be.
    #[error("no room: needs {} MB, {} MB free on {}", mb(.needs), .free / MB, .dir.display())]
    Room {
        /// The store's directory.
        dir: PathBuf,
        /// Bytes wanted.
        needs: u64,
        /// Bytes free.
        free: u64,
    },
    /// The file system has no inodes left, or would have none.
    #[error("no room: needs {needs} inodes, {free} free on {}", .dir.display())]
    Inodes {
        /// The store's directory.
        dir: PathBuf,
        /// Inodes wanted.
        needs: u64,
        /// Inodes free.
        free: u64,
    },
    /// The registry could not be asked, or answered nonsense; a later try may succeed.
    #[error("{registry}: {why}")]
    Registry {
        /// Host of the registry.
        registry: String,
        /// What happened.
        why: String,
    },
    /// The registry answered that this will never work, or cannot be trusted.
    #[error("{what} cannot be had from {registry}: {why}")]
    Refused {
        /// Host of the registry.
        registry: String,
        /// The reference.
        what: String,
        /// Its answer.
        why: String,
    },
    /// The file or directory given to `push` or imported cannot be used.
    #[error("{}: {why}", .path.display())]
    Source {
        /// The path.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// A program needs a shared library that is not on this machine.
    #[error("{} needs {library}, found in none of {searched}; install it or link statically",
        .program.display())]
    Library {
        /// The program or library that names it.
        program: PathBuf,
        /// The missing library.
        library: String,
        /// The directories that were searched.
        searched: String,
    },
    /// Another process has this store open.
    #[error("image store {} is in use by another process", .dir.display())]
    Busy {
        /// The store's directory.
        dir: PathBuf,
    },
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with its path.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Letters of a reference that a message repeats.
const QUOTED_CHARS: usize = 80;

/// A text somebody wrote, with an end.
fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whole megabytes, rounded up: a need must not read as `0 MB`.
fn mb(bytes: &u64) -> u64 {
    bytes.div_ceil(MB)
}

impl Error {
    /// True when trying again without changing anything cannot help: no such image, no access,
    /// wrong platform, broken content. False for the network, a full disk and the like.
    pub fn permanent(&self) -> bool {
        match self {
            Self::Reference { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::GivenUp { .. }
            | Self::Platform { .. }
            | Self::Digest { .. }
            | Self::Changed { .. }
            | Self::Size { .. }
            | Self::Document { .. }
            | Self::Entry { .. }
            | Self::Layer { .. }
            | Self::Refused { .. }
            | Self::Source { .. }
            | Self::Library { .. } => true,
            Self::NotPushed { permanent, .. } => *permanent,
            Self::Room { .. }
            | Self::Inodes { .. }
            | Self::Registry { .. }
            | Self::Busy { .. }
            | Self::Io { .. } => false,
        }
    }
}

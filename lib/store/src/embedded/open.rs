//! Opening the file: made whole or not at all, and what is wrong with it in words.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ::redb::{Database, Durability, WriteTransaction};

use super::tables::{COMPACTED, FORM, LEASE, REVISION, Tables};
use crate::{Error, Lease, Revision};

/// Bytes of the file that are held in memory: everything is read once, when a server starts, and
/// what is written is not read again.
const CACHE_BYTES_MAX: usize = 4 << 20;
/// The form of the tables; another one is another version's.
const FORM_NOW: u64 = 1;

/// What the writer knows without looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) last_lease: Lease,
    pub(super) leases: Vec<(Lease, u32)>,
}

/// Opens the file. A new one is made beside it and renamed: a file that is there but empty or
/// half made was damaged, and must not pass for a new one.
pub(super) fn database(path: &Path) -> Result<Database, Error> {
    let failed = |why: io::Error| refused(path, why.into());
    if !path.try_exists().map_err(failed)? {
        make(path)?;
    }
    builder().open(path).map_err(|why| refused(path, why.into()))
}

fn builder() -> ::redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES_MAX);
    builder
}

fn make(path: &Path) -> Result<(), Error> {
    let failed = |why: io::Error| refused(path, why.into());
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    if let Err(why) = std::fs::remove_file(&new)
        && why.kind() != io::ErrorKind::NotFound
    {
        return Err(failed(why));
    }
    let database = builder().create(&new).map_err(|why| refused(path, why.into()))?;
    prepare(&database, path)?;
    drop(database);
    std::fs::rename(&new, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new("."))).and_then(|d| d.sync_all()).map_err(failed)
}

/// Makes the tables where they are missing and reads what the writer starts from.
pub(super) fn prepare(database: &Database, path: &Path) -> Result<State, Error> {
    let form = |form| Error::Corrupt {
        path: path.to_owned(),
        why: format!("it has form {form}, this version knows {FORM_NOW}"),
    };
    let prepare = || -> Result<Result<State, Error>, ::redb::Error> {
        let transaction = begin(database)?;
        let mut tables = Tables::new(&transaction)?;
        match (tables.number(FORM)?, tables.number(REVISION)?) {
            (FORM_NOW, _) => {}
            (0, 0) => tables.set(FORM, FORM_NOW)?,
            (other, _) => return Ok(Err(form(other))),
        }
        let state = State {
            revision: tables.number(REVISION)?,
            compacted: tables.number(COMPACTED)?,
            last_lease: tables.number(LEASE)?,
            leases: tables.leases()?,
        };
        drop(tables);
        transaction.commit()?;
        Ok(Ok(state))
    };
    prepare().map_err(|why| refused(path, why))?
}

/// A transaction that is durable in two phases.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, ::redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// redb's error in our words.
pub(super) fn refused(path: &Path, why: ::redb::Error) -> Error {
    use ::redb::Error as Theirs;
    let path = path.to_owned();
    if let Theirs::Io(why) = why {
        return io_refused(path, &why);
    }
    if matches!(why, Theirs::DatabaseAlreadyOpen) {
        return Error::Locked(path);
    }
    if matches!(why, Theirs::PreviousIo | Theirs::DatabaseClosed | Theirs::LockPoisoned(_)) {
        return Error::Io { path, why: why.to_string() };
    }
    Error::Corrupt { path, why: why.to_string() }
}

fn io_refused(path: PathBuf, why: &io::Error) -> Error {
    let kind = why.kind();
    if kind == io::ErrorKind::StorageFull || kind == io::ErrorKind::QuotaExceeded {
        Error::Full(path)
    } else if kind == io::ErrorKind::InvalidData || kind == io::ErrorKind::UnexpectedEof {
        Error::Corrupt { path, why: words(why) }
    } else {
        Error::Io { path, why: words(why) }
    }
}

/// What the system says, as our texts are written: in lower case, and without its number.
fn words(why: &io::Error) -> String {
    let text = why.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // `I/O error` stays.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

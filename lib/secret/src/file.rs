//! The key file: a key a line, the one that seals first; for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::sealed::KeyId;
use crate::value::Value;

/// Bytes of a key of AES-256.
pub(crate) const KEY_BYTES: usize = 32;
/// The file's permission bits.
const MODE: u32 = 0o400;
/// Bytes of the file at most: two keys in hexadecimal, and room.
const FILE_BYTES_MAX: u64 = 4096;

/// A key's bytes.
pub(crate) type Bytes = Zeroizing<[u8; KEY_BYTES]>;

/// Which key that is.
pub(crate) fn id(key: &Bytes) -> KeyId {
    let hash = digest(&SHA256, key.as_ref());
    KeyId(hash.as_ref().iter().take(4).fold(0, |id, byte| id << 8 | u32::from(*byte)))
}

/// The keys of a file; none where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<Bytes>>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::io("open", path)(why)),
    };
    let found = file.metadata().map_err(Error::io("look at", path))?;
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Open { path: path.to_owned(), mode });
    }
    let room = usize::try_from(found.len().min(FILE_BYTES_MAX)).unwrap_or_default();
    let mut text = Zeroizing::new(vec![0; room]);
    file.read_exact(&mut text).map_err(Error::io("read", path))?;
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    let key = |(at, line): (usize, &[u8])| {
        let wrong = || Error::KeyFile { path: path.to_owned(), line: at + 1 };
        parse(line).ok_or_else(wrong)
    };
    let keys = lines.map(key).collect::<Result<Vec<Bytes>, Error>>()?;
    match keys.is_empty() {
        true => Err(Error::KeyFile { path: path.to_owned(), line: 1 }),
        false => Ok(Some(keys)),
    }
}

/// Makes the file; it must not be there.
pub(crate) fn make(path: &Path, keys: &[&Bytes]) -> Result<(), Error> {
    let beside = write(path, keys)?;
    let linked = fs::hard_link(&beside, path).map_err(Error::io("make", path));
    fs::remove_file(&beside).map_err(Error::io("remove", &beside))?;
    linked.and_then(|()| sync_above(path))
}

/// Puts other keys in the file's place, all or none.
pub(crate) fn replace(path: &Path, keys: &[&Bytes]) -> Result<(), Error> {
    let beside = write(path, keys)?;
    fs::rename(&beside, path).map_err(Error::io("replace", path))?;
    sync_above(path)
}

/// Writes the keys into a new file beside that one, on disk when it returns.
fn write(path: &Path, keys: &[&Bytes]) -> Result<PathBuf, Error> {
    let beside = path.with_extension("key.new");
    match fs::remove_file(&beside) {
        Err(why) if why.kind() != ErrorKind::NotFound => {
            return Err(Error::io("remove", &beside)(why));
        }
        // What a crash left; nothing is sealed under a key that is only there.
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside);
    let mut file = file.map_err(Error::io("make", &beside))?;
    let mut text = Value::with_room(keys.len() * (2 * KEY_BYTES + 1));
    for key in keys {
        for byte in key.iter() {
            text.push(&[hex(byte >> 4), hex(byte & 15)]);
        }
        text.push(b"\n");
    }
    let written = file.write_all(text.bytes()).and_then(|()| file.sync_all());
    written.map_err(Error::io("write", &beside))?;
    Ok(beside)
}

fn sync_above(path: &Path) -> Result<(), Error> {
    let above = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(above).and_then(|dir| dir.sync_all());
    synced.map_err(Error::io("sync", above))
}

fn parse(line: &[u8]) -> Option<Bytes> {
    let mut key = Bytes::new([0; KEY_BYTES]);
    if line.len() != 2 * KEY_BYTES {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(line.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(key)
}

fn hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

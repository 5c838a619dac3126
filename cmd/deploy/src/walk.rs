//! `cat`, `write`, `ls` and `tree`: the tree without mounting it.

use crate::error::{Error, Result, cut};
use crate::link::Link;
use crate::out::Out;
use crate::parse::Usage;
use ninep::client::Mode;
use ninep::{Kind, Stat};
use std::fmt::Write as _;
use std::io::Read as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Bytes asked for at once.
const READ_BYTES: u32 = 64 * 1024;

/// Where a write makes a file that is not there.
const MANIFESTS: &str = "manifests/";

/// Bytes of standard input that are written, at most: no file of the tree takes as many.
const WRITE_BYTES_MAX: u64 = 1024 * 1024;

/// Directories below one another that `tree` goes into; the tree itself has six.
const DEPTH_MAX: usize = 32;

/// Prints files, each as it comes. On a terminal a letter whose parts come with two messages is
/// kept until it is whole.
pub(crate) async fn cat(link: &Link, out: Out, paths: &[String]) -> Result<()> {
    for path in paths {
        may(link, path, 0o444).await?;
        let mut file = link.open(path).await?;
        let mut rest = Vec::new();
        loop {
            let read = file.read_next(READ_BYTES).await;
            let bytes = read.map_err(|error| Error::at(path, error))?;
            if bytes.is_empty() {
                break;
            }
            rest.extend_from_slice(&bytes);
            let cut = rest.len() - cut_letter(&rest);
            out.foreign(&rest[..cut])?;
            rest.drain(..cut);
        }
        out.foreign(&rest)?;
    }
    Ok(())
}

/// Bytes at the end that begin a letter of UTF-8 and do not end it.
fn cut_letter(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(3)..];
    let long = |lead: u8| match lead {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        0..0xc0 => 1,
    };
    let begun = (1..=last.len()).find(|n| last[last.len() - n] & 0xc0 != 0x80);
    begun.filter(|n| long(last[last.len() - n]) > *n).unwrap_or(0)
}

/// Writes words as one line, or standard input as it is.
pub(crate) async fn write(link: &Link, path: &str, words: &[String]) -> Result<()> {
    let manifest = path.trim_start_matches('/').strip_prefix(MANIFESTS);
    if let Some(service) = manifest {
        // An editor may keep what it likes there; a name given here is meant as a service's.
        manifest::check_name(service).map_err(|why| Usage::Value(why.to_string()))?;
    }
    if manifest.is_none() {
        let kind = may(link, path, 0o222).await?;
        if kind == Kind::Exclusive && words.is_empty() {
            return hold(link, path).await;
        }
    }
    let bytes = match words {
        [] => input()?,
        words => (words.join(" ") + "\n").into_bytes(),
    };
    let done = match manifest {
        Some(_) => link.client.put(path, &bytes).await,
        None => link.client.write(path, &bytes).await,
    };
    done.map_err(|error| Error::at(path, error))
}

/// Holds a file of exclusive use open for as long as standard input goes on, and writes each line
/// as it comes: of what a script prints, a lock is held as long as the script runs.
async fn hold(link: &Link, path: &str) -> Result<()> {
    let at = |error| Error::at(path, error);
    let file = link.client.open(path, Mode::ReadWrite).await.map_err(at)?;
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    let local = |why| Error::Local { path: "standard input".to_string(), why };
    while let Some(mut line) = lines.next_segment().await.map_err(local)? {
        line.push(b'\n');
        file.write_at(0, &line).await.map_err(at)?;
    }
    file.clunk().await.map_err(at)
}

/// Standard input to its end.
fn input() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(WRITE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|why| Error::Local { path: "standard input".to_string(), why })?;
    match bytes.len() as u64 > WRITE_BYTES_MAX {
        true => Err(Error::Other(format!(
            "standard input has more than {WRITE_BYTES_MAX} bytes; no file of the tree takes them"
        ))),
        false => Ok(bytes),
    }
}

/// Refuses what nobody may do to a file, in more words than the server has; gives what it is.
async fn may(link: &Link, path: &str, bits: u32) -> Result<Kind> {
    let stat = link.client.stat(path).await.map_err(|error| Error::at(path, error))?;
    let name = cut(path);
    let text = match (stat.kind, stat.mode & bits) {
        (Kind::Dir, _) => format!("{name:?} is a directory; what is in it: deploy ls {name}"),
        (Kind::File | Kind::Append | Kind::Exclusive, 1..) => return Ok(stat.kind),
        _ if bits == 0o444 => format!("{name} is only written; what it takes: deploy cat help"),
        _ => format!("{name} is only read; what is written: ctl files and manifests/"),
    };
    Err(Error::Other(text))
}

/// Lists directories; a file is listed by itself.
pub(crate) async fn ls(link: &Link, out: Out, paths: &[String], long: bool) -> Result<()> {
    let root = [String::from("/")];
    let paths = if paths.is_empty() { &root[..] } else { paths };
    for path in paths {
        let stat = link.client.stat(path).await.map_err(|error| Error::at(path, error))?;
        let entries = match stat.kind {
            Kind::Dir => list(link, path).await?,
            Kind::File | Kind::Append | Kind::Exclusive => vec![stat],
        };
        if paths.len() > 1 && !out.json {
            out.data(format!("{path}:\n").as_bytes())?;
        }
        for entry in &entries {
            let text = if long { self::long(entry) } else { name(entry) };
            match out.json {
                true => out.object(&object(entry))?,
                false => out.data(format!("{text}\n").as_bytes())?,
            }
        }
    }
    Ok(())
}

/// Prints every file below a directory.
pub(crate) async fn tree(link: &Link, out: Out, path: &str) -> Result<()> {
    // What is still to be printed, the next one last: a walk without recursion.
    let mut left: Vec<(usize, String, Stat)> = Vec::new();
    let below = |depth: usize, path: &str, entries: Vec<Stat>| {
        let at = path.trim_end_matches('/').to_string();
        let each = move |entry: Stat| (depth, format!("{at}/{}", plain_name(&entry)), entry);
        entries.into_iter().rev().map(each)
    };
    left.extend(below(0, path, list(link, path).await?));
    while let Some((depth, path, entry)) = left.pop() {
        if out.json {
            let mut object = object(&entry);
            object["path"] = path.trim_start_matches('/').into();
            out.object(&object)?;
        } else {
            let line = format!("{:indent$}{}\n", "", name(&entry), indent = depth * 2);
            out.data(line.as_bytes())?;
        }
        if entry.kind == Kind::Dir && depth < DEPTH_MAX {
            // One that went meanwhile has nothing in it.
            if let Ok(entries) = list(link, &path).await {
                left.extend(below(depth + 1, &path, entries));
            }
        }
    }
    Ok(())
}

async fn list(link: &Link, path: &str) -> Result<Vec<Stat>> {
    let listed = link.client.list(path).await;
    let mut entries = listed.map_err(|error| Error::at(path, error))?;
    // Numbers in the order of their worth, words in that of the alphabet.
    entries.sort_by_cached_key(|entry| {
        let name = plain_name(entry);
        (name.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    Ok(entries)
}

fn plain_name(entry: &Stat) -> String {
    String::from_utf8_lossy(&entry.name).into_owned()
}

/// The name, a directory's with a slash behind it.
fn name(entry: &Stat) -> String {
    let name = plain_name(entry);
    if entry.kind == Kind::Dir && name != "/" { name + "/" } else { name }
}

/// As ls(1) of Plan 9: kind and rights, owner, group, length, name.
fn long(entry: &Stat) -> String {
    let mut text = String::from(match entry.kind {
        Kind::Dir => "d",
        Kind::File => "-",
        Kind::Append => "a",
        Kind::Exclusive => "l",
    });
    for shift in [6, 3, 0] {
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            text.push(if entry.mode >> shift & bit != 0 { letter } else { '-' });
        }
    }
    // Writing to a string cannot fail.
    let _ = write!(text, " {:<8} {:<8} {:>9}", entry.owner, entry.group, entry.length);
    text + "  " + &name(entry)
}

fn object(entry: &Stat) -> serde_json::Value {
    let kind = match entry.kind {
        Kind::Dir => "directory",
        Kind::File => "file",
        Kind::Append => "append",
        Kind::Exclusive => "exclusive",
    };
    serde_json::json!({
        "name": plain_name(entry), "kind": kind, "mode": format!("{:04o}", entry.mode),
        "owner": entry.owner, "group": entry.group, "bytes": entry.length, "mtime": entry.mtime,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_has_kind_rights_owner_length_and_name() {
        let mut stat = Stat::new(Kind::Append, "log".as_bytes(), 1, 0o440);
        stat.length = 1234;
        assert_eq!(long(&stat), "ar--r----- root     root          1234  log");
        let dir = Stat::new(Kind::Dir, "active".as_bytes(), 2, 0o555);
        assert!(long(&dir).starts_with("dr-xr-xr-x ") && long(&dir).ends_with("  active/"));
    }

    #[test]
    fn a_letter_is_cut_at_no_end_of_a_message() {
        let check = |bytes: &[u8], want: usize| assert_eq!(cut_letter(bytes), want, "{bytes:x?}");
        let euro = "a€".as_bytes();
        check(b"", 0);
        check(b"ab", 0);
        check(euro, 0);
        check(&euro[..3], 2);
        check(&euro[..2], 1);
        check(&"😀".as_bytes()[..3], 3);
        check("😀".as_bytes(), 0);
        // What is no UTF-8 is not waited for.
        check(b"\x80\x80\x80\x80", 0);
    }
}

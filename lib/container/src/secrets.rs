//! Secret values on the last of their way: out of a memory file that the caller was given, into
//! files on a file system of their own or into the program's environment, and nowhere else.
//!
//! The memory file has, one behind the other, a line and then as many bytes as it says:
//!
//! ```text
//! file NAME LENGTH      the file /secret/NAME
//! env KEY LENGTH        the variable KEY
//! ```
//!
//! The file system is mounted in a mount namespace that only the caller and the container have,
//! so that it ends with them; it is never swapped out where the kernel can promise that (6.4).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::user::User;

/// Where the files are in the container.
pub(crate) const AT: &str = "/secret";

/// Bytes of all values of an instance together, with their lines.
const BYTES_MAX: u64 = 4 << 20;
/// Bytes of a line at most, so that its end is not looked for in a value.
const LINE_BYTES_MAX: usize = 256;
/// What a file of that file system takes at least.
const PAGE_BYTES: usize = 64 << 10;

/// A value. Wiped when it is dropped.
type Value = Zeroizing<Vec<u8>>;

/// The values of one container.
#[derive(Default)]
pub(crate) struct Secrets {
    files: Vec<(String, Value)>,
    pub(crate) env: Vec<(String, Value)>,
}

impl Secrets {
    /// Takes them out of a memory file.
    pub(crate) fn read(given: OwnedFd) -> Result<Secrets, Error> {
        let failed = |why: io::Error| Error::io("read secrets", "")(why);
        let given = File::from(given);
        let length = given.metadata().map_err(failed)?.len();
        if length > BYTES_MAX {
            return Err(Error::Secrets("more than 4 MiB of them"));
        }
        let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or_default()]);
        given.read_exact_at(&mut bytes, 0).map_err(failed)?;
        Secrets::parse(&bytes)
    }

    fn parse(mut bytes: &[u8]) -> Result<Secrets, Error> {
        let mut all = Secrets::default();
        while !bytes.is_empty() {
            let near = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
            let end = near.iter().position(|byte| *byte == b'\n').ok_or_else(strange)?;
            let line = str::from_utf8(&bytes[..end]).map_err(|_| strange())?;
            let [what, name, length] = line.split(' ').collect::<Vec<_>>()[..] else {
                return Err(strange());
            };
            let length: usize = length.parse().map_err(|_| strange())?;
            let rest = &bytes[end + 1..];
            let (value, rest) = rest.split_at_checked(length).ok_or_else(strange)?;
            let entry = (name.to_owned(), Zeroizing::new(value.to_vec()));
            match what {
                "file" if is_file_name(name) => all.files.push(entry),
                "env" if !value.contains(&0) => all.env.push(entry),
                "env" => return Err(Error::SecretEnv(name.to_owned())),
                _ => return Err(strange()),
            }
            bytes = rest;
        }
        Ok(all)
    }

    /// Whether there are files.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Mounts the files at `at`, in a mount namespace that is made for it: readable for `user`
    /// alone, and for nobody to write. What was to be files is wiped.
    pub(crate) fn mount(&mut self, at: &Path, user: &User) -> Result<(), Error> {
        let files = std::mem::take(&mut self.files);
        unshare(CloneFlags::CLONE_NEWNS).map_err(Error::os("make mount namespace for", at))?;
        let pages = |length: usize| length.div_ceil(PAGE_BYTES).max(1);
        let size = files.iter().map(|(_, value)| pages(value.len())).sum::<usize>() * PAGE_BYTES;
        let (uid, gid, inodes) = (user.uid, user.gid, files.len() + 2);
        let options = format!("size={size},nr_inodes={inodes},mode=500,uid={uid},gid={gid}");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let tmpfs = |flags: MsFlags, options: &str| {
            mount(Some("secret"), at, Some("tmpfs"), flags, Some(options))
        };
        let unswapped = format!("{options},noswap");
        let options = match tmpfs(flags, &unswapped) {
            Ok(()) => unswapped,
            // The kernel does not know the word.
            Err(_) => tmpfs(flags, &options)
                .map(|()| options)
                .map_err(Error::os("mount memory file system at", at))?,
        };
        for (name, value) in files {
            let path = at.join(&name);
            write(&path, &value, user).map_err(Error::io("write secret", &path))?;
        }
        tmpfs(flags | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, &options)
            .map_err(Error::os("make read-only", at))
    }
}

fn write(path: &Path, value: &Value, user: &User) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    fchown(&file, Some(user.uid), Some(user.gid))?;
    // Whatever the caller's mask is.
    fs::set_permissions(path, Permissions::from_mode(0o400))?;
    file.write_all(value)
}

fn is_file_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.bytes().all(known) && !name.starts_with('.')
}

fn strange() -> Error {
    Error::Secrets("they are not in the form they should have")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[u8], want: Result<(&[&str], &[&str]), &str>) {
        let names = |all: &[(String, Value)]| -> Vec<String> {
            let text = |value: &Value| String::from_utf8_lossy(value).into_owned();
            all.iter().map(|(name, value)| format!("{name}={}", text(value))).collect()
        };
        match (Secrets::parse(given), want) {
            (Ok(all), Ok((files, env))) => {
                assert_eq!(
                    (names(&all.files), names(&all.env)),
                    (
                        files.iter().map(ToString::to_string).collect(),
                        env.iter().map(ToString::to_string).collect()
                    )
                );
            }
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part) && !text.contains("hunter2"), "{text}");
                assert!(error.permanent());
            }
            (Ok(_), Err(part)) => panic!("not refused: {part}"),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }

    #[test]
    fn values_are_taken_by_their_length_whatever_is_in_them() {
        check(b"", Ok((&[], &[])));
        check(b"file a 3\nx\nyenv B 0\nenv C 1\n=", Ok((&["a=x\ny"], &["B=", "C=="])));
        check(
            b"file a 12\nfile b 1\nhunfile c.d-e_f 1\nz",
            Ok((&["a=file b 1\nhun", "c.d-e_f=z"], &[])),
        );
    }

    #[test]
    fn what_is_not_in_that_form_is_refused_and_not_repeated() {
        for given in [
            &b"file a 8\nhunter2"[..],
            b"file a 7\nhunter2x",
            b"file ../a 7\nhunter2",
            b"file .a 7\nhunter2",
            b"file a/b 7\nhunter2",
            b"file  7\nhunter2",
            b"hunter2",
            b"mount a 7\nhunter2",
            b"file a b 7\nhunter2",
            b"file a -1\nhunter2",
        ] {
            check(given, Err("they are not in the form they should have"));
        }
        check(b"env A 8\nhunter2\0", Err("variable A"));
    }
}

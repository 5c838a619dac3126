//! What is kept of an authority, in a directory of its own: `account` with its key, `HOST.pem` a
//! host with key and chain in one file, and `tried`, a line a host that was ordered for in vain.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::DateTime;
use instant_acme::AccountCredentials;

use super::plan::Tried;

/// Bytes of a file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How the authority itself stands among the hosts.
const ALL: &str = "*";

/// The files of one authority.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Makes the directory if it is not there.
    pub(super) fn open(dir: PathBuf) -> io::Result<Store> {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Store { dir })
    }

    /// The account with the authority of that address; none: there was none yet.
    pub(super) fn account(&self, url: &str) -> io::Result<Option<AccountCredentials>> {
        let Some(text) = read(&self.dir.join("account"))? else { return Ok(None) };
        let value: serde_json::Value = serde_json::from_str(&text)?;
        // Two addresses may give one name of a directory.
        match value["directory"] == url {
            true => Ok(Some(serde_json::from_value(value)?)),
            false => Ok(None),
        }
    }

    /// Keeps the account and its key.
    pub(super) fn keep_account(&self, account: &AccountCredentials) -> io::Result<()> {
        write(&self.dir, "account", &serde_json::to_string(account)?)
    }

    /// Sets the account of that name aside, which the authority does not know any more, unless
    /// that was done before.
    pub(super) fn forget_account(&self, id: &str) -> io::Result<()> {
        let Some(text) = read(&self.dir.join("account"))? else { return Ok(()) };
        let value: serde_json::Value = serde_json::from_str(&text)?;
        match value["id"] == id {
            true => fs::rename(self.dir.join("account"), self.dir.join("account.old")),
            false => Ok(()),
        }
    }

    /// Keeps a certificate and its key: both are there at once, or those before are.
    pub(super) fn keep_certificate(&self, host: &str, key: &str, chain: &str) -> io::Result<()> {
        write(&self.dir, &format!("{host}.pem"), &format!("{}\n{chain}", key.trim_end()))
    }

    /// The key and the chain of a host; nothing when there are none.
    pub(super) fn certificate(&self, host: &str) -> io::Result<String> {
        Ok(read(&self.dir.join(format!("{host}.pem")))?.unwrap_or_default())
    }

    /// Takes the certificate of a host away, if there is one.
    pub(super) fn remove_certificate(&self, host: &str) -> io::Result<()> {
        match fs::remove_file(self.dir.join(format!("{host}.pem"))) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The hosts of which there is a certificate, whatever it is worth.
    pub(super) fn certificates(&self) -> io::Result<Vec<String>> {
        let mut hosts = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let host = name.to_str().and_then(|name| name.strip_suffix(".pem"));
            hosts.extend(host.filter(|host| !host.starts_with('.')).map(str::to_owned));
        }
        Ok(hosts)
    }

    /// What was tried in vain, of each host and of the authority itself; lines that make no sense
    /// are none.
    pub(super) fn tried(&self) -> io::Result<(BTreeMap<String, Tried>, Tried)> {
        let text = read(&self.dir.join("tried"))?.unwrap_or_default();
        let mut hosts: BTreeMap<String, Tried> = text.lines().filter_map(line).collect();
        let all = hosts.remove(ALL).unwrap_or_default();
        Ok((hosts, all))
    }

    /// Keeps what was tried in vain.
    pub(super) fn keep_tried(
        &self,
        (hosts, all): &(BTreeMap<String, Tried>, Tried),
    ) -> io::Result<()> {
        let mut text = String::new();
        for (host, tried) in hosts.iter().map(|(host, it)| (host.as_str(), it)).chain([(ALL, all)])
        {
            if let Some(until) = tried.until {
                let (failures, until) = (tried.failures, until.timestamp_millis());
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{host} {failures} {until} {}", tried.why);
            }
        }
        write(&self.dir, "tried", &text)
    }
}

fn line(line: &str) -> Option<(String, Tried)> {
    let mut words = line.splitn(4, ' ');
    let (host, failures, until) = (words.next()?, words.next()?, words.next()?);
    let until = Some(DateTime::from_timestamp_millis(until.parse().ok()?)?);
    let why = words.next().unwrap_or_default().to_owned();
    Some((host.to_owned(), Tried { failures: failures.parse().ok()?, until, why }))
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text).map(|_| Some(text)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

/// The whole file or the one before, and for nobody else's eyes.
fn write(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = dir.join(format!(".{name}.new"));
    // One that was begun by somebody else keeps his mode.
    match fs::remove_file(&new) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_kept_is_there_for_the_next_process_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("acme/authority");
        let store = Store::open(at.clone()).unwrap();
        assert!(store.account("https://a/").unwrap().is_none());
        assert_eq!(store.tried().unwrap(), (BTreeMap::new(), Tried::default()));
        let until = DateTime::from_timestamp_millis(1_700_000_000_123);
        let tried = |why: &str| Tried { failures: 3, until, why: why.to_owned() };
        let hosts = BTreeMap::from([("shop.example".to_owned(), tried("no answer: a b c"))]);
        let all = (hosts, tried("it rests"));
        store.keep_tried(&all).unwrap();
        store.keep_certificate("shop.example", "KEY\n", "CHAIN\n").unwrap();
        let next = Store::open(at.clone()).unwrap();
        assert_eq!(next.tried().unwrap(), all);
        assert_eq!(next.certificates().unwrap(), ["shop.example"]);
        let pem = at.join("shop.example.pem");
        assert_eq!(fs::read_to_string(&pem).unwrap(), "KEY\nCHAIN\n");
        for (path, mode) in [(&pem, 0o600), (&at.join("tried"), 0o600), (&at, 0o700)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{path:?}");
        }
        next.remove_certificate("shop.example").unwrap();
        next.remove_certificate("shop.example").unwrap();
        assert!(next.certificates().unwrap().is_empty());
    }

    #[test]
    fn lines_that_make_no_sense_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned()).unwrap();
        fs::write(dir.path().join("tried"), "a\nb 1\nc 1 x y\nd 2 5\ne -1 5 z\n\u{0}").unwrap();
        let (hosts, _) = store.tried().unwrap();
        assert_eq!(hosts.into_keys().collect::<Vec<_>>(), ["d"]);
    }
}

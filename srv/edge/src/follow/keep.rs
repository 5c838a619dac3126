//! What is kept on disk for the next process: the last table, and the instances that left it
//! lately. `STATE/edge/routes` is the table's text, `STATE/edge/left` a line an instance: its
//! name and the first generation without it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The two files of one state directory.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    dir: PathBuf,
}

impl Keep {
    /// Those in the directory `dir`, which is there.
    pub(crate) fn new(dir: PathBuf) -> Keep {
        Keep { dir }
    }

    /// The last table; none: there was none yet.
    pub(crate) fn table(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.dir.join("routes")) {
            Ok(text) => Ok(Some(text)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Instances that left, and the first table without each; lines that make no sense are none.
    pub(crate) fn left(&self) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.dir.join("left")).unwrap_or_default();
        let line = |line: &str| {
            let (id, generation) = line.split_once(' ')?;
            Some((id.to_owned(), generation.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// Makes them the ones to be kept.
    ///
    /// Law: a table is on disk before it is acknowledged, and before it who left it: a process
    /// that starts with a table knows of whom it has to say that it does not use them.
    pub(crate) fn store<'a>(
        &self,
        text: &str,
        left: impl Iterator<Item = (&'a str, u64)>,
    ) -> io::Result<()> {
        let mut lines = String::new();
        for (id, generation) in left {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{id} {generation}");
        }
        write(&self.dir, "left", &lines, false)?;
        write(&self.dir, "routes", text, true)
    }
}

/// The whole file or the one before. Who left need not outlive the machine: nobody does.
fn write(dir: &Path, name: &str, text: &str, durable: bool) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut options = File::options();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    if durable {
        file.sync_data()?;
    }
    fs::rename(&new, dir.join(name))?;
    match durable {
        true => File::open(dir)?.sync_all(),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_there_for_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::new(dir.path().to_owned());
        assert!(keep.table().unwrap().is_none() && keep.left().is_empty());
        keep.store("generation 1\n", [("web-1", 1)].into_iter()).unwrap();
        keep.store("generation 2\n", [("web-1", 1), ("web-2", 2)].into_iter()).unwrap();
        let next = Keep::new(dir.path().to_owned());
        assert_eq!(next.table().unwrap().unwrap(), "generation 2\n");
        assert_eq!(next.left(), [("web-1".to_owned(), 1), ("web-2".to_owned(), 2)]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

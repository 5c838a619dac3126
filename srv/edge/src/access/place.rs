//! Where the access log is: as it is said in the words of the command, and what writes there.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::file::{LogFile, Rotation};

/// The file in the edge's own directory.
const OWN: &str = "access.log";
/// What is locked while a file is written to, in the same directory.
const LOCK: &str = "access.lock";
/// Bytes of it at which the next one is begun, as the logs of instances have it.
const OWN_BYTES_MAX: u64 = 10 << 20;
/// Files of it that are kept, the one that is written among them.
const OWN_FILES: u32 = 5;
/// Bytes that a pipe takes from one of several writers in one piece (pipe(7), PIPE_BUF).
pub(crate) const PIECE_BYTES: usize = 4096;

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file in the edge's own directory, which it keeps small itself.
    #[default]
    Own,
    /// Nowhere.
    Nowhere,
    /// Standard output.
    Output,
    /// Whatever stands in the place of standard input: for one who starts an edge and has another
    /// use for its output.
    Input,
    /// A file that somebody else rotates.
    File(PathBuf),
}

impl Place {
    /// The place that a word says.
    pub(crate) fn read(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Self::Nowhere),
            "-" => Ok(Self::Output),
            "stdin" => Ok(Self::Input),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            other => Err(format!("--access-log {other}: give an absolute path, - or none")),
        }
    }

    /// The word for a process of this edge, if it needs one; a worker's output is what was chosen
    /// for it.
    pub(crate) fn word(&self, worker: bool) -> Option<String> {
        match self {
            Self::Own => None,
            Self::Nowhere => Some("none".to_owned()),
            Self::Input if !worker => Some("stdin".to_owned()),
            Self::Output | Self::Input => Some("-".to_owned()),
            Self::File(path) => Some(path.display().to_string()),
        }
    }

    /// What a worker's standard output is.
    pub(crate) fn output(&self) -> io::Result<Stdio> {
        match self {
            Self::Output => Ok(Stdio::inherit()),
            Self::Input => Ok(io::stdin().as_fd().try_clone_to_owned()?.into()),
            Self::Own | Self::Nowhere | Self::File(_) => Ok(Stdio::null()),
        }
    }

    /// The same place for a supervisor that a worker starts: what the worker's standard output is
    /// stands in the place of that one's standard input.
    pub(crate) fn of_input(self) -> Self {
        match self {
            Self::Output => Self::Input,
            Self::Input | Self::Own | Self::Nowhere | Self::File(_) => self,
        }
    }

    /// What the standard input of such a supervisor is.
    pub(crate) fn input(&self) -> io::Result<Stdio> {
        match self {
            Self::Output | Self::Input => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
            Self::Own | Self::Nowhere | Self::File(_) => Ok(Stdio::null()),
        }
    }

    /// For people.
    pub(super) fn text(&self, dir: &Path) -> String {
        match self {
            Self::Own => dir.join(OWN).display().to_string(),
            Self::Nowhere => "none".to_owned(),
            Self::Output | Self::Input => "-".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// What writes there.
    pub(super) fn writer(&self, dir: &Path) -> Option<Writer> {
        match self {
            Self::Nowhere => None,
            Self::Own => {
                let rotation = Rotation { bytes_max: OWN_BYTES_MAX, files: OWN_FILES };
                Some(Writer::File(LogFile::new(dir.join(OWN), Some(rotation), dir.join(LOCK))))
            }
            Self::File(path) => {
                Some(Writer::File(LogFile::new(path.clone(), None, dir.join(LOCK))))
            }
            Self::Output | Self::Input => Some(Writer::Output(None)),
        }
    }
}

/// Takes whole lines, all of a batch or an error.
#[derive(Debug)]
pub(super) enum Writer {
    File(LogFile),
    /// Standard output, past the buffer that would cut at other places.
    Output(Option<File>),
}

impl Writer {
    /// Whether it could write now.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.ready(),
            Self::Output(output) => {
                *output = Some(io::stdout().as_fd().try_clone_to_owned()?.into());
                Ok(())
            }
        }
    }
}

impl Write for Writer {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.append(lines)?,
            Self::Output(Some(output)) => {
                pieces(lines).try_for_each(|piece| output.write_all(piece))?;
            }
            Self::Output(None) => return Err(io::ErrorKind::NotConnected.into()),
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines in pieces that another process' lines cannot get into; none is longer than one.
fn pieces(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let window = &lines[..lines.len().min(PIECE_BYTES)];
        let end = window.iter().rposition(|byte| *byte == b'\n').map_or(window.len(), |at| at + 1);
        let (piece, rest) = lines.split_at(end);
        lines = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_said_in_one_word_and_read_again() {
        for (word, place) in [
            ("none", Place::Nowhere),
            ("-", Place::Output),
            ("stdin", Place::Input),
            ("/var/log/x", Place::File("/var/log/x".into())),
        ] {
            assert_eq!(Place::read(word), Ok(place.clone()));
            assert_eq!(place.word(false).as_deref(), Some(word));
        }
        assert_eq!(Place::Input.word(true).as_deref(), Some("-"));
        assert_eq!(Place::Own.word(false), None);
        let refused = "--access-log x: give an absolute path, - or none";
        assert_eq!(Place::read("x"), Err(refused.to_owned()));
    }

    #[test]
    fn a_pipe_is_given_whole_lines_in_pieces_that_it_takes_at_once() {
        let lines: Vec<String> = (0..300).map(|n| format!("{}\n", "x".repeat(n * 13))).collect();
        let text = lines.concat();
        let all: Vec<&[u8]> = pieces(text.as_bytes()).collect();
        assert_eq!(all.concat(), text.as_bytes());
        for piece in all {
            assert!(piece.len() <= PIECE_BYTES && piece.ends_with(b"\n"), "{}", piece.len());
        }
        assert_eq!(pieces(b"").count(), 0);
    }
}

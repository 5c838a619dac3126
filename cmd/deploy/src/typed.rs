//! A value that is typed or piped in, and shown to nobody.

use crate::error::{Error, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a value at most.
pub(crate) const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are wiped when they are dropped.
pub(crate) type Value = Zeroizing<Vec<u8>>;

/// The value, from a terminal or from standard input; none when it was given up by Ctrl-C.
///
/// # Errors
/// It is too long, or empty, or cannot be read.
pub(crate) async fn value(name: &str) -> Result<Option<Value>> {
    if !std::io::stdin().is_terminal() {
        let read = spawn_blocking(|| all(std::io::stdin()));
        return checked(name, read.await.map_err(ended)??).map(Some);
    }
    let Some(first) = ask(format!("value of {name}: ")).await? else { return Ok(None) };
    let Some(again) = ask("once more: ".to_string()).await? else { return Ok(None) };
    match first == again {
        true => checked(name, first).map(Some),
        false => Err(Error::Other("the two are not the same; nothing was set".to_string())),
    }
}

fn checked(name: &str, value: Value) -> Result<Value> {
    if value.is_empty() {
        return Err(Error::Other(format!("{name}: the value is empty; nothing was set")));
    }
    if value.len() > VALUE_BYTES_MAX {
        let text = format!("{name}: a secret has {VALUE_BYTES_MAX} bytes at most; nothing was set");
        return Err(Error::Other(text));
    }
    Ok(value)
}

/// Asks on the terminal for a line, which is not shown.
async fn ask(prompt: String) -> Result<Option<Value>> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(local)?;
    let quiet = Quiet::begin()?;
    let mut out = quiet.terminal.try_clone().map_err(local)?;
    out.write_all(prompt.as_bytes()).map_err(local)?;
    let terminal = quiet.terminal.try_clone().map_err(local)?;
    let read = tokio::select! {
        read = spawn_blocking(move || line(terminal)) => Some(read.map_err(ended)??),
        _ = interrupt.recv() => None,
    };
    drop(quiet);
    // The line's end was not shown either.
    out.write_all(b"\n").map_err(local)?;
    Ok(read)
}

/// A terminal that shows nothing of what is typed, until it is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin() -> Result<Quiet> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(local)?;
        let before = tcgetattr(&terminal).map_err(|why| local(why.into()))?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK);
        let set = tcsetattr(&terminal, OptionalActions::Flush, &quiet);
        set.map_err(|why| local(why.into()))?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// A line without its end.
fn line(from: impl AsFd) -> Result<Value> {
    let mut value = room();
    loop {
        let ended = more(&from, &mut value)? == 0;
        if let Some(end) = value.iter().position(|byte| *byte == b'\n') {
            value[end..].zeroize();
            value.truncate(end);
            return Ok(value);
        }
        if ended || value.len() > VALUE_BYTES_MAX {
            return Ok(value);
        }
    }
}

/// All there is, a byte more than a value may have at most.
fn all(from: impl AsFd) -> Result<Value> {
    let mut value = room();
    while value.len() <= VALUE_BYTES_MAX && more(&from, &mut value)? > 0 {}
    Ok(value)
}

/// Room that need not grow: what grows leaves behind what it held.
fn room() -> Value {
    Value::new(Vec::with_capacity(VALUE_BYTES_MAX + 1))
}

fn more(from: &impl AsFd, value: &mut Value) -> Result<usize> {
    let had = value.len();
    value.resize(VALUE_BYTES_MAX + 1, 0);
    let read = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut value[had..]));
    let count = read.map_err(|why| local(why.into()))?;
    value.truncate(had + count);
    Ok(count)
}

fn local(why: std::io::Error) -> Error {
    Error::Local { path: "standard input".to_string(), why }
}

fn ended(why: tokio::task::JoinError) -> Error {
    Error::Other(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn standard_input_is_taken_to_the_byte_and_a_typed_line_without_its_end() {
        assert_eq!(**all(given(b"a\0b\n\n")).unwrap(), *b"a\0b\n\n");
        assert_eq!(**line(given(b"hunter2\nmore\n")).unwrap(), *b"hunter2");
        assert_eq!(**line(given(b"hunter2")).unwrap(), *b"hunter2");
        assert!(line(given(b"")).unwrap().is_empty());
    }

    #[test]
    fn a_value_has_a_limit_and_is_not_empty() {
        let long = vec![b'x'; VALUE_BYTES_MAX + 9];
        let value = all(given(&long[..VALUE_BYTES_MAX])).unwrap();
        assert_eq!(checked("a", value).unwrap().len(), VALUE_BYTES_MAX);
        let value = all(given(&long)).unwrap();
        assert_eq!(value.len(), VALUE_BYTES_MAX + 1);
        assert!(checked("a", value).unwrap_err().to_string().contains("65536 bytes at most"));
        assert!(checked("a", room()).unwrap_err().to_string().contains("is empty"));
    }
}

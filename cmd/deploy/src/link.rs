//! The server: where it is, how it is reached, and its files as text.

use crate::error::{Error, Result, cut};
use crate::parse::Usage;
use ninep::client::{Client, ClientError, File, Mode};
use ninep::dial::{self, Address};
use ninep::{numberless, words};
use std::process::Stdio;

/// Where a server is when nobody says otherwise.
pub(crate) const ADDRESS: &str = "unix!/run/deploy/deploy.sock";

/// The variable that says where the server is.
const VARIABLE: &str = "DEPLOY_ADDR";

/// Bytes asked for at once of a file that waits.
const READ_BYTES: u32 = 64 * 1024;

/// The server's tree.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The connection.
    pub(crate) client: Client,
}

/// The address: of `-a`, else the variable, else the usual one.
///
/// # Errors
/// When it is no dial string.
pub(crate) fn address(flag: Option<&str>) -> Result<Address> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let text = flag.map(str::to_string).or(variable).unwrap_or_else(|| ADDRESS.to_string());
    let wrong = |why: String| Error::from(Usage::Value(why));
    match text.parse::<Address>().map_err(|why| wrong(why.to_string()))? {
        Address::Tls { .. } => Err(wrong(format!(
            "{}: tls is not there yet: use unix!PATH, tcp!HOST!PORT or ssh!HOST",
            cut(&text)
        ))),
        address @ (Address::Unix(_) | Address::Tcp { .. } | Address::Ssh { .. }) => Ok(address),
    }
}

impl Link {
    /// Dials and attaches.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the address and what stands in the way.
    pub(crate) async fn dial(address: &Address) -> Result<Link> {
        let client = match address {
            Address::Ssh { user, host } => over_ssh(user.as_deref(), host).await,
            Address::Unix(_) | Address::Tcp { .. } | Address::Tls { .. } => {
                Client::dial(address, "").await
            }
        };
        client
            .map(|client| Link { client })
            .map_err(|error| unreachable(address, &error.to_string()))
    }

    /// A file as text.
    pub(crate) async fn read(&self, path: &str) -> Result<String> {
        let bytes = self.client.read(path).await.map_err(|error| Error::at(path, error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file as text; none when it is not there.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<String>> {
        match self.read(path).await {
            Ok(text) => Ok(Some(text)),
            Err(Error::Refused { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Writes in one message, as `echo` does.
    pub(crate) async fn write(&self, path: &str, text: &str) -> Result<()> {
        let done = self.client.write(path, text.as_bytes()).await;
        done.map_err(|error| Error::at(path, error))
    }

    /// Removes, as `rm` does.
    pub(crate) async fn remove(&self, path: &str) -> Result<()> {
        self.client.remove(path).await.map_err(|error| Error::at(path, error))
    }

    /// Opens for reading.
    pub(crate) async fn open(&self, path: &str) -> Result<File> {
        self.client.open(path, Mode::Read).await.map_err(|error| Error::at(path, error))
    }

    /// An error in other words, where a file is missed because its service is not there at all.
    pub(crate) async fn explained(&self, error: Error) -> Error {
        let Some((path, _)) = error.refused() else { return error };
        let mut names = path.trim_start_matches('/').split('/');
        let (Some("active"), Some(service)) = (names.next(), names.next()) else { return error };
        if self.is_missing(&format!("active/{service}")).await {
            return Error::NoService(service.to_string());
        }
        let (Some("instances"), Some(number)) = (names.next(), names.next()) else { return error };
        match self.is_missing(&format!("active/{service}/instances/{number}")).await {
            true => Error::Other(format!(
                "{service} has no instance {number}; deploy status {service} shows those it has"
            )),
            false => error,
        }
    }

    async fn is_missing(&self, path: &str) -> bool {
        matches!(self.client.stat(path).await, Err(ClientError::Refused(_)))
    }

    /// Which file a path names at this moment.
    async fn identity(&self, path: &str) -> Result<u64> {
        let stat = self.client.stat(path).await.map_err(|error| Error::at(path, error))?;
        Ok(stat.path)
    }

    /// The names in a directory, in its order.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>> {
        let entries = self.client.list(path).await.map_err(|error| Error::at(path, error))?;
        Ok(entries.iter().map(|stat| String::from_utf8_lossy(&stat.name).into_owned()).collect())
    }

    /// The names in a directory; none when it is not there.
    pub(crate) async fn names_if_there(&self, path: &str) -> Result<Vec<String>> {
        match self.names(path).await {
            Err(Error::Refused { .. }) => Ok(Vec::new()),
            other => other,
        }
    }
}

/// A file that only grows, read on from where it was.
#[derive(Debug)]
pub(crate) struct Grown {
    file: File,
    path: String,
    /// Which file of that name it is.
    identity: u64,
    offset: u64,
    /// The beginning of a line; bytes, because letters are cut where a message ends.
    rest: Vec<u8>,
}

impl Grown {
    /// From its beginning.
    pub(crate) async fn open(link: &Link, path: &str) -> Result<Grown> {
        let file = link.open(path).await?;
        let identity = link.identity(path).await?;
        Ok(Grown { file, path: path.to_string(), identity, offset: 0, rest: Vec::new() })
    }

    /// The whole lines that came since; none when there are none.
    pub(crate) async fn more(&mut self) -> Result<Vec<String>> {
        loop {
            let read = self.file.read_at(self.offset, READ_BYTES).await;
            let bytes = read.map_err(|error| Error::at(&self.path, error))?;
            if bytes.is_empty() {
                break;
            }
            self.offset += bytes.len() as u64;
            self.rest.extend_from_slice(&bytes);
        }
        Ok(whole_lines(&mut self.rest))
    }

    /// Whether its name stands for another file by now: a growing file is never shortened, it is
    /// turned over.
    pub(crate) async fn is_turned_over(&self, link: &Link) -> Result<bool> {
        Ok(link.identity(&self.path).await? != self.identity)
    }
}

/// What a file that waits brings next, in whole lines; none at its end.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    path: String,
    /// The beginning of a line; bytes, because letters are cut where a message ends.
    rest: Vec<u8>,
}

impl Lines {
    /// Lines from now on.
    pub(crate) async fn open(link: &Link, path: &str) -> Result<Lines> {
        let file = link.open(path).await?;
        Ok(Lines { file, path: path.to_string(), rest: Vec::new() })
    }

    /// The next lines. Safe to give up: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Vec<String>> {
        loop {
            let whole = whole_lines(&mut self.rest);
            if !whole.is_empty() {
                return Ok(whole);
            }
            let read = self.file.read_next(READ_BYTES).await;
            let bytes = read.map_err(|error| Error::at(&self.path, error))?;
            if bytes.is_empty() {
                return Ok(lines(&std::mem::take(&mut self.rest)));
            }
            self.rest.extend_from_slice(&bytes);
        }
    }
}

/// Takes the whole lines out of what came; what is left waits for its end.
fn whole_lines(rest: &mut Vec<u8>) -> Vec<String> {
    let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole: Vec<u8> = rest.drain(..end).collect();
    lines(&whole)
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_string).collect()
}

/// The tree of a server that only a login on its machine reaches.
async fn over_ssh(user: Option<&str>, host: &str) -> std::result::Result<Client, ClientError> {
    let to = user.map_or(host.to_string(), |user| format!("{user}@{host}"));
    let mut command = tokio::process::Command::new("ssh");
    command.args(["-T", &to, "deploy", "stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // It is to end with this command, whatever that ends by.
    let started = command.kill_on_drop(true).spawn();
    let mut child =
        started.map_err(|why| ClientError::Unreachable(format!("ssh: {}", words(&why))))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(ClientError::Unreachable("ssh: no pipes".to_string()));
    };
    let client = Client::from_stream(tokio::io::join(output, input), "").await?;
    let closed = client.closed();
    tokio::spawn(async move {
        closed.await;
        drop(child);
    });
    Ok(client)
}

/// The one line about a server that cannot be reached.
pub(crate) fn unreachable(address: &Address, why: &str) -> Error {
    let address = address.to_string();
    let why = why.strip_prefix(&format!("{address}: ")).unwrap_or(why);
    Error::Unreachable { address, why: numberless(why) }
}

/// Connects without attaching.
///
/// # Errors
/// [`Error::Unreachable`].
pub(crate) async fn connect(address: &Address) -> Result<dial::Stream> {
    dial::connect(address).await.map_err(|why| unreachable(address, &why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_tree::{Script, serve};

    #[test]
    fn a_letter_that_comes_in_two_parts_is_whole_in_its_line() {
        let mut rest = Vec::new();
        let mut took = Vec::new();
        for byte in "größer\n\nü".bytes() {
            rest.push(byte);
            took.extend(whole_lines(&mut rest));
        }
        assert_eq!(took, ["größer", ""]);
        assert_eq!(rest, "ü".as_bytes());
    }

    #[tokio::test]
    async fn letters_are_whole_in_a_file_longer_than_a_message() {
        // Of three bytes each, so that no power of two ends between two of them.
        let line = "€".repeat(30_000);
        let text = format!("{line}\n").repeat(3);
        let mut script = Script::default();
        script.files.insert("log".to_string(), text);
        let (_, link) = serve(script).await;
        let mut grown = Grown::open(&link, "log").await.unwrap();
        assert_eq!(grown.more().await.unwrap(), [line.as_str(); 3]);
    }
}

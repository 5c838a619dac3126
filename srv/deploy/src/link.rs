//! The link to a node: its tree over 9P, its events as arrivals, and its process where this
//! server has to start it.

use crate::arrival::{Arrival, Heard};
use crate::config::Config;
use crate::kept::Kept;
use crate::report::{self, Container};
use crate::vault::Vault;
use ninep::client::{Client, ClientError};
use ninep::dial::Address;
use place::Resources;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// The shortest rest before a node that ended is started again.
const RESTART_MS_MIN: u64 = 100;
/// The longest.
const RESTART_MS_MAX: u64 = 5_000;
/// How long a node may take until it serves; it reaps what died and sweeps first.
const START_MAX: Duration = Duration::from_secs(60);
/// Bytes of the node's log after which a new one is begun at its next start.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// How much of an event line is asked for at once.
const READ_BYTES: u32 = 64 * 1024;
/// Statuses that are asked for at once; a connection takes about as many.
const READS_MAX: usize = 64;

/// Why there is no link.
#[derive(Debug, Error)]
pub enum Error {
    /// The node refused something, or its connection was lost.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// Its process could not be started, or ended before it served.
    #[error("{0}")]
    Process(String),
}

/// The way to the node: its connection while there is one.
#[derive(Debug, Clone)]
pub struct Link {
    client: watch::Receiver<Option<Client>>,
    address: Address,
    ending: Arc<AtomicBool>,
    vault: Vault,
}

impl Link {
    /// A link to the node at that address, which `client` has a connection to while it answers.
    pub(crate) fn new(client: watch::Receiver<Option<Client>>, address: Address) -> Link {
        Link { client, address, ending: Arc::default(), vault: Vault::default() }
    }

    /// The same, over which secrets are handed over that this vault has.
    #[must_use]
    pub fn with_vault(self, vault: Vault) -> Link {
        Link { vault, ..self }
    }

    /// What opens the secrets that are handed over.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Another connection to the node, whoever keeps the first.
    ///
    /// # Errors
    /// What dialling says.
    pub async fn dial(&self) -> Result<Client, ClientError> {
        Client::dial(&self.address, "").await
    }

    /// The connection as it comes and goes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Option<Client>> {
        self.client.clone()
    }

    /// The connection, if the node answers now.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        self.client.borrow().clone()
    }

    /// The node was told to end: it is not started again.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }
}

/// Keeps a link to the node of this machine for as long as the server runs, starting the node
/// when it is not there.
#[must_use]
pub fn keep(config: Arc<Config>, arrivals: mpsc::Sender<Arrival>) -> Link {
    let (sender, client) = watch::channel(None);
    let link = Link::new(client, address(&config));
    let ended = Arc::clone(&link.ending);
    tokio::spawn(async move {
        let mut rest_ms = RESTART_MS_MIN;
        loop {
            match follow(&config, &arrivals, &sender, &mut rest_ms).await {
                Ok(()) => return,
                Err(error) => {
                    sender.send_replace(None);
                    let reason = error.to_string();
                    tracing::warn!("node: {reason}");
                    let told = arrivals.send(Arrival::Heard(Heard::NodeDown { reason })).await;
                    if told.is_err() || ended.load(Ordering::SeqCst) {
                        return;
                    }
                }
            }
            // Not a wait for something: a node that ends at once must not be started in a loop.
            tokio::time::sleep(Duration::from_millis(rest_ms)).await;
            rest_ms = (rest_ms * 2).min(RESTART_MS_MAX);
        }
    });
    link
}

/// One life of a connection. Ends well only when the loop is gone.
async fn follow(
    config: &Config,
    arrivals: &mpsc::Sender<Arrival>,
    sender: &watch::Sender<Option<Client>>,
    rest_ms: &mut u64,
) -> Result<(), Error> {
    let client = connect(config).await?;
    // The events are opened first: what happens while the statuses are read comes after them.
    let mut events = client.open("events", ninep::client::Mode::Read).await?;
    let (name, capacity, bytes) = capacity(&client).await?;
    let disk = Heard::Disk { name: name.clone(), bytes, volumes: volumes(&client).await? };
    let containers = containers(&client).await?;
    let logs = logs(&client).await?;
    sender.send_replace(Some(client));
    *rest_ms = RESTART_MS_MIN;
    let up = Heard::NodeUp { name, capacity, containers, logs };
    for heard in [disk, up] {
        if arrivals.send(Arrival::Heard(heard)).await.is_err() {
            return Ok(());
        }
    }
    let mut rest = Vec::new();
    loop {
        let bytes = events.read_next(READ_BYTES).await?;
        if bytes.is_empty() {
            return Err(Error::Process("its events ended".to_string()));
        }
        rest.extend_from_slice(&bytes);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if line.starts_with("lost ") {
                // What was missed is learned by asking for everything again.
                return Err(Error::Process("its events came faster than they were read".into()));
            }
            match report::parse(line.trim_end()) {
                Ok(report) => {
                    if arrivals.send(Arrival::Heard(Heard::Told(report))).await.is_err() {
                        return Ok(());
                    }
                }
                Err(strange) => tracing::warn!("{strange}"),
            }
        }
    }
}

/// Waits until the node's process is gone, by the lock that it holds for as long as it lives.
pub async fn gone(state: &Path) {
    released(state.join("node").join("lock")).await;
}

/// Waits until nobody holds a lock.
pub(crate) async fn released(path: PathBuf) {
    let shown = path.display().to_string();
    let wait = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::open(path)?;
        file.lock()
    });
    if let Ok(Err(error)) = wait.await {
        tracing::warn!("cannot tell who has ended: {shown}: {error}");
    }
}

/// The node's address in a state directory.
#[must_use]
pub fn address(config: &Config) -> Address {
    Address::Unix(config.state.join("node.sock"))
}

async fn connect(config: &Config) -> Result<Client, Error> {
    let address = address(config);
    if let Ok(client) = Client::dial(&address, "").await {
        return Ok(client);
    }
    start(config).await?;
    Ok(Client::dial(&address, "").await?)
}

/// Starts a node in a session of its own, so that it outlives this server, and waits for the
/// line by which it says that it serves.
async fn start(config: &Config) -> Result<(), Error> {
    let failed = |what: String| Error::Process(what);
    let dir = config.state.join("node");
    // Image layers have programs in them that others must not be able to run.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|e| failed(format!("{}: {e}", dir.display())))?;
    let path = dir.join("node.log");
    let mut command = Command::new("/proc/self/exe");
    command.arg0("deployfs").arg("node").arg("-r").arg(&config.state);
    if let Some(net) = &config.net {
        command.arg("--net").arg(net);
    }
    if config.verbose {
        command.arg("-v");
    }
    command.stdin(Stdio::null());
    until_ready(command, &path, "node").await
}

/// Starts a part of this server in a process group of its own, and waits for the line by which it
/// says that it serves. What it has to tell goes to its log.
pub(crate) async fn until_ready(mut command: Command, path: &Path, who: &str) -> Result<(), Error> {
    let failed = |what: String| Error::Process(what);
    let log = open_log(path).map_err(|e| failed(format!("{}: {e}", path.display())))?;
    command.stdout(Stdio::piped()).stderr(log).process_group(0);
    let mut child = command.spawn().map_err(|e| failed(format!("cannot start the {who}: {e}")))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = timeout(START_MAX, BufReader::new(stdout).read_line(&mut line)).await;
        let read = read.map_err(|_| failed(format!("not ready within {START_MAX:?}")))?;
        read.map_err(|e| failed(format!("cannot hear the {who}: {e}")))?;
    }
    if line.trim() == "ready" {
        // Reaped when it ends; the broken connection tells of that.
        tokio::spawn(async move { child.wait().await });
        return Ok(());
    }
    let status = child.wait().await.map_err(|e| failed(e.to_string()))?;
    Err(failed(format!("the {who} ended ({status}): {}", last_line(path))))
}

/// Opens a log to write on at its end; one that has grown large becomes the old one.
fn open_log(path: &Path) -> std::io::Result<std::fs::File> {
    if std::fs::metadata(path).is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The last line of a log, looked for near its end.
fn last_line(path: &Path) -> String {
    let tail = || {
        let mut file = std::fs::File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(4096);
        file.seek(std::io::SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    tail().unwrap_or_default().lines().last().unwrap_or("it said nothing").to_string()
}

async fn capacity(client: &Client) -> Result<(String, Resources, u64), Error> {
    let text = client.read("status").await?;
    let mut capacity = Resources::default();
    let (mut name, mut volume_bytes) = (String::new(), 0);
    for (key, value) in report::lines(&String::from_utf8_lossy(&text)) {
        match key {
            "name" => name = value,
            "capacity_cpu" => capacity.cpu_milli = value.parse().unwrap_or(0),
            "capacity_memory" => capacity.memory_bytes = value.parse().unwrap_or(0),
            "capacity_volumes" => volume_bytes = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    Ok((name, capacity, volume_bytes))
}

async fn containers(client: &Client) -> Result<BTreeMap<String, Container>, Error> {
    let (mut found, mut reads) = (BTreeMap::new(), JoinSet::new());
    let mut take = |read: Result<(String, Option<Container>), Error>| -> Result<(), Error> {
        let (name, container) = read?;
        found.extend(container.map(|container| (name, container)));
        Ok(())
    };
    let lost = |error: JoinError| Error::Process(format!("a status was not read: {error}"));
    for stat in client.list("instances").await? {
        if reads.len() >= READS_MAX
            && let Some(read) = reads.join_next().await
        {
            take(read.map_err(lost)?)?;
        }
        let name = String::from_utf8_lossy(&stat.name).into_owned();
        reads.spawn(container(client.clone(), name));
    }
    while let Some(read) = reads.join_next().await {
        take(read.map_err(lost)?)?;
    }
    Ok(found)
}

/// A container's name and status; none when it went between the listing and the look, and an event
/// says so.
async fn container(client: Client, name: String) -> Result<(String, Option<Container>), Error> {
    match client.read(&format!("instances/{name}/status")).await {
        Ok(text) => Ok((name, Some(report::container(&String::from_utf8_lossy(&text))))),
        Err(ClientError::Refused(_)) => Ok((name, None)),
        Err(error) => Err(error.into()),
    }
}

/// The names of the volumes there are; a node that was started before there were any has none.
async fn volumes(client: &Client) -> Result<BTreeSet<String>, Error> {
    let listed = match client.list("volumes").await {
        Ok(listed) => listed,
        Err(ClientError::Refused(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let name = |stat: ninep::Stat| String::from_utf8_lossy(&stat.name).into_owned();
    Ok(listed.into_iter().map(name).collect())
}

/// The logs of containers that are gone.
async fn logs(client: &Client) -> Result<BTreeMap<String, Kept>, Error> {
    let listed = match client.list("logs").await {
        Ok(listed) => listed,
        // A node that was started before there were any keeps none.
        Err(ClientError::Refused(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let log = |stat: ninep::Stat| {
        let kept = Kept { at: u64::from(stat.mtime) * 1000, bytes: stat.length };
        (String::from_utf8_lossy(&stat.name).into_owned(), kept)
    };
    Ok(listed.into_iter().map(log).collect())
}

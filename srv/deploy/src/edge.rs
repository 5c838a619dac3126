//! The link to the machine's edge: its tree over 9P, and its process where this server has to
//! start it. What the edge serves and has drained it says by itself, in its `ack`.

use crate::arrival::{Arrival, Heard};
use crate::config::Config;
use crate::link::{self, Error};
use crate::report;
use crate::world::Shared;
use ninep::client::{Client, ClientError};
use ninep::dial::Address;
use nix::poll::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

/// The name of the machine's own edge.
pub const NAME: &str = "main";
/// The shortest rest before an edge that ended is started again.
const RESTART_MS_MIN: u64 = 50;
/// The longest.
const RESTART_MS_MAX: u64 = 5_000;
/// How long the process that keeps the edge may take to end after it has let go of everything.
const KEEPER_MS_MAX: u16 = 10_000;
/// What `--dns` calls the bridge's address, which may be any.
pub const BRIDGE: &str = "bridge";
/// The port at which instances look for a name server (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;

/// The way to the machine's edge: its connection while there is one.
#[derive(Debug, Clone)]
pub struct EdgeLink {
    client: watch::Receiver<Option<Client>>,
    ending: watch::Sender<bool>,
    /// None where no edge runs on this machine.
    config: Option<Arc<Config>>,
}

impl EdgeLink {
    /// A link where no edge runs on this machine.
    #[must_use]
    pub fn none() -> EdgeLink {
        let client = watch::channel(None).1;
        EdgeLink { client, ending: watch::Sender::default(), config: None }
    }

    /// The connection, if the edge answers now.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        self.client.borrow().clone()
    }

    /// The edge, if it can be reached at this moment, be it connected already or not.
    pub async fn reach(&self) -> Option<Client> {
        match (self.client(), &self.config) {
            (None, Some(config)) => Client::dial(&address(&config.state), "").await.ok(),
            (client, _) => client,
        }
    }

    /// Puts a new process in the place of the one that serves, with the words this server was
    /// started with. It takes the listeners over, and no request is lost.
    ///
    /// # Errors
    /// There is none here, or the new one does not serve, and the one before goes on.
    pub async fn restart(&self) -> Result<(), Error> {
        match &self.config {
            Some(config) if !*self.ending.borrow() => {
                start(config, gateway(config).await.as_deref()).await
            }
            Some(_) => Err(Error::Process("it is being ended".to_string())),
            None => Err(Error::Process("this server keeps none: see --no-edge".to_string())),
        }
    }

    /// Tells the edge to end, and waits until it is gone. It is not started again, and one that
    /// is being started ends, too.
    ///
    /// # Errors
    /// It refused.
    pub async fn end(&self) -> Result<(), ClientError> {
        self.ending.send_replace(true);
        if let (Some(client), Some(config)) = (self.client(), &self.config) {
            end(&client, &config.state).await?;
        }
        // Whoever keeps the link lets go of it last.
        let mut link = self.client.clone();
        while link.changed().await.is_ok() {}
        Ok(())
    }
}

/// Ends the edge in a state directory whose server is gone.
///
/// # Errors
/// There is none, or it refused.
pub async fn end_alone(state: &Path) -> Result<(), ClientError> {
    end(&Client::dial(&address(state), "").await?, state).await
}

/// Tells an edge to end, and waits until it is gone.
async fn end(client: &Client, state: &Path) -> Result<(), ClientError> {
    let keeper = status(client).await.ok().and_then(|status| status.keeper);
    let keeper = keeper.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    match client.write("ctl", b"end").await {
        // It was told before.
        Ok(()) | Err(ClientError::Lost(_)) => {}
        Err(error) => return Err(error),
    }
    client.closed().await;
    // The process that keeps the one that serves ends after it, and holds the lock until then.
    link::released(state.join("edge").join("lock")).await;
    if let Some(keeper) = keeper {
        let gone =
            move || poll(&mut [PollFd::new(keeper.as_fd(), PollFlags::POLLIN)], KEEPER_MS_MAX);
        // Whatever a wait comes to, it ends.
        let _ = tokio::task::spawn_blocking(gone).await;
    }
    Ok(())
}

/// The edge's address in a state directory.
#[must_use]
pub fn address(state: &Path) -> Address {
    Address::Unix(state.join("edge.sock"))
}

/// Where the parts of this machine find this server, wherever else it is served.
#[must_use]
pub fn server_address(state: &Path) -> Address {
    Address::Unix(state.join("server.sock"))
}

/// Keeps a link to the machine's edge for as long as the server runs, starting the edge when it
/// is not there, or is of another build.
#[must_use]
pub fn keep(config: Arc<Config>, world: Shared, arrivals: mpsc::Sender<Arrival>) -> EdgeLink {
    let (sender, client) = watch::channel(None);
    let ending = watch::Sender::new(false);
    let mut ended = ending.subscribe();
    let kept = Some(Arc::clone(&config));
    tokio::spawn(async move {
        // The node says where the bridge is, at which instances ask for names.
        world.node_tried().await;
        let (mut rest_ms, mut renewed) = (RESTART_MS_MIN, false);
        loop {
            let keeper = Keeper { config: &config, world: &world, sender: &sender, ended: &ended };
            match keeper.follow(&arrivals, &mut renewed).await {
                Ok(()) => rest_ms = RESTART_MS_MIN,
                Err(error) => {
                    let text = format!("edge {NAME} does not run: {error}");
                    tracing::warn!("{text}");
                    if rest_ms == RESTART_MS_MIN {
                        // Once for each trouble: it is tried again for as long as that lasts.
                        let _ = arrivals.send(Arrival::Heard(Heard::Noted { text })).await;
                    }
                    rest_ms = (rest_ms * 2).min(RESTART_MS_MAX);
                }
            }
            sender.send_replace(None);
            // Not a wait for something: an edge that ends at once must not be started in a loop.
            let rest = tokio::time::sleep(Duration::from_millis(rest_ms));
            tokio::select! {
                () = rest => {}
                _ = ended.wait_for(|ended| *ended) => return,
                () = arrivals.closed() => return,
            }
        }
    });
    EdgeLink { client, ending, config: kept }
}

/// What one life of a connection works with.
struct Keeper<'a> {
    config: &'a Config,
    world: &'a Shared,
    sender: &'a watch::Sender<Option<Client>>,
    ended: &'a watch::Receiver<bool>,
}

impl Keeper<'_> {
    /// One life of a connection, to its end.
    async fn follow(
        &self,
        arrivals: &mpsc::Sender<Arrival>,
        renewed: &mut bool,
    ) -> Result<(), Error> {
        let (config, world) = (self.config, self.world);
        let address = address(&config.state);
        let gateway = gateway(config).await;
        let mut client = match Client::dial(&address, "").await {
            Ok(client) => client,
            Err(_) => {
                start(config, gateway.as_deref()).await?;
                Client::dial(&address, "").await?
            }
        };
        let mut status = status(&client).await?;
        let other = status.build.as_ref().is_some_and(|build| Some(build) != own_build().as_ref());
        if other && !std::mem::replace(renewed, true) {
            // It takes the listeners over from the one that runs, and no connection is lost.
            start(config, gateway.as_deref()).await?;
            client = Client::dial(&address, "").await?;
            status = self::status(&client).await?;
        }
        for warning in &status.warnings {
            let text = format!("edge {NAME} does without {warning}");
            let _ = arrivals.send(Arrival::Heard(Heard::Noted { text })).await;
        }
        let bridge = gateway.clone();
        let serves = |at: &String| status.dns.iter().any(|on| *on == format!("{at}:{DNS_PORT}"));
        let asked = gateway.filter(serves);
        if let Some(text) = nameless(config, bridge.as_deref()).filter(|_| asked.is_none()) {
            tracing::warn!("{text}");
            let _ = arrivals.send(Arrival::Heard(Heard::Noted { text })).await;
        }
        world.lock().names_at = asked;
        self.sender.send_replace(Some(client.clone()));
        if *self.ended.borrow() {
            // It was being started when the end was asked for.
            end(&client, &self.config.state).await?;
        }
        client.closed().await;
        world.lock().names_at = None;
        Ok(())
    }
}

/// What an edge tells of itself that this server goes by.
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    build: Option<String>,
    /// The process that keeps the one that serves.
    keeper: Option<Pid>,
    dns: Vec<String>,
    warnings: Vec<String>,
}

async fn status(client: &Client) -> Result<Status, Error> {
    let text = client.read("status").await?;
    Ok(read_status(&String::from_utf8_lossy(&text)))
}

fn read_status(text: &str) -> Status {
    let mut status = Status::default();
    for (key, value) in report::lines(text) {
        match key {
            "build" => status.build = Some(value),
            "supervisor" => status.keeper = value.parse().ok().and_then(Pid::from_raw),
            "dns" => status.dns.push(value),
            "missing" | "warning" => status.warnings.push(value),
            _ => {}
        }
    }
    status
}

/// What tells this program's executable from any other: its version, its length and its time.
#[must_use]
pub fn own_build() -> Option<String> {
    let found = std::fs::metadata("/proc/self/exe").ok()?;
    let time = found.mtime().unsigned_abs().wrapping_mul(1_000_000_000);
    let time = time.wrapping_add(found.mtime_nsec().unsigned_abs());
    Some(format!("{}-{:x}-{time:x}", env!("CARGO_PKG_VERSION"), found.len()))
}

/// The bridge's address, as the node tells it.
async fn gateway(config: &Config) -> Option<String> {
    let node = Client::dial(&link::address(config), "").await.ok()?;
    let text = node.read("status").await.ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let gateway = report::lines(&text).find(|(key, _)| *key == "gateway");
    gateway.map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// Starts an edge in a session of its own, so that it outlives this server, and waits for the
/// line by which it says that it serves.
async fn start(config: &Config, gateway: Option<&str>) -> Result<(), Error> {
    let dir = config.state.join("edge");
    for dir in [&dir, &usual_certs(config)] {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|e| Error::Process(format!("{}: {e}", dir.display())))?;
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg0("deployfs").arg("edge").arg("-r").arg(&config.state);
    command.arg("-s").arg(server_address(&config.state).to_string());
    if config.verbose {
        command.arg("-v");
    }
    command.args(words(config, gateway)).stdin(access_log(config)?);
    link::until_ready(command, &dir.join("edge.log"), "edge").await
}

/// Where the edge finds certificates unless told otherwise; made beforehand, for it watches it.
fn usual_certs(config: &Config) -> PathBuf {
    config.state.join("certs")
}

/// What an edge is given in the place of input: it reads none, and its output is where it says that
/// it serves, so that an access log on standard output, which is this server's, goes this way.
fn access_log(config: &Config) -> Result<Stdio, Error> {
    if config.edge.access_log.as_deref() != Some("-") {
        return Ok(Stdio::null());
    }
    let output = std::io::stdout().as_fd().try_clone_to_owned();
    let output = output.map_err(|e| Error::Process(format!("standard output: {e}")))?;
    Ok(output.into())
}

/// Where the edge is to listen, and with which certificates.
fn words(config: &Config, gateway: Option<&str>) -> Vec<String> {
    let edge = &config.edge;
    let mut words = vec!["--http".to_string(), edge.http.clone()];
    words.extend(["--https".to_string(), edge.https.clone()]);
    let certs = edge.certs.clone().unwrap_or_else(|| usual_certs(config));
    words.extend(["--certs".to_string(), certs.display().to_string()]);
    let ca = edge.acme_ca.as_ref().map(|file| file.display().to_string());
    let acme = [("--acme", &edge.acme), ("--acme-contact", &edge.acme_contact), ("--acme-ca", &ca)];
    for (flag, word) in acme {
        words.extend(word.iter().flat_map(|word| [flag.to_string(), word.clone()]));
    }
    words.extend(names(edge, gateway).into_iter().flat_map(|at| ["--dns".to_string(), at]));
    words.extend(edge.trust.iter().flat_map(|it| ["--trust".to_string(), it.clone()]));
    if let Some(log) = &edge.access_log {
        let log = if log == "-" { "stdin" } else { log };
        words.extend(["--access-log".to_string(), log.to_string()]);
    }
    words
}

/// Where it answers for names. Without a port it takes the one for names, or where it may not have
/// that, another.
fn names(edge: &crate::config::Edge, gateway: Option<&str>) -> Vec<String> {
    let usual = [BRIDGE.to_string(), "127.0.0.1".to_string()];
    let asked = if edge.dns.is_empty() { &usual[..] } else { &edge.dns };
    let at = |at: &String| if at == BRIDGE { gateway.map(String::from) } else { Some(at.clone()) };
    let names: Vec<String> = asked.iter().filter_map(at).collect();
    if names.is_empty() { vec!["-".to_string()] } else { names }
}

/// What is to be said where nobody answers at the bridge: instances ask others then.
fn nameless(config: &Config, bridge: Option<&str>) -> Option<String> {
    let (bridge, asked) = (bridge?, &config.edge.dns);
    if asked.iter().any(|at| at == "-") {
        return None;
    }
    let there = asked.is_empty() || asked.iter().any(|at| at == BRIDGE || at == bridge);
    let mend = if there { "see edges/main/status" } else { "say --dns bridge, too" };
    Some(format!(
        "instances do not find services by name, and ask the machine's resolvers: nobody answers \
         at {bridge}:{DNS_PORT}; {mend}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_listens_where_it_is_told_else_on_the_bridge_and_at_home() {
        let check = |line: &str, gateway: Option<&str>, want: &str| {
            let line = line.split_whitespace().map(std::ffi::OsString::from);
            let config = crate::config::parse(line, |_| None).unwrap();
            assert_eq!(words(&config, gateway).join(" "), want);
        };
        let usual = "--http :80 --https :443 --certs /var/lib/deploy/certs --dns 10.89.0.1 \
                     --dns 127.0.0.1";
        check("", Some("10.89.0.1"), usual);
        let certs = "--http :80 --https :443 --certs /c --dns -";
        check("--dns - --certs /c", Some("10.89.0.1"), certs);
        for (word, passed) in [("none", "none"), ("/l", "/l"), ("-", "stdin")] {
            let line = format!("--dns - --certs /c --access-log {word}");
            check(&line, None, &format!("{certs} --access-log {passed}"));
        }
        let acme = "--acme https://a/d --acme-contact a@b --acme-ca /r";
        check(
            &format!("--dns - --certs /c {acme}"),
            None,
            &certs.replace("--dns", &format!("{acme} --dns")),
        );
        let trust = "--trust 192.0.2.0/24,fd00::/8 --trust 10.0.0.1";
        check(&format!("--dns - --certs /c {trust}"), None, &format!("{certs} {trust}"));
        let own = "--http 127.0.0.1:0 --https - --certs /c --dns 127.0.0.1:0";
        check(own, None, own);
    }

    #[test]
    fn who_leaves_the_bridge_without_names_is_told_what_that_means_and_what_to_say() {
        let config = |line: &str| {
            let line = line.split_whitespace().map(std::ffi::OsString::from);
            crate::config::parse(line, |_| None).unwrap()
        };
        let told = |line: &str| nameless(&config(line), Some("10.89.0.1")).unwrap_or_default();
        let only = told("--dns 127.0.0.1");
        assert!(only.contains("at 10.89.0.1:53; say --dns bridge"), "{only}");
        assert!(only.starts_with("instances do not find services by name"), "{only}");
        assert!(told("--dns bridge").ends_with("see edges/main/status"));
        assert!(told("").ends_with("see edges/main/status"));
        assert_eq!(told("--dns -"), "");
        assert_eq!(nameless(&config("--dns 127.0.0.1"), None), None);
        let at = |line: &str, gateway| names(&config(line).edge, gateway).join(" ");
        assert_eq!(at("--dns bridge --dns [::1]:5", Some("10.0.0.1")), "10.0.0.1 [::1]:5");
        assert_eq!(at("--dns bridge", None), "-");
    }

    #[test]
    fn an_edge_s_status_says_its_build_where_it_answers_for_names_and_what_is_wrong() {
        let text = "build=0.1.0-1-2\nsupervisor=7\nhttp=127.0.0.1:80\ndns=10.89.0.1:53\n\
                    dns=127.0.0.1:53\nmissing=https :443: address in use\n";
        let want = Status {
            build: Some("0.1.0-1-2".to_string()),
            keeper: Pid::from_raw(7),
            dns: vec!["10.89.0.1:53".to_string(), "127.0.0.1:53".to_string()],
            warnings: vec!["https :443: address in use".to_string()],
        };
        assert_eq!(read_status(text), want);
        assert_eq!(read_status("generation=7\n"), Status::default());
    }
}

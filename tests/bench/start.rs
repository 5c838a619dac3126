//! How long it takes from a spec to a running container, beside runc on the same machine.
//!
//! Ours: the node's tree, from before `mkdir instances/ID` (then the spec is written, then
//! `start`) to the line `started` of its events, read over 9P. In that: the spec and the intent on
//! disk, the overlay mounted, cgroup, seccomp filter, log, and with `bridge` a network namespace
//! with a link and an address.
//!
//! runc: from before the exec of `runc run -d` to its exit, which is when the container runs. Its
//! bundle is ready: config.json written and the overlay mounted before the clock starts. It has
//! the same files, command and limits, and a new network namespace with nothing in it; no seccomp
//! filter and no log, as `runc spec` writes it.

use crate::figure::Figure;
use crate::peer::Runc;
use crate::server::Server;
use ninep::client::{Client, File, Mode};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Containers of each kind that are measured, in turn.
const ROUNDS: usize = 30;
/// Containers of each kind before them: what is read for the first time is in memory then.
const WARM_UP_ROUNDS: usize = 3;
/// What they run.
pub(crate) const COMMAND: &[&str] = &["/bin/busybox", "sleep", "1000"];
/// Their limits: thousandths of a core, bytes, processes.
pub(crate) const CPU_MILLI: u64 = 250;
pub(crate) const MEMORY_BYTES: u64 = 64_000_000;
pub(crate) const PIDS: u64 = 64;
/// Longer than any start or removal takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The node with each kind of network, and runc where it is installed, in turn.
pub(crate) async fn measure(server: &Server) -> Result<(), String> {
    let root = root(server.dir())?;
    server.deploy(&["push", "base:v1", &root.display().to_string()])?;
    let client = server.node().await?;
    let events = client.open("events", Mode::Read).await.map_err(|error| error.to_string())?;
    let mut node = Node { client, events, rest: String::new(), count: 0 };
    let mut runc = Runc::find(server.dir(), &root)?;
    let mut bridge = Figure::new("start, node, a network of its own", "ms");
    let mut host = Figure::new("start, node, the machine's network", "ms");
    let mut peer = Figure::new("start, runc run -d, an empty network", "ms");
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        // There and back again: what one leaves to the kernel to clean up (a network namespace,
        // a grace period) falls on each of them alike.
        let mut order = [0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for which in order {
            let (took, figure) = match (which, runc.as_mut()) {
                (0, _) => (node.start("bridge").await?, &mut bridge),
                (1, _) => (node.start("host").await?, &mut host),
                (_, Some(runc)) => (runc.run()?, &mut peer),
                (_, None) => continue,
            };
            if round >= WARM_UP_ROUNDS {
                figure.add(took.as_secs_f64() * 1e3);
            }
        }
    }
    if runc.is_none() {
        bridge.print("runc is not installed: apt-get install runc");
        host.print("");
        return Ok(());
    }
    let ratio = |ours: &Figure| format!("{:.2} of runc", ours.median() / peer.median());
    bridge.print(&format!("{} (target at most 0.7)", ratio(&bridge)));
    host.print(&ratio(&host));
    peer.print("");
    Ok(())
}

/// A directory with busybox in it, for a root.
fn root(dir: &Path) -> Result<PathBuf, String> {
    let from = Path::new("/bin/busybox");
    let bin = dir.join("root/bin");
    let made =
        std::fs::create_dir_all(&bin).and_then(|()| std::fs::copy(from, bin.join("busybox")));
    match made {
        Ok(_) => Ok(dir.join("root")),
        Err(error) => Err(format!("{}: {error}: install busybox-static", from.display())),
    }
}

/// The node's tree, and its events as far as they were read.
struct Node {
    client: Client,
    events: File,
    rest: String,
    count: u32,
}

impl Node {
    /// Starts a container and removes it; gives how long it took until it ran.
    async fn start(&mut self, network: &str) -> Result<Duration, String> {
        self.count += 1;
        let id = format!("bench-{}", self.count);
        let dir = format!("instances/{id}");
        let spec = spec(network).to_string();
        let began = Instant::now();
        let asked = async {
            self.client.mkdir(&dir).await?;
            self.client.write(&format!("{dir}/spec"), spec.as_bytes()).await?;
            self.client.write(&format!("{dir}/ctl"), b"start\n").await
        };
        asked.await.map_err(|error| format!("{id}: {error}"))?;
        self.until("started", &id).await?;
        let took = began.elapsed();
        let removed = self.client.write(&format!("{dir}/ctl"), b"remove\n").await;
        removed.map_err(|error| format!("{id}: {error}"))?;
        self.until("removed", &id).await?;
        Ok(took)
    }

    /// Reads events until one of that kind about `id`.
    async fn until(&mut self, kind: &str, id: &str) -> Result<(), String> {
        let come = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = self.line().await?;
                match line.split(' ').collect::<Vec<_>>()[..] {
                    [_, _, what, who, ..] if what == kind && who == id => return Ok(()),
                    [_, _, "failed", who, ..] if who == id => return Err(line),
                    _ => {}
                }
            }
        });
        come.await.map_err(|_| format!("{id} was never {kind}"))?
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let (line, rest) = (line.to_string(), rest.to_string());
                self.rest = rest;
                return Ok(line);
            }
            let read = self.events.read_next(8192).await.map_err(|error| error.to_string())?;
            self.rest.push_str(&String::from_utf8_lossy(&read));
        }
    }
}

/// A spec with every key that the node wants.
fn spec(network: &str) -> serde_json::Value {
    json!({
        "service": "bench", "image": "base:v1", "digest": "", "command": COMMAND,
        "user": null, "workdir": null, "env": {}, "port": null, "cpu_milli": CPU_MILLI,
        "memory_bytes": MEMORY_BYTES, "pids": PIDS, "network": network, "read_only": false,
        "cap_add": [], "cap_drop": [], "health": {"kind": "running"},
        "health_interval_ms": 10_000, "health_timeout_ms": 5_000, "health_retries": 3,
        "min_healthy_ms": 0, "stop_signal": null, "stop_timeout_ms": 1_000,
        "log_size_bytes": 1_000_000, "log_files": 1, "hostname": "bench"
    })
}

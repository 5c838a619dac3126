//! A server with a thousand services of ten instances each, on a node that runs nothing: what is
//! left is what the decision costs.

mod deployfs;

use crate::figure::Figure;
use crate::node::Node;
use crate::server::place;
use deployfs::Deployfs;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ninep::client::{Client, Mode};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Services.
const SERVICES: usize = 1_000;
/// Instances of each.
const REPLICAS: usize = 10;
/// All of them.
const INSTANCES: usize = SERVICES * REPLICAS;
/// Times that each thing is done.
const ROUNDS: usize = 5;
/// Reads of the whole table.
const READS: usize = 50;
/// Requests on their way at once, on one connection.
const AT_ONCE: usize = 64;
/// Bytes of events that are asked for at once.
const READ_BYTES: u32 = 64 * 1024;
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything, in the order of a server's life.
///
/// # Errors
/// What went otherwise than it shall.
pub(crate) async fn measure() -> Result<(), String> {
    let dir = place()?;
    let node = Node::start(dir.path())?;
    let mut server = Deployfs::start(dir.path())?;
    let client = server.client().await?;
    let began = Instant::now();
    apply(&client).await?;
    let mut first = Figure::new("many: first apply until all instances serve", "s");
    first.add(began.elapsed().as_secs_f64());
    first.print("");
    serve_all(&client).await?;
    unchanged(&server, &client, dir.path()).await?;
    status(&server, &client).await?;
    memory(&server, "")?;
    probes(&server, &client, &node).await?;
    exits(&server, &client, &node).await?;
    memory(&server, ", after repairs")?;
    drop(client);
    let mut again = Figure::new("many: kill -9, start, until all is adopted", "ms");
    for _ in 0..ROUNDS {
        drop(server);
        let began = Instant::now();
        server = Deployfs::start(dir.path())?;
        let client = server.client().await?;
        serve_all(&client).await?;
        again.add(began.elapsed().as_secs_f64() * 1e3);
    }
    again.print("(target under 1000 ms)");
    memory(&server, ", after a restart")?;
    let file = dir.path().join("store.redb");
    let bytes = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    let mut store = Figure::new("many: the store's file", "MB");
    store.add(bytes as f64 / 1e6);
    store.print("");
    Ok(())
}

fn name(n: usize) -> String {
    format!("service-{n:04}")
}

/// One service's manifest, with a route as most have one.
fn manifest(n: usize) -> String {
    format!(
        "name {0}\nimage web:v1\nreplicas {REPLICAS}\nport 8080\nhealth http /health\n\
         route {0}.example.com /\ncpu 0.1\nmemory 64M\nenv LOG_LEVEL=info\nvalidate 0\n",
        name(n)
    )
}

/// Does one thing for every service, many at once.
async fn each<F>(work: impl Fn(usize) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let all = stream::iter((0..SERVICES).map(work)).buffer_unordered(AT_ONCE);
    let all = all.try_for_each(|()| async { Ok(()) });
    tokio::time::timeout(PATIENCE, all).await.map_err(|_| "it takes too long".to_string())?
}

/// Writes and applies every manifest over one connection, and waits for all that comes of it.
async fn apply(client: &Client) -> Result<(), String> {
    each(|n| async move {
        let at = |error: ninep::client::ClientError| format!("{}: {error}", name(n));
        let path = |file: &str| format!("active/{}/{file}", name(n));
        client.put(&format!("manifests/{}", name(n)), manifest(n).as_bytes()).await.map_err(at)?;
        client.write(&path("ctl"), b"apply").await.map_err(at)?;
        client.read(&path("wait")).await.map(drop).map_err(at)
    })
    .await
}

/// Every service has all its instances, and nothing goes on.
async fn serve_all(client: &Client) -> Result<(), String> {
    let text = client.read("status").await.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&text);
    let whole = format!("{REPLICAS}/{REPLICAS}");
    let well = |line: &&str| line.contains(&whole) && line.contains("healthy  none    idle");
    match text.lines().skip(1).filter(well).count() {
        SERVICES => Ok(()),
        well => {
            let ill: Vec<&str> =
                text.lines().skip(1).filter(|line| !line.contains("idle")).collect();
            let ill = ill
                .first()
                .or(text.lines().collect::<Vec<_>>().get(1))
                .copied()
                .unwrap_or_default()
                .to_string();
            Err(format!("{well} of {SERVICES} services serve whole: {ill}"))
        }
    }
}

/// The same manifests again, over one connection and by the command.
async fn unchanged(server: &Deployfs, client: &Client, dir: &Path) -> Result<(), String> {
    let mut session = Figure::new("many: apply, unchanged, over one connection", "ms");
    for _ in 0..ROUNDS {
        let began = Instant::now();
        apply(client).await?;
        session.add(began.elapsed().as_secs_f64() * 1e3);
    }
    session.print("(target under 1000 ms)");
    let mut words = vec!["apply".to_string()];
    for n in 0..SERVICES {
        let path = dir.join(name(n));
        std::fs::write(&path, manifest(n)).map_err(|error| format!("{}: {error}", name(n)))?;
        words.extend(["-f".to_string(), path.display().to_string()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = Figure::new("many: deploy apply -f ... of all, unchanged", "ms");
    for _ in 0..ROUNDS {
        command.add(server.deploy(&words)?.as_secs_f64() * 1e3);
    }
    command.print("(target under 1000 ms)");
    Ok(())
}

async fn status(server: &Deployfs, client: &Client) -> Result<(), String> {
    let mut read = Figure::new("many: status of all, read over 9P", "ms");
    let mut command = Figure::new("many: deploy status, the whole process", "ms");
    for _ in 0..READS {
        let began = Instant::now();
        client.read("status").await.map_err(|error| error.to_string())?;
        read.add(began.elapsed().as_secs_f64() * 1e3);
        command.add(server.deploy(&["status"])?.as_secs_f64() * 1e3);
    }
    read.print("(target under 10 ms)");
    command.print("(target under 10 ms)");
    Ok(())
}

fn memory(server: &Deployfs, when: &str) -> Result<(), String> {
    let mut resident = Figure::new(format!("many: memory, resident{when}"), "MB");
    resident.add(server.megabytes("status", "VmRSS:")?);
    resident.print("(target under 60 MB)");
    let mut private = Figure::new(format!("many: memory, private{when}"), "MB");
    private.add(server.megabytes("smaps_rollup", "Private_Dirty:")?);
    private.print("");
    Ok(())
}

/// What came of events: the loop's own time for each that arrived, and the processor's.
struct Cost {
    looped: Figure,
    processor: Figure,
    span: Figure,
}

impl Cost {
    fn new(what: &str) -> Cost {
        Cost {
            looped: Figure::new(format!("many: {what}, the loop's time of each"), "us"),
            processor: Figure::new(format!("many: {what}, processor time of each"), "us"),
            span: Figure::new(format!("many: {what}, until the last was done"), "ms"),
        }
    }

    fn print(&self) {
        self.looped.print("(target under 50 us)");
        self.processor.print("");
        self.span.print("");
    }
}

/// What the loop says of itself: arrivals, and seconds it spent on them.
async fn counted(client: &Client) -> Result<(f64, f64), String> {
    let text = client.read("metrics").await.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let of = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).ok_or(format!("metrics has no {key}"))
    };
    Ok((of("deployfs_arrivals_total")?, of("deployfs_loop_seconds_total")?))
}

/// Every instance's probe answers otherwise: events that change what is shown, and nothing else.
async fn probes(server: &Deployfs, client: &Client, node: &Node) -> Result<(), String> {
    let mut cost = Cost::new("a probe's answer");
    for _ in 0..ROUNDS {
        let mut watch = Watch::open(client).await?;
        let (arrived, looped) = counted(client).await?;
        let (began, cpu) = (Instant::now(), server.cpu_us());
        node.probed(&node.running());
        node.swept();
        watch.until(|line| line.contains(" collection done")).await?;
        cost.span.add(began.elapsed().as_secs_f64() * 1e3);
        let (now, time) = counted(client).await?;
        cost.processor.add((server.cpu_us() - cpu) / (now - arrived));
        cost.looped.add((time - looped) * 1e6 / (now - arrived));
    }
    cost.print();
    Ok(())
}

/// Every instance exits at once, and is started again.
async fn exits(server: &Deployfs, client: &Client, node: &Node) -> Result<(), String> {
    let mut cost = Cost::new("an event of a repair");
    for _ in 0..ROUNDS {
        let mut watch = Watch::open(client).await?;
        let (arrived, looped) = counted(client).await?;
        let (began, cpu) = (Instant::now(), server.cpu_us());
        let started = node.started();
        node.exit(&node.running());
        let mut said = HashMap::new();
        watch
            .until(|line| {
                let mut words = line.split(' ').skip(1);
                let (service, word) = (words.next().unwrap_or_default(), words.next());
                if let Some(word @ ("healthy:" | "degraded:" | "unhealthy:")) = word {
                    said.insert(service.to_string(), word == "healthy:");
                }
                let whole = said.len() == SERVICES && said.values().all(|healthy| *healthy);
                whole && node.started() == started + INSTANCES
            })
            .await?;
        cost.span.add(began.elapsed().as_secs_f64() * 1e3);
        serve_all(client).await?;
        let (now, time) = counted(client).await?;
        cost.processor.add((server.cpu_us() - cpu) / (now - arrived));
        cost.looped.add((time - looped) * 1e6 / (now - arrived));
    }
    cost.print();
    Ok(())
}

/// Who follows the events of all services.
struct Watch {
    file: ninep::client::File,
    rest: String,
}

impl Watch {
    async fn open(client: &Client) -> Result<Watch, String> {
        let file = client.open("watch", Mode::Read).await.map_err(|error| error.to_string())?;
        Ok(Watch { file, rest: String::new() })
    }

    /// Reads lines until one is the last that is waited for.
    async fn until(&mut self, mut last: impl FnMut(&str) -> bool) -> Result<(), String> {
        let read = async {
            loop {
                let bytes = self.file.read_next(READ_BYTES).await.map_err(|why| why.to_string())?;
                self.rest.push_str(&String::from_utf8_lossy(&bytes));
                while let Some((line, rest)) = self.rest.split_once('\n') {
                    if line.starts_with("lost ") {
                        return Err(format!("events {line}"));
                    }
                    let done = last(line);
                    self.rest = rest.to_string();
                    if done {
                        return Ok(());
                    }
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.map_err(|_| "the event that is waited for does not come".to_string())?
    }
}

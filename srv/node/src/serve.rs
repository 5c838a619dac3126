//! From the words to a node that answers, and to its end.

use std::ffi::OsString;
use std::io::Write as _;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ninep::dial::{Address, listen};
use ninep::{Limits, Server};
use tokio::sync::{Semaphore, mpsc};
use tracing_subscriber::EnvFilter;

use crate::adopt;
use crate::args::{self, Options};
use crate::capacity;
use crate::desk::Desk;
use crate::dirs::Dirs;
use crate::error::{Error, Result};
use crate::exe::Exe;
use crate::fact::{Fact, Found, Phase};
use crate::handed::Handed;
use crate::images::Images;
use crate::means::{CREATES_PER_CORE, Means};
use crate::net::Net;
use crate::node::{End, Node};
use crate::ring::Ring;
use crate::session;
use crate::tree::NodeTree;
use crate::world::World;

/// Facts that wait for the loop; who finds no room waits.
const FACTS_MAX: usize = 1024;
/// Requests that wait for the loop.
const ASKS_MAX: usize = 256;
/// Threads beside the blocking ones: the work is the shims' and the kernel's.
const THREADS_MAX: usize = 4;
/// How long work on the disk that nobody waits for any more may hold up the end.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// `deployfs node`, from its words to its exit status.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let options = match args::parse(args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("deployfs node: {error}");
            return 2;
        }
    };
    let left = session::leave();
    say(&options);
    if let Err(why) = left {
        tracing::warn!("cannot leave the session of whoever started this: {why}");
    }
    let threads = capacity::cores().clamp(2, THREADS_MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|why| Error::Serve(format!("cannot start threads: {why}")));
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(serve(options));
        runtime.shutdown_timeout(END_TIME_MAX);
        ended
    });
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("deployfs node: {error}");
            1
        }
    }
}

/// Lets the log say what was asked for; a program that has a log already keeps it.
fn say(options: &Options) {
    let level = if options.verbose { "debug" } else { "info" };
    let messages = if options.trace { ",9p=info" } else { ",9p=off" };
    let filter = EnvFilter::new(format!("warn,node={level}{messages}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = log.with_ansi(false).try_init();
}

async fn serve(options: Options) -> Result<()> {
    let dirs = Dirs::open(&options.state)?;
    // Kept until the process is gone, not only until this ends: whoever waits for the lock waits
    // for the process.
    std::mem::forget(dirs.lock()?);
    let (facts, heard) = mpsc::channel(FACTS_MAX);
    let means = Arc::new(Means {
        exe: Exe::seal()?,
        images: Images::open(&dirs.images(), facts.clone())?,
        net: Net::open(dirs.tag(), options.net).await,
        handed: Handed::default(),
        creates: Arc::new(Semaphore::new(CREATES_PER_CORE * capacity::cores())),
        dirs,
        facts,
    });
    for warning in means.net.warnings() {
        tracing::warn!("{warning}");
    }
    let found = adopt::scan(&means.dirs, &means.exe).await?;
    sweep(&means, &found).await;
    let world = Arc::new(RwLock::new(World::default()));
    let ring = Ring::new();
    let mut node = Node::new(means.clone(), world.clone(), ring.clone());
    found.into_iter().map(Fact::Found).for_each(|fact| node.take_in(fact));

    let address = Address::Unix(means.dirs.socket());
    let listener = listen(&address).await.map_err(|error| Error::Serve(error.to_string()))?;
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let desk = Arc::new(Desk::new(means.clone(), asks, world, ring));
    let tree = NodeTree::new(desk, nix::unistd::geteuid().as_raw());
    let server = Arc::new(Server::new(Arc::new(tree), Limits::default()).trace(options.trace));
    let serving = tokio::spawn(server.clone().serve(listener));
    tracing::info!("serving {address}");
    // Whoever started this process waits for the line; nobody else reads it, so that it could
    // not be written means nothing.
    let _ = writeln!(std::io::stdout(), "ready");

    let end = node.run(heard, asked).await?;
    // They cannot end in time, and shall leave nothing half there.
    means.images.pushes.cancel_all();
    let swept = match end {
        End::Down => take_away(&means).await,
        End::Left => Ok(()),
    };
    // The loop has ended, so what still waits for it is answered by an error.
    server.stop();
    if tokio::time::timeout(END_TIME_MAX, serving).await.is_err() {
        tracing::warn!("connections do not end");
    }
    swept
}

/// Takes away what instances had in common; none lives any more.
async fn take_away(means: &Means) -> Result<()> {
    means.net.close().await?;
    means.exe.sweep(&means.dirs.cgroup_parent(), &[]).await
}

/// Removes what no instance that lives owns.
async fn sweep(means: &Means, found: &[Found]) {
    let lives = |found: &&Found| matches!(found.phase, Phase::Alive(_));
    let keep: Vec<String> = found.iter().filter(lives).map(|found| found.id.to_string()).collect();
    let parent = means.dirs.cgroup_parent();
    let (swept, ()) = tokio::join!(means.exe.sweep(&parent, &keep), means.net.sweep(&keep));
    if let Err(error) = swept {
        tracing::warn!("sweep of cgroups: {error}");
    }
}

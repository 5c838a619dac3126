//! From the words to a door that is open, and to its end.

use crate::accept;
use crate::answer::Door;
use crate::args::{self, Options};
use crate::error::Error;
use crate::event::Streams;
use crate::guard::Guard;
use crate::leash::Leash;
use crate::{session, token};
use nix::sys::stat::{Mode, umask};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Threads: the work is the tree's.
const THREADS: usize = 2;

/// `deployfs web`, from its words to its exit status: 64 when they make no sense, 1 when there is
/// no door by them.
pub fn run(words: impl Iterator<Item = OsString>) -> i32 {
    let words: Vec<OsString> = words.collect();
    let options = match args::parse(words.clone()) {
        Ok(options) => options,
        Err(error) => return complain(&error, 64),
    };
    let left = session::leave();
    say(&options);
    if let Err(why) = left {
        tracing::warn!("cannot leave the session of whoever started this: {why}");
    }
    // All that is made here is for nobody else.
    umask(Mode::from_bits_truncate(0o077));
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(Error::io("threads"));
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(serve(options, &words));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => 0,
        Err(error) => complain(&error, 1),
    }
}

fn complain(error: &Error, code: i32) -> i32 {
    // A server shows the last line its door has said.
    let _ = writeln!(std::io::stderr(), "deployfs web: {error}");
    code
}

/// Lets the log say what was asked for; a program that has a log already keeps it.
fn say(options: &Options) {
    let level = if options.verbose { "debug" } else { "info" };
    let filter = EnvFilter::new(format!("warn,web={level}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = log.with_ansi(false).try_init();
}

async fn serve(options: Options, words: &[String]) -> Result<(), Error> {
    let dir = options.state.join("web");
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(Error::io(dir.display().to_string()))?;
    // Kept until the process is gone, and not only until this ends.
    std::mem::forget(lock(&dir)?);
    if let Some(path) = &options.token {
        token::read(path)?;
    }
    let place = options.listen;
    let listener =
        TcpListener::bind(place).await.map_err(Error::io(format!("listen on {place}")))?;
    let place = listener.local_addr().map_err(Error::io(format!("listen on {place}")))?;
    let (leave, leaves) = watch::channel(false);
    let leash = Leash::listen(&options.state, words, leave.clone())?;
    tell(&dir, place)?;
    let guard = Guard { listen: place, token: options.token, group: options.group };
    let (streams, deploys) = (Streams::default(), Streams::default());
    let door = Door { server: options.server, guard, streams, deploys };
    on_signal(SignalKind::terminate(), leave.clone())?;
    on_signal(SignalKind::interrupt(), leave)?;
    let leash = tokio::spawn(leash.serve());
    tracing::info!("http at {place}");
    // Whoever started this waits for the line; nobody else reads it, so that it could not be
    // written means nothing.
    let _ = writeln!(std::io::stdout(), "ready");
    accept::serve(listener, Arc::new(door), leaves).await;
    leash.abort();
    Ok(())
}

/// One door a state directory.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(Error::io(path.display().to_string()))?;
    let held = |_| Error::Leash(format!("{}: another door is open", path.display()));
    file.try_lock().map_err(held)?;
    Ok(file)
}

/// Writes where the door is, which is not known beforehand of port 0.
fn tell(dir: &Path, place: SocketAddr) -> Result<(), Error> {
    let (path, new) = (dir.join("address"), dir.join("address.new"));
    let written = fs::write(&new, format!("{place}\n")).and_then(|()| fs::rename(&new, &path));
    written.map_err(Error::io(path.display().to_string()))
}

fn on_signal(kind: SignalKind, leave: watch::Sender<bool>) -> Result<(), Error> {
    let mut signals = signal(kind).map_err(Error::io("signals"))?;
    tokio::spawn(async move {
        if signals.recv().await.is_some() {
            leave.send_replace(true);
        }
    });
    Ok(())
}

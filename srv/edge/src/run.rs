//! From the words to an edge that serves, and to its end.

use std::ffi::OsString;

use tracing_subscriber::EnvFilter;

use crate::args::{self, Options};
use crate::error::Error;
use crate::process::{session, supervisor, worker};

/// `deployfs edge`, from its words to its exit status.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let options = match args::parse(args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("deployfs edge: {error}");
            return 2;
        }
    };
    let left = if options.worker { Ok(()) } else { session::leave() };
    say(&options);
    if let Err(why) = left {
        tracing::warn!("cannot leave the session of whoever started this: {why}");
    }
    raise_limit();
    // The requests have threads of their own: this one keeps them in sockets and tables.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(Error::io("start a thread")).and_then(|runtime| {
        let ended = runtime.block_on(async {
            match options.worker {
                true => worker::run(options).await,
                false => supervisor::run(options).await,
            }
        });
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("deployfs edge: {error}");
            1
        }
    }
}

/// Every connection of a user is a descriptor, and often there are two more of one to an instance,
/// which has one to be cut by: the usual limit of 1024 is for programs that use `select`.
fn raise_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(why) = raised {
        tracing::warn!("open files stay limited: {why}");
    }
}

/// Lets the log say what was asked for; a program that has a log already keeps it.
fn say(options: &Options) {
    let level = if options.verbose { "debug" } else { "info" };
    let messages = if options.trace { ",9p=info" } else { ",9p=off" };
    let filter = EnvFilter::new(format!("warn,edge={level}{messages}"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = log.with_ansi(false).try_init();
}

//! The parent of one instance: it starts the container, keeps its output, waits for its end and
//! says how it ended. `run` is the whole program `deployfs shim`.
//!
//! Never: needs a server to be alive, listens on a network, has a second thread, decides about
//! restarts or health, or reads a file of the container's root by a path the kernel may follow out.
//!
//! # The contract with the node
//!
//! ```text
//! deployfs shim DIR                     run the instance of DIR; ends when the container has ended
//! deployfs shim --reap DIR              the shim of DIR is dead: kill, clean, write `exit` if none
//! deployfs shim --sweep PARENT [ID…]    remove every cgroup below PARENT that no ID owns
//! ```
//!
//! Spawn: empty environment, stdin `/dev/null`, stdout and stderr to `DIR/shim.log`, nothing else
//! open but the network namespace when there is one. Exit status 0: the instance has an `exit`
//! file. 1: it has not, stderr says why. 2: wrong words. What else is open the shim closes.
//!
//! ## `DIR/shim.json`, written by the node before the spawn ([`wire::Config`])
//!
//! ```json
//! {"id":"web-17","cgroup_parent":"/deploy-1a2b3c4d",
//!  "layers":["/store/layers/AAA/fs","/store/layers/BBB/fs"],"rootfs":null,
//!  "image_config":{"config":{"Env":[],"Entrypoint":[],"Cmd":[],"WorkingDir":"","User":"",
//!                            "StopSignal":""}},
//!  "spec":{…the instance spec, unknown keys are passed over…},
//!  "address":"10.89.0.5/16","gateway":"10.89.0.1","netns_fd":3,"secrets_fd":4,
//!  "hosts":"127.0.0.1 localhost\n","resolv":"nameserver 10.89.0.1\n"}
//! ```
//!
//! `layers` has the top-most last; `rootfs` (an absolute directory, never written to) is used when
//! it is not null. `netns_fd` null means the machine's own network. `spec.port` is the port the
//! program must listen on; in the machine's network it is the one the node picked. The shim gives
//! it as `PORT`, beside `INSTANCE_ID`, `SERVICE` and `HOSTNAME`.
//!
//! `secrets_fd` is null where there are none. Else it is a memory file, in the form that
//! `lib/container` tells in `secrets.rs`; the shim never reads it, but the fork that makes the
//! container does, and the shim lets it go then.
//!
//! ## Files the shim writes in DIR
//!
//! | file | what |
//! |---|---|
//! | `log`, `log.1` … | `2026-11-20T12:34:05.123Z stdout text`, a line at most 16 KiB of text |
//! | `pid` | `{"boot_id":"…","shim":{"pid":N,"start":N},"init":{"pid":N,"start":N}}` |
//! | `exit` | [`wire::Exit`] as JSON, durable before anybody is told if the disk lets it be |
//! | `exit.tmp` | room for it, taken before anything runs |
//! | `sock` | the control socket |
//! | `hosts` `hostname` `resolv.conf` | bound read-only into the container |
//! | `upper` `work` `merged` `run` | the root file system |
//!
//! In `pid`, `init` is null until the program runs, and `start` is field 22 of `/proc/PID/stat`.
//! `sock`, `pid`, `exit.tmp` and the four directories are gone when the shim is.
//!
//! ## `DIR/sock`: a unix stream, one JSON object a line both ways
//!
//! See [`wire::State`] and [`wire::Answer`] from the shim, [`wire::Request`] to it.
//!
//! From the shim, a snapshot on connect and a line at every change:
//!
//! ```json
//! {"state":"starting"}
//! {"state":"running","pid":42,"started_ms":N,"warnings":["…"]}
//! {"state":"exited","code":137,"signal":"KILL","oom":false,"reason":null,"finished_ms":N}
//! {"state":"failed","reason":"command not found in the image: \"nope\"","permanent":true}
//! ```
//!
//! `failed` means that the program never ran; `exit` then has `"code"` 125, 126 or 127 and the two
//! further keys `"failed":true,"permanent":…`. After `exited` or `failed` the connection stays
//! open until cgroup, mounts and upper are gone: end of file means that nothing is left.
//! End of file without an `exit` file means that the shim died: run `--reap`.
//!
//! To the shim:
//!
//! ```json
//! {"signal":"TERM"}
//! {"stop":{"signal":"TERM","timeout_ms":10000}}
//! {"kill":true}
//! {"n":7,"exec":{"argv":["/bin/check"],"timeout_ms":5000}}
//! ```
//!
//! Both keys of `stop` may be left out or null: then the spec's, the image's, `TERM` and 10 s hold.
//! A stop that comes while starting is done as soon as the program runs. The answer to `exec` is
//! `{"n":7,"exec":{"code":0,"output":"first 1 KiB"}}`; when it could not be run or did not end in
//! time, `code` is 125, 126, 127 or 137 and `output` says why. A line that cannot be understood, or
//! a refused request, is answered by `{"error":"…"}` with the request's `n` where it had one.

mod children;
mod clock;
mod conn;
mod end;
mod error;
mod exec;
mod log;
mod maker;
mod plan;
mod reap;
mod record;
mod setup;
mod stop;
mod wait;
pub mod wire;
mod world;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use container::Site;

use crate::conn::Conns;
use crate::error::{Error, complain};
use crate::record::{EXIT, now_ms};
use crate::wire::{Config, Exit};
use crate::world::World;

/// What the words ask for.
enum Words {
    Run(PathBuf),
    Reap(PathBuf),
    Sweep(String, Vec<String>),
}

/// Does what the words after `shim` say, and returns the exit status of the process, which must
/// have been started for this and have one thread.
pub fn run(args: impl Iterator<Item = OsString>) -> i32 {
    let done = match setup::stdio().and_then(|()| words(args)) {
        Ok(Words::Run(dir)) => in_dir(&dir).and_then(|dir| instance(&dir)),
        Ok(Words::Reap(dir)) => in_dir(&dir).and_then(|dir| reap::reap(&dir)),
        Ok(Words::Sweep(parent, keep)) => reap::sweep(&parent, &keep),
        Err(error) => {
            complain(&error);
            return 2;
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            complain(&error);
            1
        }
    }
}

fn words(args: impl Iterator<Item = OsString>) -> Result<Words, Error> {
    let args: Vec<OsString> = args.collect();
    let text = |word: &OsString| word.to_str().map(str::to_owned).ok_or(Error::Usage);
    match args.as_slice() {
        [first, parent, keep @ ..] if first == "--sweep" => {
            Ok(Words::Sweep(text(parent)?, keep.iter().map(text).collect::<Result<_, _>>()?))
        }
        [first, dir] if first == "--reap" => Ok(Words::Reap(PathBuf::from(dir))),
        [dir] if !dir.to_string_lossy().starts_with('-') => Ok(Words::Run(PathBuf::from(dir))),
        _ => Err(Error::Usage),
    }
}

fn in_dir(dir: &Path) -> Result<PathBuf, Error> {
    let dir = std::fs::canonicalize(dir).map_err(Error::found("find", dir))?;
    std::env::set_current_dir(&dir).map_err(Error::io("enter", &dir))?;
    Ok(dir)
}

/// The whole life of an instance. An id is one run: with an exit file there is nothing to do.
fn instance(dir: &Path) -> Result<(), Error> {
    let config = Config::load(dir);
    if matches!(config, Err(Error::Absent(_))) {
        // No instance's directory, so that nothing of ours belongs there either.
        return config.map(drop);
    }
    let given = config.as_ref().map_or([None; 2], |given| [given.netns_fd, given.secrets_fd]);
    setup::close_others(&given.into_iter().flatten().collect::<Vec<_>>());
    let lock = record::lock(dir)?;
    if Path::new(EXIT).exists() {
        return Ok(());
    }
    let mut conns = Conns::listen()?;
    let begun = config.and_then(|config| {
        record::reserve()?;
        world::begin(dir, config, lock)
    });
    let (exit, cgroup) = match begun {
        Ok(begun) => {
            let mut world = World::new(begun, conns);
            let exit = world.run().unwrap_or_else(|error| never_ran(&error));
            conns = world.conns;
            (exit, Some(world.cgroup))
        }
        Err(error) => (never_ran(&error), None),
    };
    let site = Site::new(dir);
    let recorded = end::record(&exit, cgroup.as_ref(), &site);
    // Not on the disk is no reason not to say the truth to who listens.
    end::tell(&mut conns, exit);
    end::clean(cgroup.as_ref(), &site);
    recorded
}

fn never_ran(error: &Error) -> Exit {
    complain(error);
    Exit {
        code: 125,
        signal: None,
        oom: false,
        reason: Some(error.to_string()),
        finished_ms: now_ms(),
        failed: true,
        permanent: error.permanent(),
    }
}

//! Real processes of an edge: killed, replaced and ended under load.
//!
//! `processes [PART]` runs the cases whose name contains PART; `processes edge …` is the edge
//! under test. The other end of its 9P is a small tree that plays the files of `deployfs`.

#![allow(clippy::unwrap_used, reason = "all of this is tests, though no attribute says so")]

mod acme;
#[allow(dead_code, reason = "others who include it use the rest")]
#[path = "../authority/mod.rs"]
mod authority;
mod backend;
mod figures;
mod floods;
mod handing;
mod holding;
mod keeping;
mod logging;
mod naming;
mod secure;
mod server;
mod stalls;
mod streams;
mod trial;
mod users;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, exit};
use std::thread;
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};

fn main() {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|word| word == "edge") {
        exit(edge::run(args.skip(1)));
    }
    let part = args.filter_map(|word| word.into_string().ok()).find(|word| !word.starts_with('-'));
    if nix::unistd::geteuid().is_root() {
        // Ports of the edges under test are nobody else's, nor are disks.
        let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        unshare(own).expect("a network and mounts of our own");
        let private = Command::new("mount").args(["--make-rprivate", "/"]).status();
        assert!(private.expect("mount").success(), "mounts cannot be made our own");
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
        assert!(up.expect("ip: install Debian's iproute2").success(), "lo cannot be set up");
    }
    let mut failed = Vec::new();
    let wanted = |name: &str| part.as_ref().is_none_or(|part| name.contains(part));
    let mut all = [keeping::ALL, handing::ALL, secure::ALL, acme::ALL].concat();
    all.extend([logging::ALL, naming::ALL, floods::ALL, holding::ALL].concat());
    all.extend([streams::ALL, figures::ALL].concat());
    let chosen: Vec<&trial::Case> = all.iter().filter(|(name, _)| wanted(name)).collect();
    let slow = [stalls::ALL, streams::BESIDE].concat();
    let beside: Vec<&trial::Case> = slow.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() && beside.is_empty() {
        // The word may be for the tests of another target of this crate.
        println!("no case has {:?} in its name", part.unwrap_or_default());
    }
    // Who waits for a minute lets the others go on meanwhile.
    thread::scope(|scope| {
        let beside: Vec<_> = beside.iter().map(|case| scope.spawn(|| fails(case))).collect();
        failed.extend(chosen.into_iter().filter_map(fails));
        failed.extend(beside.into_iter().filter_map(|case| case.join().unwrap()));
    });
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// Runs a case; gives its name if it fails.
fn fails((name, case): &trial::Case) -> Option<&'static str> {
    let began = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    println!("{word} {name} ({} ms)", began.elapsed().as_millis());
    (!passed).then_some(*name)
}

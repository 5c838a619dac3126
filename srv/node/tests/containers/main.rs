//! Real containers under a real node, as root, in a network of the tests' own.
//!
//! `containers [PART]` runs the cases whose name contains PART; `containers node …` is the node
//! under test and `containers shim …` the shim that it makes of its own program.

#![allow(clippy::unwrap_used, reason = "all of this is tests, though no attribute says so")]

mod cases;
mod crashes;
mod places;
mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, exit};
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};

fn main() {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|word| word == "shim") {
        exit(shim::run(args.skip(1)));
    }
    if args.peek().is_some_and(|word| word == "node") {
        exit(node::run(args.skip(1)));
    }
    let part = args.filter_map(|word| word.into_string().ok()).find(|word| !word.starts_with('-'));
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests make namespaces, mounts and cgroups: run them as root"
    );
    // The bridge and the table of the nodes under test are nobody else's.
    unshare(CloneFlags::CLONE_NEWNET).expect("a network of our own");
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(up.expect("ip: install Debian's iproute2").success(), "lo cannot be set up");
    let mut failed = Vec::new();
    let wanted = |name: &str| part.as_ref().is_none_or(|part| name.contains(part));
    let all = [cases::ALL, places::ALL, crashes::ALL].concat();
    let chosen: Vec<&trial::Case> = all.iter().filter(|(name, _)| wanted(name)).collect();
    assert!(!chosen.is_empty(), "no case has {:?} in its name", part.unwrap_or_default());
    for (name, case) in chosen {
        let began = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
        let word = if passed { "ok" } else { "FAILED" };
        println!("{word} {name} ({} ms)", began.elapsed().as_millis());
        if !passed {
            failed.push(*name);
        }
    }
    trial::remove_root();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

//! Real containers under a real shim, as root: what happens, and what must be left of it.
//!
//! `containers [PART]` runs the cases whose name contains PART; `containers shim …` is the shim.

#![allow(clippy::print_stdout, reason = "a test program says what passed")]

mod cases;
mod scarce;
mod secrets;
mod trial;
mod volumes;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

fn main() {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|word| word == "shim") {
        std::process::exit(shim::run(args.skip(1)));
    }
    let part = args.filter_map(|word| word.into_string().ok()).find(|word| !word.starts_with('-'));
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests make namespaces, mounts and cgroups: run them as root"
    );
    let mut failed = Vec::new();
    let wanted = |name: &str| part.as_ref().is_none_or(|part| name.contains(part));
    for (name, case) in cases::ALL.iter().chain(volumes::ALL).filter(|(name, _)| wanted(name)) {
        let began = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
        let word = if passed { "ok" } else { "FAILED" };
        println!("{word} {name} ({} ms)", began.elapsed().as_millis());
        if !passed {
            failed.push(*name);
        }
    }
    trial::sweep_all();
    trial::remove_root();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

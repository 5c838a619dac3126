//! The server in a world that is made up: its real decision, placement, loop and journal against
//! a simulated node, edges, disk, clock and people, where everything goes wrong by chance. Every
//! law is checked after every step, and a seed gives the same run again. `every` looks at one
//! update in all orders in which things can happen to it.
//!
//! A failing seed is told with all that happened by `SIM_SEED=7 cargo test -p tests --test sim --
//! --exact a_seed_is_run_again --nocapture`; more updates are run with `SIM_UPDATES=1000000`.
//!
//! Never: sleeps, or asks a clock for anything but how long it took.

mod asks;
mod bonds;
mod chance;
mod disk;
mod edge;
mod every;
mod field;
mod image;
mod laws;
mod node;
mod people;
mod plant;
mod planted;
mod seen;
mod server;
mod sim;
mod steps;
mod weather;

use crate::plant::Plant;
use crate::sim::{Came, Figures};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Updates that are run; half of them on each of two threads.
const UPDATES: u64 = 100_000;
/// A run from this seed is compared with itself.
const SEED: u64 = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What a broken law is told with.
fn broken(came: &Came) -> Option<String> {
    let broken = came.broken.as_ref()?;
    let law = laws::LAWS[usize::from(broken.law) - 1];
    Some(format!(
        "seed {}: law {}: {law}\n{}\nagain: SIM_SEED={} cargo test -p tests --test sim -- --exact \
         a_seed_is_run_again --nocapture",
        came.seed, broken.law, broken.text, came.seed
    ))
}

#[test]
fn whatever_happens_the_laws_hold_and_every_update_ends() {
    let updates = number("SIM_UPDATES").unwrap_or(UPDATES);
    let began = Instant::now();
    let seeds = AtomicU64::new(number("SIM_FROM").unwrap_or(1));
    let run = || {
        let mut sum = Figures::default();
        while sum.of("updates") < updates / 2 {
            let came = sim::run(seeds.fetch_add(1, Ordering::Relaxed), Plant::None, 0, false);
            if let Some(broken) = broken(&came) {
                panic!("{broken}");
            }
            sum.add(&came.figures);
        }
        sum
    };
    let sum = std::thread::scope(|scope| {
        let other = scope.spawn(run);
        let mut sum = run();
        sum.add(&other.join().expect("the other half"));
        sum
    });
    println!("{updates} updates in {:?}", began.elapsed());
    sum.0.iter().for_each(|(what, count)| println!("\t{what:<36}{count}"));
    // What is said to go wrong does.
    for what in [
        "crashes",
        "writes of unknown outcome",
        "writes on a full disk",
        "answers told twice",
        "orders of a dead server",
        "deaths of the node",
        "containers lost",
        "strays",
        "deaths of an edge",
        "clocks set back",
        "out of memory",
        "verbs refused",
    ] {
        assert!(sum.of(what) * 20_000 >= updates, "only {} {what}", sum.of(what));
    }
}

/// With `SIM_SEED` it tells all that happens; another process asks it for the sum of a run.
#[test]
fn a_seed_is_run_again() {
    let asked = number("SIM_SEED");
    let came = sim::run(asked.unwrap_or(SEED), Plant::None, 0, asked.is_some());
    came.story.iter().for_each(|line| println!("{line}"));
    println!("trace {:016x}", came.trace);
    if let Some(broken) = broken(&came) {
        panic!("{broken}");
    }
}

#[test]
fn a_seed_gives_the_same_run_twice_in_a_process_and_in_another() {
    let traces = [SEED, SEED].map(|seed| sim::run(seed, Plant::None, 0, false).trace);
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], sim::run(SEED + 1, Plant::None, 0, false).trace);
    let own = std::env::current_exe().expect("this program");
    let told = Command::new(own)
        .args(["--exact", "a_seed_is_run_again", "--nocapture"])
        .env_remove("SIM_SEED")
        .output()
        .expect("another process");
    let told = String::from_utf8_lossy(&told.stdout);
    let trace = format!("trace {:016x}", traces[0]);
    assert!(told.lines().any(|line| line.ends_with(&trace)), "{trace} is not in\n{told}");
}

#[test]
fn in_every_order_of_what_can_happen_to_an_update_the_laws_hold() {
    let began = Instant::now();
    let cases = every::cases();
    let next = AtomicU64::new(0);
    let look = || {
        let mut sum = every::Seen::default();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            match every::look(*case) {
                Ok(seen) => sum.add(seen),
                Err(why) => panic!("{case:?}: {why}"),
            }
        }
        sum
    };
    let sum = std::thread::scope(|scope| {
        let other = scope.spawn(look);
        let mut sum = look();
        sum.add(other.join().expect("the other half"));
        sum
    });
    println!(
        "{} cases, {} states, {} transitions, {} deep, {} ends, {} cut off, in {:?}",
        cases.len(),
        sum.states,
        sum.transitions,
        sum.depth,
        sum.ends,
        sum.cut,
        began.elapsed()
    );
    assert!(sum.states > 1_000_000, "only {} states", sum.states);
}

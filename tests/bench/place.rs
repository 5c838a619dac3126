//! How fast nodes are chosen: a fleet is filled, changed while it is full, and asked what it has
//! to refuse.

use crate::figure::Figure;
use crate::memory::resident_bytes;
use crate::place_mix::{Chance, machine, services};
use place::{Fleet, Want, WantId};
use std::hint::black_box;
use std::time::Instant;

const NODES: usize = 5_000;
const INSTANCES: u64 = 1_000_000;
/// Placements of which one figure is made while the fleet fills.
const ROUND: u64 = 50_000;
/// Instances that are changed, one after the other, once it is full.
const CHANGES: u64 = 200_000;
/// Wants that cannot be met, asked one after the other.
const REFUSALS: usize = 2_000;

/// A want and the instances that are there of it.
struct Running {
    id: WantId,
    want: Want,
    instances: Vec<u64>,
}

/// Filling, changing and refusing, one after the other on one core.
pub(crate) fn measure() -> Result<(), String> {
    let mut chance = Chance::new();
    let mut fleet = Fleet::new();
    let start = Instant::now();
    for at in 0..NODES {
        fleet.join(machine(at, &mut chance));
    }
    let wants = services(INSTANCES, &mut chance);
    println!("{} nodes joined in {:?}, {} services", NODES, start.elapsed(), wants.len());
    let mut running = fill(&mut fleet, wants)?;
    change(&mut fleet, &mut running, &mut chance)?;
    refuse(&mut fleet, &running)
}

/// Places every instance, a service after the other as their manifests come.
fn fill(fleet: &mut Fleet, wants: Vec<(Want, u64)>) -> Result<Vec<Running>, String> {
    let before = resident_bytes()?;
    let mut rate = Figure::new("place, filling 5,000 nodes, placements", "/s");
    let (mut running, mut placed, mut refused) = (Vec::with_capacity(wants.len()), 0, 0);
    // Ids that the caller keeps are his memory, not the fleet's.
    let mut kept_bytes = 0;
    let mut lap = Instant::now();
    let (mut number, all) = (0, Instant::now());
    for (want, replicas) in wants {
        let id = fleet.declare(want.clone());
        let mut instances = Vec::with_capacity(usize::try_from(replicas).unwrap_or(0));
        for _ in 0..replicas {
            number += 1;
            match fleet.place(number, id, None) {
                Ok(_) => instances.push(number),
                Err(_) => refused += 1,
            }
            placed += 1;
            if placed % ROUND == 0 {
                rate.add(ROUND as f64 / lap.elapsed().as_secs_f64());
                lap = Instant::now();
            }
        }
        kept_bytes += instances.capacity() * size_of::<u64>() + size_of::<Want>();
        running.push(Running { id, want, instances });
    }
    let seconds = all.elapsed().as_secs_f64();
    rate.print("(target at least 100,000)");
    let mut mean = Figure::new("place, filling, all of them, placements", "/s");
    mean.add(placed as f64 / seconds);
    mean.print(&format!("{placed} asked, {refused} refused"));
    let bytes = resident_bytes()?.saturating_sub(before + kept_bytes as u64);
    let mut memory = Figure::new("place, memory an instance, nodes and services included", "B");
    memory.add(bytes as f64 / (placed - refused) as f64);
    memory.print("");
    Ok(running)
}

/// Updates as they come: a successor is placed while its predecessor is there, which then goes.
fn change(fleet: &mut Fleet, running: &mut [Running], chance: &mut Chance) -> Result<(), String> {
    let mut rate = Figure::new("place, changing a full fleet, a placement and a removal", "/s");
    let (mut number, mut stayed, mut refused) = (2 * INSTANCES, 0_u64, 0_u64);
    for _ in 0..10 {
        let lap = Instant::now();
        for _ in 0..CHANGES / 10 {
            let one = &mut running[chance.below(running.len() as u64) as usize];
            if one.instances.is_empty() {
                continue;
            }
            let at = chance.below(one.instances.len() as u64) as usize;
            let old = one.instances[at];
            number += 1;
            let home = fleet.node_of(old).map(str::to_owned);
            match fleet.place(number, one.id, Some(old)) {
                Ok(node) => {
                    stayed += u64::from(home.as_deref() == Some(node));
                    one.instances[at] = number;
                    fleet.remove(old).map_err(|error| error.to_string())?;
                }
                Err(_) => refused += 1,
            }
        }
        rate.add(CHANGES as f64 / 10.0 / lap.elapsed().as_secs_f64());
    }
    rate.print(&format!("{stayed} of {CHANGES} stayed, {refused} refused"));
    Ok(())
}

/// What is larger than anything that is free, and why it is refused.
fn refuse(fleet: &mut Fleet, running: &[Running]) -> Result<(), String> {
    let failed = |error: place::Error| error.to_string();
    let mut large = Vec::new();
    for one in running.iter().filter(|one| one.want.volumes.is_empty()).take(REFUSALS) {
        let mut want = one.want.clone();
        want.needs.memory_bytes *= 1 << 16;
        large.push(fleet.declare(want));
    }
    let mut rate = Figure::new("place, refusing what fits nowhere", "/s");
    for _ in 0..10 {
        let lap = Instant::now();
        for id in &large {
            if let Some(node) = fleet.would_place(*id, None).map_err(failed)? {
                return Err(format!("{node} has room for what is larger than any node"));
            }
        }
        rate.add(large.len() as f64 / lap.elapsed().as_secs_f64());
    }
    rate.print("");
    let mut told = Figure::new("place, why 5,000 nodes refuse, one line", "ms");
    let mut line = String::new();
    for id in large.iter().take(20) {
        let lap = Instant::now();
        line = black_box(fleet.why(*id).map_err(failed)?);
        told.add(lap.elapsed().as_secs_f64() * 1e3);
    }
    told.print("");
    println!("  {line}");
    Ok(())
}

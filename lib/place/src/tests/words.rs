//! What people are told when nothing fits.

use crate::{Reason, Refusal, State, TOLD_BYTES_MAX, told};

fn memory(node: &str, free_bytes: u64) -> Refusal {
    let (wants_bytes, of_bytes) = (512_000_000, 4_000_000_000);
    let reasons = vec![Reason::Memory { wants_bytes, free_bytes, of_bytes }];
    Refusal { node: node.to_owned(), reasons }
}

fn label(node: &str, label: &str) -> Refusal {
    let (label, wants) = (label.to_owned(), "ssd".to_owned());
    Refusal { node: node.to_owned(), reasons: vec![Reason::Label { label, wants, has: None }] }
}

#[track_caller]
fn check(refusals: &[Refusal], line: &str) {
    assert_eq!(told(refusals), line);
    let mut other = refusals.to_vec();
    other.reverse();
    assert_eq!(told(&other), line, "in another order");
}

#[test]
fn nodes_that_lack_the_same_are_told_together() {
    check(&[], "");
    check(&[memory("a", 200_000_000)], "a: memory: wants 512M, 200M free of 4G");
    check(
        &[memory("a", 200_000_000), memory("b", 0), memory("c", 1), label("d", "disk")],
        "a: memory: wants 512M, 200M free of 4G; 2 more: memory; d: label disk=ssd missing",
    );
    check(
        &[label("d", "disk"), label("e", "disk"), label("f", "disk")],
        "d and 2 more: label disk=ssd missing",
    );
}

#[test]
fn nodes_that_lack_least_are_told_first() {
    let mut both = label("a", "disk");
    both.reasons.extend(memory("a", 0).reasons);
    check(
        &[both, memory("b", 0)],
        "b: memory: wants 512M, 0 free of 4G; \
         a: label disk=ssd missing; memory: wants 512M, 0 free of 4G",
    );
}

#[test]
fn the_line_stays_short_and_counts_every_node() {
    let states = [State::Closed, State::Draining, State::Suspect, State::Lost];
    let mut refusals: Vec<Refusal> = Vec::new();
    for at in 0..5_000_usize {
        let mut refusal = memory(&format!("node-{at:04}"), at as u64);
        // A number of reasons of its own for each of many groups.
        let more = (0..at % 40).map(|port| Reason::Port(u16::try_from(port).unwrap()));
        refusal.reasons.extend(more);
        refusal.reasons.push(Reason::State(states[at % 4]));
        refusals.push(refusal);
    }
    let line = told(&refusals);
    assert!(line.len() <= TOLD_BYTES_MAX, "{} bytes: {line}", line.len());
    let mut counted = 0;
    for part in line.split("; ") {
        let words: Vec<&str> = part.split(' ').collect();
        counted += usize::from(part.starts_with("node-"));
        if words.get(1) == Some(&"more") || words.get(1) == Some(&"more:") {
            counted += words[0].parse::<usize>().unwrap();
        }
    }
    assert_eq!(counted, 5_000, "{line}");
}

//! Where instances go. A case is nodes, a want, and the answer.
//!
//! A node is `name cpu/of memory/of instances`, cores and memory as reserved of what there is;
//! `closed` behind it takes nothing new.

use crate::{Node, Resources, place, room};
use manifest::units::{parse_cpu_milli, parse_size_bytes};
use proptest::prelude::*;

fn resources(cpu: &str, memory: &str) -> Resources {
    Resources {
        cpu_milli: parse_cpu_milli(cpu).unwrap(),
        memory_bytes: parse_size_bytes(memory).unwrap(),
    }
}

fn node(line: &str) -> Node {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (used_cpu, of_cpu) = words[1].split_once('/').unwrap();
    let (used_memory, of_memory) = words[2].split_once('/').unwrap();
    Node {
        name: words[0].to_owned(),
        capacity: resources(of_cpu, of_memory),
        reserved: resources(used_cpu, used_memory),
        instances: words[3].parse().unwrap(),
        accepting: words.get(4) != Some(&"closed"),
    }
}

/// The want is `cpu memory`; the answer is a node's name, or the refusals, a line each.
#[track_caller]
fn check(nodes: &[&str], want: &str, answer: &str) {
    let nodes: Vec<Node> = nodes.iter().map(|line| node(line)).collect();
    let (cpu, memory) = want.split_once(' ').unwrap();
    let want = resources(cpu, memory);
    let got = match place(&nodes, want) {
        Ok(node) => node.name.clone(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    assert_eq!(got, answer);
}

#[test]
fn a_node_without_room_is_refused_with_its_reason() {
    check(&["node-1 1.75/2 0/4Gi 0"], "0.5 64M", "node-1: cpu: wants 0.5, 0.25 free of 2");
    check(&["node-1 0/2 3Gi/4Gi 0"], "0.5 1536Mi", "node-1: memory: wants 1536Mi, 1Gi free of 4Gi");
    check(
        &["a 2/2 4G/4G 0", "b 0/8 0/8G 0 closed"],
        "1 1G",
        "a: cpu: wants 1, 0 free of 2; memory: wants 1G, 0 free of 4G\nb: takes no new instances",
    );
    check(&[], "1 1G", "");
}

#[test]
fn what_exactly_fits_fits() {
    check(&["a 1.5/2 3G/4G 0"], "0.5 1G", "a");
}

#[test]
fn a_node_that_shrank_below_what_is_reserved_has_nothing_free() {
    check(&["a 4/2 0/4G 0"], "0.1 1M", "a: cpu: wants 0.1, 0 free of 2");
}

#[test]
fn instances_of_one_service_spread_before_nodes_are_filled() {
    check(&["a 1/2 1G/4G 1", "b 0/2 0/4G 0"], "0.5 64M", "b");
    check(&["a 0/2 0/4G 2", "b 1.5/2 3G/4G 1"], "0.5 64M", "b");
}

#[test]
fn among_equals_the_fullest_that_fits_is_taken() {
    check(&["a 0/2 0/4G 0", "b 1/2 1G/4G 0", "c 2/2 1G/4G 0"], "0.5 64M", "b");
}

#[test]
fn a_small_node_is_filled_before_a_large_one() {
    check(&["large 0/64 0/256G 0", "small 0/2 0/4G 0"], "0.5 64M", "small");
}

#[test]
fn the_name_decides_at_last_whatever_the_order() {
    check(&["b 0/2 0/4G 0", "a 0/2 0/4G 0"], "0.5 64M", "a");
}

#[test]
fn room_counts_what_both_cores_and_memory_allow() {
    let nodes = [node("a 0/2 0/1024M 0"), node("b 0/1 0/4G 0"), node("c 0/8 0/8G 0 closed")];
    assert_eq!(room(&nodes, resources("0.5", "512M"), 10), 4);
    assert_eq!(room(&nodes, resources("0.5", "512M"), 3), 3);
    assert_eq!(room(&nodes, resources("0", "0"), 10), 10);
    assert_eq!(room(&[], resources("0.5", "512M"), 10), 0);
}

fn any_resources() -> impl Strategy<Value = Resources> {
    (0_u32..4000, 0_u64..4000)
        .prop_map(|(cpu_milli, memory_bytes)| Resources { cpu_milli, memory_bytes })
}

fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let parts = (any_resources(), any_resources(), 0_u32..4, any::<bool>());
    prop::collection::vec(parts, 0..6).prop_map(|parts| {
        let node = |(index, (capacity, reserved, instances, accepting))| {
            let name = format!("node-{index}");
            Node { name, capacity, reserved, instances, accepting }
        };
        parts.into_iter().enumerate().map(node).collect()
    })
}

fn fits(node: &Node, want: Resources) -> bool {
    let cpu = u64::from(node.reserved.cpu_milli) + u64::from(want.cpu_milli);
    let memory = node.reserved.memory_bytes + want.memory_bytes;
    let has_cpu = want.cpu_milli == 0 || cpu <= u64::from(node.capacity.cpu_milli);
    let has_memory = want.memory_bytes == 0 || memory <= node.capacity.memory_bytes;
    node.accepting && has_cpu && has_memory
}

proptest! {
    #[test]
    fn no_node_gets_more_than_it_has_and_a_refusal_means_that_none_fits(
        nodes in any_nodes(), want in any_resources(),
    ) {
        match place(&nodes, want) {
            Ok(node) => {
                prop_assert!(fits(node, want));
                let better = |other: &Node| other.instances < node.instances && fits(other, want);
                prop_assert!(!nodes.iter().any(better));
            }
            Err(refusals) => {
                prop_assert!(!nodes.iter().any(|node| fits(node, want)));
                prop_assert_eq!(refusals.len(), nodes.len());
                prop_assert!(refusals.iter().all(|refusal| !refusal.reasons.is_empty()));
            }
        }
    }

    #[test]
    fn room_is_what_placing_one_after_the_other_finds(
        mut nodes in any_nodes(), want in any_resources(),
    ) {
        const COUNT: u32 = 40;
        let room = room(&nodes, want, COUNT);
        let mut placed = 0;
        while placed < COUNT {
            let Ok(name) = place(&nodes, want).map(|node| node.name.clone()) else { break };
            let node = nodes.iter_mut().find(|node| node.name == name).unwrap();
            node.reserved.cpu_milli += want.cpu_milli;
            node.reserved.memory_bytes += want.memory_bytes;
            node.instances += 1;
            placed += 1;
        }
        prop_assert_eq!(room, placed);
    }
}

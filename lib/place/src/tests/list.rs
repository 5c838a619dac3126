//! Where instances go. A case is nodes, a want, and the answer.
//!
//! A node is `name cpu/of memory/of instances`, cores and memory as reserved of what there is;
//! `closed` behind it takes nothing new.

use crate::{Node, Resources, Volume, Want, place, room};
use manifest::units::{parse_cpu_milli, parse_size_bytes};
use proptest::prelude::*;
use std::collections::BTreeMap;

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
        ..Node::default()
    }
}

fn of(needs: Resources) -> Want {
    Want { needs, ..Want::default() }
}

/// The want is `cpu memory`; the answer is a node's name, or the refusals, a line each.
#[track_caller]
fn check(nodes: &[&str], want: &str, answer: &str) {
    let nodes: Vec<Node> = nodes.iter().map(|line| node(line)).collect();
    let (cpu, memory) = want.split_once(' ').unwrap();
    let want = of(resources(cpu, memory));
    let got = match place(&nodes, &want) {
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
    let room = |cpu, memory, count| room(&nodes, &of(resources(cpu, memory)), count);
    assert_eq!(room("0.5", "512M", 10), 4);
    assert_eq!(room("0.5", "512M", 3), 3);
    assert_eq!(room("0", "0", 10), 10);
    assert_eq!(crate::room(&[], &of(resources("0.5", "512M")), 10), 0);
}

/// Bytes for volumes, the volumes there are, and bytes of those that instances have.
type Disk<'a> = (u64, &'a [(&'a str, u64)], u64);

/// Nodes of any cores and memory, with these bytes for volumes and the volumes on them; a want of
/// `NAME BYTES`, a lasting volume, or `- BYTES`, one of its own; the answer, and the room for ten.
#[track_caller]
fn check_volumes(nodes: &[Disk<'_>], want: &str, answer: &str, most: u32) {
    let node = |(at, (bytes, volumes, own)): (usize, &Disk<'_>)| Node {
        name: format!("n{at}"),
        capacity: resources("64", "64G"),
        volume_bytes: *bytes,
        volumes: volumes.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect(),
        own_bytes: *own,
        accepting: true,
        ..Node::default()
    };
    let nodes: Vec<Node> = nodes.iter().enumerate().map(node).collect();
    let (name, bytes) = want.split_once(' ').unwrap();
    let (ephemeral, bytes) = (name == "-", bytes.parse().unwrap());
    let want = Want {
        volumes: vec![Volume { name: name.to_owned(), ephemeral, bytes }],
        ..of(resources("1", "1G"))
    };
    let got = match place(&nodes, &want) {
        Ok(node) => node.name.clone(),
        Err(refusals) => refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    assert_eq!((got.as_str(), room(&nodes, &want, 10)), (answer, most));
}

#[test]
fn an_instance_goes_where_its_volume_is_or_nowhere() {
    check_volumes(&[(100, &[], 0), (100, &[("data", 60)], 0)], "data 60", "n1", 10);
    check_volumes(&[(100, &[], 0), (0, &[("data", 0)], 0)], "data 0", "n1", 10);
    let full = "n0: volume data is on n1\nn1: volumes: wants 41, 40 free of 100";
    check_volumes(&[(500, &[], 0), (100, &[("data", 60)], 0)], "data 101", full, 0);
}

#[test]
fn a_volume_is_counted_once_and_grows_by_what_is_more_and_one_of_an_instance_each_time() {
    check_volumes(&[(100, &[("data", 60)], 0)], "data 100", "n0", 10);
    check_volumes(&[(100, &[("db", 60)], 0)], "data 40", "n0", 10);
    check_volumes(
        &[(100, &[("db", 60)], 1)],
        "data 40",
        "n0: volumes: wants 40, 39 free of 100",
        0,
    );
    check_volumes(&[(100, &[("db", 60)], 10)], "- 10", "n0", 3);
    check_volumes(&[(10, &[("db", 60)], 0)], "- 1", "n0: volumes: wants 1, 0 free of 10", 0);
    // All go where the first makes it.
    check_volumes(&[(100, &[], 0), (100, &[], 0)], "data 5", "n0", 10);
}

fn any_resources() -> impl Strategy<Value = Resources> {
    (0_u32..4000, 0_u64..4000)
        .prop_map(|(cpu_milli, memory_bytes)| Resources { cpu_milli, memory_bytes })
}

fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let parts = (any_resources(), any_resources(), 0_u32..4, any::<bool>(), 0_u64..400, 0_u64..200);
    prop::collection::vec(parts, 0..6).prop_map(|parts| {
        let node =
            |(index, (capacity, reserved, instances, accepting, volume_bytes, own_bytes))| {
                let (name, volumes) = (format!("node-{index}"), BTreeMap::new());
                Node {
                    name,
                    capacity,
                    reserved,
                    volume_bytes,
                    volumes,
                    own_bytes,
                    instances,
                    accepting,
                }
            };
        parts.into_iter().enumerate().map(node).collect()
    })
}

fn any_want() -> impl Strategy<Value = Want> {
    (any_resources(), 0_u64..50).prop_map(|(needs, bytes)| {
        let volume = Volume { name: "own".to_owned(), ephemeral: true, bytes };
        Want { volumes: vec![volume], ..of(needs) }
    })
}

fn fits(node: &Node, want: &Want) -> bool {
    let (bytes, want) = (want.volumes[0].bytes, want.needs);
    let cpu = u64::from(node.reserved.cpu_milli) + u64::from(want.cpu_milli);
    let memory = node.reserved.memory_bytes + want.memory_bytes;
    let has_cpu = want.cpu_milli == 0 || cpu <= u64::from(node.capacity.cpu_milli);
    let has_memory = want.memory_bytes == 0 || memory <= node.capacity.memory_bytes;
    let has_disk = bytes == 0 || node.own_bytes + bytes <= node.volume_bytes;
    node.accepting && has_cpu && has_memory && has_disk
}

proptest! {
    #[test]
    fn no_node_gets_more_than_it_has_and_a_refusal_means_that_none_fits(
        nodes in any_nodes(), want in any_want(),
    ) {
        match place(&nodes, &want) {
            Ok(node) => {
                prop_assert!(fits(node, &want));
                let better = |other: &Node| other.instances < node.instances && fits(other, &want);
                prop_assert!(!nodes.iter().any(better));
            }
            Err(refusals) => {
                prop_assert!(!nodes.iter().any(|node| fits(node, &want)));
                prop_assert_eq!(refusals.len(), nodes.len());
                prop_assert!(refusals.iter().all(|refusal| !refusal.reasons.is_empty()));
            }
        }
    }

    #[test]
    fn room_is_what_placing_one_after_the_other_finds(
        mut nodes in any_nodes(), want in any_want(),
    ) {
        const COUNT: u32 = 40;
        let room = room(&nodes, &want, COUNT);
        let mut placed = 0;
        while placed < COUNT {
            let Ok(name) = place(&nodes, &want).map(|node| node.name.clone()) else { break };
            let node = nodes.iter_mut().find(|node| node.name == name).unwrap();
            node.reserved.cpu_milli += want.needs.cpu_milli;
            node.reserved.memory_bytes += want.needs.memory_bytes;
            node.own_bytes += want.volumes[0].bytes;
            node.instances += 1;
            placed += 1;
        }
        prop_assert_eq!(room, placed);
    }
}

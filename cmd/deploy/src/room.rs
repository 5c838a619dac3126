//! The room that an update needs, beside what the nodes have: facts, no decision.

use crate::going::instances;
use crate::row::values;
use manifest::Manifest;
use manifest::units::{show_cpu, show_size};
use serde_json::{Value, json};

/// What one instance reserves, how many more are needed, and what is free.
#[derive(Debug)]
pub(crate) struct Room {
    needs: u32,
    cpu_milli: u32,
    memory_bytes: u64,
    /// The nodes, once they were read.
    pub(crate) nodes: Vec<Node>,
}

/// What is free on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Thousandths of a core.
    pub(crate) cpu_milli: u64,
    /// Bytes.
    pub(crate) memory_bytes: u64,
}

impl Node {
    /// What is left of its `capacity` when what is `allocated` is taken off.
    pub(crate) fn read(name: &str, capacity: &str, allocated: &str) -> Node {
        let number = |text: &str, key: &str| -> u64 {
            values(text).get(key).and_then(|value| value.parse().ok()).unwrap_or_default()
        };
        let free = |key| number(capacity, key).saturating_sub(number(allocated, key));
        Node { name: name.to_string(), cpu_milli: free("cpu"), memory_bytes: free("memory") }
    }
}

impl Room {
    /// For so many instances more of a manifest.
    pub(crate) fn new(of: &Manifest, needs: u32) -> Room {
        let (cpu_milli, memory_bytes) = (of.cpu_milli, of.memory_bytes);
        Room { needs, cpu_milli, memory_bytes, nodes: Vec::new() }
    }

    /// Takes what it needs off what the nodes have, for whoever comes after it.
    pub(crate) fn take_from(&self, nodes: &mut [Node]) {
        let mut left = u64::from(self.needs);
        for node in nodes {
            let count = self.takes(node).min(left);
            node.cpu_milli -= count * u64::from(self.cpu_milli);
            node.memory_bytes -= count * self.memory_bytes;
            left -= count;
        }
    }

    /// How many more are needed.
    pub(crate) fn needs(&self) -> u32 {
        self.needs
    }

    fn takes(&self, node: &Node) -> u64 {
        let cpu = node.cpu_milli / u64::from(self.cpu_milli).max(1);
        cpu.min(node.memory_bytes / self.memory_bytes.max(1))
    }

    fn is_enough(&self) -> bool {
        let all: u64 = self.nodes.iter().map(|node| self.takes(node)).sum();
        all >= u64::from(self.needs)
    }

    /// Why there is no room even where only so many more have to fit. None where there is, and
    /// where no node has told yet.
    pub(crate) fn lacks(&self, least: u32) -> Option<String> {
        let all: u64 = self.nodes.iter().map(|node| self.takes(node)).sum();
        (!self.nodes.is_empty() && all < u64::from(least)).then(|| self.text())
    }

    /// In one line.
    pub(crate) fn text(&self) -> String {
        let enough = self.is_enough();
        let node = |node: &Node| {
            let takes = format!("{} takes {}", node.name, self.takes(node));
            if enough {
                return takes;
            }
            let cpu = show_cpu(u32::try_from(node.cpu_milli).unwrap_or(u32::MAX));
            format!("{takes} (free: cpu {cpu}, memory {})", show_size(node.memory_bytes))
        };
        let nodes: Vec<String> = self.nodes.iter().map(node).collect();
        format!(
            "{}: for {} more (cpu {}, memory {}); {}",
            if enough { "room" } else { "no room" },
            instances(self.needs),
            show_cpu(self.cpu_milli),
            show_size(self.memory_bytes),
            if nodes.is_empty() { "no node answers".to_string() } else { nodes.join(", ") },
        )
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let node = |node: &Node| json!({"node": node.name, "takes": self.takes(node)});
        json!({
            "needs": self.needs,
            "fits": self.is_enough(),
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_after_another_has_the_room_that_is_left() {
        let manifest = manifest::parse("web", "image a:1\ncpu 1\nmemory 10M\n").manifest.unwrap();
        let node = |cpu_milli, memory_bytes| {
            let name = "n".to_string();
            Node { name, cpu_milli, memory_bytes }
        };
        let mut nodes = [node(1_500, 100_000_000), node(4_000, 15_000_000)];
        Room::new(&manifest, 3).take_from(&mut nodes);
        assert_eq!(nodes, [node(500, 90_000_000), node(3_000, 5_000_000)]);
    }

    #[test]
    fn what_is_free_is_capacity_without_what_is_allocated() {
        let node = Node::read("n", "cpu=4000\nmemory=100\n", "cpu=250\nmemory=120\n");
        assert_eq!(node, Node { name: "n".to_string(), cpu_milli: 3750, memory_bytes: 0 });
    }
}

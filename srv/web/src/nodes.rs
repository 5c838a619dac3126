//! Nodes, and all of a server in a few numbers.

use crate::refusal::Result;
use crate::service;
use crate::tree::{Tree, values};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All nodes.
pub(crate) async fn all(tree: &Tree) -> Result<Value> {
    let mut nodes = Vec::new();
    for name in tree.names("nodes").await? {
        let at = |file: &str| format!("nodes/{name}/{file}");
        let of = |text: Option<String>| text.unwrap_or_default();
        let status = of(tree.find(&at("status")).await?);
        let capacity = of(tree.find(&at("capacity")).await?);
        let allocated = of(tree.find(&at("allocated")).await?);
        nodes.push(json!({
            "node": name, "state": values(&status).get("state"),
            "capacity": resources(&capacity), "allocated": resources(&allocated),
        }));
    }
    Ok(json!({ "nodes": nodes }))
}

/// Cores in thousandths, memory in bytes.
fn resources(text: &str) -> Value {
    let values = values(text);
    let of = |key: &str| values.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    json!({ "cpu_milli": of("cpu"), "memory_bytes": of("memory") })
}

/// All in a few numbers.
pub(crate) async fn status(tree: &Tree) -> Result<Value> {
    let mut health: BTreeMap<String, u64> = BTreeMap::new();
    let mut updating = Vec::new();
    for row in service::rows(&tree.read("status").await?) {
        let word = row["health"].as_str().unwrap_or("undeployed").to_string();
        *health.entry(word).or_default() += 1;
        if matches!(row["status"].as_str(), Some("rolling" | "paused")) {
            updating.push(row["service"].clone());
        }
    }
    let mut edges = Vec::new();
    for name in tree.names("edges").await? {
        let status = tree.find(&format!("edges/{name}/status")).await?.unwrap_or_default();
        let values = values(&status);
        let number = |key: &str| values.get(key).and_then(|text| text.parse::<u64>().ok());
        edges.push(json!({
            "edge": name, "state": values.get("state"),
            "serves": number("serves"), "newest": number("newest"),
        }));
    }
    let nodes = all(tree).await?;
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"), "services": health, "updating": updating,
        "nodes": nodes["nodes"], "edges": edges,
    }))
}

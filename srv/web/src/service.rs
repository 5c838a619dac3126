//! Services: the table of all, and one with its update and its instances.

use crate::refusal::Result;
use crate::tree::{Tree, pair, values};
use serde_json::{Map, Value, json};

/// Instances that are told of one service; no service has more.
const INSTANCES_MAX: usize = manifest::limits::REPLICAS_MAX as usize;

/// A row each.
pub(crate) async fn all(tree: &Tree) -> Result<Value> {
    Ok(json!({ "services": rows(&tree.read("status").await?) }))
}

/// The rows of the tree's table, whose columns are parted by two blanks or more.
pub(crate) fn rows(table: &str) -> Vec<Value> {
    table.lines().skip(1).map(row).collect()
}

fn row(line: &str) -> Value {
    let mut cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let mut next = || cells.next().unwrap_or_default();
    let (service, version, replicas) = (next(), next(), next());
    let (health, status, phase, progress, why) = (next(), next(), next(), next(), next());
    let (number, name) = version.split_once(' ').unwrap_or_default();
    let or_none =
        |text: &str| if text.is_empty() || text == "-" { Value::Null } else { json!(text) };
    json!({
        "service": service, "number": or_none(number), "version": or_none(name),
        "replicas": replicas_of(replicas), "health": or_none(health),
        "status": status, "phase": phase, "progress": progress_of(progress), "why": or_none(why),
    })
}

fn replicas_of(text: &str) -> Value {
    let (healthy, wanted) = pair(text);
    json!({ "healthy": healthy, "wanted": wanted })
}

fn progress_of(text: &str) -> Value {
    let (serving, wanted) = pair(text);
    json!({ "serving": serving, "wanted": wanted })
}

/// One service.
pub(crate) async fn one(tree: &Tree, name: &str) -> Result<Value> {
    let at = |file: &str| format!("active/{name}/{file}");
    let state = tree.of_service(name, tree.read(&at("state")).await).await?;
    let of = |text: Option<String>| text.unwrap_or_default();
    let health = of(tree.find(&at("health")).await?);
    let replicas = of(tree.find(&at("replicas")).await?);
    let progress = of(tree.find(&at("update_progress")).await?);
    let error = of(tree.find(&at("error")).await?);
    // Not without its last newline: it is given as it was written.
    let manifest = tree.read(&at("manifest")).await.unwrap_or_default();
    let state: Map<String, Value> =
        values(&state).into_iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    Ok(json!({
        "service": name, "health": health, "replicas": replicas_of(&replicas),
        "progress": progress_of(&progress), "state": state, "error": error,
        "instances": instances(tree, name).await?, "manifest": manifest,
    }))
}

/// Its instances in the order of their places.
async fn instances(tree: &Tree, name: &str) -> Result<Vec<Value>> {
    let directory = format!("active/{name}/instances");
    // The service may go meanwhile, and then it has none.
    let names = tree.names(&directory).await.unwrap_or_default();
    let mut places: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    places.sort_unstable();
    let mut rows = Vec::new();
    for place in places.into_iter().take(INSTANCES_MAX) {
        if let Some(status) = tree.find(&format!("{directory}/{place}/status")).await? {
            rows.push(instance(place, &status));
        }
    }
    Ok(rows)
}

fn instance(place: u32, status: &str) -> Value {
    let values = values(status);
    let of = |key: &str| values.get(key).copied().unwrap_or_default();
    json!({
        "instance": place, "id": of("id"), "version": of("version"), "node": of("node"),
        "address": of("address"), "state": of("state"), "health": of("health"),
        "probe": of("probe"), "restarts": of("restarts").parse::<u32>().ok(),
        "exit": of("exit"), "reason": of("reason"), "started": of("started"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_table_is_an_object() {
        let table = "SERVICE  VERSION          REPLICAS  HEALTH   UPDATE   PHASE  PROGRESS  WHY\n\
                     api      -                0/0       -        none     idle   0/0\n\
                     web      v2 ab12cd34ef56  3/3       healthy  rolling  start  1/3\n\
                     x        v1 ab12cd34ef57  0/1  unhealthy  failed  idle  0/1  3: gone\n";
        let rows = rows(table);
        assert_eq!(rows.len(), 3);
        assert_eq!(
            rows[1],
            json!({
                "service": "web", "number": "v2", "version": "ab12cd34ef56",
                "replicas": {"healthy": 3, "wanted": 3}, "health": "healthy",
                "status": "rolling", "phase": "start",
                "progress": {"serving": 1, "wanted": 3}, "why": null,
            })
        );
        assert_eq!((&rows[0]["version"], &rows[0]["health"]), (&Value::Null, &Value::Null));
        assert_eq!(rows[2]["why"], "3: gone");
    }
}

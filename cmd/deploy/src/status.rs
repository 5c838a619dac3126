//! `status`: the table of all services, or one screen about one.

use crate::edges;
use crate::error::Result;
use crate::failure::End;
use crate::follow::rows;
use crate::link::Link;
use crate::out::{Out, table};
use crate::past::Past;
use crate::row::{Row, values};
use serde_json::{Map, Value, json};

/// Instances that are listed.
const ROWS_MAX: usize = 1_000;

/// Last events that are shown.
const EVENTS_SHOWN: usize = 10;

/// The table, as the server prints it, or an object a service.
pub(crate) async fn all(link: &Link, out: Out) -> Result<()> {
    let text = link.read("status").await?;
    match out.json {
        true => objects(&text).iter().try_for_each(|object| out.object(object)),
        false => out.data(text.as_bytes()),
    }?;
    edges::troubles(link).await?.iter().for_each(|trouble| out.message(trouble));
    Ok(())
}

/// A printed table as objects: the first line names the keys, columns are two blanks apart.
fn objects(text: &str) -> Vec<Value> {
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(String::from).collect()
    };
    let mut lines = text.lines();
    let keys: Vec<String> =
        lines.next().map(cells).unwrap_or_default().iter().map(|key| key.to_lowercase()).collect();
    let object = |line: &str| {
        let pairs = keys.iter().cloned().zip(cells(line).into_iter().map(Value::from));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    lines.map(object).collect()
}

/// One service: its update, its instances, its last events.
pub(crate) async fn one(link: &Link, out: Out, service: &str) -> Result<()> {
    let file = async |file: &str| -> Result<String> {
        Ok(link.read(&format!("active/{service}/{file}")).await?.trim().to_string())
    };
    let seen = Seen {
        service: service.to_string(),
        state: file("state").await?,
        replicas: file("replicas").await?,
        health: file("health").await?,
        progress: file("update_progress").await?,
        error: file("error").await?,
        versions: versions(link, service).await?,
        rows: rows(link, service, ROWS_MAX).await?,
        events: file("events").await?,
    };
    match out.json {
        true => out.object(&seen.json()),
        false => out.data(seen.text().as_bytes()),
    }
}

/// The versions that are kept, in the order of their numbers.
pub(crate) async fn versions(link: &Link, service: &str) -> Result<Vec<Past>> {
    let directory = format!("active/{service}/history");
    let mut versions = Vec::new();
    for name in link.names(&directory).await? {
        versions.extend(link.find(&format!("{directory}/{name}")).await?.map(Past::read));
    }
    versions.sort_by_key(Past::count);
    Ok(versions)
}

/// What the files of one service said.
#[derive(Debug, Default)]
struct Seen {
    service: String,
    state: String,
    replicas: String,
    health: String,
    progress: String,
    error: String,
    versions: Vec<Past>,
    rows: Vec<Row>,
    events: String,
}

impl Seen {
    /// A version's number before its name: `v7 ab12cd34ef56`.
    fn version(&self, name: &str) -> String {
        match self.versions.iter().find(|past| past.name == name) {
            Some(past) => format!("{} {name}", past.number),
            None => name.to_string(),
        }
    }

    fn number(&self, name: &str) -> String {
        self.version(name).split(' ').next().unwrap_or_default().to_string()
    }

    fn text(&self) -> String {
        let state = values(&self.state);
        let of = |key: &str| state.get(key).copied().unwrap_or_default();
        let current = match of("current") {
            "" => "nothing deployed".to_string(),
            name => self.version(name),
        };
        let mut lines =
            vec![format!("{}  {current}  {} {}", self.service, self.replicas, self.health)];
        let mut update = format!("update  {}", of("status"));
        if !of("target").is_empty() {
            update.push_str(&format!(" to {}", self.version(of("target"))));
        }
        if of("phase") != "idle" {
            update.push_str(&format!(", {}, {} serve", of("phase"), self.progress));
        }
        if !of("started").is_empty() {
            update.push_str(&format!(", since {} by {}", of("started"), of("by")));
        }
        lines.push(update);
        let told = [("reason", of("reason")), ("refused", &self.error)];
        for (word, text) in told.iter().filter(|(_, text)| !text.is_empty()) {
            lines.push(format!("{word}  {text}"));
        }
        let mut text = lines.join("\n") + "\n";
        if !self.rows.is_empty() {
            text.push_str(&format!("\n{}", self.instances()));
        }
        if !self.events.is_empty() {
            text.push('\n');
            // What a failed instance wrote is in its log, and would be all there is to see here.
            let is_log = |line: &&str| !line.contains(": log: ");
            let events: Vec<&str> = self.events.lines().filter(is_log).collect();
            let from = events.len().saturating_sub(EVENTS_SHOWN);
            events[from..].iter().for_each(|line| text.push_str(&format!("{line}\n")));
        }
        text
    }

    fn instances(&self) -> String {
        let head =
            ["INSTANCE", "ID", "VERSION", "STATE", "HEALTH", "NODE", "ADDRESS", "RESTARTS", ""];
        let mut cells = vec![head.map(String::from)];
        cells.extend(self.rows.iter().map(|row| {
            let end = [row.exit.as_str(), row.reason.as_str()];
            let end: Vec<&str> = end.into_iter().filter(|text| !text.is_empty()).collect();
            [
                format!("{}/{}", self.service, row.number),
                row.id.clone(),
                self.number(&row.version),
                row.state.clone(),
                row.health.clone(),
                row.node.clone(),
                row.address.clone(),
                row.restarts.clone(),
                end.join(": "),
            ]
        }));
        table(&cells)
    }

    fn json(&self) -> Value {
        let state: Map<String, Value> =
            values(&self.state).into_iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
        json!({
            "service": self.service,
            "state": state,
            "replicas": self.replicas,
            "health": self.health,
            "progress": self.progress,
            "error": self.error,
            "instances": self.rows.iter().map(instance).collect::<Vec<_>>(),
            "last_failure": self.last_failure(),
        })
    }

    /// The instance that failed last, of all versions that are kept, and its version's number.
    fn last_failure(&self) -> Value {
        let failed = self.versions.iter().filter_map(|past| Some((past, past.failure.as_ref()?)));
        let last = failed.max_by(|(_, one), (_, other)| one.at.cmp(&other.at));
        last.map_or(Value::Null, |(past, failure)| {
            let mut object = failure.json();
            object["version"] = json!(past.number);
            object
        })
    }
}

/// An instance as programs read it.
fn instance(row: &Row) -> Value {
    let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mut object = json!({
        "instance": row.number, "id": row.id, "version": row.version, "state": row.state,
        "health": row.health, "node": row.node, "address": row.address,
        "restarts": row.restarts.parse::<u32>().ok(), "reason": row.reason,
        "last_probe": known(&row.probe),
    });
    object.as_object_mut().into_iter().for_each(|object| End::read(&row.exit).put(object));
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_becomes_objects_with_its_heads_as_keys() {
        let text = "SERVICE  VERSION  REPLICAS\nweb      v7 ab12  4/4\napi      -        0/1\n";
        let got = objects(text);
        assert_eq!(got[0], json!({"service": "web", "version": "v7 ab12", "replicas": "4/4"}));
        assert_eq!(got[1]["replicas"], "0/1");
    }

    #[test]
    fn one_screen_says_what_runs_what_goes_on_and_what_happened() {
        let past = Past::read("# version ab v7\n".to_string());
        let next = Past::read("# version cd v8\n".to_string());
        let state = "status=rolling\nphase=health\nstarted=2026-11-20T12:34:05Z\nby=ann\n\
                     previous=\ncurrent=ab\ntarget=cd\nreason=\n";
        let row =
            "id=web-9\nversion=cd\nnode=node-1\nstate=checking\nhealth=starting\nrestarts=0\n";
        let seen = Seen {
            service: "web".to_string(),
            state: state.to_string(),
            replicas: "4/4".to_string(),
            health: "healthy".to_string(),
            progress: "1/4".to_string(),
            versions: vec![past, next],
            rows: vec![Row::read(4, row)],
            events: "2026-11-20T12:34:05Z rolling update started v7→v8".to_string(),
            ..Seen::default()
        };
        let want = "web  v7 ab  4/4 healthy\n\
            update  rolling to v8 cd, health, 1/4 serve, since 2026-11-20T12:34:05Z by ann\n\n\
            INSTANCE  ID     VERSION  STATE     HEALTH    NODE    ADDRESS  RESTARTS\n\
            web/4     web-9  v8       checking  starting  node-1           0\n\n\
            2026-11-20T12:34:05Z rolling update started v7→v8\n";
        assert_eq!(seen.text(), want);
        assert_eq!(seen.json()["instances"][0]["instance"], 4);
    }
}

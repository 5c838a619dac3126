//! A deploy as JSON: one object a line, the phases `started pulling scheduled starting healthy
//! stopped`, then exactly one `done` or `failed` a service.

use crate::exit::Exit;
use crate::fact::{Fact, Pace};
use crate::flaw::Flaw;
use crate::going::Going;
use crate::news::{News, Report};
use crate::outcome::Outcome;
use crate::plain::number;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Objects of a deploy of one service or several.
#[derive(Debug, Default)]
pub(crate) struct Json {
    /// Where each instance was scheduled, so that what happens to it later says so too.
    nodes: BTreeMap<(String, u32), String>,
}

impl Json {
    /// The objects for one report: one, if it is worth one, and before the end each error of a
    /// manifest that was refused.
    pub(crate) fn take(&mut self, report: &Report) -> Vec<Value> {
        let mut object = Map::new();
        object.insert("service".to_string(), json!(report.service));
        match &report.news {
            News::Rows(_) => return Vec::new(),
            News::Accepted => put(&mut object, "phase", json!("started")),
            News::Going { time, going } => {
                put(&mut object, "phase", json!("updating"));
                put(&mut object, "time", json!(time));
                put(&mut object, "how", json!(going.began.how.word()));
                put(&mut object, "replaces", replaces(going));
                put(&mut object, "from", json!(going.began.from));
                put(&mut object, "to", json!(going.began.to));
                if let Some(to) = &going.to {
                    put(&mut object, "image", json!(to.image));
                    put(&mut object, "replicas", json!(to.replicas));
                }
                put(&mut object, "reason", json!(going.began.reason));
            }
            News::Told { time, fact } => {
                put(&mut object, "phase", json!(phase(fact)));
                put(&mut object, "time", json!(time));
                self.fact(&mut object, &report.service, fact);
            }
            News::Ended(outcome, failure) => {
                ended(&mut object, outcome, outcome.exit(report.asked));
                put(&mut object, "failure", json!(failure.as_ref().map(|failure| failure.json())));
            }
            News::Broken { reason, exit } => {
                put(&mut object, "phase", json!("failed"));
                put(&mut object, "reason", json!(reason));
                put(&mut object, "exit", json!(exit.code()));
                let file = format!("manifests/{}", report.service);
                let flaws = Flaw::of_refusal(&file, reason);
                return flaws.iter().map(Flaw::json).chain([Value::Object(object)]).collect();
            }
        }
        vec![Value::Object(object)]
    }

    fn fact(&mut self, object: &mut Map<String, Value>, service: &str, fact: &Fact) {
        if let Some(number) = number(fact) {
            put(object, "instance", json!(number));
            let key = (service.to_string(), number);
            if let Fact::Scheduled { node, .. } = fact {
                self.nodes.insert(key.clone(), node.clone());
            }
            put(object, "node", json!(self.nodes.get(&key)));
        }
        match fact {
            Fact::Pulling(what) => put(object, "image", json!(what)),
            Fact::Healthy { took, .. } => put(object, "seconds", seconds(Some(took))),
            Fact::Stopped { old, .. } => put(object, "old", json!(old)),
            Fact::Failed { reason, .. } => put(object, "reason", json!(reason)),
            Fact::Log { line, .. } => put(object, "text", json!(line)),
            Fact::Of { text, .. } | Fact::Text(text) => put(object, "text", json!(text)),
            Fact::Paused(reason) => put(object, "reason", json!(reason)),
            Fact::Scheduled { .. } | Fact::Starting { .. } | Fact::Began(_) | Fact::Ended(_) => {}
        }
    }
}

/// True of a change that stops all old instances first; else left out.
fn replaces(going: &Going) -> Value {
    match going.began.pace {
        Pace::Replace => json!(true),
        Pace::Surge | Pace::TurnRound => Value::Null,
    }
}

/// The phase's word; `failed` alone is kept for the end of it all.
fn phase(fact: &Fact) -> &'static str {
    match fact {
        Fact::Pulling(_) => "pulling",
        Fact::Scheduled { .. } => "scheduled",
        Fact::Starting { .. } => "starting",
        Fact::Healthy { .. } => "healthy",
        Fact::Stopped { .. } => "stopped",
        Fact::Failed { .. } => "instance-failed",
        Fact::Log { .. } => "log",
        Fact::Paused(_) => "paused",
        Fact::Began(_) => "updating",
        Fact::Of { .. } | Fact::Text(_) | Fact::Ended(_) => "note",
    }
}

fn ended(object: &mut Map<String, Value>, outcome: &Outcome, exit: Exit) {
    put(object, "phase", json!(if exit == Exit::Done { "done" } else { "failed" }));
    for (key, value) in of_outcome(outcome, exit) {
        put(object, &key, value);
    }
}

/// An outcome's own keys.
pub(crate) fn of_outcome(outcome: &Outcome, exit: Exit) -> Map<String, Value> {
    let mut object = Map::new();
    put(&mut object, "outcome", json!(outcome.verdict.word()));
    put(&mut object, "what", json!(outcome.kind));
    put(&mut object, "from", json!(outcome.from));
    put(&mut object, "to", json!(outcome.to));
    put(&mut object, "seconds", seconds(outcome.took.as_ref()));
    put(&mut object, "reason", json!(outcome.reason));
    put(&mut object, "exit", json!(exit.code()));
    object
}

/// `0.2s` as a number; null when it is none.
fn seconds(took: Option<&String>) -> Value {
    json!(took.and_then(|took| took.trim_end_matches('s').parse::<f64>().ok()))
}

/// Adds a key; one that has no value is left out.
fn put(object: &mut Map<String, Value>, key: &str, value: Value) {
    if !value.is_null() {
        object.insert(key.to_string(), value);
    }
}

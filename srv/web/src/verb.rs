//! The verbs: one written to the service's `ctl`, as `echo` would.

use crate::body::{self, Answer};
use crate::query::Query;
use crate::refusal::Result;
use crate::tree::Tree;
use hyper::StatusCode;
use serde_json::json;

/// What a service can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described in its row of the routes")]
pub(crate) enum Verb {
    Apply,
    Pause,
    Resume,
    Cancel,
    Rollback,
    Restart,
    Scale,
    Stop,
    Remove,
}

impl Verb {
    /// The line for the `ctl`.
    fn line(self, query: &Query) -> String {
        match self {
            Verb::Apply => "apply".to_string(),
            Verb::Pause => "pause".to_string(),
            Verb::Resume => "resume".to_string(),
            Verb::Cancel => "cancel".to_string(),
            Verb::Rollback => match query.text("version") {
                Some(version) => format!("rollback {version}"),
                None => "rollback".to_string(),
            },
            Verb::Restart => "restart".to_string(),
            Verb::Scale => format!("scale {}", query.number("replicas").unwrap_or_default()),
            Verb::Stop => "stop".to_string(),
            Verb::Remove => "remove".to_string(),
        }
    }
}

/// Writes the verb. What comes of it `/v1/events` tells.
pub(crate) async fn answer(tree: &Tree, name: &str, verb: Verb, query: &Query) -> Result<Answer> {
    let line = verb.line(query);
    tree.of_service(name, tree.write(&format!("active/{name}/ctl"), &line).await).await?;
    let mut answer = body::json(&json!({"service": name, "verb": line}));
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

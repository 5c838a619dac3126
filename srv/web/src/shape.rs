//! What answers look like, as JSON Schema: the description has them by these names.

use serde_json::{Map, Value, json};

/// The name of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described by what it stands for")]
pub(crate) enum Shape {
    Openapi,
    Services,
    Service,
    History,
    Log,
    Accepted,
    Nodes,
    Status,
    Metrics,
}

impl Shape {
    /// The same in a description.
    pub(crate) fn reference(self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{self:?}") })
    }
}

/// All of them, and what they are made of.
pub(crate) fn all() -> Map<String, Value> {
    let list = |name: &str, of: &str| object(json!({ name: array(reference(of)) }));
    let text = || json!({"type": "string"});
    let shapes = [
        ("Openapi", object(json!({"openapi": text(), "paths": {"type": "object"}}))),
        ("Services", list("services", "Row")),
        ("Row", row()),
        ("Service", service()),
        ("Instance", instance()),
        ("History", list("history", "Version")),
        ("Version", version()),
        ("Log", list("lines", "Line")),
        ("Line", line()),
        ("Accepted", object(json!({"service": text(), "verb": text()}))),
        ("Nodes", list("nodes", "Node")),
        ("Node", node()),
        ("Status", status()),
        ("Metrics", metrics()),
        ("Error", error()),
        ("Progress", progress()),
        ("Done", object(json!({"seconds": {"type": "number"}}))),
        ("Failed", object(json!({"service": text(), "reason": text()}))),
        ("Event", event()),
    ];
    shapes.into_iter().map(|(name, shape)| (name.to_string(), shape)).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An object that has all of these.
fn object(properties: Value) -> Value {
    let keys: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({"type": "object", "required": keys, "properties": properties})
}

/// An object that has the first, and may have the others.
fn open(must: Value, may: Value) -> Value {
    let mut shape = object(must);
    for (key, value) in may.as_object().into_iter().flatten() {
        shape["properties"][key] = value.clone();
    }
    shape
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn text_or_null() -> Value {
    json!({"type": ["string", "null"]})
}

fn replicas() -> Value {
    object(json!({"healthy": count(), "wanted": count()}))
}

fn advance() -> Value {
    object(json!({"serving": count(), "wanted": count()}))
}

fn row() -> Value {
    object(json!({
        "service": text(), "number": text_or_null(), "version": text_or_null(),
        "replicas": replicas(), "health": text_or_null(), "status": text(), "phase": text(),
        "progress": advance(), "why": text_or_null(),
    }))
}

fn service() -> Value {
    object(json!({
        "service": text(), "health": text(), "replicas": replicas(), "progress": advance(),
        "state": {"type": "object", "additionalProperties": text()}, "error": text(),
        "instances": array(reference("Instance")), "manifest": text(),
    }))
}

fn instance() -> Value {
    object(json!({
        "instance": count(), "id": text(), "version": text(), "node": text(), "address": text(),
        "state": text(), "health": text(), "probe": text(),
        "restarts": {"type": ["integer", "null"]}, "exit": text(), "reason": text(),
        "started": text(),
    }))
}

fn version() -> Value {
    let failure = open(
        json!({"log": array(text())}),
        json!({"reason": text(), "exit": text(), "probe": text()}),
    );
    open(
        json!({
            "number": text(), "version": text(), "image": text(), "by": text(), "at": text(),
            "ended": text(), "ends": array(text()), "validated": {"type": "boolean"},
            "failure": {"oneOf": [{"type": "null"}, failure]}, "manifest": text(),
        }),
        json!({"commit": text(), "message": text()}),
    )
}

fn line() -> Value {
    object(json!({
        "time": text(), "instance": text_or_null(), "stream": text(), "text": text(),
    }))
}

fn node() -> Value {
    let resources = || object(json!({"cpu_milli": count(), "memory_bytes": count()}));
    object(json!({
        "node": text(), "state": text_or_null(), "capacity": resources(),
        "allocated": resources(),
    }))
}

fn status() -> Value {
    let generation = || json!({"type": ["integer", "null"]});
    let edge = object(json!({
        "edge": text(), "state": text_or_null(), "serves": generation(), "newest": generation(),
    }));
    object(json!({
        "version": text(),
        "services": {"type": "object", "additionalProperties": count()},
        "updating": array(text()), "nodes": array(reference("Node")), "edges": array(edge),
    }))
}

fn metrics() -> Value {
    let took = json!({
        "type": "array", "description": "so many requests took so many seconds at most",
        "items": {"type": "array", "minItems": 2, "maxItems": 2},
    });
    let figures = object(json!({
        "requests": count(), "errors": count(), "in_flight": count(), "took": took,
    }));
    object(json!({
        "at": count(), "services": {"type": "object", "additionalProperties": figures},
    }))
}

fn error() -> Value {
    let flaw = object(json!({"line": count(), "column": count(), "message": text()}));
    open(
        json!({"error": {"type": "string", "description": "what is wrong"}}),
        json!({
            "hint": {"type": "string", "description": "what to do"},
            "errors": {
                "type": "array", "description": "all that is wrong in a manifest", "items": flaw,
            },
        }),
    )
}

fn progress() -> Value {
    let phases = ["started", "pulling", "scheduled", "starting", "healthy", "stopped"];
    open(
        json!({"phase": {"enum": phases}}),
        json!({"service": text(), "node": text(), "seconds": {"type": "number"}}),
    )
}

fn event() -> Value {
    open(
        json!({"text": text()}),
        json!({
            "time": text(), "service": text(), "instance": {"type": ["integer", "null"]},
        }),
    )
}

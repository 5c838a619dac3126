//! The OpenAPI 3.1 description, made from the table that requests are matched by.

use crate::limits::{BODY_BYTES_MAX, STREAMS_MAX};
use crate::routes::{Does, Gives, Kind, Needs, ROUTES, Route, Way, Word};
use crate::shape::{self, Shape};
use serde_json::{Map, Value, json};

/// The document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| !matches!(route.does, Does::Page(_))) {
        let way = match route.way {
            Way::Get => "get",
            Way::Post => "post",
        };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[way] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "deploy", "version": env!("CARGO_PKG_VERSION"),
            "description": "The file tree of deployfs over HTTP. Every error is JSON with error \
                            and, where there is something to do, hint.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": shape::all(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut of = Map::new();
    of.insert("operationId".to_string(), json!(name(route)));
    of.insert("summary".to_string(), json!(route.meaning));
    let mut parameters: Vec<Value> = Vec::new();
    if route.path.contains("{name}") {
        let schema = schema(Kind::Service);
        parameters.push(json!({"name": "name", "in": "path", "required": true, "schema": schema}));
    }
    parameters.extend(route.words.iter().map(parameter));
    if resumes(route) {
        let pattern = match route.does == Does::Deploy {
            true => "^[0-9a-f]{1,16}\\.([0-9a-f]{1,16}|end-[0-9]{1,3})$",
            false => "^[0-9a-f]{1,16}$",
        };
        let schema = json!({"type": "string", "pattern": pattern});
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false, "schema": schema,
            "description": "the id of the last event that came: the stream goes on behind it",
        }));
    }
    of.insert("parameters".to_string(), json!(parameters));
    if route.does == Does::Deploy {
        let text = json!({"schema": {"type": "string", "maxLength": BODY_BYTES_MAX}});
        let body = json!({"required": true, "content": {"text/plain": text}});
        of.insert("requestBody".to_string(), body);
    }
    of.insert("responses".to_string(), responses(route));
    let security = match route.needs {
        Needs::Nothing => json!([]),
        // Without a token, on loopback, none is asked for.
        Needs::Read | Needs::Write => json!([{}, {"token": []}]),
    };
    of.insert("security".to_string(), security);
    Value::Object(of)
}

/// `get_services_history`, `post_deploy`.
fn name(route: &Route) -> String {
    let way = if route.way == Way::Get { "get" } else { "post" };
    let words = route.path.split(['/', '.']).skip(2).filter(|word| !word.is_empty());
    let words = words.map(|word| if word == "{name}" { "one" } else { word });
    std::iter::once(way).chain(words).collect::<Vec<_>>().join("_")
}

fn resumes(route: &Route) -> bool {
    matches!(route.gives, Gives::Stream | Gives::ObjectOrStream(_))
}

fn parameter(word: &Word) -> Value {
    json!({
        "name": word.name, "in": "query", "required": word.must, "schema": schema(word.kind),
        "description": word.meaning,
    })
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Number(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Kind::Truth => json!({"type": "boolean"}),
        Kind::Service => {
            let most = manifest::limits::NAME_CHARS_MAX;
            let pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
            json!({"type": "string", "pattern": pattern, "maxLength": most})
        }
        Kind::Version => json!({"type": "string", "pattern": "^(v[0-9]{1,9}|[0-9a-f]{12})$"}),
        Kind::Line => {
            json!({"type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,200}$"})
        }
    }
}

fn responses(route: &Route) -> Value {
    let mut all = Map::new();
    let object = |shape: Shape| json!({"application/json": {"schema": shape.reference()}});
    let of = match (route.does == Does::Deploy, route.does == Does::Log) {
        (true, _) => {
            "progress events, then done, or failed for each service that did; their data are \
             Progress, Done and Failed"
        }
        (false, true) => "messages, each of which is a Line",
        (false, false) => "messages, each of which is an Event",
    };
    let stream = || json!({"text/event-stream": {"schema": {"type": "string", "description": of}}});
    let good = |content: Value| json!({"description": route.meaning, "content": content});
    match route.gives {
        Gives::File(kind) => all.insert("200".to_string(), good(json!({ kind: {} }))),
        Gives::Object(shape) => all.insert("200".to_string(), good(object(shape))),
        Gives::Accepted(shape) => all.insert("202".to_string(), good(object(shape))),
        Gives::Stream => all.insert("200".to_string(), good(stream())),
        Gives::ObjectOrStream(shape) => {
            let mut content = object(shape);
            content["text/event-stream"] = stream()["text/event-stream"].take();
            all.insert("200".to_string(), good(content))
        }
    };
    if route.does == Does::Deploy {
        all.insert("204".to_string(), json!({"description": "all was told already"}));
    }
    for (status, meaning) in refusals(route) {
        let content =
            json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
        all.insert(status.to_string(), json!({"description": meaning, "content": content}));
    }
    Value::Object(all)
}

/// The refusals that can come, with their meaning.
fn refusals(route: &Route) -> Vec<(&'static str, String)> {
    let say = |status, meaning: &str| (status, meaning.to_string());
    let mut all = vec![
        say("400", "the request, or a word of it, makes no sense"),
        say("403", "for another host, from another site's page, or by somebody who may not"),
    ];
    if route.needs != Needs::Nothing {
        all.push(say("401", "the token is missing or wrong"));
        all.push(say("503", "the server is not there, or has no room"));
        all.push(say("504", "the server did not answer in time"));
    }
    if route.path.contains("{name}") {
        all.push(say("404", "no such service, or no such version"));
    }
    if route.way == Way::Post {
        all.push(say("409", "refused by the state things are in; nothing was changed"));
    }
    if route.does == Does::Deploy {
        all.push(say("408", "the body did not come in time"));
        all.push(("413", format!("the body has more than {BODY_BYTES_MAX} bytes")));
        all.push(say("415", "the body is said to be no text"));
    }
    if resumes(route) {
        all.push(("429", format!("{STREAMS_MAX} streams are open")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Found, find};
    use std::collections::BTreeSet;

    #[test]
    fn the_description_and_the_table_say_the_same() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let mut described = BTreeSet::new();
        for (path, ways) in paths {
            for (way, operation) in ways.as_object().unwrap() {
                described.insert(format!("{way} {path}"));
                // What is described is what a request finds.
                let asked = path.replace("{name}", "web");
                let wanted = if way == "get" { Way::Get } else { Way::Post };
                let Found::Route(route, name) = find(Some(wanted), &asked) else {
                    panic!("{way} {path} is described, and nothing answers it");
                };
                assert_eq!((route.path, name.is_some()), (path.as_str(), path.contains("{name}")));
                let words: Vec<&str> = route.words.iter().map(|word| word.name).collect();
                let told: Vec<&str> = operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                assert_eq!(words, told, "{path}");
            }
        }
        let api = ROUTES.iter().filter(|route| route.path.starts_with("/v1/"));
        let there: BTreeSet<String> = api
            .map(|route| {
                format!("{} {}", if route.way == Way::Get { "get" } else { "post" }, route.path)
            })
            .collect();
        assert_eq!(described, there);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let names: Vec<String> =
            ROUTES.iter().filter(|route| route.path.starts_with("/v1/")).map(name).collect();
        let different: BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert!(names.contains(&"post_services_one_scale".to_string()), "{names:?}");
    }
}

//! What goes on: the events of all services or one, and what a service's instances write.

use crate::answer::Door;
use crate::body::{self, Answer};
use crate::event::{Event, Reader};
use crate::fact::Line;
use crate::limits::HEARTBEAT;
use crate::query::Query;
use crate::refusal::{Refusal, Result};
use crate::trail::{Lines, Mark, Start, Trail};
use crate::tree::Tree;
use hyper::header::HeaderMap;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Lines of a log, unless more or less is asked for.
const LOG_LINES: u64 = 500;

/// `GET /v1/events`.
pub(crate) async fn events(door: &Door, query: &Query, head: &HeaderMap) -> Result<Answer> {
    let start = match last_id(head)? {
        Some(mark) => Start::Behind(mark),
        None => Start::Last(count(query.number("tail").unwrap_or_default())),
    };
    let (reader, come) = door.streams.begin()?;
    let tree = Tree::dial(&door.server).await?;
    let (trail, lines) = Trail::begin(&tree, "events", "watch", start).await?;
    let service = query.text("service").map(str::to_string);
    tokio::spawn(tell(trail, lines, reader, move |line| event(line, service.as_deref())));
    Ok(body::events(come))
}

/// `GET /v1/services/{name}/log`.
pub(crate) async fn log(
    door: &Door,
    name: &str,
    query: &Query,
    head: &HeaderMap,
) -> Result<Answer> {
    let lines = count(query.number("lines").unwrap_or(LOG_LINES));
    let (grow, wait) = (format!("active/{name}/log"), format!("active/{name}/tail"));
    let tree = Tree::dial(&door.server).await?;
    if !query.is("follow") {
        let text = tree.of_service(name, tree.read(&grow).await).await?;
        let all: Vec<&str> = text.lines().collect();
        let last = &all[all.len().saturating_sub(lines)..];
        let values: Vec<Value> = last.iter().map(|line| written(line)).collect();
        return Ok(body::json(&json!({ "lines": values })));
    }
    let start = match last_id(head)? {
        Some(mark) => Start::Behind(mark),
        None => Start::Last(lines),
    };
    let (reader, come) = door.streams.begin()?;
    let begun = Trail::begin(&tree, &grow, &wait, start).await;
    let (trail, lines) = tree.of_service(name, begun).await?;
    tokio::spawn(tell(trail, lines, reader, |line| Some(written(line))));
    Ok(body::events(come))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn last_id(head: &HeaderMap) -> Result<Option<Mark>> {
    let Some(id) = head.get("last-event-id") else { return Ok(None) };
    let mark = id.to_str().ok().and_then(Mark::read);
    mark.map(Some).ok_or_else(|| {
        Refusal::bad("Last-Event-ID is the id of no event")
            .hint("send one that a stream of this kind gave")
    })
}

/// Tells lines as they come, until nobody listens or there is no such text any more.
async fn tell(
    mut trail: Trail,
    first: Lines,
    reader: Reader,
    of: impl Fn(&str) -> Option<Value> + Send,
) {
    let mut lines = first;
    loop {
        let mut events = Vec::new();
        if lines.lost {
            let data = json!({"text": "events are missing here: they were let go of"});
            events.push(Event { id: trail.at().to_string(), name: Some("lost"), data });
        }
        events.extend(lines.lines.iter().filter_map(|(mark, line)| {
            of(line).map(|data| Event { id: mark.to_string(), name: None, data })
        }));
        if !reader.tell(&events).await {
            return;
        }
        lines = loop {
            let next = tokio::select! {
                next = timeout(HEARTBEAT, trail.next()) => next,
                () = reader.gone() => return,
            };
            match next {
                Ok(Some(lines)) => break lines,
                Ok(None) => return,
                Err(_) => {
                    reader.beat().await;
                }
            }
        };
    }
}

/// A line of the tree's events.
fn event(line: &str, service: Option<&str>) -> Option<Value> {
    let Some(line) = Line::read(line) else {
        return service.is_none().then(|| json!({ "text": line }));
    };
    let wanted = service.is_none_or(|service| line.service == service);
    wanted.then(|| {
        json!({
            "time": line.time, "service": line.service, "instance": line.instance(),
            "text": line.text,
        })
    })
}

/// A line of a log: `TIME INSTANCE STREAM TEXT`.
fn written(line: &str) -> Value {
    let mut words = line.splitn(4, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (time, instance, stream, text) = (next(), next(), next(), next());
    // What the server itself has to say in a log has no instance.
    if matches!(instance, "stdout" | "stderr") {
        let text = format!("{stream} {text}");
        return json!({"time": time, "instance": null, "stream": instance, "text": text.trim_end()});
    }
    json!({"time": time, "instance": instance, "stream": stream, "text": text})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_time_service_instance_and_text() {
        let line = "2026-11-20T12:34:05Z web 3: starting";
        let want = json!({
            "time": "2026-11-20T12:34:05Z", "service": "web", "instance": 3, "text": "3: starting",
        });
        assert_eq!(event(line, None), Some(want.clone()));
        assert_eq!(event(line, Some("web")), Some(want));
        assert_eq!(event(line, Some("api")), None);
        assert_eq!(event("odd", None), Some(json!({"text": "odd"})));
        assert_eq!(event("odd", Some("web")), None);
    }

    #[test]
    fn a_line_of_a_log_names_its_instance_and_its_stream() {
        let time = "2026-11-20T12:34:05.123Z";
        let want = json!({"time": time, "instance": "web-3", "stream": "stdout", "text": "a  b"});
        assert_eq!(written(&format!("{time} web-3 stdout a  b")), want);
        let want =
            json!({"time": time, "instance": null, "stream": "stderr", "text": "deployfs: lost x"});
        assert_eq!(written(&format!("{time} stderr deployfs: lost x")), want);
        assert_eq!(written(&format!("{time} web-3 stdout "))["text"], "");
    }
}

//! What goes through the edges, a service each: counted since the edge started, so that whoever
//! looks twice has the rates in between.

use crate::refusal::Result;
use crate::tree::Tree;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// What was counted of one service.
#[derive(Debug, Default, Clone, PartialEq)]
struct Figures {
    requests: f64,
    errors: f64,
    in_flight: f64,
    /// Requests that took so many microseconds at most; the last counts all.
    took: BTreeMap<u64, f64>,
}

/// The figures of all services that have a route.
pub(crate) async fn all(tree: &Tree) -> Result<Value> {
    let mut figures = BTreeMap::new();
    for edge in tree.names("edges").await? {
        let text = tree.find(&format!("edges/{edge}/metrics")).await?.unwrap_or_default();
        add(&mut figures, &text);
    }
    let services: Map<String, Value> =
        figures.into_iter().map(|(name, of)| (name, shown(&of))).collect();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(json!({ "at": u64::try_from(at.as_millis()).unwrap_or(u64::MAX), "services": services }))
}

fn shown(of: &Figures) -> Value {
    // The end of all has no number.
    let took: Vec<Value> = of
        .took
        .iter()
        .map(|(us, count)| {
            let seconds = (*us < u64::MAX).then_some(*us as f64 / 1e6);
            json!([seconds, *count as u64])
        })
        .collect();
    json!({
        "requests": of.requests as u64, "errors": of.errors as u64,
        "in_flight": of.in_flight as u64, "took": took,
    })
}

/// Adds what an edge tells of its routes (Prometheus text). Lines of other figures are passed over.
fn add(all: &mut BTreeMap<String, Figures>, text: &str) {
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("deploy_route_") else { continue };
        let Some((name, rest)) = rest.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        let Ok(value) = value.trim().parse::<f64>() else { continue };
        let Some(service) = label(labels, "service") else { continue };
        let of = all.entry(service.to_string()).or_default();
        match name {
            "requests_total" => {
                of.requests += value;
                let wrong = matches!(label(labels, "class"), Some("5xx" | "edge"));
                of.errors += if wrong { value } else { 0.0 };
            }
            "inflight" => of.in_flight += value,
            "request_seconds_bucket" => {
                let us = label(labels, "le").and_then(|le| le.parse::<f64>().ok());
                let us = us.filter(|le| le.is_finite()).map_or(u64::MAX, |le| (le * 1e6) as u64);
                *of.took.entry(us).or_default() += value;
            }
            _ => {}
        }
    }
}

/// A label's value. Only those are asked for that have no escapes.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("{name}=\"");
    let mut from = 0;
    loop {
        let at = from + labels.get(from..)?.find(&start)?;
        // A name at its beginning, and not the end of a longer one or a part of a value.
        if at == 0 || labels[..at].ends_with("\",") {
            return labels[at + start.len()..].split('"').next();
        }
        from = at + start.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_edge_tells_of_its_routes_is_added_up() {
        let text = "# HELP x y\n\
         deploy_route_requests_total{service=\"web\",host=\"a\",path=\"/\",class=\"2xx\"} 90\n\
         deploy_route_requests_total{service=\"web\",host=\"a\",path=\"/\",class=\"edge\"} 10\n\
         deploy_route_inflight{service=\"web\",host=\"a\",path=\"/\"} 3\n\
         deploy_route_request_seconds_bucket{service=\"web\",le=\"0.001\"} 60\n\
         deploy_route_request_seconds_bucket{service=\"web\",le=\"+Inf\"} 100\n\
            deploy_requests_total{service=\"web\",instance=\"web-1\",class=\"5xx\"} 4\nnonsense\n";
        let mut all = BTreeMap::new();
        add(&mut all, text);
        add(&mut all, text);
        let want = json!({
            "requests": 200, "errors": 20, "in_flight": 6, "took": [[0.001, 120], [null, 200]],
        });
        assert_eq!((all.len(), shown(&all["web"])), (1, want));
    }

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let labels = r#"host="service=\"x\"",service="web",class="2xx""#;
        assert_eq!((label(labels, "service"), label(labels, "class")), (Some("web"), Some("2xx")));
        assert_eq!(label(labels, "le"), None);
    }
}

//! Edges' figures, from the Prometheus text of `edges/<name>/metrics`: what one look shows, and
//! what happened between two.

use std::collections::BTreeMap;

/// Whose figures: a service's routes before its instances.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whose {
    pub(crate) service: String,
    pub(crate) what: What,
}

/// A route or an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// Host and path, or `tcp` and the port.
    Route(String),
    /// The instance's name.
    Instance(String),
}

/// What was counted since the edge started, and what is in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) in_flight: u64,
    /// Requests that took about so many microseconds.
    pub(crate) took: BTreeMap<u64, u64>,
}

/// All of one look, over every edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look(pub(crate) BTreeMap<Whose, Figures>);

impl Look {
    /// Adds the text of one edge. Lines of other figures are passed over.
    pub(crate) fn add(&mut self, text: &str) {
        for line in text.lines() {
            let fine = line.strip_prefix("# FINE ");
            if fine.is_none() && line.starts_with('#') {
                continue;
            }
            let Some((name, labels, value)) = sample(fine.unwrap_or(line)) else { continue };
            let of = |key: &str| labels.get(key).cloned().unwrap_or_default();
            let (of_route, figure) = match name.strip_prefix("deploy_route_") {
                Some(figure) => (true, figure),
                None => (false, name.strip_prefix("deploy_").unwrap_or_default()),
            };
            let what = match of_route {
                true => What::Route(format!("{} {}", of("host"), of("path"))),
                false if labels.contains_key("instance") => What::Instance(of("instance")),
                false => continue,
            };
            let figures = self.0.entry(Whose { service: of("service"), what }).or_default();
            match figure {
                "requests_total" => {
                    let value = count(value);
                    figures.requests += value;
                    let wrong = matches!(of("class").as_str(), "5xx" | "edge");
                    figures.errors += if wrong { value } else { 0 };
                }
                "inflight" => figures.in_flight += count(value),
                "request_seconds" => {
                    for (us, count) in value.split(' ').filter_map(|part| part.split_once(':')) {
                        // What is too long has no number.
                        let us = us.parse().unwrap_or(u64::MAX);
                        *figures.took.entry(us).or_default() += count.parse().unwrap_or(0);
                    }
                }
                _ => {}
            }
        }
    }

    /// What happened since an earlier look; an edge that was started anew counts from 0 again.
    pub(crate) fn since(&self, earlier: &Look) -> Look {
        let none = Figures::default();
        let each = self.0.iter().map(|(whose, now)| {
            let then = earlier.0.get(whose).filter(|then| then.requests <= now.requests);
            (whose.clone(), now.since(then.unwrap_or(&none)))
        });
        Look(each.collect())
    }
}

impl Figures {
    fn since(&self, then: &Figures) -> Figures {
        let less = |us: &u64, count: &u64| {
            count.saturating_sub(then.took.get(us).copied().unwrap_or_default())
        };
        Figures {
            requests: self.requests.saturating_sub(then.requests),
            errors: self.errors.saturating_sub(then.errors),
            in_flight: self.in_flight,
            took: self.took.iter().map(|(us, count)| (*us, less(us, count))).collect(),
        }
    }

    /// Microseconds that this part of the requests did not exceed, within a thirtieth; none of no
    /// requests.
    pub(crate) fn quantile_us(&self, part: f64) -> Option<u64> {
        let all: u64 = self.took.values().sum();
        let wanted = ((all as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let within = self.took.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        })?;
        Some(*within.0)
    }
}

fn count(value: &str) -> u64 {
    value.parse::<f64>().map_or(0, |value| value as u64)
}

/// One line: the name, the labels, the value.
fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, &str)> {
    let (name, rest) = line.split_once('{')?;
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.insert(key.trim_start_matches(',').to_string(), value);
        rest = after;
        if let Some(value) = rest.strip_prefix('}') {
            return Some((name, labels, value.trim()));
        }
    }
}

/// A label's value up to its quote, its escapes undone, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x y\n\
        deploy_route_requests_total{service=\"web\",host=\"shop\",path=\"/\",class=\"2xx\"} 90\n\
        deploy_route_requests_total{service=\"web\",host=\"shop\",path=\"/\",class=\"edge\"} 10\n\
        deploy_requests_total{service=\"web\",instance=\"web-1\",version=\"ab\",class=\"5xx\"} 4\n\
        deploy_inflight{service=\"web\",instance=\"web-1\",version=\"ab\"} 3\n\
        deploy_request_seconds_bucket{service=\"web\",instance=\"web-1\",le=\"0.001\"} 2\n\
        # FINE deploy_request_seconds{service=\"web\",instance=\"web-1\"} 980:2 9728:1 +Inf:1\n\
        deploy_connections 7\nnonsense\n";

    fn look(texts: &[&str]) -> Look {
        let mut look = Look::default();
        texts.iter().for_each(|text| look.add(text));
        look
    }

    fn web(what: What) -> Whose {
        Whose { service: "web".to_string(), what }
    }

    #[test]
    fn a_route_and_an_instance_are_read_and_edges_added_up() {
        let look = look(&[TEXT, TEXT]);
        assert_eq!(look.0.len(), 2);
        let route = &look.0[&web(What::Route("shop /".to_string()))];
        assert_eq!((route.requests, route.errors), (200, 20));
        let instance = &look.0[&web(What::Instance("web-1".to_string()))];
        assert_eq!((instance.requests, instance.errors, instance.in_flight), (8, 8, 6));
        assert_eq!(instance.took, BTreeMap::from([(980, 4), (9_728, 2), (u64::MAX, 2)]));
        assert_eq!(instance.quantile_us(0.5), Some(980));
        assert_eq!(instance.quantile_us(0.75), Some(9_728));
        assert_eq!(instance.quantile_us(0.99), Some(u64::MAX));
        assert_eq!(route.quantile_us(0.5), None);
    }

    #[test]
    fn between_two_looks_is_the_difference_and_an_edge_anew_counts_from_nothing() {
        let (one, two) = (look(&[TEXT]), look(&[TEXT, TEXT]));
        let since = two.since(&one);
        let instance = &since.0[&web(What::Instance("web-1".to_string()))];
        assert_eq!((instance.requests, instance.in_flight), (4, 6));
        assert_eq!(instance.quantile_us(0.5), Some(980));
        assert_eq!(one.since(&two), one);
        let still = one.since(&one);
        assert_eq!(still.0[&web(What::Route("shop /".to_string()))].requests, 0);
    }

    #[test]
    fn escapes_in_a_label_are_undone() {
        let (name, labels, value) = sample(r#"a{b="x\"y\\z\n",c="d"} 1.5"#).unwrap();
        assert_eq!((name, labels["b"].as_str(), value), ("a", "x\"y\\z\n", "1.5"));
        assert_eq!(sample("a 1"), None);
        assert_eq!(sample("a{b=\"c"), None);
    }
}

//! `top`: what goes through the edges, a line a route and a line an instance; drawn again each
//! second on a terminal, once anywhere else.

use crate::error::{Error, Result};
use crate::figures::{Figures, Look, What, Whose};
use crate::link::Link;
use crate::out::{Out, table};
use crate::screen::{self, Screen};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

/// The time that rates are of.
const SPAN: Duration = Duration::from_secs(1);

/// Shows the figures, until it is interrupted where they are drawn again.
pub(crate) async fn run(link: &Link, out: Out) -> Result<()> {
    let again = screen::is_able() && !out.json && !out.quiet;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| Error::Other(e.to_string()))?;
    let mut screen = Screen::default();
    let mut ticks = interval(SPAN);
    ticks.tick().await;
    let mut last = (look(link).await?, Instant::now());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = interrupt.recv() => {
                screen.leave();
                return Ok(());
            }
        }
        let now = (look(link).await?, Instant::now());
        let span = now.1.duration_since(last.1);
        let since = now.0.since(&last.0);
        match again {
            true => screen.draw(&[], &lines(&since, span)),
            false if out.json => {
                let mut objects = since.0.iter().map(|row| object(row, span));
                return objects.try_for_each(|object| out.object(&object));
            }
            false => return out.data(text(&since, span).as_bytes()),
        }
        last = now;
    }
}

/// Looks at every edge.
async fn look(link: &Link) -> Result<Look> {
    let edges = link.names("edges").await?;
    if edges.is_empty() {
        let text = "no edge has ever been connected: nothing goes through this server's routes";
        return Err(Error::Other(text.to_string()));
    }
    let mut look = Look::default();
    for edge in edges {
        // One that has gone since has no figures.
        let text = link.find(&format!("edges/{edge}/metrics")).await?;
        look.add(&text.unwrap_or_default());
    }
    Ok(look)
}

/// What a terminal has room for.
fn lines(since: &Look, span: Duration) -> Vec<String> {
    let (width, height) = screen::size();
    let cut = |line: &str| line.chars().take(width.saturating_sub(1)).collect();
    text(since, span).lines().take(height.saturating_sub(1)).map(cut).collect()
}

fn text(since: &Look, span: Duration) -> String {
    let head = ["SERVICE", "ROUTE OR INSTANCE", "REQ/S", "ERR/S", "IN FLIGHT", "P50", "P99"];
    let mut rows = vec![head.map(String::from)];
    rows.extend(since.0.iter().map(|(whose, figures)| {
        let time = |part| figures.quantile_us(part).map_or("-".to_string(), time);
        [
            whose.service.clone(),
            name(whose).to_string(),
            format!("{:.1}", rate(figures.requests, span)),
            format!("{:.1}", rate(figures.errors, span)),
            figures.in_flight.to_string(),
            time(0.5),
            time(0.99),
        ]
    }));
    table(&rows)
}

fn object((whose, figures): (&Whose, &Figures), span: Duration) -> Value {
    let ms = |part| {
        let us = figures.quantile_us(part).filter(|us| *us < u64::MAX);
        us.map(|us| us as f64 / 1e3)
    };
    let kind = match whose.what {
        What::Route(_) => "route",
        What::Instance(_) => "instance",
    };
    json!({
        "service": whose.service, kind: name(whose),
        "requests_per_s": rate(figures.requests, span),
        "errors_per_s": rate(figures.errors, span),
        "in_flight": figures.in_flight, "p50_ms": ms(0.5), "p99_ms": ms(0.99),
    })
}

fn name(whose: &Whose) -> &str {
    match &whose.what {
        What::Route(name) | What::Instance(name) => name,
    }
}

fn rate(count: u64, span: Duration) -> f64 {
    let rate = count as f64 / span.as_secs_f64().max(f64::MIN_POSITIVE);
    (rate * 10.0).round() / 10.0
}

/// `900us`, `1.2ms`, `3.4s`; the last bucket has no end.
fn time(us: u64) -> String {
    match us {
        u64::MAX => "more".to_string(),
        ..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{:.1}s", us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn look() -> Look {
        let whose = |what| Whose { service: "web".to_string(), what };
        let figures = |requests, errors, in_flight, took: &[(u64, u64)]| Figures {
            requests,
            errors,
            in_flight,
            took: took.iter().copied().collect(),
        };
        Look(BTreeMap::from([
            (
                whose(What::Instance("web-1".to_string())),
                figures(20, 0, 1, &[(1_200, 15), (2_400_000, 5)]),
            ),
            (whose(What::Route("shop /".to_string())), figures(30, 3, 2, &[])),
        ]))
    }

    #[test]
    fn routes_stand_before_instances_with_rates_of_the_span() {
        let want = "SERVICE  ROUTE OR INSTANCE  REQ/S  ERR/S  IN FLIGHT  P50    P99\n\
                    web      shop /             15.0   1.5    2          -      -\n\
                    web      web-1              10.0   0.0    1          1.2ms  2.4s\n";
        assert_eq!(text(&look(), Duration::from_secs(2)), want);
    }

    #[test]
    fn an_object_says_whether_it_is_of_a_route_or_of_an_instance() {
        let look = look();
        let objects: Vec<Value> =
            look.0.iter().map(|row| object(row, Duration::from_secs(1))).collect();
        assert_eq!(objects[0]["route"], "shop /");
        assert_eq!(objects[1]["instance"], "web-1");
        assert_eq!(objects[1]["p50_ms"], 1.2);
        assert_eq!(objects[0]["p50_ms"], Value::Null);
    }

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!([16, 1_000, 1_500_000, u64::MAX].map(time), ["16us", "1.0ms", "1.5s", "more"]);
    }
}

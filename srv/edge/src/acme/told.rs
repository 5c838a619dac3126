//! What is told of orders: lines of `status`.

use std::fmt::Write as _;

use super::Settings;
use super::hosts::Hosts;
use super::plan::{Held, Plan, Tried};
use crate::tls::shown;

/// The lines.
pub(super) fn lines(settings: &Settings, hosts: &Hosts, plan: &Plan, wrong: &str) -> String {
    let mut text = format!("acme={}\n", settings.url);
    let (tried, all) = plan.tried();
    // Writing to a string cannot fail.
    if !wrong.is_empty() {
        let _ = writeln!(text, "acme_wrong={wrong}");
    }
    if let Some(again) = again(all) {
        let _ = writeln!(text, "acme_wrong={again}");
    }
    for (host, held) in &hosts.all {
        let mut line = match held {
            Held::Given => continue,
            Held::Nothing => host.clone(),
            Held::Ordered(valid) => format!("{host} until={}", shown(valid.to)),
        };
        if plan.is_under_way(host) {
            line += " ordered";
        } else if let Some(again) = tried.get(host).and_then(again) {
            line = format!("{line} {again}");
        }
        let _ = writeln!(text, "acme_host={line}");
    }
    for (host, why) in &hosts.without {
        let _ = writeln!(text, "acme_without={host}: {why}: put a certificate into certs");
    }
    text
}

fn again(tried: &Tried) -> Option<String> {
    let until = shown(tried.until?);
    Some(format!("failures={} again={until} last_error={}", tried.failures, tried.why))
}

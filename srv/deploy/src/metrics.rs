//! What this server counts, as Prometheus text (exposition format 0.0.4): services by health,
//! instances by state, updates by how they ended since the server started, and edges by state.

use crate::show;
use crate::world::World;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The figures of this server. Names are prefixed `deployfs_`, so that what edges tell can follow.
#[must_use]
pub fn text(world: &World) -> String {
    let (mut health, mut states) = (BTreeMap::new(), BTreeMap::new());
    for service in world.services.values() {
        let rollout = &service.record.rollout;
        let word = match rollout.current().or(rollout.target()) {
            None => "undeployed".to_string(),
            Some(_) if rollout.stopped() => "stopped".to_string(),
            Some(_) => rollout.health().to_string(),
        };
        *health.entry(word).or_insert(0) += 1;
        for instance in rollout.instances().values() {
            let container = service.containers.get(&instance.id);
            let state = container.map_or("", |found| found.state.as_str());
            *states.entry(show::word(instance, state).to_string()).or_insert(0) += 1;
        }
    }
    let edges = world.edges.all().values();
    let edges = edges.fold(BTreeMap::new(), |mut edges, edge| {
        *edges.entry(edge.word().to_string()).or_insert(0) += 1;
        edges
    });
    let mut text = String::new();
    let family = |text: &mut String, name, kind, help, label, values: &BTreeMap<String, u64>| {
        let _ = writeln!(text, "# HELP deployfs_{name} {help}\n# TYPE deployfs_{name} {kind}");
        for (value, count) in values {
            let _ = writeln!(text, "deployfs_{name}{{{label}=\"{value}\"}} {count}");
        }
    };
    family(&mut text, "services", "gauge", "Services by health.", "health", &health);
    family(&mut text, "instances", "gauge", "Instances by state.", "state", &states);
    family(&mut text, "edges", "gauge", "Edges by state.", "state", &edges);
    let ended = "Updates that ended since this server started.";
    family(&mut text, "updates_total", "counter", ended, "outcome", &world.ended);
    let mut one = |name, kind, help, value: u64| {
        let _ = writeln!(text, "# HELP deployfs_{name} {help}\n# TYPE deployfs_{name} {kind}");
        let _ = writeln!(text, "deployfs_{name} {value}");
    };
    one("events_total", "counter", "Lines of events ever written.", world.last_event);
    one("node_up", "gauge", "Whether the machine's node answers.", u64::from(world.node.up));
    if let Some(path) = &world.audit {
        let bytes = crate::audit::length(path).0;
        one("audit_bytes", "gauge", "Bytes of the audit log.", bytes);
    }
    let generation = world.edges.newest().unwrap_or_default();
    one("routes_generation", "gauge", "Generation of the newest table of routes.", generation);
    let arrived = "Events and requests that the loop has taken since this server started.";
    one("arrivals_total", "counter", arrived, world.spent.arrivals);
    let mut seconds = |name, help, value: Duration| {
        let _ = writeln!(text, "# HELP deployfs_{name} {help}\n# TYPE deployfs_{name} counter");
        let _ = writeln!(text, "deployfs_{name} {:.6}", value.as_secs_f64());
    };
    let looped = "Seconds the loop spent on them, until they were saved.";
    seconds("loop_seconds_total", looped, world.spent.looped);
    seconds("save_seconds_total", "Seconds of these for saving.", world.spent.saved);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::{Arrival, Heard, Request};
    use crate::turn::Turn;

    #[test]
    fn services_updates_and_edges_are_counted() {
        let mut world = World { edges: crate::edges::Edges::with_own("main"), ..World::default() };
        let mut turn = Turn::new(1);
        let (answer, _) = tokio::sync::oneshot::channel();
        let (service, manifest) = ("web".to_string(), "image web:1\nport 80\n".to_string());
        let request = Request::Manifest { service, text: manifest };
        world.arrive(Arrival::Asked(request, answer), &mut turn);
        let heard = Heard::Noted { text: "something".to_string() };
        world.arrive(Arrival::Heard(heard), &mut turn);
        turn.verdicts.push(rollout::Verdict::RolledBack);
        crate::save::changes(&mut world, &turn);
        world.publish(&turn);
        world.route(&turn);
        let text = text(&world);
        for line in [
            "# TYPE deployfs_services gauge",
            "deployfs_services{health=\"undeployed\"} 1",
            "deployfs_edges{state=\"away\"} 1",
            "deployfs_updates_total{outcome=\"rolled_back\"} 1",
            "deployfs_events_total 1",
            "deployfs_node_up 0",
            "deployfs_arrivals_total 0",
            "deployfs_loop_seconds_total 0.000000",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}

//! What no value tells alone: keys that need or contradict each other.

use crate::args::Told;
use crate::keys::Id;
use crate::kinds::Health;
use crate::manifest::Manifest;
use crate::place::Place;
use crate::units::show_time;

/// Sets the defaults that depend on other keys, and writes what means the same in one way.
pub(crate) fn settle(m: &mut Manifest, told: &Told) {
    let implied = m.defaults();
    if !told.keys.contains_key(&Id::Health) {
        m.health = implied.health;
    }
    if !told.keys.contains_key(&Id::HealthTimeout) {
        m.health_timeout_ms = implied.health_timeout_ms;
    }
    if let Health::Http { port, .. } | Health::Tcp { port } = &mut m.health
        && *port == m.port
    {
        *port = None;
    }
}

/// Checks the keys against each other and tells what is wrong where the key stands; what is not
/// there is told at `start`.
pub(crate) fn check(m: &Manifest, told: &mut Told, start: Place) {
    let form = told.form;
    let needs = |told: &mut Told, key: Id, needed: Id, text: &str| {
        if let (Some(place), None) = (told.keys.get(&key).copied(), told.keys.get(&needed)) {
            told.errors.push(place.problem(text.to_owned()));
        }
    };
    if !told.keys.contains_key(&Id::Image) {
        let text = form.say(
            "image: is missing; add a line such as image registry.example.com/app:1.0",
            "image: is missing; add a line such as image = \"registry.example.com/app:1.0\"",
        );
        told.errors.push(start.problem(text.to_owned()));
    }
    if matches!(m.health, Health::Http { port: None, .. } | Health::Tcp { port: None }) {
        let text = form.say(
            "health: needs a port; add the line port NUMBER, or name one after health",
            "health: needs a port; add port = NUMBER to the service, or to its health block",
        );
        needs(told, Id::Health, Id::Port, text);
    }
    let text = form.say(
        "route: needs a port; add the line port NUMBER",
        "route: needs a port; add port = NUMBER to the service",
    );
    needs(told, Id::Route, Id::Port, text);
    times(m, told);
    writers(m, told);
    capabilities(m, told);
    if !m.is_task() {
        default_health(told, start);
    }
    file_health(m, told);
}

/// Probes of one instance never overlap, and an update is not given up while an instance may
/// still become healthy.
fn times(m: &Manifest, told: &mut Told) {
    if let Some(place) = told.keys.get(&Id::HealthTimeout).copied()
        && m.health_timeout_ms > m.health_interval_ms
    {
        let (timeout, interval) = (show_time(m.health_timeout_ms), show_time(m.health_interval_ms));
        let text = format!(
            "health_timeout: {timeout} is longer than health_interval {interval}; \
             probes would overlap: write {interval} or less"
        );
        told.errors.push(place.problem(text));
    }
    let until_counted_ms = m.health_deadline_ms + m.min_healthy_ms;
    let keys = [Id::ProgressDeadline, Id::HealthDeadline, Id::MinHealthyTime];
    if let Some(place) = keys.iter().find_map(|key| told.keys.get(key).copied())
        && m.progress_deadline_ms < until_counted_ms
    {
        let deadline = show_time(m.progress_deadline_ms);
        let counted = show_time(until_counted_ms);
        let text = format!(
            "progress_deadline: {deadline} is shorter than health_deadline and \
             min_healthy_time together: write {counted} or more"
        );
        told.errors.push(place.problem(text));
    }
}

/// A volume that is not shared has one writer.
fn writers(m: &Manifest, told: &mut Told) {
    let (Some(name), true) = (m.lone_volume(), m.replicas > 1) else { return };
    let keys = [Id::Volume, Id::Replicas];
    let Some(place) = keys.iter().find_map(|key| told.keys.get(key).copied()) else { return };
    let shared = told.form.say("the word shared behind its path", "shared = true in its block");
    let text = format!(
        "volume: {name} has one writer, and replicas is {}; write replicas 1, or, if the program \
         can share it, {shared}",
        m.replicas
    );
    told.errors.push(place.problem(text));
}

fn capabilities(m: &Manifest, told: &mut Told) {
    let both = m.cap_add.iter().find(|name| m.cap_drop.contains(name));
    if let (Some(name), Some(place)) = (both, told.keys.get(&Id::CapDrop)) {
        let text = format!("cap_drop: {name} is also under cap_add; remove it from one of them");
        told.errors.push(place.problem(text));
    }
}

fn default_health(told: &mut Told, start: Place) {
    if [Id::Health, Id::Port].iter().any(|key| told.keys.contains_key(key)) {
        return;
    }
    let place = told.keys.get(&Id::Image).copied().unwrap_or(start);
    let example = told.form.say("health exec WORD…", "health = \"exec WORD…\"");
    let text = format!(
        "health: there is neither health nor port, so that an instance counts as healthy \
         when it has run for 1 s without an exit; add a line such as {example}"
    );
    told.warnings.push(place.problem(text));
}

/// A bare path is a file; who has a port may have meant a request.
fn file_health(m: &Manifest, told: &mut Told) {
    let (Health::File { path }, Some(_)) = (&m.health, m.port) else { return };
    if let Some(place) = told.keys.get(&Id::Health) {
        let request = told.form.say("health http", "path =");
        let text = format!(
            "health: {path} is a file in the instance; for a request write {request} {path}"
        );
        told.warnings.push(place.problem(text));
    }
}

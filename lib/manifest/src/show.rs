//! A field as the words its key is written with; the opposite of `read`.

use crate::keys::Id;
use crate::kinds::{
    Constraint, Health, Network, Restart, Route, Secret, Update, UpdateFailure, Volume,
    VolumeSource,
};
use crate::manifest::Manifest;
use crate::units::{show_cpu, show_size, show_time};

/// The words of one directive, without its key.
pub(crate) type Words = Vec<String>;

/// The directives of one key: none where the value cannot be written because it is the default.
pub(crate) fn show(m: &Manifest, id: Id) -> Vec<Words> {
    match id {
        Id::Name => one(&m.name),
        Id::App => m.app.iter().flat_map(one).collect(),
        Id::Image => one(&m.image),
        Id::Replicas => one(m.replicas),
        Id::Command => argv(&m.command),
        Id::User => m.user.iter().flat_map(one).collect(),
        Id::Workdir => m.workdir.iter().flat_map(one).collect(),
        Id::Env => m.env.iter().map(|(key, value)| vec![format!("{key}={value}")]).collect(),
        Id::Port => m.port.iter().flat_map(one).collect(),
        Id::Cpu => one(show_cpu(m.cpu_milli)),
        Id::Memory => one(show_size(m.memory_bytes)),
        Id::Pids => one(m.pids),
        Id::Health => argv(&health(&m.health)),
        Id::HealthInterval => one(show_time(m.health_interval_ms)),
        Id::HealthTimeout => one(show_time(m.health_timeout_ms)),
        Id::HealthRetries => one(m.health_retries),
        Id::HealthDeadline => one(show_time(m.health_deadline_ms)),
        Id::MinHealthyTime => one(show_time(m.min_healthy_ms)),
        Id::Restart => one(restart(m.restart)),
        Id::MaxRestarts => one(m.max_restarts),
        Id::Update => vec![update(m.update)],
        Id::UpdateBatch => one(m.update_batch),
        Id::UpdatePause => one(show_time(m.update_pause_ms)),
        Id::UpdateFailure => one(failure(m.update_failure)),
        Id::ProgressDeadline => one(show_time(m.progress_deadline_ms)),
        Id::Validate => one(show_time(m.validate_ms)),
        Id::Drain => one(show_time(m.drain_ms)),
        Id::StopSignal => m.stop_signal.iter().flat_map(one).collect(),
        Id::StopTimeout => one(show_time(m.stop_timeout_ms)),
        Id::Route => m.routes.iter().map(route).collect(),
        Id::Volume => m.volumes.iter().map(volume).collect(),
        Id::Secret => m.secrets.iter().map(secret).collect(),
        Id::Config => m.config.iter().map(|(key, value)| vec![format!("{key}={value}")]).collect(),
        Id::Constraint => m.constraints.iter().map(constraint).collect(),
        Id::Network => one(network(m.network)),
        Id::ReadOnly => one(if m.read_only { "on" } else { "off" }),
        Id::CapAdd => argv(&m.cap_add),
        Id::CapDrop => argv(&m.cap_drop),
        Id::LogLines => one(m.log_lines),
        Id::LogSize => vec![vec![show_size(m.log_size_bytes), m.log_files.to_string()]],
        Id::Source => m.source.iter().flat_map(one).collect(),
        Id::Build => argv(&m.build),
        Id::Timeout => m.timeout_ms.map(show_time).iter().flat_map(one).collect(),
    }
}

fn one(word: impl ToString) -> Vec<Words> {
    vec![vec![word.to_string()]]
}

fn argv(words: &[String]) -> Vec<Words> {
    if words.is_empty() { Vec::new() } else { vec![words.to_vec()] }
}

fn words(parts: &[&str]) -> Words {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn health(health: &Health) -> Words {
    let port_word = |port: &Option<u16>| port.map(|port| port.to_string());
    match health {
        Health::Http { path, port } => {
            words(&["http", path]).into_iter().chain(port_word(port)).collect()
        }
        Health::Tcp { port } => words(&["tcp"]).into_iter().chain(port_word(port)).collect(),
        Health::Exec { argv } => words(&["exec"]).into_iter().chain(argv.clone()).collect(),
        Health::File { path } => words(&["file", path]),
        Health::Running => Vec::new(),
    }
}

fn restart(restart: Restart) -> &'static str {
    match restart {
        Restart::Always => "always",
        Restart::OnFailure => "on-failure",
        Restart::Never => "never",
    }
}

fn update(update: Update) -> Words {
    match update {
        Update::Rolling => words(&["rolling"]),
        Update::Replace => words(&["replace"]),
        Update::Canary(count) => words(&["canary", &count.to_string()]),
        Update::BlueGreen => words(&["blue-green"]),
    }
}

fn failure(failure: UpdateFailure) -> &'static str {
    match failure {
        UpdateFailure::Abort => "abort",
        UpdateFailure::Rollback => "rollback",
        UpdateFailure::Pause => "pause",
    }
}

fn network(network: Network) -> &'static str {
    match network {
        Network::Bridge => "bridge",
        Network::Host => "host",
    }
}

fn route(route: &Route) -> Words {
    match route {
        Route::Http { host, path, websocket: false } => words(&[host, path]),
        Route::Http { host, path, websocket: true } => words(&[host, path, "websocket"]),
        Route::Tcp { port } => words(&["tcp", &port.to_string()]),
    }
}

fn volume(volume: &Volume) -> Words {
    match &volume.source {
        VolumeSource::Named { name, ephemeral, shared, size_bytes } => {
            let mut all = words(&[name, &volume.path]);
            all.extend(ephemeral.then(|| "ephemeral".to_owned()));
            all.extend(shared.then(|| "shared".to_owned()));
            all.extend(size_bytes.map(show_size));
            all
        }
        VolumeSource::Host { dir, read_only } => {
            let mut all = words(&[&format!("host:{dir}"), &volume.path]);
            all.extend(read_only.then(|| "ro".to_owned()));
            all
        }
    }
}

pub(crate) fn secret(secret: &Secret) -> Words {
    let mut all = match &secret.env {
        Some(key) => words(&[&secret.name, "env", key]),
        None => words(&[&secret.name]),
    };
    if secret.version > 0 {
        all.push(version_of(secret));
    }
    all
}

/// The version of a secret's value, which no manifest says.
pub(crate) fn version_of(secret: &Secret) -> String {
    format!("version={}", secret.version)
}

fn constraint(constraint: &Constraint) -> Words {
    match constraint {
        Constraint::Equal { label, value } => words(&[&format!("{label}={value}")]),
        Constraint::NotEqual { label, value } => words(&[&format!("{label}!={value}")]),
        Constraint::Spread { label } => words(&["spread", label]),
        Constraint::Affinity { service } => words(&["affinity", service]),
        Constraint::AntiAffinity { service } => words(&["anti-affinity", service]),
    }
}

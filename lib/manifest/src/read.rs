//! One directive into its field.

mod entry;
mod health;
mod reach;
mod security;

use crate::args::Args;
use crate::error::quoted;
use crate::keys::Id;
use crate::kinds::{Batch, Network, Restart, Update, UpdateFailure};
use crate::limits::{
    CPU_MILLI_MIN, DEADLINE_MS_MIN, HEALTH_INTERVAL_MS_MIN, HEALTH_RETRIES_MAX,
    HEALTH_TIMEOUT_MS_MIN, LOG_FILES_MAX, LOG_LINES_MAX, LOG_SIZE_BYTES_MIN, MAX_RESTARTS_MAX,
    MEMORY_BYTES_MIN, PIDS_MAX, REPLICAS_MAX, SIZE_BYTES_MAX, TIME_MS_MAX, VALIDATE_MS_MIN,
};
use crate::manifest::Manifest;
use crate::reference::Reference;
use crate::units::{parse_cpu_milli, show_cpu};

/// Reads the words of one directive. `None` when an error was told; the field is then as it was.
pub(crate) fn read(m: &mut Manifest, args: &mut Args<'_>) -> Option<()> {
    match args.key.id {
        Id::Name => name(m, args)?,
        Id::App => m.app = Some(args.name()?),
        Id::Image => m.image = args.value(Reference::parse)?,
        Id::Replicas => m.replicas = args.number(0, REPLICAS_MAX, "instances")?,
        Id::Command => m.command = args.rest()?,
        Id::User => m.user = Some(security::user(args)?),
        Id::Workdir => m.workdir = Some(args.path()?),
        Id::Env => entry::env(m, args)?,
        Id::Port => m.port = Some(args.port()?),
        Id::Cpu => m.cpu_milli = cpu(args)?,
        Id::Memory => m.memory_bytes = args.size(MEMORY_BYTES_MIN, SIZE_BYTES_MAX)?,
        Id::Pids => m.pids = args.number(1, PIDS_MAX, "processes")?,
        Id::Health => m.health = health::health(args)?,
        Id::HealthInterval => m.health_interval_ms = time(args, HEALTH_INTERVAL_MS_MIN)?,
        Id::HealthTimeout => m.health_timeout_ms = time(args, HEALTH_TIMEOUT_MS_MIN)?,
        Id::HealthRetries => m.health_retries = args.number(1, HEALTH_RETRIES_MAX, "probes")?,
        Id::HealthDeadline => m.health_deadline_ms = time(args, DEADLINE_MS_MIN)?,
        Id::MinHealthyTime => m.min_healthy_ms = time(args, 0)?,
        Id::Restart => m.restart = args.choice(&RESTARTS)?,
        Id::MaxRestarts => {
            let of = "restarts (the waits before more of them do not fit into 60 s)";
            m.max_restarts = args.number(0, MAX_RESTARTS_MAX, of)?;
        }
        Id::Update => m.update = update(args)?,
        Id::UpdateBatch => m.update_batch = batch(args)?,
        Id::UpdatePause => m.update_pause_ms = time(args, 0)?,
        Id::UpdateFailure => m.update_failure = args.choice(&FAILURES)?,
        Id::ProgressDeadline => m.progress_deadline_ms = time(args, DEADLINE_MS_MIN)?,
        Id::Validate => m.validate_ms = args.time(VALIDATE_MS_MIN, TIME_MS_MAX, true)?,
        Id::Drain => m.drain_ms = time(args, 0)?,
        Id::StopSignal => m.stop_signal = Some(security::signal(args)?),
        Id::StopTimeout => m.stop_timeout_ms = time(args, 0)?,
        Id::Route => m.routes.push(reach::route(args)?),
        Id::Volume => m.volumes.push(reach::volume(args)?),
        Id::Secret => m.secrets.push(entry::secret(args)?),
        Id::Config => entry::config(m, args)?,
        Id::Constraint => m.constraints.push(reach::constraint(args)?),
        Id::Network => m.network = args.choice(&NETWORKS)?,
        Id::ReadOnly => m.read_only = !args.more() || args.choice(&SWITCH)?,
        Id::CapAdd => security::capabilities(&mut m.cap_add, args)?,
        Id::CapDrop => security::capabilities(&mut m.cap_drop, args)?,
        Id::LogLines => m.log_lines = args.number(0, LOG_LINES_MAX, "lines")?,
        Id::LogSize => log_size(m, args)?,
        Id::Source => m.source = Some(args.side_path()?),
        Id::Build => m.build = args.rest()?,
        Id::Timeout => m.timeout_ms = Some(time(args, DEADLINE_MS_MIN)?),
    }
    Some(())
}

const RESTARTS: [(&str, Restart); 3] =
    [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)];
const FAILURES: [(&str, UpdateFailure); 3] = [
    ("abort", UpdateFailure::Abort),
    ("rollback", UpdateFailure::Rollback),
    ("pause", UpdateFailure::Pause),
];
const NETWORKS: [(&str, Network); 2] = [("bridge", Network::Bridge), ("host", Network::Host)];
const SWITCH: [(&str, bool); 4] = [("on", true), ("off", false), ("true", true), ("false", false)];
/// A canary's number is read after its word; the 0 here stands for it.
const UPDATES: [(&str, Update); 4] = [
    ("rolling", Update::Rolling),
    ("replace", Update::Replace),
    ("canary", Update::Canary(0)),
    ("blue-green", Update::BlueGreen),
];

fn name(m: &Manifest, args: &mut Args<'_>) -> Option<()> {
    let word = args.word()?;
    if word == m.name {
        return Some(());
    }
    let other = args.told.form.say("the manifest's file name", "the block's label");
    let text = format!(
        "{} is not {other} {}; rename one of them, or remove the line",
        quoted(word),
        quoted(&m.name)
    );
    args.wrong(text)
}

fn time(args: &mut Args<'_>, min_ms: u64) -> Option<u64> {
    args.time(min_ms, TIME_MS_MAX, false)
}

fn cpu(args: &mut Args<'_>) -> Option<u32> {
    let milli = args.value(parse_cpu_milli)?;
    if milli >= CPU_MILLI_MIN {
        return Some(milli);
    }
    let (cores, least) = (show_cpu(milli), show_cpu(CPU_MILLI_MIN));
    args.wrong(format!("{cores} cores are too few; write at least {least}"))
}

fn update(args: &mut Args<'_>) -> Option<Update> {
    let update = args.choice(&UPDATES)?;
    match update {
        Update::Rolling | Update::Replace => Some(update),
        Update::Canary(_) => {
            args.not_yet("canary", "write rolling or replace");
            args.number(1, REPLICAS_MAX, "instances").map(Update::Canary)
        }
        Update::BlueGreen => {
            args.not_yet("blue-green", "write rolling or replace");
            Some(update)
        }
    }
}

fn batch(args: &mut Args<'_>) -> Option<Batch> {
    let word = args.word()?;
    let (digits, percent) = match word.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (word, false),
    };
    let max = if percent { 100 } else { REPLICAS_MAX };
    let number = digits.parse::<u32>().ok().filter(|_| !digits.starts_with('+'));
    match number.filter(|number| (1..=max).contains(number)) {
        Some(number) if percent => Some(Batch::Percent(number)),
        Some(number) => Some(Batch::Count(number)),
        None => args.wrong(format!(
            "{} is not a batch; write 1 to {REPLICAS_MAX} instances, or 1% to 100%",
            quoted(word)
        )),
    }
}

fn log_size(m: &mut Manifest, args: &mut Args<'_>) -> Option<()> {
    m.log_size_bytes = args.size(LOG_SIZE_BYTES_MIN, SIZE_BYTES_MAX)?;
    if args.more() {
        m.log_files = args.number(1, LOG_FILES_MAX, "files")?;
    }
    Some(())
}

//! Verbs that change something: written to every service named, followed side by side.

use crate::error::Result;
use crate::exit::Exit;
use crate::follow::{Ask, Follower};
use crate::hold::Held;
use crate::link::Link;
use crate::news::{News, Report};
use crate::out::Out;
use crate::parse::Command;
use crate::show::Show;
use crate::verb::{Is, Verb};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Reports that wait to be shown.
const REPORTS_MAX: usize = 256;

/// A wait that never ends, as far as anybody will notice.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the words of a verb ask of which services.
pub(crate) fn asks(verb: &Verb, words: &[String]) -> Vec<(String, String)> {
    match (verb.is, words) {
        (Is::Rollback | Is::Scale, [service, word]) => {
            vec![(service.clone(), format!("{} {word}", verb.name))]
        }
        (_, services) => {
            // Whoever names a service twice means it once.
            let first = |n: &usize| !services[..*n].contains(&services[*n]);
            let named = (0..services.len()).filter(first);
            named.map(|n| (services[n].clone(), verb.name.to_string())).collect()
        }
    }
}

/// Writes the lines, a service and its line each, through those locks that are held and for no
/// longer than that takes, and shows what comes of them until all have
/// ended, the time is over, or the user has seen enough.
///
/// # Errors
/// When nobody reads what is printed.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    command: &Command,
    verb: Is,
    lines: Vec<(String, String)>,
    mut held: Vec<Arc<Held>>,
) -> Result<Exit> {
    let mut services: Vec<String> = lines.iter().map(|(service, _)| service.clone()).collect();
    let mut show = Show::new(out, services.len() > 1);
    let (sender, mut reports) = mpsc::channel(REPORTS_MAX);
    let mut followers = JoinSet::new();
    for (service, line) in lines {
        let rows = show.wants_rows();
        let lock = held.extract_if(.., |held| held.service == service).next();
        let ask = Ask { service, verb, line, lock, detach: command.detach, rows };
        followers.spawn(Follower::new(link.clone(), ask, sender.clone()).run());
    }
    drop((sender, held));
    if let Some(cut) = watch(&mut show, &mut reports, &mut services, command.timeout).await? {
        show.leave();
        match out.json {
            true => services.iter().try_for_each(|service| {
                let why = if cut == Exit::TimeOver { "time is over" } else { "interrupted" };
                let exit = cut.code();
                out.object(&json!({
                    "service": service, "phase": "detached", "reason": why, "exit": exit,
                }))
            })?,
            false => out.message(&going_on(&services, cut)),
        }
        return Ok(cut);
    }
    show.leave();
    let mut worst = Exit::Done;
    while let Some(ended) = followers.join_next().await {
        worst = worst.max(ended.unwrap_or(Exit::Other));
    }
    Ok(worst)
}

/// Shows reports until there are no more, and strikes out the services that have ended; gives why
/// it stopped before.
async fn watch(
    show: &mut Show,
    reports: &mut mpsc::Receiver<Report>,
    services: &mut Vec<String>,
    timeout: Option<Duration>,
) -> Result<Option<Exit>> {
    let over = Instant::now() + timeout.unwrap_or(FOREVER);
    // Without these two the terminal would be left without its cursor.
    let mut interrupt = signal(SignalKind::interrupt()).ok();
    let mut terminate = signal(SignalKind::terminate()).ok();
    loop {
        let due = show.due_in_ms().map_or(FOREVER, Duration::from_millis);
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => {
                    show.take(&report)?;
                    if matches!(report.news, News::Ended(..) | News::Broken { .. }) {
                        services.retain(|service| *service != report.service);
                    }
                }
                None => return Ok(None),
            },
            () = arrived(interrupt.as_mut()) => return Ok(Some(Exit::Interrupted)),
            () = arrived(terminate.as_mut()) => return Ok(Some(Exit::Interrupted)),
            () = sleep_until(over) => return Ok(Some(Exit::TimeOver)),
            () = sleep_until(Instant::now() + due) => show.lapse(),
        }
    }
}

async fn arrived(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The last words of who stops following.
fn going_on(services: &[String], why: Exit) -> String {
    let first = services.first().map(String::as_str).unwrap_or_default();
    let all = services.join(" ");
    let cause = if why == Exit::TimeOver { "time is over" } else { "detached" };
    format!(
        "  {cause}: what was asked of {all} goes on; look: deploy status {first}, \
         wait: deploy wait {first}, stop it: deploy cancel {first}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::find;

    #[track_caller]
    fn check(line: &str, want: &[&str]) {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        let asked = asks(find(&words[0]).unwrap(), &words[1..]);
        let got: Vec<String> = asked.iter().map(|(s, line)| format!("{s} < {line}")).collect();
        assert_eq!(got, want, "of {line:?}");
    }

    #[test]
    fn a_verb_is_one_line_to_the_ctl_of_each_service() {
        check("restart web api", &["web < restart", "api < restart"]);
        check("stop web api web", &["web < stop", "api < stop"]);
        check("scale web 4", &["web < scale 4"]);
        check("rollback web v3", &["web < rollback v3"]);
        check("rollback web", &["web < rollback"]);
    }
}

//! Verbs that change something: written to every service named, followed side by side.

use crate::error::Result;
use crate::exit::Exit;
use crate::follow::{Ask, Follower};
use crate::hold::Held;
use crate::joint::{self, Joint};
use crate::link::Link;
use crate::news::{News, Report};
use crate::out::Out;
use crate::parse::Command;
use crate::show::Show;
use crate::total::Total;
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
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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
/// ended, the time is over, or the user has seen enough. With a total they are asked for in one
/// write, and what they came to is told at the end.
///
/// # Errors
/// When nobody reads what is printed; what the server refuses of a write for several.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    command: &Command,
    verb: Is,
    lines: Vec<(String, String)>,
    mut held: Vec<Arc<Held>>,
    mut total: Option<Total>,
) -> Result<Exit> {
    let mut services: Vec<String> = lines.iter().map(|(service, _)| service.clone()).collect();
    let mut show = Show::new(out, services.len() > 1, total.is_some());
    if let Some(total) = total.as_ref().filter(|_| out.json) {
        out.object(&total.began(&services))?;
    }
    let (sender, mut reports) = mpsc::channel(REPORTS_MAX);
    let mut followers = JoinSet::new();
    let joint = total.is_some().then(|| {
        let line = together(command, &services);
        Joint::new(link, line, std::mem::take(&mut held))
    });
    let (joint, written) = joint.unzip();
    for (service, line) in lines {
        let (rows, joint) = (show.wants_rows(), joint.clone());
        let lock = held.extract_if(.., |held| held.service == service).next();
        let ask = Ask { service, verb, line, lock, joint, detach: command.detach, rows };
        followers.spawn(Follower::new(link.clone(), ask, sender.clone()).run());
    }
    drop((sender, held, joint));
    let watched = Watched { services: &mut services, total: total.as_mut() };
    if let Some(cut) = watch(&mut show, &mut reports, watched, command.timeout).await? {
        show.leave();
        cut_short(out, &services, cut)?;
        return Ok(cut);
    }
    show.leave();
    let mut worst = Exit::Done;
    while let Some(ended) = followers.join_next().await {
        worst = worst.max(ended.unwrap_or(Exit::Other));
    }
    if let Some(written) = written {
        joint::came(written).await?;
    }
    if let Some(total) = total.filter(|_| !command.detach) {
        worst = total.exit(worst);
        show.total(&total, worst)?;
    }
    Ok(worst)
}

/// The line that asks for all of them at once.
fn together(command: &Command, services: &[String]) -> String {
    let verb = if command.atomic { "atomic" } else { "together" };
    format!("{verb} {}", services.join(" "))
}

/// The last words of who stops following.
fn cut_short(out: Out, services: &[String], cut: Exit) -> Result<()> {
    if !out.json {
        out.message(&going_on(services, cut));
        return Ok(());
    }
    services.iter().try_for_each(|service| {
        let why = if cut == Exit::TimeOver { "time is over" } else { "interrupted" };
        let exit = cut.code();
        out.object(&json!({
            "service": service, "phase": "detached", "reason": why, "exit": exit,
        }))
    })
}

/// What is watched: the services that have not ended, and what all come to.
struct Watched<'a> {
    services: &'a mut Vec<String>,
    total: Option<&'a mut Total>,
}

/// Shows reports until there are no more, and strikes out the services that have ended; gives why
/// it stopped before.
async fn watch(
    show: &mut Show,
    reports: &mut mpsc::Receiver<Report>,
    watched: Watched<'_>,
    timeout: Option<Duration>,
) -> Result<Option<Exit>> {
    let Watched { services, mut total } = watched;
    let began = Instant::now();
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
                    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    total.iter_mut().for_each(|total| total.take(ms, &report));
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

/// The same as people read it.
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

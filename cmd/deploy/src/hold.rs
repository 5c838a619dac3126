//! The deploy locks that `apply -f` holds while it looks and builds on this side: the open file is
//! the lock, and everything it begins goes through it.

use crate::apply::Stage;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::fact::Line;
use crate::link::{Lines, Link};
use crate::out::Out;
use ninep::client::{File, Mode};
use serde_json::json;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How often a place for a service is made that goes while it is opened: with the lock of somebody
/// whose first deploy came to nothing.
const TRIES_MAX: u32 = 5;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    /// Of which service.
    pub(crate) service: String,
    file: File,
}

/// Takes the locks of all services, or none.
///
/// # Errors
/// Of the first that somebody has: who, since when, and what he is at.
pub(crate) async fn all(stage: &Stage<'_>, services: &[String]) -> Result<Vec<Arc<Held>>> {
    let Stage { link, out, command, until, .. } = *stage;
    let said = said(command.message.as_deref());
    let mut names = services.to_vec();
    // Who waits for several does so in one order, so that no two wait for each other.
    names.sort_unstable();
    let mut held = Vec::new();
    if let Some(until) = until {
        let manner = Manner { force: command.force, until };
        for service in names {
            let taken = take(link, out, service.clone(), manner, &said).await;
            held.push(Arc::new(taken.map_err(|error| error.of(&service))?));
        }
        return Ok(held);
    }
    let mut tries = each(link, names, &said).await;
    if command.force {
        let in_use = tries.extract_if(.., |(_, tried)| tried.as_ref().is_err_and(is_held));
        let in_use: Vec<String> = in_use.map(|(service, _)| service).collect();
        break_all(link, &in_use).await?;
        tries.extend(each(link, in_use, &said).await);
    }
    for (service, tried) in tries {
        held.push(Arc::new(tried.map_err(|error| error.of(&service))?));
    }
    Ok(held)
}

/// Tries to take each lock, all at once; gives what came of it by service.
async fn each(link: &Link, names: Vec<String>, said: &str) -> Vec<(String, Result<Held>)> {
    let mut tries = JoinSet::new();
    for service in names {
        let (link, said) = (link.clone(), said.to_string());
        tries.spawn(async move {
            let held = match open(&link, &service, "lock").await {
                Ok(file) => Held::begin(service.clone(), file, &said).await,
                Err(error) => Err(error),
            };
            (service, held)
        });
    }
    tries.join_all().await
}

/// Breaks the locks of all services, or none: what was broken cannot be given back.
async fn break_all(link: &Link, services: &[String]) -> Result<()> {
    if services.is_empty() {
        return Ok(());
    }
    let lines: String = services.iter().map(|service| format!("unlock {service}\n")).collect();
    link.write("ctl", &lines).await
}

/// What every lock is told of its holder.
fn said(message: Option<&str>) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut text = format!("from {host} pid {}\n", std::process::id());
    if let Some(message) = message {
        // A line of its own, so that it cannot be another word of the lock.
        text += &format!("message {}\n", message.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    text
}

/// What is done about a lock that somebody has.
#[derive(Debug, Clone, Copy)]
struct Manner {
    force: bool,
    /// Until when it is waited for.
    until: Instant,
}

/// Takes a lock as soon as it can be had.
async fn take(link: &Link, out: Out, service: String, manner: Manner, said: &str) -> Result<Held> {
    let file = match open(link, &service, "lock").await {
        Err(error) if is_held(&error) => held_by_another(link, out, &service, manner, error).await,
        done => done,
    }?;
    Held::begin(service, file, said).await
}

/// Takes it by force, or waits for it.
async fn held_by_another(
    link: &Link,
    out: Out,
    service: &str,
    manner: Manner,
    why: Error,
) -> Result<File> {
    let mut why = why;
    if manner.force {
        let forced = break_all(link, &[service.to_string()]).await;
        let opened = match forced {
            Ok(()) => open(link, service, "lock").await,
            Err(error) => Err(error),
        };
        match opened {
            Err(error) if is_held(&error) => why = error,
            done => return done,
        }
    }
    match out.json {
        true => out.object(&json!({
            "service": service, "phase": "lock", "text": why.text(),
        }))?,
        false => out.message(&format!("{service}: {}", why.text())),
    }
    match timeout_at(manner.until, open(link, service, "queue")).await {
        Ok(done) => done,
        Err(_) => Err(Error::TimeOver(format!("{why}; it was waited for in vain"))),
    }
}

fn is_held(error: &Error) -> bool {
    error.exit() == Exit::Locked
}

/// Opens the lock, or the queue before it, in the service's directory, which is made where there
/// is none.
async fn open(link: &Link, service: &str, file: &str) -> Result<File> {
    let directory = format!("active/{service}");
    let path = format!("{directory}/{file}");
    for _ in 1..TRIES_MAX {
        match link.client.open(&path, Mode::ReadWrite).await {
            Err(_) if link.client.stat(&directory).await.is_err() => {
                // Somebody else may make it first; what else is wrong the open says.
                let _ = link.client.mkdir(&directory).await;
            }
            done => return done.map_err(|error| Error::at(&path, error)),
        }
    }
    link.client.open(&path, Mode::ReadWrite).await.map_err(|error| Error::at(&path, error))
}

impl Held {
    /// One that was just taken; tells of its holder.
    async fn begin(service: String, file: File, said: &str) -> Result<Held> {
        let held = Held { service, file };
        held.say(said).await.map(|()| held)
    }

    /// Tells what goes on on this side, or writes a verb, which counts while the lock is held.
    ///
    /// # Errors
    /// What the server refuses: above all that the lock was taken meanwhile.
    pub(crate) async fn say(&self, text: &str) -> Result<()> {
        let written = self.file.write_at(0, text.as_bytes()).await.map(drop);
        written.map_err(|error| Error::at(&format!("active/{}/lock", self.service), error))
    }

    /// The events from now on, by which it is known when the lock is lost.
    ///
    /// # Errors
    /// As of any file.
    pub(crate) async fn watch(&self, link: &Link) -> Result<Lines> {
        Lines::open(link, &format!("active/{}/watch", self.service)).await
    }

    /// Waits until the lock is held no more, taken by force or cancelled; gives why.
    pub(crate) async fn lost(&self, mut watch: Lines) -> Error {
        let of_locks = |line: &String| {
            Line::of_service(line, &self.service).is_some_and(|it| it.text.starts_with("lock of "))
        };
        loop {
            let lines = match watch.next().await {
                Ok(lines) => lines,
                Err(error) => return error,
            };
            // Whose lock it was, the server knows.
            if lines.is_empty() || lines.iter().any(of_locks) {
                match self.say("build\n").await {
                    Ok(()) if lines.is_empty() => return Error::NoService(self.service.clone()),
                    Ok(()) => {}
                    Err(error) => return error,
                }
            }
        }
    }
}

//! `run`, `ps` and `kill`: tasks, which run once.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::link::{Lines, Link};
use crate::out::{Out, table, tame};
use crate::parse::{Command, Usage};
use crate::row::values;
use crate::stop::Stop;
use manifest::Manifest;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};

/// The file that gives a new task's number; no task is called so.
const CLONE: &str = "clone";

/// Runs a job once and ends as it ends: with what its program exits with, or 124 when its time was
/// over. What it writes comes where it wrote it.
///
/// # Errors
/// There is no such job, or the server refuses it.
pub(crate) async fn run(link: &Link, out: Out, command: &Command) -> Result<Exit> {
    let Some((job, words)) = command.words.split_first() else {
        return Err(Usage::Nothing.into());
    };
    let path = format!("jobs/{job}");
    let text = link.find(&path).await?.ok_or_else(|| {
        let how = "apply -f FILE writes those of task blocks, and deploy ls jobs shows them";
        Error::Other(format!("there is no job {job}; {how}"))
    })?;
    let parsed = manifest::parse_task(job, &text);
    let Some(kept) = parsed.manifest else {
        let first = parsed.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(Error::Manifests(format!("{path}: {first}")));
    };
    let manifest = laid_over(kept, command, words)?;
    let number = link.read(&format!("tasks/{CLONE}")).await?.trim().to_string();
    let dir = format!("tasks/{number}");
    let spec = format!("{dir}/spec");
    let written = link.client.put(&spec, manifest::print(&manifest).as_bytes()).await;
    written.map_err(|error| Error::at(&spec, error))?;
    // Before the start, so that nothing it writes is missed.
    let tail = Lines::open(link, &format!("{dir}/tail")).await?;
    link.write(&format!("{dir}/ctl"), "start").await?;
    if command.detach {
        match out.json {
            true => out.object(&json!({"task": number, "job": job, "phase": "started"}))?,
            false => out.data(format!("{number}\n").as_bytes())?,
        }
        return Ok(Exit::Done);
    }
    out.message(&format!("  task {number}: {job}"));
    follow(link, out, &number, tail).await
}

/// What the command line says, over what the job says.
fn laid_over(mut manifest: Manifest, command: &Command, words: &[String]) -> Result<Manifest> {
    for pair in &command.env {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Usage::Value(format!("--env {pair}: say KEY=VALUE")).into());
        };
        manifest.env.insert(key.to_string(), value.to_string());
    }
    if !words.is_empty() {
        manifest.command = words.to_vec();
    }
    if let Some(timeout) = command.timeout {
        manifest.timeout_ms = u64::try_from(timeout.as_millis()).ok();
    }
    Ok(manifest)
}

/// Shows what it writes until its end, and how that was.
async fn follow(link: &Link, out: Out, number: &str, mut tail: Lines) -> Result<Exit> {
    let mut stop = Stop::new();
    loop {
        let lines = tokio::select! {
            lines = tail.next() => lines?,
            () = stop.asked() => {
                out.message(&format!("  task {number} goes on; deploy kill {number} ends it"));
                return Ok(Exit::Interrupted);
            }
        };
        if lines.is_empty() {
            break;
        }
        lines.iter().try_for_each(|line| show(out, number, line))?;
    }
    let outcome = link.read(&format!("tasks/{number}/wait")).await?;
    let (code, how) = outcome.trim_end().split_once(' ').unwrap_or((outcome.trim_end(), ""));
    let code: i32 = code.parse().unwrap_or(1);
    if out.json {
        out.object(&json!({"task": number, "phase": "ended", "exit": code, "how": how}))?;
    } else if how != code.to_string() {
        // A status alone is all there is to say of an end by itself.
        out.message(&format!("  task {number}: {how}"));
    }
    Ok(Exit::Own(u8::try_from(code).unwrap_or(1)))
}

/// A line of its log, `TIME STREAM TEXT`, where the program wrote it.
fn show(out: Out, number: &str, line: &str) -> Result<()> {
    let mut parts = line.splitn(3, ' ');
    let (at, stream) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let text = parts.next().unwrap_or_default();
    if out.json {
        let object = json!({"task": number, "at": at, "stream": stream, "line": text});
        return out.object(&object);
    }
    let whole = format!("{text}\n");
    if stream != "stderr" {
        return out.foreign(whole.as_bytes());
    }
    let mut errors = std::io::stderr();
    let whole = if errors.is_terminal() { tame(&whole) } else { whole };
    // Whoever closed standard error does not want to hear it.
    let _ = errors.write_all(whole.as_bytes());
    Ok(())
}

/// Lists all tasks that are kept.
pub(crate) async fn list(link: &Link, out: Out) -> Result<()> {
    let columns = ["TASK", "NAME", "STATE", "BY", "STARTED", "ENDED", "EXIT"];
    let mut rows = vec![columns.map(String::from)];
    for number in link.names("tasks").await?.into_iter().filter(|name| name != CLONE) {
        // One that was pruned between the listing and the look is left out.
        let Some(text) = link.find(&format!("tasks/{number}/status")).await? else { continue };
        let of = values(&text);
        let of = |key: &str| of.get(key).map_or("-", |value| *value).to_string();
        if of("name") == "-" {
            continue;
        }
        if out.json {
            let exit = of("exit").parse::<i32>().ok();
            out.object(&json!({
                "task": number, "name": of("name"), "state": of("state"), "by": of("by"),
                "started": of("started"), "ended": of("ended"), "exit": exit, "how": of("how"),
            }))?;
        }
        let (began, ended) = (of("started"), of("ended"));
        rows.push([number, of("name"), of("state"), of("by"), began, ended, of("how")]);
    }
    if out.json { Ok(()) } else { out.data(table(&rows).as_bytes()) }
}

/// Has tasks end.
pub(crate) async fn kill(link: &Link, out: Out, numbers: &[String]) -> Result<()> {
    for number in numbers {
        link.write(&format!("tasks/{number}/ctl"), "kill").await?;
        out.message(&format!("  task {number}: told to end"));
    }
    Ok(())
}

/// Checks numbers of tasks before anything is asked.
pub(crate) fn check(numbers: &[String]) -> std::result::Result<(), Usage> {
    let wrong = numbers.iter().find(|number| number.parse::<u32>().is_err());
    match wrong {
        Some(word) => Err(Usage::Value(format!("{word:?} is not a task's number; see deploy ps"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn job() -> Manifest {
        let text = "image app:1\ncommand migrate up\nenv A=1\n";
        manifest::parse_task("migrate", text).manifest.unwrap()
    }

    #[test]
    fn what_the_command_line_says_takes_the_place_of_what_the_job_says() {
        let command = Command {
            env: vec!["A=2".to_string(), "B=x=y".to_string()],
            timeout: Some(Duration::from_secs(5)),
            ..Command::default()
        };
        let words = ["echo".to_string(), "-x".to_string()];
        let got = manifest::print(&laid_over(job(), &command, &words).unwrap());
        assert_eq!(
            got,
            "name migrate\nimage app:1\ncommand echo -x\nenv A=2\nenv B=x=y\ntimeout 5\n"
        );
        let plain = laid_over(job(), &Command::default(), &[]).unwrap();
        assert_eq!(plain, job());
        let wrong = Command { env: vec!["A".to_string()], ..Command::default() };
        assert!(laid_over(job(), &wrong, &[]).is_err());
    }

    #[test]
    fn a_task_is_meant_by_its_number() {
        assert!(check(&["7".to_string()]).is_ok());
        assert!(check(&["web".to_string()]).is_err());
    }
}

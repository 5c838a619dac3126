//! `events`: what happened, and what happens.

use crate::error::{Error, Result};
use crate::fact::{Fact, Line};
use crate::link::{Lines, Link};
use crate::out::Out;
use crate::since::is_since;
use ninep::client::File;
use serde_json::json;

/// Bytes asked for at once.
const READ_BYTES: u32 = 64 * 1024;

/// Prints the events of all services or of one; with `follow` also those to come.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    service: Option<&str>,
    follow: bool,
    from: Option<&str>,
) -> Result<()> {
    let directory = service.map(|name| format!("active/{name}/")).unwrap_or_default();
    let path = format!("{directory}events");
    // What waits is opened before what is there is read: it only says that there is more, and the
    // more is read from the growing file, so that no line is missed and none comes twice.
    let mut watch = match follow {
        true => Some(Lines::open(link, &format!("{directory}watch")).await?),
        false => None,
    };
    let mut grown = Grown { file: link.open(&path).await?, path, offset: 0, rest: String::new() };
    loop {
        let lines = grown.more().await?;
        let came = !lines.is_empty();
        print(out, service, from, &lines)?;
        let Some(watch) = &mut watch else { return Ok(()) };
        match came {
            true => {}
            false => {
                let waited = watch.next().await?;
                if waited.is_empty() {
                    return Ok(());
                }
                let lines = grown.more().await?;
                // The file was turned over: what waits has the lines, too.
                let lines = if lines.is_empty() { waited } else { lines };
                print(out, service, from, &lines)?;
            }
        }
    }
}

/// A file that only grows, read on from where it was.
#[derive(Debug)]
struct Grown {
    file: File,
    path: String,
    offset: u64,
    rest: String,
}

impl Grown {
    /// The whole lines that came since.
    async fn more(&mut self) -> Result<Vec<String>> {
        loop {
            let read = self.file.read_at(self.offset, READ_BYTES).await;
            let bytes = read.map_err(|error| Error::at(&self.path, error))?;
            if bytes.is_empty() {
                break;
            }
            self.offset += bytes.len() as u64;
            self.rest.push_str(&String::from_utf8_lossy(&bytes));
        }
        let end = self.rest.rfind('\n').map_or(0, |at| at + 1);
        let whole: String = self.rest.drain(..end).collect();
        Ok(whole.lines().map(str::to_string).collect())
    }
}

fn print(out: Out, service: Option<&str>, from: Option<&str>, lines: &[String]) -> Result<()> {
    for line in lines.iter().filter(|line| is_since(line, from)) {
        match out.json {
            true => out.object(&object(line, service))?,
            false => out.data(format!("{line}\n").as_bytes())?,
        }
    }
    Ok(())
}

fn object(line: &str, service: Option<&str>) -> serde_json::Value {
    let read = match service {
        Some(service) => Line::of_service(line, service),
        None => Line::of_root(line),
    };
    let Some(Line { time, service, text }) = read else { return json!({"text": line}) };
    let instance = crate::plain::number(&Fact::read(text));
    json!({"time": time, "service": service, "instance": instance, "text": text})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_as_json_has_time_service_and_text() {
        let line = "2026-11-20T12:34:05Z web 3: starting";
        let want = json!({
            "time": "2026-11-20T12:34:05Z", "service": "web", "instance": 3, "text": "3: starting",
        });
        assert_eq!(object(line, None), want);
        assert_eq!(object("odd", Some("web")), json!({"text": "odd"}));
    }
}

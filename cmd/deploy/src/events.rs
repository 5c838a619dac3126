//! `events`: what happened, and what happens.

use crate::error::Result;
use crate::fact::{Fact, Line};
use crate::link::{Grown, Lines, Link};
use crate::out::Out;
use crate::since::is_since;
use serde_json::json;

/// Prints the events of all services or of one; with `follow` also those to come.
///
/// What waits is opened before what is there is read, and only says that there is more: the more
/// is read from the growing file, so that no line is missed and none comes twice.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    service: Option<&str>,
    follow: bool,
    from: Option<&str>,
) -> Result<()> {
    let directory = service.map(|name| format!("active/{name}/")).unwrap_or_default();
    let mut watch = match follow {
        true => Some(Lines::open(link, &format!("{directory}watch")).await?),
        false => None,
    };
    let mut grown = Grown::open(link, &format!("{directory}events")).await?;
    print(out, service, from, &grown.more().await?)?;
    let Some(watch) = &mut watch else { return Ok(()) };
    let mut turned_over = false;
    loop {
        let waited = watch.next().await?;
        if waited.is_empty() {
            return Ok(());
        }
        let lines = if turned_over { Vec::new() } else { grown.more().await? };
        turned_over = turned_over || lines.is_empty() && grown.is_turned_over(link).await?;
        print(out, service, from, if turned_over { &waited } else { &lines })?;
    }
}

fn print(out: Out, service: Option<&str>, from: Option<&str>, lines: &[String]) -> Result<()> {
    for line in lines.iter().filter(|line| is_since(line, from)) {
        match out.json {
            true => out.object(&object(line, service))?,
            false => out.foreign(format!("{line}\n").as_bytes())?,
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

//! `logs`: what instances wrote, of all services, of one, or of one instance.

use crate::error::{Error, Result};
use crate::link::{Grown, Link};
use crate::out::Out;
use crate::since::is_since;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks at a log that is followed: the tree has it as a growing file alone, and
/// this is what `tail -f` would do, four times as often.
const LOOK: Duration = Duration::from_millis(250);

/// Prints logs in the order of their lines' times; with `follow` also what is written from now.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    what: Option<&str>,
    follow: bool,
    from: Option<&str>,
) -> Result<()> {
    let mut sources = Vec::new();
    for path in paths(link, what).await? {
        sources.push(Source { grown: Grown::open(link, &path).await?, path, last: String::new() });
    }
    loop {
        let mut lines = Vec::new();
        for source in &mut sources {
            lines.extend(source.more(link).await?);
        }
        lines.sort_by(|a, b| time(a).cmp(time(b)));
        for line in lines.iter().filter(|line| is_since(line, from)) {
            match out.json {
                true => out.object(&object(line))?,
                false => out.foreign(format!("{line}\n").as_bytes())?,
            }
        }
        if !follow {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// The files: of `web`, of `web/3`, or of every service there is.
async fn paths(link: &Link, what: Option<&str>) -> Result<Vec<String>> {
    match what.map(|what| what.split_once('/').ok_or(what)) {
        None => {
            let names = link.names("active").await?;
            Ok(names.iter().map(|name| format!("active/{name}/log")).collect())
        }
        Some(Err(service)) => Ok(vec![format!("active/{service}/log")]),
        Some(Ok((service, number))) if number.parse::<u32>().is_ok() => {
            Ok(vec![format!("active/{service}/instances/{number}/log")])
        }
        Some(Ok((_, other))) => Err(Error::Other(format!(
            "{other:?} is not an instance; say its number: deploy logs web/0"
        ))),
    }
}

/// One log.
#[derive(Debug)]
struct Source {
    path: String,
    grown: Grown,
    /// The last line that came, to go on behind it in a file that was turned over.
    last: String,
}

impl Source {
    async fn more(&mut self, link: &Link) -> Result<Vec<String>> {
        let mut lines = self.grown.more().await?;
        if lines.is_empty() && self.grown.is_turned_over(link).await? {
            self.grown = Grown::open(link, &self.path).await?;
            lines = behind(self.grown.more().await?, &self.last);
        }
        if let Some(last) = lines.last() {
            self.last.clone_from(last);
        }
        Ok(lines)
    }
}

/// The lines behind the last one that is known; all when it is not among them.
fn behind(mut lines: Vec<String>, last: &str) -> Vec<String> {
    let seen = lines.iter().rposition(|line| line == last).map_or(0, |at| at + 1);
    lines.split_off(seen)
}

fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// `TIME [INSTANCE] STREAM TEXT` as an object.
fn object(line: &str) -> serde_json::Value {
    let mut words = line.splitn(3, ' ');
    let (time, second, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
    if matches!(second, Some("stdout" | "stderr")) {
        return json!({"time": time, "stream": second, "text": rest});
    }
    let (stream, text) = rest.split_once(' ').unwrap_or((rest, ""));
    json!({"time": time, "instance": second, "stream": stream, "text": text})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_turned_over_goes_on_behind_the_last_line() {
        let lines = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        assert_eq!(behind(lines("b c d"), "c"), lines("d"));
        assert_eq!(behind(lines("b c d"), "a"), lines("b c d"));
        assert!(behind(lines("b c"), "c").is_empty());
    }

    #[test]
    fn a_line_as_json_names_its_instance_where_the_file_has_several() {
        let (time, text) = ("2026-11-20T12:34:05.123Z", "hello there");
        let want = json!({"time": time, "instance": "web-3", "stream": "stdout", "text": text});
        assert_eq!(object(&format!("{time} web-3 stdout {text}")), want);
        let want = json!({"time": time, "stream": "stderr", "text": text});
        assert_eq!(object(&format!("{time} stderr {text}")), want);
    }
}

//! `push`, `images` and `gc`: the images that the server keeps.

use crate::error::{Error, Result};
use crate::fact::Line;
use crate::link::{Lines, Link};
use crate::out::{Out, table};
use serde_json::json;
use std::path::{Path, absolute};
use std::time::Duration;
use tokio::time::timeout;

/// How long the event of a push may come after its answer.
const EVENT_MAX: Duration = Duration::from_secs(2);

/// Has an image made of a directory or a program, and prints its digest.
pub(crate) async fn push(link: &Link, out: Out, name: &str, path: &str) -> Result<()> {
    let whole = absolute(Path::new(path));
    let whole = whole.map_err(|why| Error::Local { path: path.to_string(), why })?;
    let whole = whole.display().to_string();
    if whole.contains(char::is_whitespace) {
        return Err(Error::Other(format!("{whole:?} has a blank in it, which no ctl can carry")));
    }
    let mut watch = Lines::open(link, "watch").await?;
    out.message(&format!("  pushing {whole}"));
    link.write("ctl", &format!("push {name} {whole}")).await?;
    let told = timeout(EVENT_MAX, digest(&mut watch, name)).await;
    let digest = told.unwrap_or_else(|_| Err(no_event(name)))?;
    match out.json {
        true => out.object(&json!({"image": name, "digest": digest})),
        false => out.data(format!("{digest}\n").as_bytes()),
    }
}

async fn digest(watch: &mut Lines, name: &str) -> Result<String> {
    loop {
        let lines = watch.next().await?;
        if lines.is_empty() {
            return Err(no_event(name));
        }
        let found = lines.iter().find_map(|line| pushed(line, name));
        if let Some(digest) = found {
            return Ok(digest);
        }
    }
}

/// The digest in `… - pushed NAME DIGEST`.
fn pushed(line: &str, name: &str) -> Option<String> {
    let text = Line::of_root(line)?.text;
    let digest = text.strip_prefix("pushed ")?.strip_prefix(name)?.strip_prefix(' ')?;
    Some(digest.to_string())
}

fn no_event(name: &str) -> Error {
    Error::Other(format!("{name} is pushed, its digest was not told; see: deploy images"))
}

/// Lists the images.
pub(crate) async fn list(link: &Link, out: Out) -> Result<()> {
    let text = link.read("images").await?;
    let rows = rows(&text);
    if out.json {
        return rows.iter().try_for_each(|[reference, digest, bytes, used_by]| {
            let used: Vec<&str> = used_by.split(',').filter(|user| *user != "-").collect();
            let bytes = bytes.parse::<u64>().ok();
            out.object(&json!({
                "reference": reference, "digest": digest, "bytes": bytes, "used_by": used,
            }))
        });
    }
    let head = ["REFERENCE", "DIGEST", "BYTES", "USED BY"].map(String::from);
    let all: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    out.data(table(&all).as_bytes())
}

/// Reference, digest, bytes, used by; what is no such line is left out.
fn rows(text: &str) -> Vec<[String; 4]> {
    let row = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        words.try_into().ok()
    };
    text.lines().filter_map(row).collect()
}

/// Has images removed that nothing needs.
pub(crate) async fn collect(link: &Link, out: Out) -> Result<()> {
    link.write("ctl", "gc").await?;
    out.message("  collecting; what stays: deploy images");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_of_a_push_tells_its_digest() {
        let line = "2026-11-20T12:34:05Z - pushed app:1.0 sha256:ab12";
        assert_eq!(pushed(line, "app:1.0").as_deref(), Some("sha256:ab12"));
        assert_eq!(pushed(line, "app:1"), None);
        assert_eq!(pushed("2026-11-20T12:34:05Z web pulling app:1.0", "app:1.0"), None);
    }

    #[test]
    fn the_listing_is_four_words_a_line() {
        let got = rows("app:1.0 sha256:ab 123 web-1,web-2\nodd\n");
        assert_eq!(got, [["app:1.0", "sha256:ab", "123", "web-1,web-2"].map(String::from)]);
    }
}

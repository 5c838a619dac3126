//! `volume`: the named volumes that the server keeps, listed and deleted.

use crate::error::{Error, Result};
use crate::link::Link;
use crate::out::{Out, table};
use crate::parse::Usage;
use crate::row::values;
use serde_json::json;

/// Does what the words say: list all, or delete those named, one after the other.
pub(crate) async fn run(link: &Link, out: Out, words: &[String]) -> Result<()> {
    match words {
        [] => list(link, out).await,
        [word] if word == "list" => list(link, out).await,
        [word, names @ ..] if word == "delete" && !names.is_empty() => {
            for name in names {
                link.remove(&format!("volumes/{name}")).await?;
                out.message(&format!("  {name}: deleted, with all that was in it"));
            }
            Ok(())
        }
        _ => Err(usage().into()),
    }
}

/// Checks the words before anything is asked.
pub(crate) fn check(words: &[String]) -> std::result::Result<(), Usage> {
    let names = match words {
        [] => words,
        [word] if word == "list" => &words[1..],
        [word, names @ ..] if word == "delete" && !names.is_empty() => names,
        _ => return Err(usage()),
    };
    for name in names {
        manifest::check_name(name).map_err(|why| Usage::Value(why.to_string()))?;
    }
    Ok(())
}

fn usage() -> Usage {
    Usage::Value("say: deploy volume list, or deploy volume delete NAME…".to_string())
}

async fn list(link: &Link, out: Out) -> Result<()> {
    let mut rows = vec![["VOLUME", "NODE", "SIZE", "STATE", "USED BY"].map(String::from)];
    for name in link.names("volumes").await? {
        let text = match link.read(&format!("volumes/{name}")).await {
            Ok(text) => text,
            // It went between the listing and the look.
            Err(Error::Refused { .. }) => continue,
            Err(error) => return Err(error),
        };
        let of = values(&text);
        let of = |key: &str| of.get(key).map(ToString::to_string).unwrap_or_default();
        let users = text.lines().filter_map(|line| line.strip_prefix("used_by="));
        let users: Vec<&str> = users.collect();
        if out.json {
            out.object(&json!({
                "volume": name, "node": of("node"), "size": of("size"), "state": of("state"),
                "made": of("made"), "used_by": users,
            }))?;
        }
        let or_dash = |text: String| if text.is_empty() { "-".to_string() } else { text };
        let first = users.first().map_or("-", |user| *user).to_string();
        let more = users.len().saturating_sub(1);
        let used = if more == 0 { first } else { format!("{first}, and {more} more") };
        rows.push([name, of("node"), or_dash(of("size")), of("state"), used]);
    }
    if out.json { Ok(()) } else { out.data(table(&rows).as_bytes()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_words_are_checked_before_anything_is_asked() {
        let check = |line: &str, right: bool| {
            let words: Vec<String> = line.split_whitespace().map(String::from).collect();
            assert_eq!(super::check(&words).is_ok(), right, "{line}");
        };
        check("", true);
        check("list", true);
        check("delete data other", true);
        check("delete", false);
        check("delete ../x", false);
        check("list data", false);
        check("remove data", false);
    }
}

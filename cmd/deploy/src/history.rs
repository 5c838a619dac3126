//! `history`: the versions of a service that are kept, or one of them as it was applied.

use crate::ahead::COMMIT_CHARS;
use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::link::Link;
use crate::out::{Out, table};
use crate::past::Past;
use crate::status::versions;
use serde_json::{Value, json};

/// A line a version: number, name, when, who, how it ended, of which commit and for what.
pub(crate) async fn all(link: &Link, out: Out, service: &str) -> Result<()> {
    let versions = versions(link, service).await?;
    if out.json {
        return versions.iter().try_for_each(|past| out.object(&object(service, past)));
    }
    let row = |past: &Past| {
        let [number, name, at] = [&past.number, &past.name, &past.at].map(String::clone);
        [number, name, at, past.by.clone(), past.ended.clone(), notes(past)]
    };
    let rows: Vec<[String; 6]> = versions.iter().map(row).collect();
    out.data(table(&rows).as_bytes())
}

/// What its deploy was of, and for: `ab12cd34ef56 mend the door; "for the party"`.
fn notes(past: &Past) -> String {
    let commit = match past.commit.split_once(' ') {
        Some((hash, subject)) => {
            format!("{} {subject}", hash.get(..COMMIT_CHARS).unwrap_or(hash))
        }
        None => past.commit.clone(),
    };
    let message = Some(&past.message).filter(|message| !message.is_empty());
    let message = message.map(|message| format!("\"{message}\""));
    let notes = [Some(commit).filter(|commit| !commit.is_empty()), message];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The file of one version, by number or name.
pub(crate) async fn one(link: &Link, out: Out, service: &str, word: &str) -> Result<()> {
    let versions = versions(link, service).await?;
    let Some(past) = versions.iter().find(|past| past.is(word)) else {
        let text = format!("version {word} is not in the history of {service}");
        return Err(Error::Other(text));
    };
    if out.json {
        let mut object = object(service, past);
        object["manifest"] = json!(past.text);
        return out.object(&object);
    }
    out.foreign(past.text.as_bytes())
}

fn object(service: &str, past: &Past) -> Value {
    json!({
        "service": service, "number": past.number, "version": past.name,
        "image": past.digest, "at": past.at, "by": past.by, "ended": past.ended,
        "commit": past.commit, "message": past.message, "ends": past.ends,
        "validated": past.validated, "failure": past.failure.as_ref().map(Failure::json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deploy_was_of_and_for_stands_behind_how_it_ended() {
        let check = |commit: &str, message: &str, want: &str| {
            let [commit, message] = [commit, message].map(str::to_string);
            assert_eq!(notes(&Past { commit, message, ..Past::default() }), want);
        };
        check("", "", "");
        check("ab12cd34ef567890 mend the door", "", "ab12cd34ef56 mend the door");
        check("ab12cd34ef567890 mend it", "for good", "ab12cd34ef56 mend it; \"for good\"");
        check("", "for good", "\"for good\"");
    }
}

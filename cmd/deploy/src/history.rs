//! `history`: the versions of a service that are kept, or one of them as it was applied.

use crate::error::{Error, Result};
use crate::failure::Failure;
use crate::link::Link;
use crate::out::{Out, table};
use crate::past::Past;
use crate::status::versions;
use serde_json::{Value, json};

/// A line a version: number, name, when, who, how it ended.
pub(crate) async fn all(link: &Link, out: Out, service: &str) -> Result<()> {
    let versions = versions(link, service).await?;
    if out.json {
        return versions.iter().try_for_each(|past| out.object(&object(service, past)));
    }
    let row = |past: &Past| {
        [&past.number, &past.name, &past.at, &past.by, &past.ended].map(String::clone)
    };
    let rows: Vec<[String; 5]> = versions.iter().map(row).collect();
    out.data(table(&rows).as_bytes())
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

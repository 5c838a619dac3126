//! `secret`: values that are set and never read again, and which services have them.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::link::Link;
use crate::nearest::nearest;
use crate::out::{Out, table};
use crate::parse::Usage;
use crate::plan::Deployed;
use crate::since::stamp;
use crate::typed;
use manifest::Manifest;
use ninep::client::ClientError;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What can be done with secrets.
const WORDS: [&str; 6] = ["set", "list", "grant", "revoke", "delete", "rotate-key"];

/// Does what the words say.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn run(link: &Link, out: Out, words: &[String]) -> Result<Exit> {
    let all: Vec<&str> = words.iter().map(String::as_str).collect();
    match all[..] {
        ["set", name] => return set(link, out, name).await,
        ["list"] => list(link, out).await?,
        ["grant", name, ref services @ ..] if !services.is_empty() => {
            change(link, out, name, services, true).await?;
        }
        ["revoke", name, ref services @ ..] if !services.is_empty() => {
            change(link, out, name, services, false).await?;
        }
        ["delete", name] => {
            let path = file(name)?;
            link.client.remove(&path).await.map_err(|error| Error::at(&path, error))?;
            done(out, name, "deleted")?;
        }
        ["rotate-key"] => {
            link.write("ctl", "rotate-key").await?;
            match out.json {
                true => out.object(&json!({"phase": "rotated"}))?,
                false => out.message("  every secret is sealed under a new key"),
            }
        }
        _ => return Err(usage(all.first().copied().unwrap_or_default()).into()),
    }
    Ok(Exit::Done)
}

fn usage(word: &str) -> Usage {
    if !WORDS.contains(&word) {
        let near = nearest(word, WORDS.iter().copied());
        let near = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
        let text = format!("secret has no verb {word:?}{near}; say one of {}", WORDS.join(", "));
        return Usage::Value(text);
    }
    let words = match word {
        "set" | "delete" => "NAME",
        "grant" | "revoke" => "NAME SERVICE…",
        _ => "",
    };
    Usage::Value(format!("say: deploy secret {word} {words}").trim_end().to_string())
}

/// The file of a secret.
fn file(name: &str) -> Result<String> {
    match name.is_empty() || name.contains('/') {
        true => Err(Usage::Value(format!("{name:?} is not a secret's name")).into()),
        false => Ok(format!("secrets/{name}")),
    }
}

fn done(out: Out, name: &str, what: &str) -> Result<()> {
    match out.json {
        true => out.object(&json!({"secret": name, "phase": what})),
        false => {
            out.message(&format!("  {name}: {what}"));
            Ok(())
        }
    }
}

async fn set(link: &Link, out: Out, name: &str) -> Result<Exit> {
    let path = file(name)?;
    let Some(value) = typed::value(name).await? else { return Ok(Exit::Interrupted) };
    let put = link.client.put_sealed(&path, &value).await;
    put.map_err(|error| Error::at(&path, error))?;
    let stat = link.client.stat(&path).await.map_err(|error| Error::at(&path, error))?;
    let version = stat.version;
    let who = granted(link).await?.remove(name).unwrap_or_default();
    if out.json {
        out.object(&json!({
            "secret": name, "phase": "set", "version": version, "granted": who,
        }))?;
        return Ok(Exit::Done);
    }
    out.message(&format!("  {name}: version {version} is set"));
    if value.ends_with(b"\n") {
        out.message("  its last byte is a line's end; printf %s VALUE would have none");
    }
    match who.is_empty() {
        true => {
            out.message(&format!("  no service has it yet: deploy secret grant {name} SERVICE"))
        }
        false => {
            let who: Vec<String> = who.into_iter().collect();
            out.message(&format!("  apply gives it to those that name it: {}", who.join(", ")));
        }
    }
    Ok(Exit::Done)
}

async fn list(link: &Link, out: Out) -> Result<()> {
    let entries = link.client.list("secrets").await;
    let entries = entries.map_err(|error| Error::at("secrets", error))?;
    let mut granted = granted(link).await?;
    let head = ["SECRET", "VERSION", "SET", "GRANTED TO"].map(String::from);
    let mut rows = vec![head];
    for stat in entries {
        let name = String::from_utf8_lossy(&stat.name).into_owned();
        let who = granted.remove(&name).unwrap_or_default();
        let at = format!("{}Z", stamp(u64::from(stat.mtime)));
        if out.json {
            out.object(&json!({
                "secret": name, "version": stat.version, "set": at, "granted": who,
            }))?;
            continue;
        }
        let who: Vec<String> = who.into_iter().collect();
        let who = if who.is_empty() { "-".to_string() } else { who.join(",") };
        rows.push([name, stat.version.to_string(), at, who]);
    }
    if out.json { Ok(()) } else { out.data(table(&rows).as_bytes()) }
}

/// The services each secret is granted to.
async fn granted(link: &Link) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in link.names_if_there("grants").await? {
        for name in grants(link, &service).await? {
            all.entry(name).or_default().insert(service.clone());
        }
    }
    Ok(all)
}

/// The secrets a service may have.
async fn grants(link: &Link, service: &str) -> Result<BTreeSet<String>> {
    let text = link.find(&format!("grants/{service}")).await?.unwrap_or_default();
    Ok(text.split_whitespace().map(String::from).collect())
}

/// Grants a secret to services, or takes it from them.
async fn change(link: &Link, out: Out, name: &str, services: &[&str], grant: bool) -> Result<()> {
    file(name)?;
    for service in services {
        manifest::check_name(service).map_err(|why| Usage::Value(why.to_string()))?;
    }
    for service in services {
        let mut names = grants(link, service).await?;
        let changed = if grant { names.insert(name.to_string()) } else { names.remove(name) };
        if changed {
            let text: String = names.iter().map(|name| format!("{name}\n")).collect();
            let path = format!("grants/{service}");
            let put = link.client.put(&path, text.as_bytes()).await;
            put.map_err(|error| Error::at(&path, error))?;
        } else if !grant {
            return Err(Error::Other(format!("{name} is not granted to {service}")));
        }
        let what = if grant { "granted to" } else { "revoked from" };
        done(out, name, &format!("{what} {service}"))?;
    }
    Ok(())
}

/// Says which value of each secret apply would give to a service; those for which it would refuse,
/// with what to do. Who may not see that is told nothing, and no change.
///
/// # Errors
/// The connection's.
pub(crate) async fn resolve(
    link: &Link,
    service: &str,
    wanted: &mut Manifest,
    old: Option<&Deployed>,
) -> Result<Vec<String>> {
    let names: BTreeSet<String> = wanted.secrets.iter().map(|one| one.name.clone()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let granted = grants(link, service).await?;
    let (mut versions, mut lacks) = (BTreeMap::new(), Vec::new());
    for name in &names {
        let before = || old.and_then(|old| old.past.secrets.get(name).copied());
        match link.client.stat(&format!("secrets/{name}")).await {
            Ok(stat) => drop(versions.insert(name.clone(), stat.version)),
            Err(ClientError::Refused(text)) if text.contains("does not exist") => {
                lacks.push(format!("secret {name} does not exist: deploy secret set {name}"))
            }
            Err(ClientError::Refused(_)) => versions.extend(before().map(|n| (name.clone(), n))),
            Err(error) => return Err(Error::at("secrets", error)),
        }
        if !granted.contains(name) {
            lacks.push(format!(
                "secret {name} is not granted to {service}: deploy secret grant {name} {service}"
            ));
        }
    }
    wanted.secrets_are(|name| versions.get(name).copied().unwrap_or_default());
    Ok(lacks)
}

//! User names and passwords of registries, from the file every tool writes: `config.json` in
//! `$DOCKER_CONFIG` or `~/.docker` (member `auths`). Credential helpers are programs and are not
//! run.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::{Error, Result};

/// The name Docker stores its own registry under.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "registrytoken")]
    token: String,
}

/// Where the credentials are looked for.
pub(crate) fn path() -> PathBuf {
    let dir = env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    dir.unwrap_or_else(|| home().join(".docker")).join("config.json")
}

/// The credentials for a repository of a registry; anonymous when there is no file or no entry.
pub(crate) fn load(host: &str, repository: &str) -> Result<RegistryAuth> {
    let path = path();
    match fs::read(&path) {
        Ok(bytes) => of(host, repository, &bytes)
            .map_err(|why| Error::Document { what: path.display().to_string(), why }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(RegistryAuth::Anonymous),
        Err(e) => Err(crate::disk::io_error("read", &path, e)),
    }
}

fn of(host: &str, repository: &str, bytes: &[u8]) -> Result<RegistryAuth, String> {
    // The text of a parse error may hold what stands in the file; the place is enough.
    let file: File = serde_json::from_slice(bytes)
        .map_err(|e| format!("bad JSON at line {} column {}", e.line(), e.column()))?;
    let fit = |key: &str| fit(key, host, repository);
    let found = file.auths.iter().filter_map(|(key, entry)| Some((fit(key)?, entry)));
    let Some((_, entry)) = found.min_by_key(|(fit, _)| *fit) else {
        return Ok(RegistryAuth::Anonymous);
    };
    if !entry.token.is_empty() {
        return Ok(RegistryAuth::Bearer(entry.token.clone()));
    }
    if entry.auth.is_empty() {
        return Ok(match (entry.username.as_str(), entry.password.as_str()) {
            ("", _) | (_, "") => RegistryAuth::Anonymous,
            (user, password) => RegistryAuth::Basic(user.into(), password.into()),
        });
    }
    let bad = || format!("'auth' of {host} is not base64 of user:password");
    let plain = STANDARD.decode(entry.auth.trim()).map_err(|_| bad())?;
    let plain = String::from_utf8(plain).map_err(|_| bad())?;
    let (user, password) = plain.split_once(':').ok_or_else(bad)?;
    Ok(RegistryAuth::Basic(user.into(), password.trim_end_matches('\0').into()))
}

/// How well an entry's key fits a repository, the best first; none when it is for another.
///
/// An entry for a path is for the repositories under it alone, and the longest path goes first: it
/// says the most about who is meant (containers-auth.json(5)). Then comes the host as it is
/// written, then with a scheme, as Docker once did. No two keys of a file fit equally but by
/// their scheme, and then the first in order of letters is taken, always the same.
fn fit(key: &str, host: &str, repository: &str) -> Option<(Reverse<usize>, u8)> {
    let names = match host {
        "docker.io" | "index.docker.io" => &["docker.io", "index.docker.io"][..],
        _ => &[host],
    };
    if names.contains(&"docker.io") && key == DOCKER_HUB {
        return Some((Reverse(0), 0));
    }
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (name, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
    let at = names.iter().position(|known| *known == name)?;
    let form = u8::try_from(at).unwrap_or(u8::MAX) + if bare.is_some() { 4 } else { 1 };
    let path = path.trim_end_matches('/');
    // With a scheme these are the versions of the interface, not repositories.
    let path = if bare.is_some() && ["v1", "v2"].contains(&path) { "" } else { path };
    let below = repository.strip_prefix(path)?;
    let under = path.is_empty() || below.is_empty() || below.starts_with('/');
    under.then_some((Reverse(path.len()), form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_the_registry_is_found_under_each_of_its_names() {
        let text = br#"{"credsStore":"x","auths":{
            "https://index.docker.io/v1/":{"auth":"aHViOmE6Yg=="},
            "127.0.0.1:5000":{"auth":"dTpw"},
            "https://quay.io":{"username":"q","password":"r"},
            "ghcr.io":{},
            "token.io":{"registrytoken":"t"}}}"#;
        let check = |host: &str, want: RegistryAuth| {
            assert_eq!(of(host, "team/app", text).unwrap(), want);
        };
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.into(), password.into());
        check("docker.io", basic("hub", "a:b"));
        check("127.0.0.1:5000", basic("u", "p"));
        check("quay.io", basic("q", "r"));
        check("ghcr.io", RegistryAuth::Anonymous);
        check("127.0.0.1:5001", RegistryAuth::Anonymous);
        check("token.io", RegistryAuth::Bearer("t".into()));
    }

    #[test]
    fn of_many_entries_the_one_that_says_most_about_the_repository_is_sent() {
        let check = |keys: &[&str], host: &str, repository: &str, want: Option<&str>| {
            let entry = |key: &&str| format!(r#""{key}":{{"registrytoken":"{key}"}}"#);
            // Whatever order they stand in.
            for keys in [keys.to_vec(), keys.iter().rev().copied().collect()] {
                let entries = keys.iter().map(entry).collect::<Vec<_>>().join(",");
                let text = format!(r#"{{"auths":{{{entries}}}}}"#);
                let want = want.map_or(RegistryAuth::Anonymous, |k| RegistryAuth::Bearer(k.into()));
                assert_eq!(of(host, repository, text.as_bytes()).unwrap(), want, "{keys:?}");
            }
        };
        let quay = &["quay.io/team", "quay.io", "https://quay.io", "quay.io/team/app"];
        check(quay, "quay.io", "team/app", Some("quay.io/team/app"));
        check(quay, "quay.io", "team/app/x", Some("quay.io/team/app"));
        check(quay, "quay.io", "team/other", Some("quay.io/team"));
        check(quay, "quay.io", "teams/app", Some("quay.io"));
        check(&["quay.io/team"], "quay.io", "other/app", None);
        check(&["https://quay.io/v2/"], "quay.io", "other/app", Some("https://quay.io/v2/"));
        check(&["http://quay.io", "https://quay.io"], "quay.io", "a", Some("http://quay.io"));
        check(&["quay.io:443", "quay.io.evil.org"], "quay.io", "a", None);
        let hub = &["https://docker.io", "index.docker.io", DOCKER_HUB, "docker.io"];
        check(hub, "docker.io", "library/redis", Some(DOCKER_HUB));
        check(&hub[..2], "docker.io", "library/redis", Some("index.docker.io"));
        check(&["docker.io/team", "docker.io"], "docker.io", "library/redis", Some("docker.io"));
    }

    #[test]
    fn a_broken_file_is_an_error_that_shows_nothing_of_it() {
        let check = |text: &str| {
            let why = of("h", "app", text.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        };
        check(r#"{"auths":{"h":{"auth":"secret!"}}}"#);
        check(r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#);
        check(r#"{"auths":"secret""#);
    }
}

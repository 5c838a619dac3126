//! User names and passwords of registries, from the file every tool writes: `config.json` in
//! `$DOCKER_CONFIG` or `~/.docker` (member `auths`). Credential helpers are programs and are not
//! run.

use std::collections::HashMap;
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
    auths: HashMap<String, Entry>,
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

/// The credentials for a registry; anonymous when there is no file or no entry.
pub(crate) fn load(host: &str) -> Result<RegistryAuth> {
    let path = path();
    match fs::read(&path) {
        Ok(bytes) => of(host, &bytes)
            .map_err(|why| Error::Document { what: path.display().to_string(), why }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(RegistryAuth::Anonymous),
        Err(e) => Err(crate::disk::io_error("read", &path, e)),
    }
}

fn of(host: &str, bytes: &[u8]) -> Result<RegistryAuth, String> {
    // The text of a parse error may hold what stands in the file; the place is enough.
    let file: File = serde_json::from_slice(bytes)
        .map_err(|e| format!("bad JSON at line {} column {}", e.line(), e.column()))?;
    let names = match host {
        "docker.io" | "index.docker.io" => vec![DOCKER_HUB, "docker.io", "index.docker.io"],
        host => vec![host],
    };
    let found = file.auths.iter().find(|(key, _)| {
        let bare = key.trim_start_matches("https://").trim_start_matches("http://");
        let bare = bare.split('/').next().unwrap_or_default();
        names.iter().any(|name| *name == key.as_str() || *name == bare)
    });
    let Some((_, entry)) = found else { return Ok(RegistryAuth::Anonymous) };
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
        let check = |host: &str, want: RegistryAuth| assert_eq!(of(host, text).unwrap(), want);
        let basic = |user: &str, password: &str| RegistryAuth::Basic(user.into(), password.into());
        check("docker.io", basic("hub", "a:b"));
        check("127.0.0.1:5000", basic("u", "p"));
        check("quay.io", basic("q", "r"));
        check("ghcr.io", RegistryAuth::Anonymous);
        check("127.0.0.1:5001", RegistryAuth::Anonymous);
        check("token.io", RegistryAuth::Bearer("t".into()));
    }

    #[test]
    fn a_broken_file_is_an_error_that_shows_nothing_of_it() {
        let check = |text: &str| {
            let why = of("h", text.as_bytes()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        };
        check(r#"{"auths":{"h":{"auth":"secret!"}}}"#);
        check(r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#);
        check(r#"{"auths":"secret""#);
    }
}

//! What a registry lets us in with: nothing, a user and password, or a token from the server it
//! names (distribution's `spec/auth/token.md`). Asked for here and not by `oci-client`, which
//! does not tell which status the token server answered with: a wrong password and a server
//! that is down would look the same.

use http_auth::ChallengeRef;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType as Pass};
use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

use crate::registry_error::{denied, passing, words};
use crate::wire::{Failed, Wire, trusted};
use crate::{Error, credentials};

/// Bytes of an answer with a token; the longest known are a few thousand.
const TOKEN_BYTES_MAX: u64 = 256 << 10;

/// Where a registry sends us for a token.
#[derive(Debug, PartialEq)]
struct Bearer {
    realm: String,
    service: Option<String>,
}

/// What the registry wants to be shown to let us pull from the repository; none when it lets
/// everybody in.
pub(crate) async fn pass(
    wire: &Wire,
    auth: &RegistryAuth,
    repository: &str,
) -> Result<Option<Pass>, Failed> {
    if let RegistryAuth::Bearer(token) = auth {
        return Ok(Some(Pass::Bearer(RegistryToken::Token { token: token.clone() })));
    }
    let hello = wire.http.get(format!("{}/v2/", wire.base));
    let answer = wire.ask(hello, TOKEN_BYTES_MAX).await?;
    if let Some(bearer) = bearer(&answer.headers) {
        return fetch(wire, auth, repository, bearer).await.map(|token| Some(Pass::Bearer(token)));
    }
    match (answer.status, auth) {
        (408 | 425 | 429 | 500.., _) => {
            let why = format!("{}: {}", answer.status, text(&answer.body));
            Err(answer.failed(passing(&wire.remote, why)))
        }
        (_, RegistryAuth::Basic(user, password))
            if answer.headers.contains_key(WWW_AUTHENTICATE) =>
        {
            Ok(Some(Pass::Basic(user.clone(), password.clone())))
        }
        _ => Ok(None),
    }
}

/// Gets a token. The credentials go to the realm and nowhere else: when it redirects to another
/// host, the request that follows is without them.
async fn fetch(
    wire: &Wire,
    auth: &RegistryAuth,
    repository: &str,
    bearer: Bearer,
) -> Result<RegistryToken, Failed> {
    let registry = wire.remote.host.clone();
    let realm = words(&bearer.realm);
    let refused = |why: String| Error::Refused {
        registry: registry.clone(),
        what: wire.remote.to_string(),
        why: format!("no token from {realm}: {why}"),
    };
    let url = Url::parse(&bearer.realm).map_err(|e| refused(e.to_string()))?;
    if !trusted(&url, &wire.base) {
        return Err(refused("it is without TLS; tell who runs the registry".into()).into());
    }
    let mut request = wire.http.get(url);
    request = request.query(&[("scope", format!("repository:{repository}:pull"))]);
    if let Some(service) = bearer.service {
        request = request.query(&[("service", service)]);
    }
    if let RegistryAuth::Basic(user, password) = auth {
        request = request.basic_auth(user, Some(password));
    }
    let answer = wire.ask(request, TOKEN_BYTES_MAX).await.map_err(|error| {
        // It may be another machine than the registry, which is well.
        if let Error::Registry { why, .. } = &error {
            return passing(&wire.remote, format!("no token from {realm}: {why}"));
        }
        error
    })?;
    let told = || format!("{}: {}", answer.status, text(&answer.body));
    let error = match answer.status {
        200 => match serde_json::from_slice(&answer.body) {
            Ok(token) => return Ok(token),
            // Its text may hold what stands in the answer.
            Err(_) => refused("the answer holds none".into()),
        },
        401 => no_entry(wire, auth),
        403 => denied(&wire.remote, auth),
        408 | 425 | 429 | 500.. => {
            passing(&wire.remote, format!("no token from {realm}: {}", told()))
        }
        _ => refused(told()),
    };
    Err(answer.failed(error))
}

/// The token server does not know us; the registry itself was not even asked.
fn no_entry(wire: &Wire, auth: &RegistryAuth) -> Error {
    let RegistryAuth::Basic(user, _) = auth else { return denied(&wire.remote, auth) };
    let (user, file) = (words(user), credentials::path().display().to_string());
    Error::Denied {
        registry: wire.remote.host.clone(),
        what: wire.remote.to_string(),
        why: format!("user '{user}' or the password in {file} is wrong; correct the entry"),
    }
}

/// The first challenge to bring a token.
fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let challenges = texts.filter_map(|text| http_auth::parse_challenges(text).ok()).flatten();
    challenges.filter(|it| it.scheme.eq_ignore_ascii_case("bearer")).find_map(|it| {
        Some(Bearer { realm: parameter(&it, "realm")?, service: parameter(&it, "service") })
    })
}

fn parameter(challenge: &ChallengeRef<'_>, name: &str) -> Option<String> {
    let mut pairs = challenge.params.iter();
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_unescaped())
}

fn text(body: &[u8]) -> String {
    words(&String::from_utf8_lossy(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_realm_is_found_among_other_challenges() {
        let check = |values: &[&'static str], want: Option<(&str, Option<&str>)>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
            }
            let want = want.map(|(realm, service)| Bearer {
                realm: realm.into(),
                service: service.map(Into::into),
            });
            assert_eq!(bearer(&headers), want, "{values:?}");
        };
        let full = r#"Bearer realm="https://a/t",service="a.b",scope="repository:x:pull""#;
        check(&[full], Some(("https://a/t", Some("a.b"))));
        check(&[r#"bearer realm="https://a""#], Some(("https://a", None)));
        check(&[r#"Basic realm="x""#, full], Some(("https://a/t", Some("a.b"))));
        check(&[r#"Basic realm="x", Bearer realm="y""#], Some(("y", None)));
        check(&[r#"Basic realm="x""#], None);
        check(&[r#"Bearer service="x""#], None);
        check(&["nonsense=,"], None);
        check(&[], None);
    }
}

//! The HTTP below a registry: how long anything may take, who is spoken to without TLS, and
//! answers that are seen whole (status, `Retry-After`) but never longer than a limit.

use std::env;
use std::net::IpAddr;
use std::time::Duration;

use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Proxy, RequestBuilder, Url};

use crate::reference::Remote;
use crate::registry::chain;
use crate::registry_error::{passing, unreached};
use crate::{Error, Result};

/// Registries besides those on loopback that are spoken to without TLS: `host[:port]`, comma
/// between.
const INSECURE_ENV: &str = "DEPLOYFS_INSECURE_REGISTRIES";
/// Longest wait for a connection.
const CONNECT_S_MAX: u64 = 10;
/// Longest wait for the next bytes of an answer.
const READ_S_MAX: u64 = 30;
/// Longest wait for a whole answer.
const ANSWER_S_MAX: u64 = 60;
/// Longest rest a registry is given when it asks for one; one that wants more is for later.
const RETRY_AFTER_S_MAX: u64 = 30;
/// What no proxy is asked for.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";
/// How we name ourselves.
const USER_AGENT: &str = concat!("deployfs/", env!("CARGO_PKG_VERSION"));

/// A try that failed.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// The rest the registry asks for before the next try.
    pub(crate) rest: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, rest: None }
    }
}

impl Failed {
    /// The wait before the next try, when there is to be one: a passing error of the registry,
    /// which asks for no rest or for a short one.
    pub(crate) fn pause(&self, own: Duration) -> Option<Duration> {
        let rest = self.rest.unwrap_or_default();
        let again = matches!(self.error, Error::Registry { .. });
        (again && rest <= Duration::from_secs(RETRY_AFTER_S_MAX)).then(|| own.max(rest))
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An error with the rest this answer asks for (RFC 9110, 10.2.3; of its two forms the
    /// seconds, a date is taken for none).
    pub(crate) fn failed(&self, error: Error) -> Failed {
        let value = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let rest = value.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let error = match (error, rest) {
            (Error::Registry { registry, why }, Some(rest)) => {
                let why = format!("{why} (it asks for {} s of rest)", rest.as_secs());
                Error::Registry { registry, why }
            }
            (error, _) => error,
        };
        Failed { error, rest }
    }
}

/// Requests to a registry and its token server.
pub(crate) struct Wire {
    pub(crate) http: reqwest::Client,
    pub(crate) remote: Remote,
    /// `https://host`
    pub(crate) base: String,
}

impl Wire {
    /// Sends a request and takes its answer of at most so many bytes.
    pub(crate) async fn ask(&self, request: RequestBuilder, bytes_max: u64) -> Result<Answer> {
        let answer = tokio::time::timeout(
            Duration::from_secs(ANSWER_S_MAX),
            self.answer(request, bytes_max),
        );
        let late = || passing(&self.remote, format!("no answer in {ANSWER_S_MAX} s"));
        answer.await.map_err(|_| late())?
    }

    async fn answer(&self, request: RequestBuilder, bytes_max: u64) -> Result<Answer> {
        let failed = |e| unreached(&self.remote, &self.remote.to_string(), chain(&e));
        let mut response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if (body.len() + chunk.len()) as u64 > bytes_max {
                let why = format!("an answer of more than {bytes_max} bytes");
                return Err(Error::Refused {
                    registry: self.remote.host.clone(),
                    what: self.remote.to_string(),
                    why,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }
}

/// The client for blobs, and ours for the rest; both the same to the other side.
pub(crate) fn clients(remote: &Remote, host: &str) -> Result<(Client, Wire)> {
    // Fails when there is a default already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = plain_http(&remote.host, &insecure());
    let blobs = |unverified| Client::try_from(config(plain, unverified)).map_err(|e| chain(&e));
    let both = match (blobs(false), http(Trust::Certificates)) {
        (Ok(blobs), Ok(http)) => Ok((blobs, http)),
        // No certificates to verify with: a registry without TLS needs none, and nothing that
        // carries a secret is sent over a TLS that nobody verifies.
        (_, _) if plain => {
            blobs(true).and_then(|blobs| Ok((blobs, http(Trust::Nobody).map_err(|e| chain(&e))?)))
        }
        (Err(why), _) => Err(why),
        (_, Err(e)) => Err(chain(&e)),
    };
    let (client, http) = both.map_err(|why| {
        passing(remote, format!("{why}; is the package ca-certificates installed?"))
    })?;
    let base = format!("{}://{host}", if plain { "http" } else { "https" });
    Ok((client, Wire { http, remote: remote.clone(), base }))
}

/// Whose certificates are taken for good.
#[derive(Clone, Copy)]
enum Trust {
    /// Those signed by the machine's own.
    Certificates,
    /// None: only plain HTTP works.
    Nobody,
}

fn config(plain: bool, unverified: bool) -> ClientConfig {
    ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        // A blob may stand elsewhere; only what is behind a registry without TLS is fetched
        // unverified, and only on a machine that has no certificates to verify with.
        accept_invalid_certificates: unverified,
        connect_timeout: Some(Duration::from_secs(CONNECT_S_MAX)),
        read_timeout: Some(Duration::from_secs(READ_S_MAX)),
        https_proxy: variable("HTTPS_PROXY"),
        http_proxy: variable("HTTP_PROXY"),
        no_proxy: Some(no_proxy()),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    }
}

fn http(trust: Trust) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(CONNECT_S_MAX))
        .read_timeout(Duration::from_secs(READ_S_MAX))
        .user_agent(USER_AGENT);
    if let Trust::Nobody = trust {
        builder = builder.tls_certs_only([]);
    }
    let none = || reqwest::NoProxy::from_string(&no_proxy());
    if let Some(proxy) = variable("HTTPS_PROXY") {
        builder = builder.proxy(Proxy::https(proxy)?.no_proxy(none()));
    }
    if let Some(proxy) = variable("HTTP_PROXY") {
        builder = builder.proxy(Proxy::http(proxy)?.no_proxy(none()));
    }
    builder.build()
}

fn no_proxy() -> String {
    format!("{LOOPBACK},{}", variable("NO_PROXY").unwrap_or_default())
}

fn variable(name: &str) -> Option<String> {
    let value = env::var(name).or_else(|_| env::var(name.to_lowercase())).ok();
    value.filter(|value| !value.is_empty())
}

fn insecure() -> String {
    env::var(INSECURE_ENV).unwrap_or_default()
}

/// True for an address that may be given a secret: one with TLS; or one that may do without, when
/// the registry that names it, `base`, does without itself. What a registry with TLS says must not
/// lead to a place where anybody on the way can listen, or to a service on our own machine.
pub(crate) fn trusted(url: &Url, base: &str) -> bool {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = format!("{}{port}", url.host_str().unwrap_or_default());
    let plain = url.scheme() == "http" && base.starts_with("http://");
    url.scheme() == "https" || (plain && plain_http(&host, &insecure()))
}

/// True for a registry on loopback or in the list.
fn plain_http(host: &str, list: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback || bare == "localhost" || list.split(',').any(|entry| entry.trim() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_the_listed_are_spoken_to_without_tls() {
        let check = |host: &str, list: &str, want: bool| {
            assert_eq!(plain_http(host, list), want, "{host} {list}");
        };
        check("127.0.0.1:5000", "", true);
        check("localhost", "", true);
        check("[::1]:5000", "", true);
        check("quay.io", "", false);
        check("10.0.0.1:5000", "a, 10.0.0.1:5000", true);
        check("10.0.0.1:5001", "a,10.0.0.1:5000", false);
        check("localhost.evil.org", "", false);
        check("127.0.0.1.evil.org", "", false);
    }

    #[test]
    fn a_secret_goes_to_tls_or_from_a_plain_registry_to_loopback() {
        let check = |url: &str, plain: bool, tls: bool| {
            let url = Url::parse(url).unwrap();
            assert_eq!(trusted(&url, "http://127.0.0.1:5000"), plain, "{url}");
            assert_eq!(trusted(&url, "https://quay.io"), tls, "{url}");
        };
        check("https://auth.docker.io/token", true, true);
        check("http://127.0.0.1:1/token", true, false);
        check("http://[::1]:1/token", true, false);
        check("http://auth.docker.io/token", false, false);
        check("ftp://127.0.0.1/token", false, false);
    }

    #[test]
    fn a_client_that_trusts_nobody_is_there_without_certificates() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        http(Trust::Nobody).unwrap();
    }

    #[test]
    fn the_next_try_waits_as_long_as_asked_or_is_not_made() {
        let own = Duration::from_millis(250);
        let check = |permanent: bool, rest: Option<u64>, want: Option<u64>| {
            let (registry, why, what) = ("r".to_owned(), "w".to_owned(), "a".to_owned());
            let error = match permanent {
                true => Error::Refused { registry, what, why },
                false => Error::Registry { registry, why },
            };
            let failed = Failed { error, rest: rest.map(Duration::from_millis) };
            assert_eq!(failed.pause(own), want.map(Duration::from_millis), "{permanent} {rest:?}");
        };
        check(false, None, Some(250));
        check(false, Some(0), Some(250));
        check(false, Some(30_000), Some(30_000));
        check(false, Some(31_000), None);
        check(true, Some(1), None);
    }
}

//! Who may come in. A browser is made to send what other sites want, and a name of another site
//! may lead here, so a request has to name this door, and must not come from another page
//! (Fetch's Origin and Sec-Fetch-Site). Then whoever asks has the token, or, without one, is who
//! the kernel says he is.

use crate::refusal::{Refusal, Result};
use crate::routes::Needs;
use crate::{group, peer, token};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{StatusCode, Uri};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What a browser says of the page that asks.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// By what is decided who may come in.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// Where requests are taken.
    pub(crate) listen: SocketAddr,
    /// Where the token is.
    pub(crate) token: Option<PathBuf>,
    /// Whose members may write.
    pub(crate) group: String,
}

impl Guard {
    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// 400 without a host, 403 for another site's, 401 without the token, 403 for who may not.
    pub(crate) async fn admit(
        &self,
        needs: Needs,
        from: SocketAddr,
        uri: &Uri,
        head: &HeaderMap,
    ) -> Result<()> {
        let host = self.host(uri, head)?;
        same_site(&host, head)?;
        match (&self.token, needs) {
            (_, Needs::Nothing) => Ok(()),
            (Some(path), Needs::Read | Needs::Write) => by_token(path, head),
            (None, Needs::Read) => Ok(()),
            (None, Needs::Write) => self.by_peer(from).await,
        }
    }

    /// The host that a request is for. On loopback it has to be this machine's, for any name can
    /// be made to lead here; with a token whoever knows it may call this what he likes.
    fn host(&self, uri: &Uri, head: &HeaderMap) -> Result<String> {
        let mut named = head.get_all(HOST).iter();
        let (first, second) = (named.next(), named.next());
        let first = first.and_then(|host| host.to_str().ok()).filter(|_| second.is_none());
        let host = uri.authority().map(|host| host.as_str()).or(first);
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            return Err(Refusal::bad("the request needs one Host"));
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => host,
        };
        let ip = name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let ours = name.eq_ignore_ascii_case("localhost")
            || ip.is_some_and(|ip| ip.is_loopback() || ip == self.listen.ip());
        match ours || self.token.is_some() {
            true => Ok(host.to_string()),
            false => Err(Refusal::new(StatusCode::FORBIDDEN, "the request is for another host")
                .hint("ask for 127.0.0.1 or localhost, or give the server a token")),
        }
    }

    async fn by_peer(&self, from: SocketAddr) -> Result<()> {
        let (to, group) = (self.listen, self.group.clone());
        let looked = tokio::task::spawn_blocking(move || {
            peer::uid(from, to).map(|uid| (uid, group::may_write(uid, &group)))
        });
        let who = match looked.await.ok().flatten() {
            Some((_, true)) => return Ok(()),
            Some((uid, false)) => {
                format!("uid {uid} is neither root nor in the group {}", self.group)
            }
            None => "the connection is closed on one side, so nobody knows whose it is".to_string(),
        };
        Err(Refusal::new(StatusCode::FORBIDDEN, format!("permission denied: {who}"))
            .hint("this is for root and the group; or give the server a token"))
    }
}

/// Refuses what another site's page sends.
fn same_site(host: &str, head: &HeaderMap) -> Result<()> {
    let other =
        || Err(Refusal::new(StatusCode::FORBIDDEN, "the request comes from another site's page"));
    let text = |name: &HeaderName| head.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text(&SITE) {
        None | Some("same-origin" | "none") => {}
        Some(_) => return other(),
    }
    match text(&ORIGIN) {
        None => Ok(()),
        Some(origin) => {
            let place = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
            if place.is_some_and(|place| place.eq_ignore_ascii_case(host)) {
                Ok(())
            } else {
                other()
            }
        }
    }
}

fn by_token(path: &std::path::Path, head: &HeaderMap) -> Result<()> {
    let wanted = token::read(path).map_err(|why| {
        // Whoever asks could fill a log with it.
        tracing::debug!("{why}");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "there is no token to compare with")
            .hint("its file is to have one line, and to be readable by its owner alone")
    })?;
    let given = head.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| {
        // RFC 9110, section 11.1.
        scheme.eq_ignore_ascii_case("bearer")
    });
    match given {
        Some((_, given)) if token::same(given.trim(), &wanted) => Ok(()),
        Some(_) => Err(Refusal::new(StatusCode::UNAUTHORIZED, "the token is not the right one")),
        None => Err(Refusal::new(StatusCode::UNAUTHORIZED, "a token is needed")
            .hint("Authorization: Bearer TOKEN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use std::os::unix::fs::PermissionsExt as _;

    async fn admit(guard: &Guard, needs: Needs, head: &str) -> u16 {
        let mut fields = HeaderMap::new();
        for field in head.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = field.trim().split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_str(value).unwrap());
        }
        // Nobody's socket.
        let from = "127.0.0.1:1".parse().unwrap();
        let admitted = guard.admit(needs, from, &Uri::from_static("/"), &fields).await;
        admitted.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    fn guard(token: Option<PathBuf>) -> Guard {
        let listen = "127.0.0.1:8099".parse().unwrap();
        Guard { listen, token, group: "no-such-group".to_string() }
    }

    #[tokio::test]
    async fn a_name_that_was_made_to_lead_here_is_refused() {
        let guard = guard(None);
        for (head, want) in [
            ("Host: 127.0.0.1:8099", 200),
            ("Host: localhost:9000", 200),
            ("Host: [::1]:8099", 200),
            ("Host: LOCALHOST", 200),
            ("Host: evil.example:8099", 403),
            ("Host: 127.0.0.1.evil.example", 403),
            ("Host: localhost.evil.example:8099", 403),
            ("Host: 192.0.2.1:8099", 403),
            ("Host: localhost\nHost: localhost", 400),
            ("", 400),
        ] {
            assert_eq!(admit(&guard, Needs::Read, head).await, want, "{head}");
        }
    }

    #[tokio::test]
    async fn what_another_sites_page_sends_is_refused() {
        let guard = guard(None);
        for (fields, want) in [
            ("Origin: http://localhost:8099", 200),
            ("Origin: https://localhost:8099", 200),
            ("Sec-Fetch-Site: same-origin", 200),
            ("Sec-Fetch-Site: none", 200),
            ("Origin: http://evil.example", 403),
            ("Origin: http://localhost:8080", 403),
            ("Origin: http://localhost:8099.evil.example", 403),
            ("Origin: null", 403),
            ("Sec-Fetch-Site: cross-site", 403),
            ("Sec-Fetch-Site: same-site", 403),
        ] {
            let head = format!("Host: localhost:8099\n{fields}");
            assert_eq!(admit(&guard, Needs::Read, &head).await, want, "{fields}");
        }
    }

    #[tokio::test]
    async fn without_a_token_only_who_the_kernel_knows_may_write() {
        let guard = guard(None);
        assert_eq!(admit(&guard, Needs::Write, "Host: localhost").await, 403);
        assert_eq!(admit(&guard, Needs::Read, "Host: localhost").await, 200);
    }

    #[tokio::test]
    async fn with_a_token_nobody_does_anything_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("0123456789abcdef\n", 0o600);
        let guard = guard(Some(path.clone()));
        let right = "Host: deploy.example\nAuthorization: Bearer 0123456789abcdef";
        for (needs, head, want) in [
            (Needs::Nothing, "Host: deploy.example", 200),
            (Needs::Read, "Host: deploy.example", 401),
            (Needs::Read, "Host: h\nAuthorization: Bearer 0123456789abcdeg", 401),
            (Needs::Read, "Host: h\nAuthorization: Basic 0123456789abcdef", 401),
            (Needs::Read, "Host: h\nAuthorization: 0123456789abcdef", 401),
            (Needs::Read, right, 200),
            (Needs::Write, right, 200),
            (Needs::Write, "Host: h\nAuthorization: bearer  0123456789abcdef", 200),
        ] {
            assert_eq!(admit(&guard, needs, head).await, want, "{head}");
        }
        // Another one counts at once, and one that others may read counts as none.
        write("fedcba9876543210\n", 0o600);
        assert_eq!(admit(&guard, Needs::Write, right).await, 401);
        write("0123456789abcdef\n", 0o644);
        assert_eq!(admit(&guard, Needs::Write, right).await, 503);
    }
}

//! Asking the authority, over TLS and within bounds: it may be slow, broken or somebody else.
//!
//! Never: follows it elsewhere; takes an answer without end; waits for ever.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, RETRY_AFTER};
use hyper::http::uri::Authority;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Settings;

/// How long a request may take from the connection to the end of its answer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer; a chain of certificates has less than a tenth of it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The longest that the authority may ask to be left alone.
const REST_SECONDS_MAX: u64 = 24 * 60 * 60;
/// The port that need not be said.
const HTTPS: u16 = 443;

/// The way to one authority. Clones are the same one.
#[derive(Clone)]
pub(super) struct Web(Arc<Inside>);

struct Inside {
    /// Host and port; nobody else is asked.
    authority: Authority,
    tls: TlsConnector,
    /// The rest that the last refusal asked for, in seconds.
    rest: Mutex<Option<u64>>,
}

impl Web {
    /// The way to the authority, or why there is none.
    pub(super) fn to(settings: &Settings) -> Result<Web, String> {
        let uri: Uri = settings.url.parse().map_err(|why| format!("{}: {why}", settings.url))?;
        let authority = uri.authority().cloned();
        let authority = authority.ok_or_else(|| format!("{}: no host is in it", settings.url))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|why| format!("TLS: {why}"))?;
        let config = builder.with_root_certificates(roots(settings)?).with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Web(Arc::new(Inside { authority, tls, rest: Mutex::default() })))
    }

    /// The rest that was asked for since the last call.
    pub(super) fn rest(&self) -> Option<Duration> {
        let rest = self.0.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        rest.map(Duration::from_secs)
    }
}

/// Who may vouch for the authority.
fn roots(settings: &Settings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &settings.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return match roots.is_empty() {
            true => Err("this machine trusts nobody: install ca-certificates, or name who \
                         vouches for the authority with --acme-ca"
                .to_owned()),
            false => Ok(roots),
        };
    };
    let wrong = |why: &dyn std::fmt::Display| format!("--acme-ca {}: {why}", file.display());
    let text = std::fs::read(file).map_err(|why| wrong(&why))?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| wrong(&"it is not whole PEM"))?;
        roots.add(certificate).map_err(|why| wrong(&why))?;
    }
    match roots.is_empty() {
        true => Err(wrong(&"no certificate is in it")),
        false => Ok(roots),
    }
}

impl HttpClient for Web {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let inside = Arc::clone(&self.0);
        Box::pin(async move {
            let asked = timeout(REQUEST_TIME_MAX, inside.ask(request)).await;
            let asked = asked.unwrap_or_else(|_| {
                Err(io::Error::other(format!("no whole answer in {REQUEST_TIME_MAX:?}")))
            });
            asked.map_err(|why| Error::Other(why.into()))
        })
    }
}

impl Inside {
    async fn ask(&self, mut request: Request<BodyWrapper<Bytes>>) -> io::Result<BytesResponse> {
        let to = request.uri();
        if to.scheme_str() != Some("https") || to.authority() != Some(&self.authority) {
            let text = format!("it sends to {to}, and nobody but {} is asked", self.authority);
            return Err(io::Error::other(text));
        }
        let path = to.path_and_query().map_or("/", |path| path.as_str());
        let path: Uri = path.parse().map_err(io::Error::other)?;
        *request.uri_mut() = path;
        let host = HeaderValue::try_from(self.authority.as_str()).map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, host);
        let name = self.authority.host().trim_matches(['[', ']']);
        let port = self.authority.port_u16().unwrap_or(HTTPS);
        let stream = TcpStream::connect((name, port)).await?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let stream = TokioIo::new(self.tls.connect(name, stream).await?);
        let mut builder = http1::Builder::new();
        let shaken = builder.max_buf_size(HEAD_BYTES_MAX).handshake(stream).await;
        let (mut send, connection) = shaken.map_err(io::Error::other)?;
        let asked = async {
            let answer = send.send_request(request).await.map_err(io::Error::other)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|why| io::Error::other(format!("its answer: {why}")))?;
            Ok::<_, io::Error>((head, body.to_bytes()))
        };
        let mut connection = std::pin::pin!(connection);
        let mut asked = std::pin::pin!(asked);
        let (mut head, body) = tokio::select! {
            asked = &mut asked => asked,
            _ = &mut connection => asked.await,
        }?;
        if head.status.is_redirection() {
            return Err(io::Error::other(format!("it redirects ({})", head.status)));
        }
        // What comes of it is added to the time, which must not run over.
        let rest = head.headers.remove(RETRY_AFTER).and_then(|rest| seconds(&rest));
        if let Some(rest) = rest {
            head.headers.insert(RETRY_AFTER, HeaderValue::from(rest));
            if !head.status.is_success() {
                *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
            }
        }
        Ok(BytesResponse { parts: head, body: Box::new(body) })
    }
}

/// A rest in seconds (RFC 9110, 10.2.3), within bounds. A date is not understood: then the usual
/// rest is kept.
fn seconds(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(REST_SECONDS_MAX).min(REST_SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_a_bounded_number_of_seconds() {
        let check = |text: &'static str, want: Option<u64>| {
            assert_eq!(seconds(&HeaderValue::from_static(text)), want, "{text}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("18446744073709551615", Some(REST_SECONDS_MAX));
        check("99999999999999999999999999", Some(REST_SECONDS_MAX));
        check("-1", None);
        check("", None);
        check("Fri, 31 Dec 1999 23:59:59 GMT", None);
    }
}

//! Sends users who come in the clear to where their host has a certificate.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::body::Download;
use super::head::{Peer, Scheme, X_FORWARDED_PROTO};
use super::host::Name;
use crate::swap::Shared;

/// Where who hands out certificates looks for a proof, always in the clear (RFC 8555, 8.3).
pub(super) const CHALLENGES: &str = "/.well-known/acme-challenge/";
/// The port that need not be said.
const HTTPS: u16 = 443;

/// The answer to who looks for a proof of an order that is under way, whatever routes there are.
pub(crate) fn proof(
    shared: &Shared,
    peer: &Peer,
    name: &Name,
    head: &Parts,
) -> Option<Response<Download>> {
    let token = head.uri.path().strip_prefix(CHALLENGES)?;
    if peer.scheme == Scheme::Https || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let proof = shared.tls.proofs.find(name.as_str(), token)?;
    let mut answer = Response::new(Download::Text(Some(proof.into())));
    let kind = HeaderValue::from_static("application/octet-stream");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Some(answer)
}

/// The answer for a request that is to come over TLS. Its method and body come again (308 of
/// RFC 9110).
pub(crate) fn elsewhere(
    shared: &Shared,
    peer: &Peer,
    name: &Name,
    head: &Parts,
) -> Option<Response<Download>> {
    if peer.scheme == Scheme::Https {
        return None;
    }
    let port = shared.tls.port_of(name.as_str())?;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let proto = head.headers.get(X_FORWARDED_PROTO);
    let came_over_tls = peer.trusted && proto.is_some_and(|proto| proto == "https");
    if came_over_tls || !target.starts_with('/') || target.starts_with(CHALLENGES) {
        return None;
    }
    let port = if port == HTTPS { String::new() } else { format!(":{port}") };
    let to = HeaderValue::try_from(format!("https://{}{port}{target}", name.as_str())).ok()?;
    let mut answer = Response::new(Download::Text(Some(Bytes::from_static(b"308 use https\n"))));
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(LOCATION, to);
    Some(answer)
}

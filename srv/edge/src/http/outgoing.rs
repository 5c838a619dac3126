//! A request's head as it goes to the instance.

use std::rc::Rc;

use hyper::body::Body as _;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::{PathAndQuery, Scheme as UriScheme};
use hyper::upgrade::OnUpgrade;
use hyper::{Uri, Version};

use super::body::Upload;
use super::head::{self, Peer};
use crate::table::Options;
use crate::worker::Worker;

/// What a user asked the connection to become, where the route allows it.
pub(crate) struct Switch {
    pub(crate) on: OnUpgrade,
}

/// Whether the request goes over HTTP/2: where the table says so, and for gRPC that came so.
pub(crate) fn over_http2(head: &Parts, options: &Options) -> bool {
    let grpc = || {
        let kind = head.headers.get(CONTENT_TYPE);
        kind.is_some_and(|kind| is_grpc(kind.as_bytes()))
    };
    options.h2 || (head.version == Version::HTTP_2 && grpc())
}

/// Whether a type of content is that of gRPC, in whatever coding. gRPC-Web, which begins alike, is
/// made for HTTP/1.1.
fn is_grpc(kind: &[u8]) -> bool {
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Makes of the user's head what the instance gets to see.
pub(crate) fn prepare(
    worker: &Rc<Worker>,
    peer: &Peer,
    head: &mut Parts,
    options: &Options,
    http2: bool,
) -> Option<Switch> {
    let switch = switch(head, options);
    let to = switch.as_ref().and_then(|_| head.headers.get(UPGRADE).cloned());
    head::strip(&mut head.headers);
    if let Some(to) = to {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, to);
    }
    target(head, http2);
    head::forwarded(head, peer);
    head::identify(&mut head.headers, || worker.id());
    if !http2 {
        one_cookie(head);
    } else if head.uri.authority().is_some() {
        // Said twice, even alike, some servers refuse it (RFC 9113, section 8.3.1).
        head.headers.remove(HOST);
    }
    head.version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    switch
}

/// Says in one way how a body ends whose length is not known. Left to itself, the client sends none
/// with a method that hardly ever has one, as GET.
pub(crate) fn frame(head: &mut Parts, body: &Upload, http2: bool) {
    let unknown = !body.is_end_stream() && body.size_hint().exact().is_none();
    if unknown && !http2 {
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn switch(head: &mut Parts, options: &Options) -> Option<Switch> {
    let on = head.extensions.remove::<OnUpgrade>()?;
    let asked = options.websocket
        && head::names(&head.headers, &CONNECTION, "upgrade")
        && head::names(&head.headers, &UPGRADE, "websocket");
    asked.then_some(Switch { on })
}

/// An authority belongs into `Host` for HTTP/1.1, and into the target for HTTP/2.
fn target(head: &mut Parts, http2: bool) {
    let authority = head.uri.authority().cloned();
    if let Some(authority) = &authority
        && !head.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.insert(HOST, host);
    }
    if http2 {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        (parts.scheme, parts.authority) = (Some(UriScheme::HTTP), authority.or(host));
        parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
        // Without a host there is no authority, and then no scheme either.
        if parts.authority.is_none() {
            parts.scheme = None;
        }
        head.uri = Uri::from_parts(parts).unwrap_or_default();
    } else if authority.is_some() {
        let path = head.uri.path_and_query().cloned();
        head.uri = path.map(Uri::from).unwrap_or_default();
    }
}

/// HTTP/2 may cut a cookie into several fields; HTTP/1.1 has one (RFC 9113, section 8.2.3).
fn one_cookie(head: &mut Parts) {
    let mut parts = head.headers.get_all(COOKIE).iter();
    if parts.next().is_none() || parts.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = head.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        head.headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_what_begins_alike() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;a=b"] {
            assert!(is_grpc(kind.as_bytes()), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc-web-text+proto", "text/plain", ""] {
            assert!(!is_grpc(kind.as_bytes()), "{kind}");
        }
    }
}

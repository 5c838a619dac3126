//! The head of a request, from the user's bytes to the instance's: what [`super::super::head`]
//! and [`super::super::outgoing`] do to a head in parts, done to one in bytes.

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::{Header, Request, Status};
use hyper::header::HeaderValue;

use super::FIELDS_MAX;
use crate::http::head::{Peer, is_claim, is_double, is_id};
use crate::http::host::Name;
use crate::http::scan;

/// What a request says, as far as its way depends on it.
#[derive(Debug)]
pub(super) struct Ask {
    /// Bytes of the head.
    pub(super) len: usize,
    /// Its answer has no body, whatever it says.
    pub(super) is_head: bool,
    /// Whom it is for.
    pub(super) name: Name,
    /// Where its path stands.
    pub(super) path: Range<usize>,
}

/// Reads the head at the beginning of `came` and writes it as the instance gets it; nothing, and
/// nothing written that counts, when it is not all there or not a plain one.
pub(super) fn read(
    came: &[u8],
    peer: &Peer,
    id: impl FnOnce() -> HeaderValue,
    out: &mut Vec<u8>,
) -> Option<Ask> {
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut head = Request::new(&mut []);
    let Ok(Status::Complete(len)) = head.parse_with_uninit_headers(came, &mut space) else {
        return None;
    };
    let (method, target) = (head.method?, head.path?);
    let fine = matches!(method, "GET" | "HEAD" | "OPTIONS") && head.version? == 1;
    // An empty line may stand before a request; where its path stands is counted without one.
    let first = came.starts_with(method.as_bytes());
    if !fine || !first || !is_path(target) || !scan::is_bare(&came[..len]) {
        return None;
    }
    out.clear();
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let (mut host, mut known, mut cookie) = (None, false, false);
    for field in &*head.headers {
        match Kind::of(field.name) {
            Kind::Host if host.is_none() => host = Some(field.value),
            Kind::Id if !known && is_id(field.value) => known = true,
            // Several are made one in the long way.
            Kind::Cookie if !cookie => cookie = true,
            Kind::Connection if field.value.eq_ignore_ascii_case(b"keep-alive") => continue,
            // One that is to be believed is a matter for who reads it.
            Kind::Claim if !peer.trusted => continue,
            Kind::Double => continue,
            Kind::Any => {}
            Kind::Host | Kind::Id | Kind::Cookie | Kind::Connection | Kind::Claim | Kind::Odd => {
                return None;
            }
        }
        put(field.name, field.value, out);
    }
    let host = host?;
    let name = Name::of(str::from_utf8(host).ok()?)?;
    put("x-forwarded-for", peer.shown.as_bytes(), out);
    put("x-real-ip", peer.shown.as_bytes(), out);
    put("x-forwarded-proto", peer.scheme.word().as_bytes(), out);
    put("x-forwarded-host", host, out);
    if !known {
        put("x-request-id", id().as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
    let from = method.len() + 1;
    let path = target.find('?').unwrap_or(target.len());
    Some(Ask { len, is_head: method == "HEAD", name, path: from..from + path })
}

pub(super) fn put(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether a target is a path of letters that nobody reads in two ways.
fn is_path(target: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(&byte);
    target.starts_with('/') && target.bytes().all(fine)
}

/// What a field is about.
#[derive(Clone, Copy)]
enum Kind {
    Any,
    Host,
    Connection,
    Cookie,
    Id,
    /// Who the user says he is.
    Claim,
    /// One that is read as a field of the edge's own.
    Double,
    /// Something that makes a request other than plain.
    Odd,
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let odd = |others: &[&str]| others.iter().any(|other| is(other));
        match name.len() {
            4 if is("host") => Self::Host,
            6 if is("cookie") => Self::Cookie,
            10 if is("connection") => Self::Connection,
            12 if is("x-request-id") => Self::Id,
            2 | 6 | 7 | 10 | 14 | 16 | 17 | 18 | 19 if odd(ODD) => Self::Odd,
            9 | 12.. if is_claim(name) => Self::Claim,
            9.. if is_double(name) => Self::Double,
            _ => Self::Any,
        }
    }
}

/// Fields of requests that have a body, are for one connection, or want more than an answer.
const ODD: &[&str] = &[
    "te",
    "expect",
    "trailer",
    "upgrade",
    "keep-alive",
    "content-length",
    "http2-settings",
    "proxy-connection",
    "transfer-encoding",
    "proxy-authenticate",
    "proxy-authorization",
];

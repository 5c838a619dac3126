//! What is taken out of heads on their way and what is put in (RFC 9110, section 7.6).

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;

use super::serve::Taken;
use crate::network::Network;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Bytes of a request ID that is passed on; a longer one is replaced.
const ID_BYTES_MAX: usize = 128;

/// Whether a field is meant for one connection only. `TE` and `Trailer` are told apart from these
/// by [`strip`], for trailers go all the way.
fn is_for_one_hop(name: &HeaderName) -> bool {
    // Comparing well-known names is comparing numbers.
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == PROXY_AUTHENTICATE
        || *name == PROXY_AUTHORIZATION
        || *name == TE
}

/// Takes out what is for one connection only, also what `Connection` names.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let mut doomed: [Option<HeaderName>; 8] = [const { None }; 8];
    let mut many = 0;
    let mut trailers = false;
    let named = headers.contains_key(CONNECTION);
    for name in headers.keys().filter(|name| is_for_one_hop(name)) {
        doomed[many] = Some(name.clone());
        many += 1;
    }
    if many == 0 {
        return;
    }
    if let Some(value) = headers.get(TE) {
        trailers = tokens(value).any(|token| token.eq_ignore_ascii_case("trailers"));
    }
    if named {
        let listed: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(tokens)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            // These are not anybody's to take away: who is served, and how long the body is.
            .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
            .collect();
        listed.iter().for_each(|name| _ = headers.remove(name));
    }
    doomed.iter().flatten().for_each(|name| _ = headers.remove(name));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a body is coded in a way of which we know nothing: all but chunks.
pub(crate) fn is_coded(headers: &HeaderMap) -> bool {
    let mut fields = headers.get_all(TRANSFER_ENCODING).iter();
    let chunks = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    fields.next().is_some_and(|value| !chunks(value)) || fields.next().is_some()
}

/// Says once how long an answer's body is: the parser has seen that it is the same every time.
pub(crate) fn say_length_once(headers: &mut HeaderMap) {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return };
    let first = value.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
    let once = HeaderValue::from_bytes(first.trim_ascii());
    let is_list = first.len() < value.len();
    if (is_list || headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some())
        && let Ok(once) = once
    {
        headers.insert(CONTENT_LENGTH, once);
    }
}

/// The words of a list with commas.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// Whether a list names a word.
pub(crate) fn names(headers: &HeaderMap, list: &HeaderName, word: &str) -> bool {
    headers.get_all(list).iter().flat_map(tokens).any(|token| token.eq_ignore_ascii_case(word))
}

/// Where a request comes from: one connection of a user.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The user's address.
    pub(crate) ip: IpAddr,
    /// The same, as it stands in a head.
    pub(crate) shown: HeaderValue,
    /// Over TLS or not.
    pub(crate) scheme: Scheme,
    /// It is a proxy in front of this one, whose word about users holds.
    pub(crate) trusted: bool,
    /// Its requests that are on their way; only this thread writes.
    busy: Arc<AtomicU32>,
    /// When the last of them ended.
    rested: Cell<Instant>,
    /// The connection's place: a tunnel that goes on has it, too.
    _taken: Taken,
    /// The next request that comes was tried before in another way.
    pub(crate) begun: Cell<Option<Begun>>,
    /// Nothing has moved for too long: what is still on its way is given up for that.
    pub(crate) late: Cell<bool>,
}

/// A request that is begun once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// When it came.
    pub(crate) at: Instant,
    /// Since when an answer is waited for, if it was sent to anybody.
    pub(crate) asked: Option<Instant>,
    /// How it was sent out whole, and came to nothing.
    pub(crate) spent: Option<Spent>,
}

/// A request that was sent, and whose instance broke off without an answer: it may have done what
/// it was asked, and may have ended of it. It is sent once more at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// The instance that is not asked again, by its serial; none where the connection had served
    /// before, for it may have been closing it just then.
    pub(crate) not: Option<u64>,
}

/// How a user reaches the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands in a head.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Peer {
    pub(crate) fn new(taken: Taken, scheme: Scheme, trust: &[Network]) -> Self {
        let ip = taken.ip().to_canonical();
        let trusted = trust.iter().any(|network| network.has(ip));
        let shown = HeaderValue::try_from(ip.to_string());
        // An address is printed in letters that a head may have.
        let shown = shown.unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let (busy, rested) = (Arc::default(), Cell::new(Instant::now()));
        let (begun, late) = (Cell::new(None), Cell::new(false));
        Self { ip, shown, scheme, trusted, busy, rested, begun, late, _taken: taken }
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        self.busy.store(self.busy.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A request has ended.
    pub(crate) fn end(&self, now: Instant) {
        self.busy.store(self.busy.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        self.rested.set(now);
    }

    /// Since when no request is on its way, if none is.
    pub(crate) fn rested(&self) -> Option<Instant> {
        (self.busy.load(Ordering::Relaxed) == 0).then(|| self.rested.get())
    }

    /// How many requests are on their way, for who looks at the connection.
    pub(crate) fn busy(&self) -> &Arc<AtomicU32> {
        &self.busy
    }
}

/// Whether this field, in small letters or not, says for whom a request is made. Instances that
/// believe it believe whoever wrote it last.
pub(super) fn is_claim(name: &str) -> bool {
    let begins =
        |with: &str| name.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    match name.len() {
        9 => begins("forwarded") || begins("x-real-ip"),
        12.. => begins("x-forwarded-"),
        _ => false,
    }
}

/// Bytes of the longest name that [`is_double`] looks for, apart from the open-ended ones.
const DOUBLE_BYTES_MAX: usize = 19;

/// Whether this field is read as another by programs that take `_` and `-` for the same, as CGI
/// and WSGI do (RFC 3875, section 4.1.18): one that the edge sets or takes out. Nobody else says
/// those, and nobody who is trusted writes them so.
pub(super) fn is_double(name: &str) -> bool {
    if !name.bytes().any(|byte| byte == b'_') {
        return false;
    }
    let mut plain = [0; DOUBLE_BYTES_MAX];
    let len = name.len().min(DOUBLE_BYTES_MAX);
    for (to, byte) in plain.iter_mut().zip(name.bytes()) {
        *to = if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    }
    let Ok(plain) = str::from_utf8(&plain[..len]) else { return false };
    is_claim(plain) || (len == name.len() && DOUBLED.contains(&plain))
}

/// What the edge sets or takes out beside what says for whom a request is made, and has a `-`.
const DOUBLED: [&str; 8] = [
    "keep-alive",
    "x-request-id",
    "content-length",
    "http2-settings",
    "proxy-connection",
    "transfer-encoding",
    "proxy-authenticate",
    "proxy-authorization",
];

/// Says for whom the request is made. What the user says of himself is replaced or taken away,
/// unless he is trusted; then it is kept and, for addresses, added to.
pub(crate) fn forwarded(head: &mut Parts, peer: &Peer) {
    let (headers, trusted) = (&mut head.headers, peer.trusted);
    let goes =
        |name: &&HeaderName| is_double(name.as_str()) || (!trusted && is_claim(name.as_str()));
    if headers.keys().any(|name| goes(&name)) {
        let going: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
        going.iter().for_each(|name| _ = headers.remove(name));
    }
    let before = headers.get(X_FORWARDED_FOR).filter(|_| trusted);
    let for_whom = match before.and_then(|value| value.to_str().ok()) {
        Some(before) => {
            let list = format!("{before}, {}", peer.ip);
            HeaderValue::try_from(list).unwrap_or_else(|_| peer.shown.clone())
        }
        None => peer.shown.clone(),
    };
    headers.insert(X_FORWARDED_FOR, for_whom);
    headers.entry(X_REAL_IP).or_insert_with(|| peer.shown.clone());
    if !(trusted && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(peer.scheme.word()));
    }
    if !(trusted && headers.contains_key(X_FORWARDED_HOST)) {
        match headers.get(HOST).cloned() {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            None => headers.remove(X_FORWARDED_HOST),
        };
    }
    // The edge itself says `100 Continue` when the instance takes the body.
    headers.remove(EXPECT);
}

/// The request's ID: the user's, if it is one, else this one.
pub(crate) fn identify(headers: &mut HeaderMap, make: impl FnOnce() -> HeaderValue) {
    if !headers.get(X_REQUEST_ID).is_some_and(|value| is_id(value.as_bytes())) {
        headers.insert(X_REQUEST_ID, make());
    }
}

/// Whether this is an ID that may be passed on.
pub(super) fn is_id(value: &[u8]) -> bool {
    (1..=ID_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

//! The head of an instance's answer, from its bytes to the user's.

use std::io::Write;
use std::mem::MaybeUninit;
use std::time::SystemTime;

use httparse::{Header, Response, Status};
use httpdate::HttpDate;
use hyper::StatusCode;

use super::ask::put;
use super::body::Body;
use super::{Bad, FIELDS_MAX};
use crate::http::scan::{self, Chunks};

/// What has come of an answer.
#[derive(Debug)]
pub(super) enum Told {
    /// Not the whole head.
    More,
    /// A head of so many bytes before the one that counts (1xx).
    Interim(usize),
    /// The head that counts.
    Reply(Reply),
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// Bytes of it.
    pub(super) len: usize,
    pub(super) status: StatusCode,
    /// What follows.
    pub(super) body: Body,
    /// The connection may serve another request.
    pub(super) keeps: bool,
    /// The user is told that it is his last.
    pub(super) closes: bool,
}

/// Reads the head at the beginning of `came` and writes it as the user gets it. As strict as may
/// be about what follows (RFC 9112, section 6.3): who asked would believe it. `closes` tells him
/// that there will be no next.
pub(super) fn read(
    came: &[u8],
    is_head: bool,
    closes: bool,
    out: &mut Vec<u8>,
) -> Result<Told, Bad> {
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut head = Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut head, came, &mut space);
    let Status::Complete(len) = parsed.map_err(|_| Bad("a head"))? else { return Ok(Told::More) };
    let code = head.code.ok_or(Bad("no status"))?;
    let status = StatusCode::from_u16(code).map_err(|_| Bad("a status"))?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Bad("a switch that nobody asked for"));
    }
    if status.is_informational() {
        return Ok(Told::Interim(len));
    }
    let frame = Frame::of(head.headers, head.version == Some(1))?;
    let bodiless = is_head || matches!(code, 204 | 304);
    let body = match (frame.length, frame.chunked) {
        (_, _) if bodiless => Body::Over,
        (Some(_), true) => return Err(Bad("a length and chunks")),
        (None, true) => Body::Chunks(Chunks::new(), 0),
        (Some(0), false) => Body::Over,
        (Some(length), false) => Body::Length(length),
        (None, false) => Body::Close,
    };
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    let reason = head.reason.filter(|reason| !reason.is_empty());
    out.extend_from_slice(reason.or(status.canonical_reason()).unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for field in &*head.headers {
        let stays = !is_for_one_hop(field.name) && !frame.takes_away(field.name);
        // There is no length of what cannot be, and one of what is (RFC 9110, section 8.6).
        let hides = code == 204 || frame.repeated;
        if stays && !(hides && field.name.eq_ignore_ascii_case("content-length")) {
            put(field.name, field.value, out);
        }
    }
    if let Some(length) = frame.length.filter(|_| frame.repeated && code != 204) {
        put("content-length", length.to_string().as_bytes(), out);
    }
    if matches!(body, Body::Chunks(..) | Body::Close) {
        put("transfer-encoding", b"chunked", out);
    }
    if !frame.dated {
        date(out);
    }
    if closes {
        put("connection", b"close", out);
    }
    out.extend_from_slice(b"\r\n");
    let keeps = frame.keeps && !matches!(body, Body::Close);
    Ok(Told::Reply(Reply { len, status, body, keeps, closes }))
}

/// Says what time it is, for who does not (RFC 9110, section 6.6.1).
pub(super) fn date(out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "date: {}\r\n", HttpDate::from(SystemTime::now()));
}

/// What a head says about the body and the connection.
struct Frame<'a> {
    length: Option<u64>,
    /// The same length stands there more than once.
    repeated: bool,
    chunked: bool,
    keeps: bool,
    dated: bool,
    /// Lists of fields that are for this connection only.
    lists: [&'a str; LISTS_MAX],
    many: usize,
}

/// Fields `Connection` of one head.
const LISTS_MAX: usize = 4;

impl<'a> Frame<'a> {
    fn of(fields: &[Header<'a>], is_11: bool) -> Result<Self, Bad> {
        let lists = [""; LISTS_MAX];
        let (mut length, mut chunked, mut dated, mut many) = (None, false, false, 0);
        let mut it = Self { length, repeated: false, chunked, keeps: is_11, dated, lists, many };
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                4 if is("date") => dated = true,
                10 if is("connection") => {
                    let list = str::from_utf8(field.value).map_err(|_| Bad("Connection"))?;
                    *it.lists.get_mut(many).ok_or(Bad("too many Connection"))? = list;
                    many += 1;
                }
                14 if is("content-length") => {
                    for value in field.value.split(|byte| *byte == b',') {
                        let again = scan::number(value).ok_or(Bad("a length"))?;
                        it.repeated |= length.is_some();
                        if *length.get_or_insert(again) != again {
                            return Err(Bad("two lengths"));
                        }
                    }
                }
                17 if is("transfer-encoding") => {
                    if chunked || !is_11 || !field.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Bad("an encoding"));
                    }
                    chunked = true;
                }
                _ => {}
            }
        }
        (it.length, it.chunked, it.dated, it.many) = (length, chunked, dated, many);
        if it.names("close") {
            it.keeps = false;
        } else if !is_11 {
            it.keeps = it.names("keep-alive");
        }
        Ok(it)
    }

    fn names(&self, word: &str) -> bool {
        let mut words = self.lists[..self.many].iter().flat_map(|list| list.split(','));
        words.any(|it| it.trim().eq_ignore_ascii_case(word))
    }

    /// Whether `Connection` says that a field goes no further. How long the body is, it cannot
    /// take away.
    fn takes_away(&self, name: &str) -> bool {
        self.many > 0 && !name.eq_ignore_ascii_case("content-length") && self.names(name)
    }
}

fn is_for_one_hop(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "te",
        "upgrade",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "proxy-authenticate",
        "proxy-authorization",
    ];
    matches!(name.len(), 2 | 7 | 10 | 16..=19)
        && NAMES.iter().any(|it| name.eq_ignore_ascii_case(it))
}

//! The head of a request that may have to be sent once more.

use std::cell::RefCell;

use hyper::body::Body;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, Uri, Version};

use super::body::Upload;

/// A head in one piece of memory, which the next request uses again: it is hardly ever read.
#[derive(Debug)]
pub(crate) struct Copy<'a> {
    harmless: bool,
    method: Method,
    uri: Uri,
    version: Version,
    /// Of each field whether it is secret, how long its name and its value are, and both.
    fields: Vec<u8>,
    spare: &'a RefCell<Vec<u8>>,
}

/// Bytes that say how long a name or a value is.
const LEN_BYTES: usize = 4;

impl<'a> Copy<'a> {
    /// Of a request that may be sent twice: its method says so, and it has no body (RFC 9110,
    /// section 9.2.2). Of any that goes over HTTP/2, where an instance may refuse one.
    pub(super) fn of(
        request: &Request<Upload>,
        spare: &'a RefCell<Vec<u8>>,
        http2: bool,
    ) -> Option<Self> {
        let idempotent = matches!(
            *request.method(),
            Method::GET
                | Method::HEAD
                | Method::OPTIONS
                | Method::PUT
                | Method::DELETE
                | Method::TRACE
        );
        let harmless = idempotent && request.body().is_end_stream();
        if !harmless && !http2 {
            return None;
        }
        let mut fields = spare.take();
        for (name, value) in request.headers() {
            fields.push(u8::from(value.is_sensitive()));
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                // A head is far shorter than this can say.
                fields.extend_from_slice(&(part.len() as u32).to_le_bytes());
                fields.extend_from_slice(part);
            }
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        Some(Self { harmless, method, uri, version: request.version(), fields, spare })
    }

    /// Whether it does no harm twice.
    pub(super) fn is_harmless(&self) -> bool {
        self.harmless
    }

    /// The same request once more, without its body.
    pub(super) fn again(&self) -> Request<Upload> {
        let mut request = Request::new(Upload::None);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        let mut left = &self.fields[..];
        while let Some((name, value)) = field(&mut left) {
            request.headers_mut().append(name, value);
        }
        request
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        self.spare.replace(fields);
    }
}

fn field(left: &mut &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (secret, rest) = left.split_first()?;
    *left = rest;
    let name = HeaderName::from_bytes(part(left)?).ok()?;
    let mut value = HeaderValue::from_bytes(part(left)?).ok()?;
    value.set_sensitive(*secret != 0);
    Some((name, value))
}

fn part<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = left.split_first_chunk::<LEN_BYTES>()?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *left = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{COOKIE, HOST};

    #[test]
    fn a_copy_is_the_same_request_and_only_of_one_that_does_no_harm_twice() {
        let spare = RefCell::default();
        let mut secret = HeaderValue::from_bytes(b"a=\xff").expect("a value");
        secret.set_sensitive(true);
        let request = Request::put("http://shop/x?y=z").version(Version::HTTP_2);
        let request = request.header(HOST, "shop").header("x-a", "").header("x-a", "2");
        let mut request = request.header(COOKIE, secret).body(Upload::None).expect("a request");
        for _ in 0..2 {
            let again = Copy::of(&request, &spare, false).expect("a copy").again();
            assert_eq!(again.headers(), request.headers());
            assert!(again.headers()[COOKIE].is_sensitive());
            assert_eq!((again.method(), again.uri()), (request.method(), request.uri()));
            assert_eq!(again.version(), request.version());
        }
        *request.method_mut() = Method::POST;
        assert!(Copy::of(&request, &spare, false).is_none());
        assert!(!Copy::of(&request, &spare, true).expect("a copy").is_harmless());
    }
}

//! Which host a request is for, and whether it says so in one way only (RFC 9112, section 3.2).

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::{Method, Version};

/// Bytes of a name that are compared without asking for memory; longer ones are no names.
const NAME_BYTES_MAX: usize = 255;

/// A host in small letters, without port and without the dot at its end.
#[derive(Debug)]
pub(crate) struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    len: u8,
}

impl Name {
    /// From what a request says: `host` or `host:port`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let end = match text.rfind(']') {
            // An IPv6 address stands in brackets and has colons of its own.
            Some(end) if text.starts_with('[') => end + 1,
            _ => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at(end);
        let port = port.strip_prefix(':').unwrap_or(port);
        let name = name.strip_suffix('.').unwrap_or(name);
        let digits = port.bytes().all(|c| c.is_ascii_digit());
        let is_port = digits && (port.is_empty() || port.parse::<u16>().is_ok());
        let fine = is_port && name.len() <= NAME_BYTES_MAX;
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[:]".contains(&c);
        if !fine || !name.bytes().all(plain) {
            return None;
        }
        let mut it = Self { bytes: [0; NAME_BYTES_MAX], len: name.len() as u8 };
        it.bytes[..name.len()].copy_from_slice(name.as_bytes());
        it.bytes[..name.len()].make_ascii_lowercase();
        Some(it)
    }

    /// The host as the index has it; empty when the request had none.
    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII was let in.
        str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

/// The host that the head names, or what is wrong with how it does.
pub(crate) fn of(head: &Parts) -> Result<Name, &'static str> {
    let mut named = head.headers.get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        return Err("more than one Host");
    }
    let host = first.map(|value| value.to_str().map_err(|_| "Host is no name")).transpose()?;
    let authority = head.uri.authority().map(|authority| authority.as_str());
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Err("the target names a user");
    }
    if head.method == Method::CONNECT {
        return Err("CONNECT is not for this server");
    }
    let text = match (host, authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            return Err("Host is another than the one in the target");
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) if head.version == Version::HTTP_11 => return Err("no Host"),
        (None, None) => "",
    };
    Name::of(text).ok_or("Host is no name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    /// Each line: target, a colon-free list of Host values with `|` between, `>` what comes of it.
    #[test]
    fn a_request_names_one_host() {
        let cases = "
            / Shop.Example.com > shop.example.com
            / shop.:8080 > shop
            / [fd00::1]:80 > [fd00::1]
            / [FD00::1] > [fd00::1]
            http://shop:80/x shop:80 > shop
            http://shop/x other > Host is another than the one in the target
            http://shop/x shop:80 > Host is another than the one in the target
            http://shop/x - > shop
            http://u@shop/x - > the target names a user
            / a|a > more than one Host
            / - > no Host
            / a:b > Host is no name
            / a:65535 > a
            / a:00080 > a
            / a:65536 > Host is no name
            http://a:99999/x - > Host is no name
            / a/b > Host is no name
            / a@b > Host is no name
            / a,b > a,b";
        for case in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
            let (request, wanted) = case.split_once(" > ").expect("what comes of it");
            let (target, hosts) = request.split_once(' ').expect("target and host");
            let mut request = Request::get(target);
            for host in hosts.split('|').filter(|host| *host != "-") {
                request = request.header(HOST, host);
            }
            let (head, ()) = request.body(()).expect("a request").into_parts();
            let told = of(&head).map(|name| name.as_str().to_owned());
            assert_eq!(told.unwrap_or_else(str::to_owned), wanted, "{case}");
        }
    }
}

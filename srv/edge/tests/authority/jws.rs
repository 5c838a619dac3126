//! Requests that are signed (RFC 7515, RFC 8555 section 6), and who signed them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

/// Bytes of half a point of P-256.
const HALF_BYTES: usize = 32;

/// A key by which accounts sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    point: Vec<u8>,
    /// Its thumbprint (RFC 7638).
    pub(super) thumb: String,
}

/// What was signed, before it is known by whom.
pub(super) struct Signed {
    pub(super) head: Value,
    /// Nothing where something is only asked for.
    pub(super) payload: Value,
    text: String,
    signature: Vec<u8>,
}

pub(super) fn decode(value: &Value) -> Option<Vec<u8>> {
    BASE64.decode(value.as_str()?).ok()
}

impl Key {
    /// From a JWK (RFC 7517).
    pub(super) fn of(jwk: &Value) -> Option<Key> {
        if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return None;
        }
        let (x, y) = (decode(&jwk["x"])?, decode(&jwk["y"])?);
        if x.len() != HALF_BYTES || y.len() != HALF_BYTES {
            return None;
        }
        let (short_x, short_y) = (&jwk["x"], &jwk["y"]);
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{short_x},"y":{short_y}}}"#);
        let thumb = BASE64.encode(digest(&SHA256, text.as_bytes()));
        Some(Key { point: [vec![4], x, y].concat(), thumb })
    }
}

impl Signed {
    /// From the body of a request.
    pub(super) fn read(body: &[u8]) -> Option<Signed> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let head = serde_json::from_slice(&decode(&body["protected"])?).ok()?;
        let payload = match decode(&body["payload"])?.as_slice() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).ok()?,
        };
        let text = format!("{}.{}", body["protected"].as_str()?, body["payload"].as_str()?);
        Some(Signed { head, payload, text, signature: decode(&body["signature"])? })
    }

    /// Whether that key has signed it.
    pub(super) fn is_by(&self, key: &Key) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point);
        self.head["alg"] == "ES256" && key.verify(self.text.as_bytes(), &self.signature).is_ok()
    }
}

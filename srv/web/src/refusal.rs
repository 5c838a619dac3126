//! Why a request is refused: a status, a sentence, and what to do.

use crate::body::{self, Answer};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use ninep::client::ClientError;
use ninep::numberless;
use serde_json::{Map, Value, json};

/// Seconds after which somebody who found no room may ask again.
const RETRY_AFTER_S: &str = "2";

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// What is wrong.
    pub(crate) error: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// What is wrong in detail, where it is more than one thing.
    pub(crate) errors: Vec<Value>,
    /// The ways in which this can be asked for.
    allow: Option<&'static str>,
}

/// What an operation gives.
pub(crate) type Result<T> = std::result::Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        let error = error.into();
        Refusal { status, error, hint: None, errors: Vec::new(), allow: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn errors(self, errors: Vec<Value>) -> Refusal {
        Refusal { errors, ..self }
    }

    /// What is asked for is there, but not in this way.
    pub(crate) fn method(allow: &'static str) -> Refusal {
        let text = format!("this is asked for by {allow}");
        Refusal { allow: Some(allow), ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    /// A word of the request makes no sense.
    pub(crate) fn bad(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    pub(crate) fn missing(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, error)
    }

    /// No service of that name.
    pub(crate) fn no_service(name: &str) -> Refusal {
        let text = format!("service {name} does not exist");
        Refusal::missing(text).hint("GET /v1/services lists those that do")
    }

    /// What the tree, or the way to it, said.
    pub(crate) fn of_tree(error: &ClientError) -> Refusal {
        let text = numberless(&error.to_string());
        match error {
            ClientError::Refused(_) => Refusal::of_text(&text),
            ClientError::Unreachable(_) | ClientError::Lost(_) => {
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
                    .hint("is deployfs running? what was accepted goes on")
            }
            ClientError::TooLong { .. } => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text),
            ClientError::Full(_) => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text),
            ClientError::Path(..) => Refusal::missing(text),
            ClientError::Protocol(_) | ClientError::Short { .. } => {
                Refusal::new(StatusCode::BAD_GATEWAY, text)
            }
        }
    }

    /// What the server's own words mean. What is none of the others is refused by the state that
    /// things are in.
    fn of_text(text: &str) -> Refusal {
        // A refused verb is quoted before its reason: `scale 3: service is stopped`.
        let says = |words: &str| text.starts_with(words) || text.contains(&format!(": {words}"));
        let status = if text.contains("does not exist") || text.contains("is not in history") {
            StatusCode::NOT_FOUND
        } else if says("permission denied") {
            StatusCode::FORBIDDEN
        } else if says("invalid argument") || says("manifest refused") {
            StatusCode::BAD_REQUEST
        } else if text.ends_with("try again later") || says("node does not answer") {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::CONFLICT
        };
        Refusal::new(status, text)
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut object = Map::new();
        object.insert("error".to_string(), json!(self.error));
        if let Some(hint) = &self.hint {
            object.insert("hint".to_string(), json!(hint));
        }
        if !self.errors.is_empty() {
            object.insert("errors".to_string(), json!(self.errors));
        }
        let mut answer = body::json(&Value::Object(object));
        *answer.status_mut() = self.status;
        let head = answer.headers_mut();
        if let Some(allow) = self.allow {
            head.insert(ALLOW, HeaderValue::from_static(allow));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                head.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                head.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            // What was not read of the request must not be taken for the next one.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                head.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: ClientError, status: u16) {
        let refusal = Refusal::of_tree(&error);
        assert_eq!(refusal.status.as_u16(), status, "{error:?}");
    }

    #[test]
    fn each_refusal_of_the_tree_has_the_status_of_its_reason() {
        let refused = |text: &str, status| check(ClientError::Refused(text.to_string()), status);
        refused("apply: update to v3 in flight; wait for it, or cancel it first", 409);
        refused("pause: no update in flight", 409);
        refused("lock is in use by ann (uid 1000) since …", 409);
        refused("apply: no room: node-1: cpu 0.25 asked, 0.10 free", 409);
        refused("rollback v9: version v9 is not in history/web", 404);
        refused("file does not exist", 404);
        refused("permission denied", 403);
        refused("invalid argument: \"scale x\": say: scale N", 400);
        refused("unsaved files in manifests/: try again later", 503);
        refused("node does not answer", 503);
        check(ClientError::Unreachable("unix!/a: connection refused".to_string()), 503);
        check(ClientError::Lost("end of file".to_string()), 503);
        check(ClientError::Full(7), 503);
    }

    #[test]
    fn a_refusal_says_what_to_do_and_how_else_to_ask() {
        let refusal = Refusal::method("GET, HEAD");
        let answer = refusal.answer();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[ALLOW]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "x");
        assert_eq!(refusal.answer().headers()[WWW_AUTHENTICATE], "Bearer");
        assert!(
            Refusal::no_service("web").answer().headers().contains_key("content-security-policy")
        );
    }
}

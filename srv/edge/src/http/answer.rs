//! What the edge itself answers: a status and one line that says why.

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::body::Download;

/// Why a request was not answered by an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request makes no sense.
    Bad(&'static str),
    /// No route is for this host and path.
    NoRoute,
    /// The route's service has no healthy instance.
    NoInstance,
    /// Too many requests wait for an instance already.
    TooManyHeld,
    /// No instance could be reached.
    Unreachable,
    /// The instance closed the connection before it answered.
    Broken,
    /// What the instance said is no answer, or may be read in two ways.
    Senseless,
    /// The instance was stopped before it answered: the drain had passed.
    Cut,
    /// The instance did not begin to answer in time.
    TooSlow,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoInstance | Self::TooManyHeld => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable | Self::Broken | Self::Senseless => StatusCode::BAD_GATEWAY,
            Self::Cut | Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn text(self) -> Bytes {
        let text = match self {
            Self::Bad(why) => return format!("400 bad request: {why}\n").into(),
            Self::NoRoute => "404 no route for this host and path\n",
            Self::NoInstance => "503 the service has no healthy instance\n",
            Self::TooManyHeld => "503 too many requests wait for an instance\n",
            Self::Unreachable => "502 no instance could be reached\n",
            Self::Broken => "502 the instance closed the connection before it answered\n",
            Self::Senseless => "502 the instance's answer makes no sense\n",
            Self::Cut => "504 the instance was stopped before it answered\n",
            Self::TooSlow => "504 the instance did not answer in time\n",
        };
        Bytes::from_static(text.as_bytes())
    }

    /// The whole answer.
    pub(crate) fn answer(self) -> Response<Download> {
        let mut answer = Response::new(Download::Text(Some(self.text())));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Self::Bad(_) = self {
            // Who says one thing badly may have said more behind it.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

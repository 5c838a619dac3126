//! What the edge itself answers: a status and one line that says why.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::body::Download;
use crate::metrics::{Class, Reason, Want};

/// Why a request was not answered by an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request makes no sense.
    Bad(&'static str),
    /// Its body is coded in a way that is not known here.
    Coded,
    /// The user did not go on with the body in time.
    Stalled,
    /// No route is for this host and path.
    NoRoute,
    /// The route's service has no healthy instance, and none is waited for.
    NoInstance,
    /// So long a healthy instance was waited for.
    HeldTooLong(Duration),
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
    /// The same before the request was all there.
    CutEarly,
    /// The instance did not go on to take the request in time.
    Untaken,
    /// The instance did not begin to answer in time.
    TooSlow,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Coded => StatusCode::NOT_IMPLEMENTED,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::NoInstance | Self::HeldTooLong(_) | Self::TooManyHeld | Self::CutEarly => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unreachable | Self::Broken | Self::Senseless => StatusCode::BAD_GATEWAY,
            Self::Cut | Self::Untaken | Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// How it is counted.
    pub(crate) fn class(self) -> Class {
        match self {
            Self::Bad(_) | Self::Stalled => Class::User,
            Self::Coded | Self::NoRoute | Self::NoInstance => Class::Edge,
            Self::HeldTooLong(_) | Self::TooManyHeld | Self::Unreachable => Class::Edge,
            Self::Broken | Self::Senseless => Class::Edge,
            Self::Cut | Self::CutEarly | Self::Untaken | Self::TooSlow => Class::Edge,
        }
    }

    /// Why it ends what was under way, unless it was not, or the drain has said so.
    pub(crate) fn cuts(self) -> Option<Reason> {
        match self {
            Self::Broken | Self::Senseless => Some(Reason::Instance),
            Self::Stalled | Self::Untaken | Self::TooSlow => Some(Reason::Stall),
            Self::Bad(_) | Self::Coded | Self::NoRoute | Self::NoInstance => None,
            Self::HeldTooLong(_) | Self::TooManyHeld | Self::Unreachable => None,
            Self::Cut | Self::CutEarly => None,
        }
    }

    /// What it lacked, where that is an instance.
    pub(crate) fn want(self) -> Option<Want> {
        match self {
            Self::NoInstance => Some(Want::NoInstance),
            Self::HeldTooLong(_) => Some(Want::HeldTooLong),
            Self::TooManyHeld => Some(Want::TooManyHeld),
            Self::Bad(_) | Self::Coded | Self::Stalled | Self::NoRoute => None,
            Self::Unreachable | Self::Broken | Self::Senseless => None,
            Self::Cut | Self::CutEarly | Self::Untaken | Self::TooSlow => None,
        }
    }

    fn text(self, service: &str) -> Bytes {
        let text = match self {
            Self::Bad(why) => return format!("400 bad request: {why}\n").into(),
            Self::Coded => "501 a body may be coded as chunked only\n",
            Self::Stalled => "408 the request's body did not go on in time\n",
            Self::NoRoute => "404 no route for this host and path\n",
            Self::NoInstance => return format!("503 no healthy instance of {service}\n").into(),
            Self::HeldTooLong(held) => {
                let seconds = held.as_secs_f64();
                let text = format!("503 waited {seconds} s for a new instance of {service}\n");
                return text.into();
            }
            Self::TooManyHeld => {
                let text = format!("503 too many wait for a new instance of {service}\n");
                return text.into();
            }
            Self::Unreachable => "502 no instance could be reached\n",
            Self::Broken => "502 the instance closed the connection before it answered\n",
            Self::Senseless => "502 the instance's answer makes no sense\n",
            Self::Cut => "504 the instance was stopped before it answered\n",
            Self::CutEarly => {
                "503 the instance was stopped before the request was all there: send it again\n"
            }
            Self::Untaken => "504 the instance did not take the request in time\n",
            Self::TooSlow => "504 the instance did not answer in time\n",
        };
        Bytes::from_static(text.as_bytes())
    }

    /// The whole answer, where no service has a part in it, or its name does not matter.
    pub(crate) fn answer(self) -> Response<Download> {
        self.answer_for("the service")
    }

    /// The whole answer to a request for this service.
    pub(crate) fn answer_for(self, service: &str) -> Response<Download> {
        let mut answer = Response::new(Download::Text(Some(self.text(service))));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Self::Bad(_) | Self::Coded | Self::Stalled | Self::CutEarly | Self::Untaken = self {
            // Who says one thing badly may have said more behind it, and what is left of a body
            // is not waited for.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

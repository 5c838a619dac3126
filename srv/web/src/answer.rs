//! A request and its answer: let in, found in the table, checked, and done.

use crate::body::{self, Answer, Body};
use crate::event::Streams;
use crate::guard::Guard;
use crate::limits::ANSWER_TIME_MAX;
use crate::query::{self, Query};
use crate::refusal::{Refusal, Result};
use crate::routes::{Does, Found, Gives, Needs, Route, Way, find};
use crate::tree::Tree;
use crate::{deploy, figures, live, nodes, openapi, past, service, verb};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use ninep::dial::Address;
use std::net::SocketAddr;
use tokio::time::timeout;

/// What every request is answered with.
#[derive(Debug)]
pub(crate) struct Door {
    /// Where the tree is.
    pub(crate) server: Address,
    pub(crate) guard: Guard,
    /// Of events and logs.
    pub(crate) streams: Streams,
    pub(crate) deploys: Streams,
}

/// Answers a request, whatever it is.
pub(crate) async fn answer(door: &Door, from: SocketAddr, request: Request<Incoming>) -> Answer {
    let answered = timeout(ANSWER_TIME_MAX, admitted(door, from, request)).await;
    let late = || Refusal::new(StatusCode::GATEWAY_TIMEOUT, "the server did not answer in time");
    match answered.unwrap_or_else(|_| Err(late())) {
        Ok(answer) => answer,
        Err(refusal) => refusal.answer(),
    }
}

async fn admitted(door: &Door, from: SocketAddr, request: Request<Incoming>) -> Result<Answer> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let way = match head.method {
        Method::GET | Method::HEAD => Some(Way::Get),
        Method::POST => Some(Way::Post),
        _ => None,
    };
    let found = find(way, path);
    // Who may not come in is not told what there is.
    let needs = match found {
        Found::Route(route, _) => route.needs,
        Found::Otherwise(_) | Found::Nothing => Needs::Read,
    };
    door.guard.admit(needs, from, &head.uri, &head.headers).await?;
    let (route, name) = match found {
        Found::Route(route, name) => (route, name),
        Found::Otherwise(allow) => return Err(Refusal::method(allow)),
        Found::Nothing => {
            return Err(Refusal::missing("there is nothing here")
                .hint("GET /v1/openapi.json lists all there is"));
        }
    };
    let name = name.map(named).transpose()?.unwrap_or_default();
    let query = Query::read(head.uri.query().unwrap_or_default(), route)?;
    if head.method == Method::HEAD && streams(route, &query) {
        return Ok(body::answer("text/event-stream", Body::Whole(None)));
    }
    let tree = async || Tree::dial(&door.server).await;
    let value = match route.does {
        Does::Page(asset) => return Ok(body::text(asset.kind(), asset.text())),
        Does::Openapi => openapi::document(),
        Does::Deploy => return deploy::answer(door, &query, &head.headers, body).await,
        Does::Log => return live::log(door, &name, &query, &head.headers).await,
        Does::Events => return live::events(door, &query, &head.headers).await,
        Does::Do(verb) => return verb::answer(&tree().await?, &name, verb, &query).await,
        Does::Services => service::all(&tree().await?).await?,
        Does::Service => service::one(&tree().await?, &name).await?,
        Does::History => past::all(&tree().await?, &name).await?,
        Does::Nodes => nodes::all(&tree().await?).await?,
        Does::Status => nodes::status(&tree().await?).await?,
        Does::Metrics => figures::all(&tree().await?).await?,
    };
    Ok(body::json(&value))
}

/// The service in a path: one that no service can have is none that there is.
fn named(word: &str) -> Result<String> {
    let name = query::plain(word).filter(|name| manifest::check_name(name).is_ok());
    name.ok_or_else(|| {
        let text = "no service has such a name";
        Refusal::missing(text).hint("GET /v1/services lists those that there are")
    })
}

/// Whether the answer would have no end.
fn streams(route: &Route, query: &Query) -> bool {
    match route.gives {
        Gives::Stream => true,
        Gives::ObjectOrStream(_) => query.is("follow"),
        Gives::File(_) | Gives::Object(_) | Gives::Accepted(_) => false,
    }
}

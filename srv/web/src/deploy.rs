//! `POST /v1/deploy`: the manifests of a body written and applied, and what comes of it told as it
//! happens, up to its end.

use crate::answer::Door;
use crate::begin;
use crate::body::{self, Answer, Body};
use crate::draft::{self, Draft};
use crate::event::{Event, Reader};
use crate::fact::{Fact, Line};
use crate::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, HEARTBEAT};
use crate::query::Query;
use crate::refusal::{Refusal, Result};
use crate::tale::{Manner, Place, Tale};
use crate::trail::{Lines, Mark, Start, Trail};
use crate::tree::Tree;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use std::time::Duration;
use tokio::time::timeout;

/// What a body may say it is: a text, what programs say of any file, and what curl says of all.
const KINDS: [&str; 5] = [
    "text/plain",
    "application/hcl",
    "application/x-hcl",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
];

/// How long the image of an update may take before that is told: one that is there takes no time.
const PULLING_AFTER: Duration = Duration::from_secs(1);

/// Deploys, or goes on telling.
pub(crate) async fn answer(
    door: &Door,
    query: &Query,
    head: &HeaderMap,
    body: Incoming,
) -> Result<Answer> {
    let last = last_id(head)?;
    if let Some(Place::End { left: 0, .. }) = last {
        // Nothing more will come, and whoever reads streams asks no more (HTML, section 9.2).
        let mut answer = body::answer("text/event-stream", Body::Whole(None));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        return Ok(answer);
    }
    known_kind(head)?;
    let bytes = whole(body).await?;
    let drafts = draft::read(&bytes, query.text("name")).map_err(refused)?;
    let (reader, come) = door.deploys.begin()?;
    let tree = Tree::dial(&door.server).await?;
    let atomic = query.is("atomic");
    let (trail, heard) = match last {
        Some(place) => again(&tree, &drafts, atomic, place).await?,
        None => {
            let (trail, manner) =
                begin::begin(tree, &drafts, atomic, query.text("message")).await?;
            let tale = Tale::new(trail.at(), manner, names(&drafts));
            let told = Told { events: vec![tale.started()], ..Told::default() };
            (trail, Heard { tale, told })
        }
    };
    tokio::spawn(tell(trail, heard, reader));
    Ok(body::events(come))
}

fn names(drafts: &[Draft]) -> impl Iterator<Item = String> {
    drafts.iter().map(|draft| draft.service.clone())
}

fn refused(errors: Vec<serde_json::Value>) -> Refusal {
    let text = match errors.len() {
        1 => "the manifest has 1 error".to_string(),
        n => format!("the manifest has {n} errors"),
    };
    Refusal::bad(text).hint("deploy help manifest lists all keys").errors(errors)
}

/// The place behind which a stream goes on.
fn last_id(head: &HeaderMap) -> Result<Option<Place>> {
    let Some(id) = head.get("last-event-id") else { return Ok(None) };
    let place = id.to_str().ok().and_then(Place::read);
    place.map(Some).ok_or_else(|| {
        Refusal::bad("Last-Event-ID is the id of no event")
            .hint("send one that a stream of this deploy gave")
    })
}

fn known_kind(head: &HeaderMap) -> Result<()> {
    let Some(kind) = head.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Ok(());
    }
    let text = "a manifest is a text";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).hint("Content-Type: text/plain"))
}

/// The whole body, within its bounds.
async fn whole(body: Incoming) -> Result<Bytes> {
    let read = timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let late = || Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
    let read = read.map_err(|_| late())?;
    read.map(http_body_util::Collected::to_bytes).map_err(|why| {
        match why.downcast_ref::<http_body_util::LengthLimitError>() {
            Some(_) => {
                let text = format!("the body has more than {BODY_BYTES_MAX} bytes");
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            None => Refusal::bad("the body broke off"),
        }
    })
}

/// A tale as far as it was heard, and what is to be told of it first.
struct Heard {
    tale: Tale,
    told: Told,
}

/// What is to be told, and whether lines are missing from which there may be more.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    lost: bool,
    /// How many of the last events were not heard yet; none: all of them.
    left: Option<usize>,
}

/// Takes a tale up again behind one of its events.
async fn again(
    tree: &Tree,
    drafts: &[Draft],
    atomic: bool,
    place: Place,
) -> Result<(Trail, Heard)> {
    let (from, line, left) = match place {
        Place::Behind { from, line } => (from, Some(line), None),
        Place::End { from, left } => (from, None, Some(left)),
    };
    let (trail, Lines { lost, lines }) =
        Trail::begin(tree, "events", "watch", Start::Behind(from)).await?;
    // Without its beginning nothing of it can be told apart from what was before.
    let lines = if lost { Vec::new() } else { lines };
    let first = lines.iter().any(|(_, line)| is_first(line, drafts));
    let mut tale = Tale::new(from, Manner { atomic, first }, names(drafts));
    let heard = match line {
        Some(line) => lines.iter().position(|(mark, _)| *mark == line),
        None => lines.len().checked_sub(1),
    };
    let mut events = Vec::new();
    for (at, (mark, text)) in lines.iter().enumerate() {
        let event = tale.take(*mark, text);
        events.extend(event.filter(|_| heard.is_none_or(|heard| at > heard)));
    }
    if !lost {
        tale.refuse_unheard();
    }
    Ok((trail, Heard { tale, told: Told { events, lost, left } }))
}

/// Whether a line tells that one of these services is deployed for the first time.
fn is_first(line: &str, drafts: &[Draft]) -> bool {
    let ours = |line: &Line<'_>| drafts.iter().any(|draft| draft.service == line.service);
    Line::read(line).filter(ours).is_some_and(|line| Fact::read(line.text) == Fact::First)
}

/// Tells a tale to its end, or until nobody listens.
async fn tell(mut trail: Trail, heard: Heard, reader: Reader) {
    let Heard { mut tale, told: Told { mut events, mut lost, left } } = heard;
    loop {
        if std::mem::take(&mut lost) {
            tokio::select! {
                () = settle(&trail, &mut tale) => {}
                () = reader.gone() => return,
            }
        }
        if !reader.tell(&events).await {
            return;
        }
        if let Some(end) = tale.end() {
            let heard = left.map_or(0, |left| end.len().saturating_sub(left));
            reader.tell(&end[heard..]).await;
            return;
        }
        events = Vec::new();
        let patience = if tale.pulls() { PULLING_AFTER } else { HEARTBEAT };
        let next = tokio::select! {
            next = timeout(patience, trail.next()) => next,
            () = reader.gone() => return,
        };
        match next {
            Ok(Some(lines)) => {
                let take = |(mark, line): &(Mark, String)| tale.take(*mark, line);
                events = lines.lines.iter().filter_map(take).collect();
                lost = lines.lost;
            }
            Ok(None) => return,
            Err(_) if tale.pulls() => events.push(tale.pulling(trail.at())),
            Err(_) => {
                lost = tale.awaits_way_back();
                reader.beat().await;
            }
        }
    }
}

/// Where events are missing, the services themselves say how they ended.
async fn settle(trail: &Trail, tale: &mut Tale) {
    for service in tale.unended() {
        let Ok(tree) = trail.dial().await else { continue };
        if let Ok(Some(text)) = tree.find(&format!("active/{service}/wait")).await {
            tale.outcome(&service, &text);
        }
    }
}

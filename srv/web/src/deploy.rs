//! `POST /v1/deploy`: the manifests of a body written and applied, and what comes of it told as it
//! happens, up to its end.

use crate::answer::Door;
use crate::body::{self, Answer, Body};
use crate::config::{self, Draft};
use crate::event::{Event, Reader};
use crate::limits::{BODY_BYTES_MAX, BODY_TIME_MAX, HEARTBEAT};
use crate::query::Query;
use crate::refusal::{Refusal, Result};
use crate::tale::{Place, Tale};
use crate::trail::{Lines, Mark, Start, Trail};
use crate::tree::Tree;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use ninep::client::{File, Mode};
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

/// How long an image may take before that is told: one that is there takes no time.
const PULLING_AFTER: Duration = Duration::from_millis(250);

/// How often a place for a service is made that goes while it is opened.
const TRIES_MAX: u32 = 5;

/// Deploys, or goes on telling.
pub(crate) async fn answer(
    door: &Door,
    query: &Query,
    head: &HeaderMap,
    body: Incoming,
) -> Result<Answer> {
    let last = last_id(head)?;
    if last == Some(Place::End) {
        // Nothing more will come, and whoever reads streams asks no more (HTML, section 9.2).
        let mut answer = body::answer("text/event-stream", Body::Whole(None));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        return Ok(answer);
    }
    known_kind(head)?;
    let bytes = whole(body).await?;
    let drafts = config::read(&bytes, query.text("service")).map_err(|errors| {
        let text = match errors.len() {
            1 => "the manifest has 1 error".to_string(),
            n => format!("the manifest has {n} errors"),
        };
        Refusal::bad(text).hint("deploy help manifest lists all keys").errors(errors)
    })?;
    let (reader, come) = door.streams.begin()?;
    let names = drafts.iter().map(|draft| draft.service.clone());
    let (trail, heard) = match last {
        Some(Place::Behind { from, line }) => {
            let (trail, lines) = follow(door, Start::Behind(from)).await?;
            let mut tale = Tale::new(from, names);
            let told = again(&mut tale, lines, line);
            (trail, Heard { tale, told })
        }
        Some(Place::End) | None => {
            let (trail, refused) = begin(door, &drafts, query.text("message")).await?;
            let mut tale = Tale::new(trail.at(), names);
            refused.iter().for_each(|(service, why)| tale.refused(service, &why.error));
            let told = Told { events: vec![tale.started()], lost: false };
            (trail, Heard { tale, told })
        }
    };
    tokio::spawn(tell(trail, heard, reader));
    Ok(body::events(come))
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

async fn follow(door: &Door, start: Start) -> Result<(Trail, Lines)> {
    Trail::begin(&door.server, "events", "watch", start).await
}

/// Writes and applies all manifests, each under its service's lock; gives those that were refused,
/// which are not all of them.
async fn begin(
    door: &Door,
    drafts: &[Draft],
    message: Option<&str>,
) -> Result<(Trail, Vec<(String, Refusal)>)> {
    let tree = Tree::dial(&door.server).await?;
    let mut locks = Vec::new();
    for draft in drafts {
        let lock = lock(&tree, &draft.service).await?;
        say(&lock, "from the http door").await?;
        if let Some(message) = message {
            say(&lock, &format!("message {message}")).await?;
        }
        locks.push(lock);
    }
    for draft in drafts {
        let path = format!("manifests/{}", draft.service);
        let put = tree.client.put(&path, draft.text.as_bytes()).await;
        put.map_err(|error| Refusal::of_tree(&error))?;
    }
    // Before the first is applied, so that nothing is missed.
    let (trail, _) = follow(door, Start::Last(0)).await?;
    let mut refused = Vec::new();
    for (draft, lock) in drafts.iter().zip(&locks) {
        if let Err(refusal) = say(lock, "apply").await {
            refused.push((draft.service.clone(), refusal));
        }
    }
    match refused.len() == drafts.len() {
        true => Err(refused.swap_remove(0).1),
        false => Ok((trail, refused)),
    }
}

/// Opens the lock of a service, whose place is made where there is none.
async fn lock(tree: &Tree, service: &str) -> Result<File> {
    let directory = format!("active/{service}");
    let path = format!("{directory}/lock");
    let mut tries = 1;
    loop {
        match tree.client.open(&path, Mode::ReadWrite).await {
            Err(_) if tries < TRIES_MAX && tree.client.stat(&directory).await.is_err() => {
                // Somebody else may make it first; what else is wrong the open says.
                let _ = tree.client.mkdir(&directory).await;
                tries += 1;
            }
            done => return done.map_err(|error| Refusal::of_tree(&error)),
        }
    }
}

async fn say(lock: &File, line: &str) -> Result<()> {
    let said = lock.write_at(0, format!("{line}\n").as_bytes()).await;
    said.map(drop).map_err(|error| Refusal::of_tree(&error))
}

/// A tale as far as it was heard, and what is to be told of it first.
struct Heard {
    tale: Tale,
    told: Told,
}

/// Events that are to be told, and whether lines are missing from which there may be more.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    lost: bool,
}

/// Takes a tale up again behind a line.
fn again(tale: &mut Tale, lines: Lines, line: Mark) -> Told {
    let lost = lines.lost;
    // Without its beginning nothing of it can be told apart from what was before.
    let lines = if lost { Vec::new() } else { lines.lines };
    let heard = lines.iter().position(|(mark, _)| *mark == line);
    let mut events = Vec::new();
    for (at, (mark, text)) in lines.iter().enumerate() {
        let event = tale.take(*mark, text);
        events.extend(event.filter(|_| heard.is_none_or(|heard| at > heard)));
    }
    if !lost {
        tale.refuse_unheard();
    }
    Told { events, lost }
}

/// Tells a tale to its end, or until nobody listens.
async fn tell(mut trail: Trail, heard: Heard, reader: Reader) {
    let Heard { mut tale, told: Told { mut events, mut lost } } = heard;
    loop {
        if std::mem::take(&mut lost) {
            settle(&trail, &mut tale).await;
        }
        if !reader.tell(&events).await {
            return;
        }
        if let Some(end) = tale.end() {
            reader.tell(&end).await;
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

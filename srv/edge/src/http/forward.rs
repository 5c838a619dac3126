//! The way of a request: routed, claimed, sent, and sent again where that can do no harm.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use tokio::time::timeout_at;

use super::answer::Refusal;
use super::body::{Download, Upload};
use super::choose::{TRIES_MAX, Tried, choose};
use super::copy::Copy;
use super::flight::Flight;
use super::head::{self, Peer};
use super::host::{self, Name};
use super::outgoing::{self, Switch};
use super::secure::{elsewhere, proof};
use super::send::{Sent, send};
use super::tunnel;
use crate::backend::Backend;
use crate::gate::Claim;
use crate::metrics::Class;
use crate::worker::{Ended, Line, Worker};

/// Tries of one request, all together.
const SENDS_MAX: usize = TRIES_MAX + 1;

/// Answers one request.
pub(crate) async fn forward(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
) -> Response<Download> {
    let begun = peer.begun.take();
    let began = begun.map_or_else(Instant::now, |begun| begun.at);
    let (mut head, body) = request.into_parts();
    if head::is_coded(&head.headers) {
        return unrouted(&worker, &peer, &head, Refusal::Coded, began);
    }
    let name = match host::of(&head) {
        Ok(name) => name,
        Err(why) => return unrouted(&worker, &peer, &head, Refusal::Bad(why), began),
    };
    if let Some(answer) = proof(&worker.shared, &peer, &name, &head) {
        return logged(&worker, &peer, &head, answer, began);
    }
    let view = worker.view();
    let Some(route) = view.live.index.find(name.as_str(), head.uri.path()) else {
        return unrouted(&worker, &peer, &head, Refusal::NoRoute, began);
    };
    if let Some(answer) = elsewhere(&worker.shared, &peer, &name, &head) {
        let figures = &view.live.routes[route].figures;
        figures.begin(worker.number);
        figures.end(worker.number, Class::of(answer.status().as_u16()), began.elapsed());
        return logged(&worker, &peer, &head, answer, began);
    }
    worker.earn();
    let options = &view.live.routes[route].options;
    let http2 = outgoing::over_http2(&head, options);
    let alone = head.version == Version::HTTP_2;
    let target = worker.shared.access.is_kept().then(|| Line::of(peer.ip, &head));
    let switch = outgoing::prepare(&worker, &peer, &mut head, options, http2);
    let line = target.map(|line| Box::new(line.with(&head.headers)));
    let mut flight = Flight::begin(&worker, &peer, view, route, began, line);
    flight.alone = alone;
    begun.into_iter().for_each(|begun| flight.follows(begun));
    let body = Upload::of(body);
    outgoing::frame(&mut head, &body, http2);
    let request = Request::from_parts(head, body);
    flight.upload = request.body().progress();
    fly(&worker, flight, &name, request, http2, switch).await
}

/// Tries until an instance has answered, or nothing is left to try.
async fn fly(
    worker: &Rc<Worker>,
    mut flight: Flight,
    name: &Name,
    mut request: Request<Upload>,
    http2: bool,
    switch: Option<Switch>,
) -> Response<Download> {
    let copy = Copy::of(&request, &worker.spare, http2);
    let (mut tries, mut why) = Tries::of(&flight);
    let (mut fresh, mut refused) = (false, false);
    for _ in 0..SENDS_MAX {
        let path = request.uri().path();
        let claim = match claim(worker, &mut flight, name, path, &tries.tried).await {
            Ok(claim) => claim,
            // What was tried before says more than that there is nothing else.
            Err(Refusal::NoInstance) if tries.count > 0 => break,
            Err(refusal) => return refuse(flight, refusal),
        };
        let (pool, serial) = (worker.pool(&claim), claim.serial);
        flight.to(claim);
        let (switches, limits) = (switch.is_some(), &worker.shared.limits);
        let sent = send(&mut flight, &pool, request, http2, fresh, switches, limits).await;
        let reused = flight.lent.as_ref().is_some_and(|lent| lent.reused);
        let cut = flight.backend().is_some_and(Backend::is_cut);
        fresh = true;
        request = match sent {
            Sent::Answered(answer) => return finish(flight, &pool, answer, switch),
            Sent::Late => {
                let refusal = late(&flight);
                return refuse(flight, refusal);
            }
            Sent::Senseless => return refuse(flight, Refusal::Senseless),
            Sent::Unsent(request) => request,
            // Nobody has acted on it, whatever its method: one that goes away may be asked on
            // another connection, one that refuses again may not.
            Sent::Refused if let Some(request) = again(copy.as_ref(), &flight) => {
                if std::mem::replace(&mut refused, true) {
                    tries.add(serial);
                }
                request
            }
            Sent::Unreached(request) => {
                worker.doubt(&pool);
                tries.add(serial);
                request
            }
            Sent::Broken | Sent::Refused if flight.is_spoilt() => return refuse(flight, SPOILT),
            Sent::Broken | Sent::Refused if cut => {
                let refusal = if has_all(&flight) { Refusal::Cut } else { Refusal::CutEarly };
                return refuse(flight, refusal);
            }
            Sent::Broken | Sent::Refused => {
                why = Refusal::Broken;
                // What ends one instance is not to end them all.
                match copy.as_ref().filter(|copy| flight.spend(reused) && copy.is_harmless()) {
                    Some(copy) if worker.may_retry() => {
                        if !reused {
                            tries.add(serial);
                        }
                        copy.again()
                    }
                    Some(_) | None => break,
                }
            }
        };
        flight.unclaim();
    }
    refuse(flight, why)
}

/// The instances that were tried in vain.
#[derive(Default)]
struct Tries {
    tried: Tried,
    count: usize,
}

impl Tries {
    /// With the one that was made in another way, and what is said when no other comes to more.
    fn of(flight: &Flight) -> (Self, Refusal) {
        let mut tries = Self::default();
        let Some(spent) = flight.spent else { return (tries, Refusal::Unreachable) };
        spent.not.into_iter().for_each(|serial| tries.add(serial));
        (tries, Refusal::Broken)
    }

    fn add(&mut self, serial: u64) {
        self.tried[self.count.min(TRIES_MAX - 1)] = serial;
        self.count += 1;
    }
}

/// The same request once more, for which its body must not have begun to go out.
fn again(copy: Option<&Copy<'_>>, flight: &Flight) -> Option<Request<Upload>> {
    let mut request = copy?.again();
    if let Some(upload) = &flight.upload {
        *request.body_mut() = upload.again()?;
    }
    Some(request)
}

/// What is said of a body that its user did not send as he should.
const SPOILT: Refusal = Refusal::Bad("the body breaks off, or its chunks are none");

/// Whether all of the request has been handed on.
fn has_all(flight: &Flight) -> bool {
    flight.upload.as_ref().is_none_or(|upload| upload.done.get())
}

/// What took too long.
fn late(flight: &Flight) -> Refusal {
    match &flight.upload {
        Some(upload) if !upload.done.get() && upload.waits.get() => Refusal::Stalled,
        Some(upload) if !upload.done.get() => Refusal::Untaken,
        Some(_) | None => Refusal::TooSlow,
    }
}

/// A claim on an instance, by the newest table if the one at hand has none to give; a request
/// that may be held waits for one.
async fn claim(
    worker: &Rc<Worker>,
    flight: &mut Flight,
    name: &Name,
    path: &str,
    tried: &Tried,
) -> Result<Claim<Backend>, Refusal> {
    loop {
        if let Some(claim) = choose(worker, &flight.view.live.routes[flight.route], tried) {
            return Ok(claim);
        }
        if !newer(worker, flight, name, path)? {
            break;
        }
    }
    if hold(flight).is_none() || tried[0] != 0 {
        return Err(Refusal::NoInstance);
    }
    wait(worker, flight, name, path, tried).await
}

/// How long a request may wait for an instance by the table at hand; none: it may not.
fn hold(flight: &Flight) -> Option<Duration> {
    flight.view.live.routes[flight.route].options.hold
}

/// Waits for a claim for as long as one is on its way: a table that does not hold any more has
/// given it up.
async fn wait(
    worker: &Rc<Worker>,
    flight: &mut Flight,
    name: &Name,
    path: &str,
    tried: &Tried,
) -> Result<Claim<Backend>, Refusal> {
    let began = tokio::time::Instant::now();
    let _place = Place::take(worker).ok_or(Refusal::TooManyHeld)?;
    let mut generations = worker.shared.generations();
    loop {
        // Marked as seen first: a table that comes after the look wakes this up.
        generations.borrow_and_update();
        // Who waited for a service that is removed now is told that it is not there any more.
        newer(worker, flight, name, path).map_err(|_| Refusal::NoInstance)?;
        if let Some(claim) = choose(worker, &flight.view.live.routes[flight.route], tried) {
            return Ok(claim);
        }
        let hold = hold(flight).ok_or(Refusal::NoInstance)?;
        match timeout_at(began + hold, generations.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Refusal::NoInstance),
            Err(_) => return Err(Refusal::HeldTooLong(hold)),
        }
    }
}

/// Routes by the newest table; false when it is the one at hand.
fn newer(
    worker: &Rc<Worker>,
    flight: &mut Flight,
    name: &Name,
    path: &str,
) -> Result<bool, Refusal> {
    let view = worker.view();
    if Rc::ptr_eq(&view, &flight.view) {
        return Ok(false);
    }
    let route = view.live.index.find(name.as_str(), path).ok_or(Refusal::NoRoute)?;
    flight.reroute(view, route);
    Ok(true)
}

/// A place among those who wait for an instance.
struct Place<'a>(&'a Worker);

impl<'a> Place<'a> {
    fn take(worker: &'a Worker) -> Option<Self> {
        let place = Self(worker);
        let before = worker.shared.held.fetch_add(1, Ordering::Relaxed);
        (before < worker.shared.limits.held).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.shared.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The instance has answered: its head goes back, and its body as it comes.
fn finish(
    mut flight: Flight,
    pool: &Rc<super::Pool>,
    answer: Response<Incoming>,
    switch: Option<Switch>,
) -> Response<Download> {
    let status = answer.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return match switch {
            Some(switch) => tunnel::open(flight, pool, answer, switch),
            None => refuse(flight, Refusal::Senseless),
        };
    }
    flight.answered(status);
    let (mut head, body) = answer.into_parts();
    head::strip(&mut head.headers);
    head::say_length_once(&mut head.headers);
    head.version = Version::HTTP_11;
    let body = if body.is_end_stream() {
        flight.land();
        Download::Text(None)
    } else {
        Download::Streaming(body, flight, Bytes::new())
    };
    Response::from_parts(head, body)
}

fn refuse(mut flight: Flight, refusal: Refusal) -> Response<Download> {
    if let Some(want) = refusal.want() {
        flight.wanted(want);
    }
    let answer = refusal.answer_for(flight.service());
    flight.refused(refusal);
    answer
}

/// Answers what no route is for.
fn unrouted(
    worker: &Rc<Worker>,
    peer: &Peer,
    head: &Parts,
    refusal: Refusal,
    began: Instant,
) -> Response<Download> {
    worker.shared.unrouted.begin(worker.number);
    worker.shared.unrouted.end(worker.number, Class::Edge, began.elapsed());
    logged(worker, peer, head, refusal.answer(), began)
}

/// Writes the line of an answer that no instance has a part in.
fn logged(
    worker: &Rc<Worker>,
    peer: &Peer,
    head: &Parts,
    answer: Response<Download>,
    began: Instant,
) -> Response<Download> {
    if worker.shared.access.is_kept() {
        let line = Line::of(peer.ip, head).with(&head.headers);
        let (status, took) = (Some(answer.status()), began.elapsed());
        worker.log(&line, "-", None, Ended { status, early: None, took }, 0);
    }
    answer
}

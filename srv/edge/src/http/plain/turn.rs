//! One plain request and its answer.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use httparse::Header;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Bad;
use super::ask::{self, Ask, put};
use super::reply::{self, Reply, Told};
use super::talk::User;
use super::wire::Wire;
use crate::backend::Backend;
use crate::http::answer::Refusal;
use crate::http::body::Download;
use crate::http::choose::{TRIES_MAX, choose};
use crate::http::flight::Flight;
use crate::http::head::Scheme;
use crate::http::pool::Pool;
use crate::http::secure::CHALLENGES;
use crate::worker::{Line, View, Worker};

/// Bytes that the head of an answer may have at least.
const HEAD_BYTES: usize = 64 * 1024;
/// Heads that an instance may send before the one that counts.
const INTERIM_MAX: usize = 16;

/// What came of a request.
pub(super) enum Turn {
    /// It is answered, and the next may come.
    Done,
    /// It is answered, and told that there will be no next.
    Last,
    /// It goes the long way: it is not a plain one, or could not be answered in this one.
    Other,
    /// The connection is over.
    Over,
}

/// Answers the request at the beginning of what came.
pub(super) async fn turn<S>(worker: &Rc<Worker>, user: &mut User<'_, S>) -> Turn
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let began = Instant::now();
    let (peer, limits) = (user.peer, &worker.shared.limits);
    let id = || worker.id();
    let Some(ask) = ask::read(&user.came, peer, id, &mut user.out) else {
        return Turn::Other;
    };
    let view = worker.view();
    let Some(route) = route(worker, &view, user, &ask) else { return Turn::Other };
    let Some(claim) = choose(worker, &view.live.routes[route], &[0; TRIES_MAX]) else {
        return Turn::Other;
    };
    let pool = worker.pool(&claim);
    if pool.doubted.get().is_some_and(|until| began < until) {
        // Who has other instances to try looks after it.
        return Turn::Other;
    }
    let line = worker.shared.access.is_kept().then(|| line(user)).flatten();
    let mut flight = Flight::begin(worker, peer, view, route, began, line);
    flight.to(claim);
    let (wire, reused) = match pool.rested_wire(limits, began) {
        Some(wire) => (Ok(wire), true),
        None => (pool.wire(limits).await, false),
    };
    let Ok(wire) = wire else {
        worker.doubt(&pool);
        flight.withdraw();
        return Turn::Other;
    };
    fly(worker, user, &ask, flight, (wire, reused), &pool).await
}

/// The route of a request; none when somebody else has to look for it.
fn route<S>(worker: &Worker, view: &View, user: &User<'_, S>, ask: &Ask) -> Option<usize> {
    let path = str::from_utf8(&user.came[ask.path.clone()]).ok()?;
    if path.starts_with(CHALLENGES) {
        // It may be answered before every route.
        return None;
    }
    let route = view.live.index.find(ask.name.as_str(), path)?;
    let clear = user.peer.scheme == Scheme::Http;
    let elsewhere = clear && worker.shared.tls.port_of(ask.name.as_str()).is_some();
    (!elsewhere && !view.live.routes[route].options.h2).then_some(route)
}

/// From the request, whose head is to be written, to the end of the answer; on a connection that
/// has served before or not.
async fn fly<S>(
    worker: &Rc<Worker>,
    user: &mut User<'_, S>,
    ask: &Ask,
    mut flight: Flight,
    (mut wire, reused): (Wire, bool),
    pool: &Pool,
) -> Turn
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = flight.ask(Instant::now()) + worker.shared.limits.answer_time;
    let heard = match send(user, &mut wire, deadline).await {
        Ok(()) => hear(worker, user, ask, &mut wire, deadline).await,
        Err(heard) => heard,
    };
    let refusal = match heard {
        Heard::Reply(reply) => {
            worker.earn();
            user.came.drain(..ask.len);
            return pass(user, reply, flight, wire, pool).await;
        }
        Heard::Gone => return Turn::Over,
        Heard::Unsent => {
            flight.withdraw();
            return Turn::Other;
        }
        Heard::Late => Refusal::TooSlow,
        Heard::Broken if is_cut(&flight) => Refusal::Cut,
        // A plain request does no harm twice.
        Heard::Broken if worker.may_retry() => {
            flight.spend(reused);
            flight.withdraw();
            return Turn::Other;
        }
        Heard::Broken => Refusal::Broken,
        Heard::Bad(bad) => {
            tell(&flight, bad);
            Refusal::Senseless
        }
    };
    drop(wire);
    worker.earn();
    flight.refused(refusal);
    let closes = refuse(user, refusal, ask.is_head);
    user.came.drain(..ask.len);
    end(user, closes).await
}

/// Says what is wrong with an answer, for whoever looks for it.
fn tell(flight: &Flight, Bad(why): Bad) {
    if let Some(backend) = flight.backend() {
        tracing::debug!("instance {}: bad answer: {why}", backend.is.id);
    }
}

fn is_cut(flight: &Flight) -> bool {
    flight.backend().is_some_and(Backend::is_cut)
}

/// What came of a request that was sent.
enum Heard {
    Reply(Reply),
    /// Nothing of it has been sent.
    Unsent,
    /// The connection was closed after something had been sent.
    Broken,
    Bad(Bad),
    Late,
    /// The user has gone.
    Gone,
}

/// Sends the head.
async fn send<S>(user: &mut User<'_, S>, wire: &mut Wire, deadline: Instant) -> Result<(), Heard> {
    let mut sent = 0;
    poll_fn(|context| {
        while sent < user.out.len() {
            match wire.poll_write(context, &user.out[sent..]) {
                Poll::Ready(Ok(more @ 1..)) => sent += more,
                Poll::Ready(Ok(0) | Err(_)) if sent == 0 => return Poll::Ready(Err(Heard::Unsent)),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Heard::Broken)),
                Poll::Pending if Instant::now() >= deadline => {
                    return Poll::Ready(Err(Heard::Late));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Waits for the head of the answer and writes it as the user gets it. Without a timer: who
/// attends to the user's connection looks after it from time to time.
async fn hear<S>(
    worker: &Worker,
    user: &mut User<'_, S>,
    ask: &Ask,
    wire: &mut Wire,
    deadline: Instant,
) -> Heard
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut interim, head_bytes) = (0, worker.shared.limits.head_bytes.max(HEAD_BYTES));
    poll_fn(|context: &mut Context<'_>| {
        if user.is_gone(context) {
            return Poll::Ready(Heard::Gone);
        }
        loop {
            match wire.poll_more(context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Heard::Broken),
                Poll::Pending if Instant::now() >= deadline => return Poll::Ready(Heard::Late),
                Poll::Pending => return Poll::Pending,
            }
            loop {
                match reply::read(&wire.came, ask.is_head, user.leaves.get(), &mut user.out) {
                    Ok(Told::Reply(reply)) => {
                        wire.take(reply.len);
                        return Poll::Ready(Heard::Reply(reply));
                    }
                    Ok(Told::Interim(len)) if interim < INTERIM_MAX => {
                        wire.take(len);
                        interim += 1;
                    }
                    Ok(Told::Interim(_)) => {
                        return Poll::Ready(Heard::Bad(Bad("heads without end")));
                    }
                    Ok(Told::More) if wire.came.len() > head_bytes => {
                        return Poll::Ready(Heard::Bad(Bad("a head without end")));
                    }
                    Ok(Told::More) => break,
                    Err(bad) => return Poll::Ready(Heard::Bad(bad)),
                }
            }
        }
    })
    .await
}

/// Passes on the answer, whose head is to be written.
async fn pass<S>(
    user: &mut User<'_, S>,
    mut reply: Reply,
    mut flight: Flight,
    mut wire: Wire,
    pool: &Pool,
) -> Turn
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    flight.answered(reply.status);
    loop {
        let passed = match reply.body.pass(&wire.came, &mut user.out) {
            Ok(passed) => passed,
            Err(bad) => {
                tell(&flight, bad);
                flight.broke();
                // What came before goes out, however much came at once.
                let _ = user.write().await;
                return Turn::Over;
            }
        };
        wire.take(passed.taken);
        flight.moved(passed.data);
        if reply.body.is_over() {
            break;
        }
        if user.write().await.is_err() {
            return Turn::Over;
        }
        let more = poll_fn(|context| match user.is_gone(context) {
            true => Poll::Ready(None),
            false => wire.poll_more(context).map(Some),
        });
        match more.await {
            Some(Ok(1..)) => {}
            // What was cut does not look whole.
            Some(Ok(0)) if !is_cut(&flight) && reply.body.ends(&mut user.out) => break,
            Some(Ok(0) | Err(_)) => {
                flight.broke();
                return Turn::Over;
            }
            None => return Turn::Over,
        }
    }
    if reply.keeps && wire.came.is_empty() {
        wire.shrink();
        pool.rest_wire(wire, flight.land());
    } else {
        drop(wire);
        flight.land();
    }
    end(user, reply.closes).await
}

/// Writes the rest of an answer.
async fn end<S>(user: &mut User<'_, S>, closes: bool) -> Turn
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match user.write().await {
        Ok(()) if closes => Turn::Last,
        Ok(()) => Turn::Done,
        Err(_) => Turn::Over,
    }
}

/// Writes an answer of our own; whether it says that it is the last.
fn refuse<S>(user: &mut User<'_, S>, refusal: Refusal, is_head: bool) -> bool {
    let (head, body) = refusal.answer().into_parts();
    let out = &mut user.out;
    out.clear();
    let reason = head.status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).as_bytes());
    for (name, value) in &head.headers {
        put(name.as_str(), value.as_bytes(), out);
    }
    reply::date(out);
    let text = match body {
        Download::Text(text) => text.unwrap_or_default(),
        Download::Streaming(..) => bytes::Bytes::new(),
    };
    put("content-length", text.len().to_string().as_bytes(), out);
    let closes = user.leaves.get();
    if closes {
        put("connection", b"close", out);
    }
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(&text);
    }
    closes
}

/// What the log wants to know of a request, whose head is to be written.
fn line<S>(user: &User<'_, S>) -> Option<Box<Line>> {
    // Some fields are the edge's own.
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; super::FIELDS_MAX + 5];
    let mut head = httparse::Request::new(&mut []);
    head.parse_with_uninit_headers(&user.out, &mut space).ok()?;
    Line::of_bytes(user.peer.ip, &head).map(Box::new)
}

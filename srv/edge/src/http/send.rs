//! One try: a request goes out to one instance, and what came of it.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout_at};

use super::body::{Progress, Upload};
use super::flight::Flight;
use super::pool::Pool;
use crate::limits::Limits;

/// What came of a try.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The head of the answer.
    Answered(Response<Incoming>),
    /// No connection could be made; nothing was sent.
    Unreached(Request<Upload>),
    /// The connection was closed before anything was sent.
    Unsent(Request<Upload>),
    /// The connection was closed after something had been sent.
    Broken,
    /// What came is no answer.
    Senseless,
    /// No answer began in time.
    Late,
}

/// Sends `request`; `fresh` asks for a connection that has not served before, and `switches` for
/// one that may become a tunnel.
pub(crate) async fn send(
    flight: &mut Flight,
    pool: &Rc<Pool>,
    request: Request<Upload>,
    http2: bool,
    fresh: bool,
    switches: bool,
    limits: &Limits,
) -> Sent {
    let progress = request.body().progress();
    let alone = flight.alone;
    let since = Instant::from_std(flight.ask(Instant::now().into_std()));
    if http2 {
        return match pool.share(limits).await {
            Ok(mut sender) => {
                let sending = sender.try_send_request(request);
                told(wait(sending, alone, progress, since, limits).await)
            }
            Err(_) => Sent::Unreached(request),
        };
    }
    match pool.lend(limits, fresh, flight.claimed()).await {
        Ok(mut lent) => {
            if progress.is_some() || switches {
                lent.detach();
            }
            let sending = lent.sender().try_send_request(request);
            flight.lent = Some(lent);
            let mut sending = std::pin::pin!(sending);
            let driven = poll_fn(|context| {
                flight.poll_for(context, |context| sending.as_mut().poll(context))
            });
            told(wait(driven, alone, progress, since, limits).await)
        }
        Err(_) => Sent::Unreached(request),
    }
}

type Outcome = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

fn told(outcome: Option<Outcome>) -> Sent {
    match outcome {
        Some(Ok(answer)) => Sent::Answered(answer),
        Some(Err(mut failed)) => match failed.take_message() {
            Some(request) => Sent::Unsent(request),
            None if failed.error().is_parse() => Sent::Senseless,
            None => Sent::Broken,
        },
        None => Sent::Late,
    }
}

/// Waits for the answer's head: for so long after the request has gone out, to this instance or
/// to one before, and while it goes out for as long as it moves.
async fn wait<F: Future>(
    sending: F,
    alone: bool,
    progress: Option<Rc<Progress>>,
    since: Instant,
    limits: &Limits,
) -> Option<F::Output> {
    let mut sending = std::pin::pin!(sending);
    let mut deadline = match &progress {
        None => since + limits.answer_time,
        Some(_) => Instant::now() + limits.answer_time.min(limits.stall_time),
    };
    loop {
        let outcome = match alone {
            true => timeout_at(deadline, &mut sending).await.ok(),
            false => until(deadline, sending.as_mut()).await,
        };
        if outcome.is_some() {
            return outcome;
        }
        let progress = progress.as_ref()?;
        let next = match progress.done.get() {
            true => progress.last.get() + limits.answer_time,
            false => progress.last.get() + limits.stall_time,
        };
        if next <= deadline {
            return None;
        }
        deadline = next;
    }
}

/// Waits without a timer: who attends to the user's connection looks after it from time to time.
async fn until<F: Future>(deadline: Instant, mut sending: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| match sending.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending if Instant::now() >= deadline => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

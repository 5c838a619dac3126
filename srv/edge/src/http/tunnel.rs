//! An upgraded connection: bytes both ways until one side ends or the drain has passed. It holds
//! its claim all the time, so an instance is not called drained before.

use std::rc::Rc;

use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::answer::Refusal;
use super::body::Download;
use super::flight::Flight;
use super::head;
use super::outgoing::Switch;
use super::pool::Pool;
use crate::worker::Worker;

/// Passes on the instance's `101`, and joins the two connections when it has gone out.
pub(crate) fn open(
    _worker: &Rc<Worker>,
    mut flight: Flight,
    pool: &Rc<Pool>,
    mut answer: Response<Incoming>,
    switch: Switch,
) -> Response<Download> {
    let Ok(claim) = pool.claim() else {
        flight.refused(Refusal::Cut);
        return Refusal::Cut.answer();
    };
    let instance = hyper::upgrade::on(&mut answer);
    flight.answered(answer.status());
    pool.keep(claim, async move {
        // Who goes away before the switch leaves nothing to join.
        let Ok(user) = switch.on.await else { return };
        let Ok(instance) = instance.await else { return };
        // The connection is not one for requests any more.
        flight.lent = None;
        let (mut user, mut instance) = (TokioIo::new(user), TokioIo::new(instance));
        if let Ok((_, down)) = copy_bidirectional(&mut user, &mut instance).await {
            flight.moved(usize::try_from(down).unwrap_or(usize::MAX));
        }
        flight.land();
    });
    let (mut head, _) = answer.into_parts();
    let to = head.headers.get(UPGRADE).cloned();
    head::strip(&mut head.headers);
    if let Some(to) = to {
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, to);
    }
    Response::from_parts(head, Download::Text(None))
}

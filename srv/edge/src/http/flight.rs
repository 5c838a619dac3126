//! A request on its way: what it holds, and what is counted and logged when it ends, however
//! that is.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::StatusCode;

use super::answer::Refusal;
use super::body::Progress;
use super::head::{Begun, Peer, Spent};
use super::lent::Lent;
use super::shares::Stream;
use super::streams;
use crate::backend::Backend;
use crate::gate::Claim;
use crate::metrics::{Class, Reason, Want};
use crate::worker::{Ended, Line, View, Worker};

/// From the head of a request to the end of its answer.
#[derive(Debug)]
pub(crate) struct Flight {
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    /// The table it was routed by, and its route there.
    pub(crate) view: Rc<View>,
    pub(crate) route: usize,
    began: Instant,
    claim: Option<Claim<Backend>>,
    claimed: Option<Instant>,
    /// Who has answered it, when the claim is let go before its end.
    served: Option<Arc<Backend>>,
    /// Its body, if it has one.
    pub(crate) upload: Option<Rc<Progress>>,
    /// It was begun before in another way, which has failed.
    pub(crate) again: bool,
    /// It was sent before, and is not sent a third time.
    pub(crate) spent: Option<Spent>,
    /// Since when an answer is waited for, from whomever.
    asked: Option<Instant>,
    /// The connection it uses, to be given back.
    pub(crate) lent: Option<Lent>,
    /// The same for one that it shares.
    pub(crate) stream: Option<Stream>,
    /// Nobody looks after it from time to time: it needs a timer of its own.
    pub(crate) alone: bool,
    status: Option<StatusCode>,
    /// Why it was ended early, if it was.
    early: Option<Reason>,
    sent_bytes: u64,
    line: Option<Box<Line>>,
    ended: bool,
}

impl Flight {
    /// A request begins, on this route.
    pub(crate) fn begin(
        worker: &Rc<Worker>,
        peer: &Rc<Peer>,
        view: Rc<View>,
        route: usize,
        began: Instant,
        line: Option<Box<Line>>,
    ) -> Self {
        view.live.routes[route].figures.begin(worker.number);
        worker.shared.flights.begin(worker.number);
        peer.begin();
        Self {
            worker: Rc::clone(worker),
            peer: Rc::clone(peer),
            view,
            route,
            began,
            claim: None,
            claimed: None,
            served: None,
            upload: None,
            again: false,
            spent: None,
            asked: None,
            lent: None,
            stream: None,
            alone: true,
            status: None,
            early: None,
            sent_bytes: 0,
            line,
            ended: false,
        }
    }

    /// It goes by a newer table.
    pub(crate) fn reroute(&mut self, view: Rc<View>, route: usize) {
        let figures = |view: &View, route: usize| {
            let live = &view.live;
            Arc::clone(&live.routes[route].figures)
        };
        figures(&self.view, self.route).leave(self.worker.number);
        figures(&view, route).begin(self.worker.number);
        (self.view, self.route) = (view, route);
    }

    /// It goes to this instance.
    pub(crate) fn to(&mut self, claim: Claim<Backend>) {
        self.unclaim();
        claim.figures.begin(self.worker.number);
        // The first try begins with the request, as far as anybody can tell.
        let first = self.claimed.is_none() && !self.again;
        self.claimed = Some(if first { self.began } else { Instant::now() });
        self.claim = Some(claim);
    }

    /// It was begun before in another way.
    pub(crate) fn follows(&mut self, before: Begun) {
        (self.again, self.asked, self.spent) = (true, before.asked, before.spent);
    }

    /// An answer is waited for from now on, or has been for a while: since when.
    pub(crate) fn ask(&mut self, now: Instant) -> Instant {
        *self.asked.get_or_insert(now)
    }

    /// It was sent, and broken off without an answer, on a connection that had served before or
    /// not. Says whether it may be sent once more, as far as that goes.
    pub(crate) fn spend(&mut self, reused: bool) -> bool {
        let not = self.claim.as_deref().filter(|_| !reused).map(|it| it.serial);
        self.spent.replace(Spent { not }).is_none()
    }

    /// It goes elsewhere.
    pub(crate) fn unclaim(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.figures.leave(self.worker.number);
        }
        (self.lent, self.stream) = (None, None);
    }

    /// When it was sent to the instance it goes to, about.
    pub(crate) fn claimed(&self) -> Instant {
        self.claimed.unwrap_or(self.began)
    }

    /// The instance it goes to.
    pub(crate) fn backend(&self) -> Option<&Backend> {
        self.claim.as_deref().map(|backend| &**backend)
    }

    /// Polls something that comes from the connection it uses.
    pub(crate) fn poll_for<T>(
        &mut self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &mut self.lent {
            Some(lent) => lent.poll_for(context, poll),
            None => poll(context),
        }
    }

    /// Its answer has begun.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        let claimed = self.claimed();
        if let Some(line) = &mut self.line {
            line.answered(claimed.elapsed());
        }
    }

    /// So many bytes more of the answer have gone.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// So many have by now.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// The instance has sent all of its answer: it may leave, whether or not the user has room for
    /// that.
    pub(crate) fn release(&mut self) {
        let now = Instant::now();
        if let Some(lent) = self.lent.take() {
            lent.give_back(now);
        }
        self.stream = None;
        if let Some(claim) = self.let_go(self.class(), now) {
            self.served = Some(Arc::clone(&claim));
        }
    }

    /// Whether all of its answer is there, and the user has not taken it yet.
    pub(crate) fn is_released(&self) -> bool {
        self.served.is_some() && !self.ended
    }

    fn class(&self) -> Class {
        self.status.map_or(Class::Edge, |status| Class::of(status.as_u16()))
    }

    /// The whole answer has gone; the connection serves the next. Says when.
    pub(crate) fn land(&mut self) -> Instant {
        let now = Instant::now();
        if let Some(lent) = self.lent.take() {
            lent.give_back(now);
        }
        self.end_at(self.class(), now);
        now
    }

    /// It begins once more, in another way, and is counted there.
    pub(crate) fn withdraw(mut self) {
        self.unclaim();
        self.view.live.routes[self.route].figures.leave(self.worker.number);
        self.worker.shared.flights.end(self.worker.number);
        self.peer.end(Instant::now());
        let (at, asked, spent) = (self.began, self.asked, self.spent);
        self.peer.begun.set(Some(Begun { at, asked, spent }));
        self.ended = true;
    }

    /// Name of the service it is for.
    pub(crate) fn service(&self) -> &str {
        &self.view.live.routes[self.route].service
    }

    /// Nobody could be found for it.
    pub(crate) fn wanted(&self, want: Want) {
        self.worker.shared.refused.add(want);
    }

    /// The edge itself answers.
    pub(crate) fn refused(&mut self, refusal: Refusal) {
        match refusal.cuts() {
            Some(why) => self.cut(why),
            None => self.early = self.cut_for(),
        }
        self.status = Some(refusal.status());
        self.end(refusal.class());
    }

    /// The answer broke off in the middle.
    pub(crate) fn broke(&mut self) {
        if self.is_spoilt() {
            // The connection to the instance ended with what the user sent there.
            return self.end(Class::User);
        }
        self.cut(Reason::Instance);
        self.end(Class::Instance);
    }

    /// Whether its body broke off, or is none.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.failed.get())
    }

    /// It is ended early. What the drain has cut, it has counted.
    fn cut(&mut self, why: Reason) {
        let drained = self.cut_for();
        self.early = Some(drained.unwrap_or(why));
        if drained.is_none() {
            self.worker.shared.cuts.add(why, 1);
        }
    }

    /// Why all that is on its way to its instance is ended, if it is.
    fn cut_for(&self) -> Option<Reason> {
        self.backend().and_then(Backend::cut_for)
    }

    fn end(&mut self, class: Class) {
        if !self.ended {
            self.end_at(class, Instant::now());
        }
    }

    fn end_at(&mut self, class: Class, now: Instant) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = now.duration_since(self.began);
        self.peer.end(now);
        self.view.live.routes[self.route].figures.end(self.worker.number, class, took);
        self.worker.shared.flights.end(self.worker.number);
        let claim = self.let_go(class, now);
        if let Some(line) = self.line.take() {
            let service = &self.view.live.routes[self.route].service;
            let backend = claim.as_deref().or(self.served.as_ref()).map(|backend| &**backend);
            let ended = Ended { status: self.status, early: self.early, took };
            self.worker.log(&line, service, backend, ended, self.sent_bytes);
        }
        // The last: whoever sees this end finds all of it counted.
        (self.lent, self.stream) = (None, None);
        drop(claim);
    }

    /// Ends what the instance has of it; the claim is still to be dropped.
    fn let_go(&mut self, class: Class, now: Instant) -> Option<Claim<Backend>> {
        let claim = self.claim.take()?;
        let took = now.duration_since(self.claimed());
        claim.figures.end(self.worker.number, class, took);
        Some(claim)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.ended && (self.peer.late.get() || streams::is_stalled()) {
            self.cut(Reason::Stall);
        }
        self.early = self.early.or(self.cut_for());
        self.end(Class::Gone);
    }
}

//! Plain streams of `route tcp PORT`: a connection is claimed, joined to one instance, and
//! drained as a request is.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::gate::Claim;
use crate::http::{Dialled, TRIES_MAX, Tried, choose, join};
use crate::live::Route;
use crate::metrics::{Class, Figures, Reason};
use crate::worker::{View, Worker};

/// Serves one connection to `port` until either side ends it.
pub(crate) async fn stream(worker: Rc<Worker>, user: TcpStream, port: u16) {
    let Some(mut stream) = Stream::begin(&worker, port) else { return };
    let mut tried: Tried = [0; TRIES_MAX];
    for try_number in 0..TRIES_MAX {
        // Without a claim the connection is closed: there is no other way to say no.
        let pick = |route: &Route| choose(&worker, route, &tried);
        let Some((claim, route)) = claim(|| worker.view(), port, pick) else { return };
        let pool = worker.pool(&claim);
        match pool.connect(&worker.shared.limits).await {
            Ok(Dialled { stream: instance, claim: open, .. }) => {
                let (ended, end) = oneshot::channel::<()>();
                stream.to(claim, route);
                pool.keep(open, async move {
                    let _ended = ended;
                    stream.broke = join(user, instance).await.broke;
                    drop(stream);
                });
                // The sender is dropped with the stream, however that ends.
                let _: Result<(), _> = end.await;
                return;
            }
            Err(_) => {
                worker.doubt(&pool);
                tried[try_number] = claim.serial;
            }
        }
    }
}

/// A claim as `pick` makes it, by the newest table if one came during the look at the one before:
/// all its instances drain then. With it the figures of its route.
fn claim(
    newest: impl Fn() -> Rc<View>,
    port: u16,
    pick: impl Fn(&Route) -> Option<Claim<Backend>>,
) -> Option<(Claim<Backend>, Arc<Figures>)> {
    let mut view = newest();
    loop {
        let route = route(&view, port)?;
        if let Some(claim) = pick(route) {
            return Some((claim, Arc::clone(&route.figures)));
        }
        let next = newest();
        if Rc::ptr_eq(&view, &next) {
            return None;
        }
        view = next;
    }
}

/// The route of a port, if it has one.
fn route(view: &View, port: u16) -> Option<&Route> {
    view.live.tcp.get(&port).map(|at| &view.live.routes[*at])
}

/// A stream on its way, counted when it ends.
struct Stream {
    worker: Rc<Worker>,
    began: Instant,
    /// Of its route.
    figures: Arc<Figures>,
    /// The instance it goes to, once there is one.
    claim: Option<Claim<Backend>>,
    /// Its instance broke it off.
    broke: bool,
}

impl Stream {
    /// One begins, if the port has a route.
    fn begin(worker: &Rc<Worker>, port: u16) -> Option<Stream> {
        let figures = Arc::clone(&route(&worker.view(), port)?.figures);
        figures.begin(worker.number);
        worker.shared.flights.begin(worker.number);
        let (worker, began) = (Rc::clone(worker), Instant::now());
        Some(Stream { worker, began, figures, claim: None, broke: false })
    }

    /// It goes to this instance, by this route.
    fn to(&mut self, claim: Claim<Backend>, figures: Arc<Figures>) {
        self.figures.leave(self.worker.number);
        figures.begin(self.worker.number);
        claim.figures.begin(self.worker.number);
        (self.claim, self.figures) = (Some(claim), figures);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (number, took) = (self.worker.number, self.began.elapsed());
        let class = match &self.claim {
            Some(_) if self.broke => Class::Instance,
            Some(_) => Class::Switched,
            None => Class::Edge,
        };
        if let Some(claim) = &self.claim {
            // What the drain has cut, it has counted.
            if self.broke && !claim.is_cut() {
                self.worker.shared.cuts.add(Reason::Instance, 1);
            }
            claim.figures.end(number, class, took);
        }
        self.figures.end(number, class, took);
        self.worker.shared.flights.end(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    use crate::gate::Gated as _;
    use crate::live::Live;
    use crate::table::Table;

    #[test]
    fn a_table_that_comes_between_the_look_and_the_claim_closes_no_connection() {
        let view = |id: &str, before: Option<&Live>| {
            let text = format!("generation 1\ntcp 5432 db - 0/{id}/v=1.2.3.4:5\n");
            let live = Live::of(Table::parse(&text).expect("a table"), before, 1);
            Rc::new(View { live: Arc::new(live) })
        };
        let old = view("db-1", None);
        let new = view("db-2", Some(&old.live));
        old.live.backends["db-1"].gate().drain();
        let pick = |route: &Route| Claim::on(&route.backends[0]);
        let looks = Cell::new(0);
        let newest = || match looks.replace(looks.get() + 1) {
            0 => Rc::clone(&old),
            _ => Rc::clone(&new),
        };
        let (found, figures) = claim(newest, 5432, pick).expect("a claim");
        assert_eq!(&*found.is.id, "db-2");
        assert!(Arc::ptr_eq(&figures, &new.live.routes[0].figures));
        assert!(claim(|| Rc::clone(&old), 5432, pick).is_none(), "there is no other table");
        assert!(claim(|| Rc::clone(&new), 5433, pick).is_none(), "no route has that port");
    }
}

//! Plain streams of `route tcp PORT`: a connection is claimed, joined to one instance, and
//! drained as a request is.

use std::rc::Rc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::gate::Claim;
use crate::http::{Dialled, TRIES_MAX, Tried, choose, join};
use crate::live::Route;
use crate::metrics::{Class, Reason};
use crate::worker::{View, Worker};

/// Serves one connection to `port` until either side ends it.
pub(crate) async fn stream(worker: Rc<Worker>, user: TcpStream, port: u16) {
    let began = Instant::now();
    let mut tried: Tried = [0; TRIES_MAX];
    for try_number in 0..TRIES_MAX {
        // Without a claim the connection is closed: there is no other way to say no.
        let pick = |route: &Route| choose(&worker, route, &tried);
        let Some(claim) = claim(|| worker.view(), port, pick) else { return };
        let pool = worker.pool(&claim);
        match pool.connect(&worker.shared.limits).await {
            Ok(Dialled { stream: instance, claim: open, .. }) => {
                let (ended, end) = oneshot::channel::<()>();
                let mut flight = Stream::begin(&worker, claim, began);
                pool.keep(open, async move {
                    let _ended = ended;
                    flight.broke = join(user, instance).await.broke;
                    drop(flight);
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
/// all its instances drain then.
fn claim(
    newest: impl Fn() -> Rc<View>,
    port: u16,
    pick: impl Fn(&Route) -> Option<Claim<Backend>>,
) -> Option<Claim<Backend>> {
    let mut view = newest();
    loop {
        let claim = pick(&view.live.routes[*view.live.tcp.get(&port)?]);
        if claim.is_some() {
            return claim;
        }
        let next = newest();
        if Rc::ptr_eq(&view, &next) {
            return None;
        }
        view = next;
    }
}

/// A stream on its way, counted when it ends.
struct Stream {
    worker: Rc<Worker>,
    claim: Claim<Backend>,
    began: Instant,
    /// Its instance broke it off.
    broke: bool,
}

impl Stream {
    fn begin(worker: &Rc<Worker>, claim: Claim<Backend>, began: Instant) -> Stream {
        claim.figures.begin(worker.number);
        worker.shared.flights.begin(worker.number);
        Stream { worker: Rc::clone(worker), claim, began, broke: false }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (figures, number) = (&self.claim.figures, self.worker.number);
        // What the drain has cut, it has counted.
        if self.broke && !self.claim.is_cut() {
            self.worker.shared.cuts.add(Reason::Instance, 1);
        }
        let class = if self.broke { Class::Instance } else { Class::Switched };
        figures.end(number, class, self.began.elapsed());
        self.worker.shared.flights.end(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::Arc;

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
        let found = claim(newest, 5432, pick).expect("a claim");
        assert_eq!(&*found.is.id, "db-2");
        assert!(claim(|| Rc::clone(&old), 5432, pick).is_none(), "there is no other table");
        assert!(claim(|| Rc::clone(&new), 5433, pick).is_none(), "no route has that port");
    }
}

//! Plain streams of `route tcp PORT`: a connection is claimed, joined to one instance, and
//! drained as a request is.

use std::rc::Rc;
use std::time::Instant;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::backend::Backend;
use crate::gate::Claim;
use crate::http::{Dialled, TRIES_MAX, Tried, choose};
use crate::metrics::Class;
use crate::worker::Worker;

/// Serves one connection to `port` until either side ends it.
pub(crate) async fn stream(worker: Rc<Worker>, mut user: TcpStream, port: u16) {
    let began = Instant::now();
    let mut tried: Tried = [0; TRIES_MAX];
    for try_number in 0..TRIES_MAX {
        let view = worker.view();
        let Some(route) = view.live.tcp.get(&port).map(|at| &view.live.routes[*at]) else { return };
        // Without a claim the connection is closed: there is no other way to say no.
        let Some(claim) = choose(&worker, route, &tried) else { return };
        let pool = worker.pool(&claim);
        match pool.connect(&worker.shared.limits).await {
            Ok(Dialled { stream: mut instance, claim: open, .. }) => {
                let (ended, end) = oneshot::channel::<()>();
                let flight = Stream::begin(&worker, claim, began);
                pool.keep(open, async move {
                    let _ended = ended;
                    let _ = copy_bidirectional(&mut user, &mut instance).await;
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

/// A stream on its way, counted when it ends.
struct Stream {
    worker: Rc<Worker>,
    claim: Claim<Backend>,
    began: Instant,
}

impl Stream {
    fn begin(worker: &Rc<Worker>, claim: Claim<Backend>, began: Instant) -> Stream {
        claim.figures.begin(worker.number);
        worker.shared.flights.begin(worker.number);
        Stream { worker: Rc::clone(worker), claim, began }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let (figures, number) = (&self.claim.figures, self.worker.number);
        figures.end(number, Class::Switched, self.began.elapsed());
        self.worker.shared.flights.end(number);
    }
}

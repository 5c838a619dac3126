//! The thread of a worker and what it does when it is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

use super::{Order, View, Worker, line};
use crate::swap::Shared;
use crate::{Error, http};

/// How often connections that rest too long are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Starts a worker; it ends with the process, or with the last who could tell it something.
pub(crate) fn start(
    number: usize,
    shared: &Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
) -> Result<(), Error> {
    let failed = |why| Error::Io { what: format!("thread of worker {number}"), why };
    let (shared, rests) = (Arc::clone(shared), Arc::clone(shared));
    let runtime = move || {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().on_thread_park(move || rests.flights.rest(number));
        builder.build_local(LocalOptions::default())
    };
    let (told, built) = std::sync::mpsc::channel();
    let run = move || match runtime() {
        Ok(runtime) => {
            let _ = told.send(Ok(()));
            runtime.block_on(work(number, shared, orders));
        }
        Err(why) => _ = told.send(Err(why)),
    };
    thread::Builder::new().name(format!("worker {number}")).spawn(run).map_err(failed)?;
    let lost = || std::io::Error::other("it ended at once");
    built.recv().unwrap_or_else(|_| Err(lost())).map_err(failed)
}

async fn work(number: usize, shared: Arc<Shared>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let live = Arc::clone(&shared.live());
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let worker = Rc::new(Worker {
        number,
        view: RefCell::new(Rc::new(View { live })),
        pools: RefCell::default(),
        turn: Cell::new(number),
        // Workers and lives of the process count from places far apart.
        ids: Cell::new(seed.wrapping_add((number as u64) << 56)),
        spare: RefCell::default(),
        retries: Cell::new(10 * 100),
        lines: RefCell::new(line::Lines::default()),
        shared,
    });
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => obey(&worker, order),
                None => return,
            },
            _ = sweep.tick() => worker.sweep(),
        }
    }
}

fn obey(worker: &Rc<Worker>, order: Order) {
    match order {
        Order::Listen { listener, kind, leave, done } => {
            spawn_local(http::accept(Rc::clone(worker), listener, kind, leave, done));
        }
        Order::Serve { stream, taken } => {
            if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                http::begin(worker, stream, taken);
            }
        }
        Order::Close(gone) => worker.close(&gone),
        Order::Cut(gone) => worker.cut(&gone),
        Order::Log { handed } => {
            worker.hand_over_lines();
            drop(handed);
        }
    }
}

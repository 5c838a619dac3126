//! The proxy and the names as the processes see them: one thing that takes tables and is given
//! sockets.

use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::leave::Leave;
use super::sockets::{Place, Sockets};
use super::totals::Totals;
use crate::access::Access;
use crate::acme;
use crate::dns;
use crate::error::Error;
use crate::http::{self, Scheme};
use crate::limits::Limits;
use crate::live::Live;
use crate::metrics::{self, Counts};
use crate::swap::{Note, Shared};
use crate::tls;
use crate::worker::Kind;

/// How long questions that were taken may still be asked of others when the edge leaves.
const NAMES_LEAVE_TIME: Duration = Duration::from_secs(2);

/// All that serves users in this process.
pub(crate) struct Front {
    shared: Arc<Shared>,
    inside: Mutex<Inside>,
    totals: Totals,
    /// The last table before none was served any more: its figures go on.
    last: Mutex<Option<Arc<Live>>>,
}

#[derive(Default)]
struct Inside {
    listeners: JoinSet<()>,
    /// Ports of routes, which can be left one at a time.
    ports: BTreeMap<u16, watch::Sender<()>>,
    names: Option<dns::Server>,
}

impl Front {
    /// Serves no route yet, and nowhere; what it counts is kept in `dir`. To be made in the
    /// runtime that drains are waited for in.
    pub(crate) fn new(
        access: Access,
        dir: PathBuf,
    ) -> Result<(Arc<Front>, mpsc::UnboundedReceiver<Note>), Error> {
        let (shared, notes) = Shared::new(Limits::default(), access)?;
        let front = Front {
            shared,
            inside: Mutex::default(),
            totals: Totals::new(dir),
            last: Mutex::default(),
        };
        front.count();
        Ok((Arc::new(front), notes))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves this table from now on. Instances that it has no more begin to drain.
    pub(crate) fn take(&self, text: &str) -> Result<u64, Error> {
        self.shared.take(text)
    }

    /// Serves users at a socket until it is time to leave; places that are none of theirs are
    /// left alone.
    pub(crate) fn serve(&self, place: &Place, socket: &OwnedFd, leave: &Leave) -> io::Result<()> {
        let kind = match place {
            Place::Http(_) => Kind::Http(Scheme::Http),
            Place::Tcp(port) => Kind::Tcp(*port),
            Place::Https(_) => Kind::Http(Scheme::Https),
            Place::Lock | Place::Up | Place::Tree | Place::Datagrams(_) | Place::Streams(_) => {
                return Ok(());
            }
        };
        let listener = TcpListener::from(socket.try_clone()?);
        if kind == Kind::Http(Scheme::Https) {
            self.shared.tls.serves_at(listener.local_addr()?.port());
        }
        let (shared, leave, place) = (self.shared.clone(), leave.clone(), place.clone());
        let (stays, mut closed) = watch::channel(());
        let mut inside = self.inside();
        if let Kind::Tcp(port) = kind {
            inside.ports.insert(port, stays);
        }
        let is_port = matches!(kind, Kind::Tcp(_));
        inside.listeners.spawn(async move {
            let gone = async {
                tokio::select! {
                    () = leave.said() => {}
                    // Its sender is dropped.
                    _ = closed.changed(), if is_port => {}
                }
            };
            if let Err(why) = http::serve(listener, kind, shared, gone).await {
                tracing::error!("{place}: {why}");
            }
        });
        Ok(())
    }

    /// Serves the certificates of these places from now on.
    pub(crate) async fn keep_certificates(&self, places: tls::Places) {
        tls::keep(&self.shared.tls, places).await;
    }

    /// Orders the certificates that the table needs, and keeps them there.
    pub(crate) fn order_certificates(&self, from: acme::Settings, dir: PathBuf) -> acme::Orders {
        acme::Orders::start(self.shared.clone(), from, dir, acme::Pace::default())
    }

    /// Writes how many requests are on their way to `file`.
    pub(crate) fn count_flights(&self, file: OwnedFd) {
        self.shared.flights.keep(file);
    }

    /// Requests, tunnels and streams that are on their way.
    pub(crate) fn flights(&self) -> u64 {
        self.shared.flights.count()
    }

    /// Figures that belong to no route and no instance.
    fn rest(&self) -> String {
        let mut text = metrics::rest(&self.shared);
        if let Some(names) = &self.inside().names {
            names.figures().print(&mut text);
        }
        text
    }

    /// What is served, or was last.
    fn counted_by(&self) -> Arc<Live> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.unwrap_or_else(|| self.shared.live().clone())
    }

    /// Writes what this process has counted, if that has changed.
    pub(crate) fn count(&self) {
        self.totals.write(&self.counted_by(), &self.rest(), self.flights());
    }

    /// The process ends: writes what it has counted for the last time.
    pub(crate) fn counted(&self) {
        self.totals.end(&self.counted_by(), &self.rest());
    }

    /// No route is served any more after this; figures stay those of the table there is.
    pub(crate) fn close_all(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get_or_insert_with(|| self.shared.live().clone());
    }

    /// A process is gone, and what it had counted is part of what this one tells.
    pub(crate) fn fold(&self, pid: u32) {
        self.totals.fold(pid, &self.shared.live());
    }

    /// The same for all but this and those.
    pub(crate) fn fold_but(&self, there: &[u32]) {
        self.totals.fold_but(there, &self.shared.live());
    }

    /// The edge ends, and its figures with it.
    pub(crate) fn forget_counts(&self) {
        self.totals.forget();
    }

    /// What other processes have counted, which figures of routes and instances have beside their
    /// own from now on. What this one has is on disk before it is told.
    fn others(&self) -> Counts {
        self.count();
        let others = self.totals.others();
        others.show(&self.shared.live());
        others
    }

    /// Lines of `status` about certificates.
    pub(crate) fn certificates(&self) -> String {
        self.shared.tls.status()
    }

    /// Takes no more connections at the port of a route; those that are there go on.
    pub(crate) fn close(&self, port: u16) {
        self.inside().ports.remove(&port);
    }

    /// Answers questions for names at all sockets that are for them.
    pub(crate) fn serve_names(&self, sockets: &Sockets) -> io::Result<()> {
        let mut listeners = Vec::new();
        for (place, socket) in sockets.there() {
            let Place::Datagrams(text) = place else { continue };
            let Some(streams) = sockets.get(&Place::Streams(text.clone())) else { continue };
            listeners.push(dns::Listener {
                datagrams: UdpSocket::from(socket.try_clone()?),
                streams: TcpListener::from(streams.try_clone()?),
            });
        }
        if !listeners.is_empty() {
            let shared = self.shared.clone();
            let source = dns::Source(Box::new(move || Arc::clone(&shared.live().names)));
            let server = dns::Server::start(listeners, source, dns::Resolvers::of_machine())?;
            self.inside().names = Some(server);
        }
        Ok(())
    }

    /// Ends when it was time to leave and everything that was taken has ended.
    pub(crate) async fn left(&self) {
        let Inside { mut listeners, names, .. } = std::mem::take(&mut *self.inside());
        let names = async {
            if let Some(names) = names {
                names.leave(NAMES_LEAVE_TIME).await;
            }
        };
        tokio::join!(names, async { while listeners.join_next().await.is_some() {} });
    }

    /// Ends when the lines of what has ended stand in the access log.
    pub(crate) async fn logged(&self) {
        self.shared.logged().await;
    }

    /// Lines of `status` about routes and instances.
    pub(crate) fn figures(&self) -> String {
        self.others();
        metrics::lines(&self.shared)
    }

    /// Lines of `status` about the access log.
    pub(crate) fn access(&self) -> String {
        self.shared.access.status()
    }

    /// The longest that anything in flight may go on after its route is gone.
    pub(crate) fn longest_drain(&self) -> Duration {
        let live = self.shared.live();
        let routes = live.table.routes.iter().map(|route| route.options.drain).max();
        routes.unwrap_or_default()
    }

    /// Figures, as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        let others = self.others();
        let mut text = metrics::text(&self.shared);
        if let Some(names) = &self.inside().names {
            names.figures().print(&mut text);
        }
        others.added_to(&text)
    }

    /// Connections of users that are open, at all processes.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections() + self.others().plain("deploy_connections")
    }

    /// Ends at once what is on its way to instances that leave the table, or have left it.
    pub(crate) fn hurry(&self) {
        self.shared.hurry.send_replace(true);
    }

    /// Instances that left the table and have not drained, and what is in flight to each.
    pub(crate) fn draining(&self) -> Vec<(Arc<str>, u64)> {
        self.shared.draining()
    }
}

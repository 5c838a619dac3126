//! The ports of routes: listened on where a table wants it, and nowhere else.

use std::collections::BTreeMap;

use super::Worker;
use crate::process::crew::told;
use crate::process::sockets::Place;
use crate::process::talk::Said;

impl Worker {
    /// A socket that was asked for, or why there is none.
    pub(super) async fn take_socket(&mut self, said: Said) {
        let port = said.line.strip_prefix("socket tcp ").and_then(|port| port.parse().ok());
        if let Some(said) = told(&mut self.sockets, said) {
            tracing::warn!("the supervisor said `{}`", said.line);
        }
        match port {
            Some(port) if self.ports.contains(&port) => self.serve_port(port),
            // No route wants it any more.
            Some(port) => self.close_port(port).await,
            None => {}
        }
        self.settle_ports();
    }

    /// Tells of routes whose ports cannot be listened on, each once for each reason, and then that
    /// all ports of the table are there or not.
    fn settle_ports(&mut self) {
        let why = |port: &u16| self.sockets.why(&Place::Tcp(*port)).map(str::to_owned);
        let missing: BTreeMap<u16, String> =
            self.ports.iter().filter_map(|port| Some((*port, why(port)?))).collect();
        for (port, why) in &missing {
            if self.missing.get(port) != Some(why) {
                self.books.once(format!("told route tcp {port} is not served: {why}"));
            }
        }
        self.missing = missing;
        let there = |port: &u16| self.sockets.get(&Place::Tcp(*port)).is_some();
        if self.ports.iter().all(|port| there(port) || self.missing.contains_key(port)) {
            self.books.ports_settled(self.synced);
        }
    }

    async fn close_port(&mut self, port: u16) {
        self.front.close(port);
        self.sockets.close(&Place::Tcp(port));
        self.say(&format!("close {port}")).await;
    }

    fn serve_port(&mut self, port: u16) {
        let place = Place::Tcp(port);
        let Some(socket) = self.sockets.get(&place) else { return };
        if let Err(why) = self.front.serve(&place, &socket, &self.leaving.hear()) {
            self.sockets.miss(place, why.to_string());
        }
    }

    /// Listens where the table's routes want it, and nowhere else.
    pub(super) async fn sync_ports(&mut self) {
        if self.follower.is_none() {
            return;
        }
        let wanted = self.books.ports();
        let there = std::mem::replace(&mut self.ports, wanted.clone());
        for port in there.difference(&wanted) {
            self.close_port(*port).await;
        }
        // One that was in use may be free by the time of another table.
        let generation = self.books.generation();
        let again = std::mem::replace(&mut self.synced, generation) != generation;
        for port in &wanted {
            let missing = again && self.sockets.get(&Place::Tcp(*port)).is_none();
            if there.contains(port) && !missing {
                continue;
            }
            if self.talk.is_some() {
                self.say(&format!("bind {port}")).await;
            } else {
                self.sockets.want_port(&self.options.wanted, *port);
                self.serve_port(*port);
            }
        }
        self.settle_ports();
    }
}

//! What a saved turn means for the edges: a new table where the world differs, and what is to be
//! waited for. It is done after the save, like everything that others see (law 7).

use crate::arrival::{Heard, Order};
use crate::edges::{Deed, EDGES_MAX};
use crate::routes;
use crate::turn::Turn;
use crate::world::World;
use manifest::Manifest;
use rollout::{Id, Stage};

impl World {
    /// Refuses a manifest one of whose routes another service has: an edge could not tell whose
    /// requests are.
    ///
    /// # Errors
    /// Which route, and whose it is.
    pub(crate) fn routes_free(&self, name: &str, manifest: &Manifest) -> Result<(), String> {
        match routes::conflict(name, manifest, &self.services) {
            None => Ok(()),
            Some((place, owner)) => Err(format!(
                "route {place} is {owner}'s already; take it from there first, or write another"
            )),
        }
    }

    /// Takes an edge that makes itself known.
    ///
    /// # Errors
    /// There are as many as may be.
    pub(crate) fn edge_came(&mut self, name: &str, turn: &Turn) -> Result<(), String> {
        if !self.edges.has_room() {
            return Err(format!("no more than {EDGES_MAX} edges"));
        }
        self.edges.take(name, Deed::Came, turn.now);
        Ok(())
    }

    /// Derives the table and gives it and the turn's questions to the edges; gives what they have
    /// answered already.
    pub fn route(&mut self, turn: &Turn) -> Vec<Heard> {
        if let Some(used) = self.routes.to_reserve() {
            // It was saved with the turn.
            self.routes.reserve(used);
        }
        for verdict in &turn.verdicts {
            *self.ended.entry(verdict.to_string().replace(' ', "_")).or_default() += 1;
        }
        self.routes_known |= self.node.up;
        if self.routes_known {
            // Before the node has told where instances are, a table would be without them.
            let change = self.routes.derive(&self.services, turn.touched.keys());
            if let Some(change) = change {
                self.edges.published(change.generation, change.left, turn.now);
            }
        }
        for name in turn.touched.keys() {
            let service = self.services.get(name);
            let draining = |id: Id| {
                let instances = service.map(|service| service.record.rollout.instances());
                let stage = instances.and_then(|all| all.get(&id)).map(|i| i.stage);
                matches!(stage, Some(Stage::Draining { .. }))
            };
            self.edges.retain(name, service.is_some(), draining);
        }
        let mut heard = Vec::new();
        for order in &turn.orders {
            if let Order::Publish { service, generation } = order {
                heard.extend(self.edges.publish(service, *generation));
            } else if let Order::Drain { service, id } = order {
                heard.extend(self.edges.drain(service, *id));
            }
        }
        heard
    }
}

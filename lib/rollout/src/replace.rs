//! Replace, for stateful services: new ones placed and pulled first, all old ones stopped, all new
//! ones started, routed when all are healthy. At no time do two versions run at once.

use crate::instance::{Again, Instance, Stage};
use crate::state::How;
use crate::turn::Turn;
use crate::{Kind, Service, Strategy, Version};

impl Service {
    /// No other version may run beside this one.
    pub(crate) fn is_stateful(&self, version: Version) -> bool {
        self.specs.get(&version).is_some_and(|spec| spec.strategy == Strategy::Replace)
    }

    /// Some instance may have a process that no other version may run beside.
    pub(crate) fn runs_stateful(&self) -> bool {
        self.instances.values().any(|i| i.is_live() && self.is_stateful(i.version))
    }
}

impl Turn<'_> {
    /// Brings a replacement onwards. A pause holds it before the old ones leave, never in the gap.
    pub(crate) fn replace(&mut self) {
        if self.s.paused() {
            return;
        }
        self.drop_idle();
        let parts = self.parts();
        for &version in &parts.missing {
            self.create(version);
        }
        let waits = |i: &&Instance| i.stage < Stage::Starting;
        let prepared = parts.missing.is_empty()
            && parts
                .kept
                .iter()
                .filter_map(|id| self.s.instances.get(id))
                .filter(waits)
                .all(|i| i.stage == Stage::Ready && self.s.is_pulled(i.version));
        if prepared {
            self.retire(&parts.surplus, parts.surplus.len());
        }
    }

    /// A new one may start: always when rolling; else when no other version is left.
    pub(crate) fn start_gate(&self) -> bool {
        self.s.aim.how != How::Replace
            || !self.s.instances.values().any(|i| {
                i.is_live() && (!self.s.is_wanted(i) || i.is_leaving() && i.again == Again::No)
            })
    }

    /// A healthy one may be routed: always when rolling; in a replacement when all are healthy.
    pub(crate) fn route_gate(&self) -> bool {
        let change = self.s.update.as_ref().is_none_or(|u| u.kind == Kind::Change);
        if self.s.aim.how != How::Replace || change || !self.s.is_forward() {
            return true;
        }
        let parts = self.parts();
        parts.missing.is_empty()
            && parts
                .kept
                .iter()
                .filter_map(|id| self.s.instances.get(id))
                .all(|i| i.is_routed() || i.stage == Stage::Settled || i.is_at_rest())
    }
}

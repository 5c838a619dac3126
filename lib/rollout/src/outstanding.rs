//! What a state waits for. The one source of actions, for `step` as for `resume`.

use crate::instance::Stage;
use crate::state::{Ending, Image, Service, Stand, Step};
use crate::{Action, Instance, Millis};
use alloc::vec::Vec;

/// Every action whose answer is missing, each once, in the order of [`Action`].
pub(crate) fn outstanding(s: &Service) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for (&version, image) in &s.images {
        if matches!(image, Image::Asked { .. }) {
            actions.push(Action::Pull { version });
        }
    }
    actions.extend(s.instances.values().filter_map(|i| asked(s, i)));
    if s.routes.served < s.routes.generation {
        actions.push(Action::Publish { generation: s.routes.generation });
    }
    if s.stand == Stand::Removed {
        actions.push(Action::Delete);
    }
    actions.extend(timers(s).min().map(|at| Action::Wake { at }));
    actions.sort();
    actions
}

/// What the instance's stage waits for, when it is not time.
fn asked(s: &Service, i: &Instance) -> Option<Action> {
    match i.stage {
        Stage::Placing => Some(Action::Place { id: i.id }),
        Stage::Starting => Some(Action::Start { id: i.id, number: i.number, version: i.version }),
        Stage::Draining { .. } => Some(Action::Drain { id: i.id, at_most_ms: drain_ms(s, i) }),
        Stage::Stopping => Some(Action::Stop { id: i.id }),
        Stage::Forgetting => Some(Action::Forget { id: i.id }),
        Stage::Waiting { .. }
        | Stage::Ready
        | Stage::Checking { .. }
        | Stage::Settled
        | Stage::Routing { .. }
        | Stage::Serving
        | Stage::Leaving { .. }
        | Stage::Exited
        | Stage::Ended
        | Stage::GaveUp => None,
    }
}

/// Every moment at which time alone changes something.
fn timers(s: &Service) -> impl Iterator<Item = Millis> + '_ {
    let instances = s.instances.values().filter_map(|i| deadline(s, i));
    let images = s.images.values().filter_map(|image| match image {
        Image::Waiting { until, .. } => Some(*until),
        Image::Asked { .. } | Image::Here => None,
    });
    let update = s.update.as_ref().and_then(|u| match (u.ending, u.paused) {
        (Some(Ending::Failed { by } | Ending::Cancelled { by }), _) => Some(by),
        (None, Some(_)) => None,
        (None, None) => s.stuck_at(),
    });
    let rest = match s.aim.step {
        Step::Between { until } if until > 0 && !s.paused() => Some(until),
        Step::Between { .. } | Step::Surging | Step::Retiring => None,
    };
    // What is found while another update is in flight waits for the end of that, whenever it is.
    let watch = s.watch.as_ref().filter(|watch| !watch.is_loop()).map(|watch| watch.until);
    instances.chain(images).chain(update).chain(rest).chain(watch)
}

impl Service {
    /// When the update in flight has gone without a step forward for too long. A rest between two
    /// batches is no want of progress.
    pub(crate) fn stuck_at(&self) -> Option<Millis> {
        let update = self.update.as_ref()?;
        let moved = match self.aim.step {
            Step::Between { until } => update.moved.max(until),
            Step::Surging | Step::Retiring => update.moved,
        };
        Some(moved.saturating_add(update.progress_deadline_ms))
    }
}

/// When time alone ends the instance's stage.
pub(crate) fn deadline(s: &Service, i: &Instance) -> Option<Millis> {
    match i.stage {
        Stage::Waiting { until } => Some(until),
        Stage::Checking { .. } if s.paused() && s.is_fresh(i) => None,
        Stage::Checking { since } => {
            let limit = s.specs.get(&i.version).map_or(0, |spec| spec.health_deadline_ms);
            Some(since.saturating_add(limit))
        }
        Stage::Draining { since } => Some(since.saturating_add(drain_ms(s, i))),
        Stage::Placing
        | Stage::Ready
        | Stage::Starting
        | Stage::Settled
        | Stage::Routing { .. }
        | Stage::Serving
        | Stage::Leaving { .. }
        | Stage::Stopping
        | Stage::Exited
        | Stage::Ended
        | Stage::GaveUp
        | Stage::Forgetting => None,
    }
}

fn drain_ms(s: &Service, i: &Instance) -> u64 {
    s.specs.get(&i.version).map_or(0, |spec| spec.drain_ms)
}

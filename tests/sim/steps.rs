//! The laws on a single step of the decision: what was, what happened, what came of it.

use rollout::{Action, Event, Fact, Id, Instance, Kind, Millis, Service, Stage, Strategy, resume};

/// What laws 1 and 2 remember.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    floor: u32,
    fallen: u32,
    most: u32,
    batch: u32,
    there: u32,
}

impl Bounds {
    /// An update has begun.
    pub(crate) fn begin(&mut self, before: &Service, after: &Service) {
        let Some(update) = after.update() else { return };
        let spec = update.to.and_then(|to| after.spec(to)).cloned();
        let wanted = spec.as_ref().map_or(0, |spec| spec.replicas);
        let batch = spec.as_ref().map_or(1, |spec| spec.batch.max(1));
        let rolling = spec.as_ref().is_some_and(|spec| spec.strategy == Strategy::Rolling);
        let old = before.replicas().1;
        let current = before.current().and_then(|v| before.spec(v)).map(|spec| spec.replicas);
        let least = old.min(wanted).min(current.unwrap_or(old));
        let floor = if rolling { least } else { 0 };
        let most = old.max(wanted).max(current.unwrap_or(0)).max(before.routed().len() as u32);
        let turned = before.update().is_some() && update.kind == Kind::Rollback;
        let there = live(before);
        if turned {
            self.floor = self.floor.min(floor);
            self.most = self.most.max(most);
            self.batch = self.batch.max(batch);
            self.there = self.there.max(there);
        } else {
            let floor = floor.min(serving(before));
            *self = Bounds { floor, fallen: 0, most, batch, there };
        }
    }

    /// What a step made of the update.
    pub(crate) fn follow(&mut self, before: &Service, after: &Service) {
        let way = |s: &Service| s.update().map(|update| (update.kind, update.started, update.to));
        if after.update().is_some() && way(before) != way(after) {
            let fallen = self.fallen;
            self.begin(before, after);
            self.fallen = self.fallen.max(fallen);
        }
    }

    /// What fails by itself, or is asked to, while it is routed, is not missed.
    pub(crate) fn hit(&mut self, s: &Service, event: &Event) {
        let (Event::Exited { id, .. }
        | Event::Lost { id }
        | Event::Unhealthy { id, .. }
        | Event::InstanceRestarted { id }
        | Event::InstanceStopped { id }) = event
        else {
            return;
        };
        self.fallen += u32::from(s.routed().contains(id));
    }

    pub(crate) fn numbers(&self) -> [u64; 5] {
        [self.floor, self.fallen, self.most, self.batch, self.there].map(u64::from)
    }
}

fn live(s: &Service) -> u32 {
    s.instances().values().filter(|i| i.is_live()).count() as u32
}

fn serving(s: &Service) -> u32 {
    s.instances().values().filter(|i| i.stage == Stage::Serving && i.healthy).count() as u32
}

/// Checks every law that one service can break.
///
/// # Errors
/// Which, and how.
pub(crate) fn check(
    before: &Service,
    event: &Event,
    after: &Service,
    actions: &[Action],
    now: Millis,
    bounds: Bounds,
) -> Result<(), String> {
    serve_enough(after, bounds)?;
    not_too_many(after, bounds)?;
    routed_is_healthy(after)?;
    for i in before.instances().values() {
        let then = after.instances().get(&i.id);
        let_go_first(before, i, then, event, now)?;
        gone_is_told(i, then, event)?;
    }
    ends_once(before, after, actions)?;
    asked(before, after, actions)?;
    grows(before, after)
}

fn law(number: u8, why: String) -> Result<(), String> {
    Err(format!("law {number}: {}: {why}", crate::laws::LAWS[usize::from(number) - 1]))
}

fn serve_enough(s: &Service, bounds: Bounds) -> Result<(), String> {
    let down = s.update().is_some_and(|u| matches!(u.kind, Kind::Stop | Kind::Remove));
    let (serve, least) = (serving(s), bounds.floor.saturating_sub(bounds.fallen));
    if down || serve >= least { Ok(()) } else { law(1, format!("{serve} serve of {least}")) }
}

fn not_too_many(s: &Service, bounds: Bounds) -> Result<(), String> {
    let (live, most) = (live(s), (bounds.most + bounds.batch).max(bounds.there));
    if live <= most { Ok(()) } else { law(2, format!("{live} run, {most} allowed")) }
}

fn routed_is_healthy(s: &Service) -> Result<(), String> {
    let sick = s.instances().values().find(|i| i.is_routed() && !i.healthy);
    match sick {
        Some(i) if serving(s) > 0 => law(3, format!("{i:?}")),
        Some(_) | None => Ok(()),
    }
}

/// Law 4: from the routes to the signal leads one way only.
fn let_go_first(
    before: &Service,
    i: &Instance,
    then: Option<&Instance>,
    event: &Event,
    now: Millis,
) -> Result<(), String> {
    let drain_ms = before.spec(i.version).map_or(0, |spec| spec.drain_ms);
    let stops = then.is_some_and(|then| then.stage == Stage::Stopping);
    if stops && (i.is_routed() || matches!(i.stage, Stage::Leaving { .. })) {
        return law(4, format!("{} is in an edge's table and told to stop", i.id));
    }
    if let Stage::Draining { since } = i.stage
        && stops
        && *event != (Event::Drained { id: i.id })
        && now < since + drain_ms
    {
        return law(4, format!("{} has not drained", i.id));
    }
    Ok(())
}

/// Law 8: a record says that there is no process when the node has said so, and that there is one
/// likewise.
fn gone_is_told(i: &Instance, then: Option<&Instance>, event: &Event) -> Result<(), String> {
    let lives = |i: &Instance| i.is_live();
    let over = matches!(event, Event::Exited { id, .. } | Event::Lost { id }
        | Event::StartFailed { id, .. } if *id == i.id);
    if lives(i) && !then.is_some_and(lives) && !over {
        return law(8, format!("{} has a process, and its record none", i.id));
    }
    let runs =
        |i: &Instance| i.is_live() && i.stage > Stage::Starting && i.stage != Stage::Stopping;
    let begun = matches!(event, Event::Started { id } | Event::Healthy { id, .. } if *id == i.id);
    if i.stage <= Stage::Starting && then.is_some_and(runs) && !begun {
        return law(8, format!("{} is not known to run, and its record runs", i.id));
    }
    Ok(())
}

fn ends_once(before: &Service, after: &Service, actions: &[Action]) -> Result<(), String> {
    let told = |is: fn(&Fact) -> bool| {
        actions.iter().filter(|a| matches!(a, Action::Tell(fact) if is(fact))).count() as i64
    };
    let verbs = told(|fact| {
        matches!(
            fact,
            Fact::UpdateStarted { .. }
                | Fact::ChangeStarted { .. }
                | Fact::RestartStarted { .. }
                | Fact::Stopping
                | Fact::Removing
        )
    });
    let back = told(|fact| matches!(fact, Fact::RollbackStarted { .. }));
    let was = before.update();
    let begun = verbs + if was.is_none() { back } else { 0 };
    let ended = told(|fact| matches!(fact, Fact::Ended(_)));
    if i64::from(was.is_some()) + begun - ended != i64::from(after.update().is_some()) {
        return law(5, format!("{begun} begun, {ended} ended"));
    }
    if back > 0 && was.is_some_and(|update| update.kind == Kind::Rollback) {
        return law(6, format!("{actions:?}"));
    }
    Ok(())
}

/// Law 7: a restart would ask for what was asked, no more and no less.
fn asked(before: &Service, after: &Service, actions: &[Action]) -> Result<(), String> {
    let known = resume(before, 0);
    let after = resume(after, 0);
    match after.iter().find(|action| !known.contains(action) && !actions.contains(action)) {
        Some(action) => law(7, format!("a restart would ask for {action:?} first")),
        None => Ok(()),
    }
}

fn grows(before: &Service, after: &Service) -> Result<(), String> {
    let fresh = |id: &Id| before.instances().contains_key(id) || *id >= before.next_id();
    let grown = after.next_id() >= before.next_id() && after.generation() >= before.generation();
    if grown && after.instances().keys().all(fresh) { Ok(()) } else { law(10, String::new()) }
}

/// Nothing is left to happen: every update has ended, or stands.
///
/// # Errors
/// One goes on, or what is wanted does not serve.
pub(crate) fn rests(s: &Service) -> Result<(), String> {
    let stands = s.update().is_some_and(|update| update.paused.is_some());
    if s.update().is_some() && !stands {
        return law(5, "it goes on, and nothing is left to come".to_string());
    }
    let (serve, wanted) = s.replicas();
    let rests = |i: &&Instance| matches!(i.stage, Stage::Ended | Stage::GaveUp);
    let resting = s.instances().values().filter(rests).count() as u32;
    let enough = serve + resting >= wanted || stands || s.removed();
    if enough { Ok(()) } else { law(5, format!("at rest, {serve} of {wanted} serve")) }
}

//! Every order in which things can happen to one update: all states that the decision can come
//! to from its beginning, each looked at once, with so many faults and verbs at any moment.

use crate::steps::{self, Bounds};
use rollout::{
    Action, Event, Exit, Id, Instance, OnFailure, Service, Spec, Stage, Strategy, Verb, Version,
    may, resume, step,
};
use std::collections::{HashSet, VecDeque};
use std::io::Write;

/// From what to what, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) old: u32,
    pub(crate) new: u32,
    pub(crate) batch: u32,
    pub(crate) strategy: Strategy,
    pub(crate) on_failure: OnFailure,
    /// So many things go wrong by themselves on each way.
    pub(crate) faults: u8,
    /// So many verbs are written on each way.
    pub(crate) verbs: u8,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) states: u64,
    pub(crate) transitions: u64,
    /// Steps of the longest way that no shorter one replaces.
    pub(crate) depth: u64,
    /// States in which nothing is left to happen.
    pub(crate) ends: u64,
    /// States after which nothing is looked at.
    pub(crate) cut: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Seen) {
        self.states += other.states;
        self.transitions += other.transitions;
        self.ends += other.ends;
        self.cut += other.cut;
        self.depth = self.depth.max(other.depth);
    }
}

/// A state of the decision, and what may still go wrong.
#[derive(Debug, Clone)]
struct State {
    service: Service,
    now: u64,
    faults: u8,
    verbs: u8,
    bounds: Bounds,
    depth: u64,
}

/// Steps that are followed.
const DEPTH_MAX: u64 = 64;
/// When it begins; any moment would do.
const BEGINS: u64 = 1_000;

/// Looks at every state of a case.
///
/// # Errors
/// The law that was broken, where and how.
pub(crate) fn look(case: Case) -> Result<Seen, String> {
    let mut first = deployed(case);
    let spec = spec(case, case.new);
    let before = first.service.clone();
    let event = Event::Applied { version: Version(2), spec };
    let actions = step(&mut first.service, first.now, event.clone());
    first.bounds.begin(&before, &first.service);
    steps::check(&before, &event, &first.service, &actions, first.now, first.bounds)?;
    let mut known: HashSet<u128> = HashSet::new();
    known.insert(hash(&first));
    let mut queue = VecDeque::from([first]);
    let mut seen = Seen { states: 1, ..Seen::default() };
    while let Some(state) = queue.pop_front() {
        seen.depth = seen.depth.max(state.depth);
        let good = good(&state);
        if good.is_empty() {
            seen.ends += 1;
            steps::rests(&state.service).map_err(|why| format!("{why}\n{:#?}", state.service))?;
        }
        if state.depth >= DEPTH_MAX {
            seen.cut += 1;
            continue;
        }
        let bad = if state.faults > 0 { faults(&state) } else { Vec::new() };
        let verbs = if state.verbs > 0 { verbs(&state, case) } else { Vec::new() };
        let all = good.into_iter().map(|event| (event, 0, 0));
        let all = all.chain(bad.into_iter().map(|event| (event, 1, 0)));
        for (event, fault, verb) in all.chain(verbs.into_iter().map(|event| (event, 0, 1))) {
            seen.transitions += 1;
            let next = follow(&state, &event, fault, verb)?;
            if known.insert(hash(&next)) {
                seen.states += 1;
                queue.push_back(next);
            }
        }
    }
    Ok(seen)
}

/// What one event makes of a state, with every law looked at.
fn follow(state: &State, event: &Event, fault: u8, verb: u8) -> Result<State, String> {
    let mut next = state.clone();
    next.faults -= fault;
    next.verbs -= verb;
    next.depth += 1;
    if *event == Event::Woke {
        next.now = wake(&state.service).unwrap_or(next.now).max(next.now);
    }
    next.bounds.hit(&state.service, event);
    let actions = step(&mut next.service, next.now, event.clone());
    next.bounds.follow(&state.service, &next.service);
    steps::check(&state.service, event, &next.service, &actions, next.now, next.bounds)
        .map_err(|why| format!("{why}\nat {event:?} in {:#?}", state.service))?;
    Ok(next)
}

/// The old version, as it serves before the update.
fn deployed(case: Case) -> State {
    let mut state = State {
        service: Service::new(Id(0)),
        now: BEGINS,
        faults: case.faults,
        verbs: case.verbs,
        bounds: Bounds::default(),
        depth: 0,
    };
    let event = Event::Applied { version: Version(1), spec: spec(case, case.old) };
    step(&mut state.service, state.now, event);
    while let Some(event) = good(&state).into_iter().next() {
        if event == Event::Woke {
            state.now = wake(&state.service).unwrap_or(state.now);
        }
        step(&mut state.service, state.now, event);
    }
    state
}

fn spec(case: Case, replicas: u32) -> Spec {
    Spec {
        replicas,
        strategy: case.strategy,
        batch: case.batch,
        on_failure: case.on_failure,
        validate_ms: 0,
        max_restarts: 1,
        ..Spec::default()
    }
}

fn wake(service: &Service) -> Option<u64> {
    resume(service, 0).into_iter().find_map(|action| match action {
        Action::Wake { at } => Some(at),
        Action::Pull { .. }
        | Action::Place { .. }
        | Action::Start { .. }
        | Action::Publish { .. }
        | Action::Drain { .. }
        | Action::Stop { .. }
        | Action::Forget { .. }
        | Action::Delete
        | Action::Tell(_) => None,
    })
}

/// What happens when all goes well, in any order; time passes when nothing else is to come.
fn good(state: &State) -> Vec<Event> {
    let mut events = Vec::new();
    for action in resume(&state.service, 0) {
        match action {
            Action::Pull { version } => events.push(Event::Pulled { version }),
            Action::Place { id } => events.push(Event::Placed { id, node: "n".to_string() }),
            Action::Start { id, .. } => events.push(Event::Started { id }),
            Action::Publish { generation } => events.push(Event::Served { generation }),
            Action::Drain { id, .. } => events.push(Event::Drained { id }),
            Action::Stop { id } => events.push(Event::Exited { id, exit: Exit::default() }),
            Action::Forget { id } => events.push(Event::Forgotten { id }),
            Action::Delete | Action::Wake { .. } | Action::Tell(_) => {}
        }
    }
    for i in state.service.instances().values() {
        let sick = i.is_routed() && !i.healthy;
        if matches!(i.stage, Stage::Checking { .. }) || sick {
            events.push(Event::Healthy { id: i.id, ms: 1 });
        }
    }
    if events.is_empty() && !state.service.removed() && wake(&state.service).is_some() {
        events.push(Event::Woke);
    }
    events
}

/// What can go wrong now.
fn faults(state: &State) -> Vec<Event> {
    let mut events = Vec::new();
    let reason = || "fault".to_string();
    for i in state.service.instances().values() {
        let id = i.id;
        if i.stage == Stage::Placing {
            events.push(Event::NoRoom { id, reason: reason() });
        }
        if i.stage == Stage::Starting {
            for permanent in [true, false] {
                events.push(Event::StartFailed { id, reason: reason(), permanent });
            }
        }
        if i.is_live() && i.stage != Stage::Stopping {
            for code in [0, 1] {
                events.push(Event::Exited { id, exit: Exit { code, ..Exit::default() } });
            }
        }
        if i.is_live() {
            events.push(Event::Lost { id });
        }
        if i.healthy && i.is_live() {
            events.push(Event::Unhealthy { id, reason: reason() });
        }
    }
    for action in resume(&state.service, 0) {
        if let Action::Pull { version } = action {
            for permanent in [true, false] {
                events.push(Event::PullFailed { version, reason: reason(), permanent });
            }
        }
        if let Action::Wake { .. } = action {
            // Whatever is waited for takes longer than its limit.
            events.push(Event::Woke);
        }
    }
    events
}

/// What can be asked for now.
fn verbs(state: &State, case: Case) -> Vec<Event> {
    let s = &state.service;
    let mut events: Vec<(Verb, Event)> = vec![
        (Verb::Pause, Event::Paused),
        (Verb::Resume, Event::Resumed),
        (Verb::Cancel, Event::Cancelled),
        (Verb::Restart, Event::Restarted),
        (Verb::Stop, Event::Stopped),
        (Verb::Remove, Event::Removed),
    ];
    let back = Event::RolledBack { version: Version(1), spec: spec(case, case.old), reason: None };
    events.push((Verb::Rollback, back));
    if let Some(version) = s.current() {
        let spec = spec(case, case.new + 1);
        events.push((Verb::Scale, Event::Changed { version, spec }));
    }
    for id in s.instances().values().map(|i: &Instance| i.id) {
        events.push((Verb::RestartInstance(id), Event::InstanceRestarted { id }));
        events.push((Verb::StopInstance(id), Event::InstanceStopped { id }));
    }
    let allowed = events.into_iter().filter(|(verb, _)| may(s, *verb).is_ok());
    allowed.map(|(_, event)| event).collect()
}

/// Two sums over a state; two states that have both in common are taken for one.
fn hash(state: &State) -> u128 {
    let mut sum = Sum(0x6c62_272e_07bb_0142, 0x62b8_2175_6295_c58d);
    // A record is plain data, which always has a JSON form.
    let _ = serde_json::to_writer(&mut sum, &state.service);
    let bounds = state.bounds.numbers();
    for number in [state.now, u64::from(state.faults), u64::from(state.verbs)].iter().chain(&bounds)
    {
        let _ = sum.write(&number.to_le_bytes());
    }
    u128::from(sum.0) << 64 | u128::from(sum.1)
}

struct Sum(u64, u64);

impl Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(word);
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
            self.1 = (self.1 ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(23);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every case of up to three old and three new instances.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (old, new, batch) in
        (1..=3).flat_map(|old| (1..=3).flat_map(move |new| (1..=2).map(move |b| (old, new, b))))
    {
        // Three that all start at once are ten times as many states as all the rest.
        let replace = (old <= 2 && new <= 2).then_some(Strategy::Replace);
        for strategy in [Strategy::Rolling].into_iter().chain(replace) {
            for on_failure in [OnFailure::Abort, OnFailure::Rollback, OnFailure::Pause] {
                for (faults, verbs) in [(1, 0), (0, 1)] {
                    cases.push(Case { old, new, batch, strategy, on_failure, faults, verbs });
                }
            }
        }
    }
    cases
}

//! The one `check`: a script where a line is what happens and a `>` line is what must come of it.
//!
//! `! event` happens without a look at what comes of it; `+MS` lets time pass; `well` lets node and
//! edges answer well whatever is outstanding, and only the lines told are looked at; `? state` is
//! how things must be, over one line or several; `refuse VERB text` is a verb that must be refused
//! in these words; `outcome` gives the line of `wait`.

use super::world::World;
use super::{node, text};
use crate::{Action, Id, Spec, Verb, may};

/// Runs a script twice: as it stands, and with the state saved and loaded after every event.
/// All laws are checked after every event.
pub(super) fn check(script: &str) {
    for forgetful in [false, true] {
        let mut world = World::new();
        world.forgetful = forgetful;
        run(&mut world, script);
    }
}

/// Runs a script in a world.
pub(super) fn run(world: &mut World, script: &str) {
    let spec = &mut Spec { validate_ms: 0, ..Spec::default() };
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        if let Some(wanted) = line.strip_prefix('?') {
            let mut wanted = wanted.trim().to_string();
            while let Some(more) = lines.get(at).and_then(|next| next.strip_prefix('?')) {
                at += 1;
                wanted.push(' ');
                wanted.push_str(more.trim());
            }
            assert_eq!(wanted, text::state(world), "how things are (line {at})\n{world}");
            continue;
        }
        let from = at;
        while lines.get(at).is_some_and(|next| next.starts_with('>')) {
            at += 1;
        }
        let wanted: Vec<&str> = lines[from..at].iter().map(|l| l[1..].trim()).collect();
        let seen = happens(world, spec, line);
        if let Some(seen) = seen {
            let seen = seen.join("; ");
            assert_eq!(wanted.join("; "), seen, "after `{line}` (line {from})\n> {seen}\n{world}");
        }
    }
}

/// Lets a line happen; what came of it, unless nobody asks.
fn happens(world: &mut World, spec: &mut Spec, line: &str) -> Option<Vec<String>> {
    if let Some(line) = line.strip_prefix('!') {
        happens(world, spec, line.trim());
        return None;
    }
    if let Some(words) = line.strip_prefix("refuse ") {
        let (verb, wanted) = words.split_once(' ').expect("refuse VERB text");
        let refusal = may(&world.service, word(verb)).expect_err(line);
        assert_eq!(wanted.trim(), refusal.to_string());
        return None;
    }
    if line == "outcome" {
        return Some(world.service.outcome().iter().map(|o| o.to_string()).collect());
    }
    let (actions, only_told) = if let Some(ms) = line.strip_prefix('+') {
        (world.passes(ms.parse().expect("milliseconds")), false)
    } else if line == "well" {
        (node::answer_well(world), true)
    } else {
        let newest = world.service.generation();
        (world.happens(text::event(line, spec, newest)), false)
    };
    let looked_at = |a: &&Action| !only_told || matches!(a, Action::Tell(_));
    Some(actions.iter().filter(looked_at).filter_map(|a| text::action(world, a)).collect())
}

fn word(verb: &str) -> Verb {
    match verb {
        "apply" => Verb::Apply,
        "scale" => Verb::Scale,
        "pause" => Verb::Pause,
        "resume" => Verb::Resume,
        "cancel" => Verb::Cancel,
        "rollback" => Verb::Rollback,
        "restart" => Verb::Restart,
        "restart-0" => Verb::RestartInstance(Id(0)),
        "stop" => Verb::Stop,
        "remove" => Verb::Remove,
        _ => panic!("what is {verb}?"),
    }
}

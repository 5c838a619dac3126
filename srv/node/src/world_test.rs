//! The laws of an instance's life, as scripts: what happens, and all that comes of it.

use serde_json::json;

use super::*;
use crate::fact::Alive;
use crate::record;
use crate::spec::{Spec, tests::text};

/// One line an action.
fn show(action: &Action) -> String {
    match action {
        Action::Tell(event) => format!("tell {event}"),
        Action::Begin(id) => format!("begin {id}"),
        Action::Adopt(id, _) => format!("adopt {id}"),
        Action::Order(id, order) => format!("order {id} {order:?}"),
        Action::Retire(id) => format!("retire {id}"),
        Action::Mark(id, healthy) => format!("mark {id} {healthy}"),
        Action::Erase(id, pause) if pause.is_zero() => format!("erase {id}"),
        Action::Erase(id, pause) => format!("erase {id} in {} s", pause.as_secs()),
        Action::End => "end".to_owned(),
    }
}

fn id(word: &str) -> Id {
    word.parse().unwrap()
}

fn exit(code: i32) -> crate::wire::Exit {
    crate::wire::Exit { code, reason: None, ..record::never_ran() }
}

fn specify(word: &str, changes: serde_json::Value) -> Request {
    let text = text(changes);
    let spec = Box::new(Spec::parse(&id(word), &text).unwrap());
    Request::Specify { id: id(word), spec, text: text.into() }
}

/// What a line of a script stands for; verbs are as written to `ctl`.
fn read(line: &str) -> Result<Fact, Request> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let said = |said| Ok(Fact::Said { id: id(word), said });
    let warnings = Vec::new();
    match kind {
        "make" => Err(Request::Make(id(word))),
        "spec" => Err(specify(word, json!({}))),
        "respec" => Err(specify(word, json!({"cpu_milli": 1}))),
        "down" => Err(Request::Down),
        "do" => {
            let verb =
                crate::verb::parse(crate::verb::INSTANCE, rest.as_bytes()).unwrap().remove(0);
            Err(Request::Do { id: id(word), verb })
        }
        "placed" => Ok(Fact::Placed {
            id: id(word),
            digest: "sha256:a".into(),
            address: [10, 0, 0, 2].into(),
            port: Some(80),
            warnings,
        }),
        "running" => said(Said::Running { pid: 7, started_ms: 1, warnings }),
        "exited" => said(Said::Exited(exit(rest.parse().unwrap()))),
        "failed" => said(Said::Failed { reason: rest.to_owned(), permanent: true }),
        "over" => Ok(Fact::Over(id(word))),
        "erased" => Ok(Fact::Erased { id: id(word), log_bytes: rest.parse().unwrap_or(0) }),
        "kept" => Ok(Fact::EraseFailed { id: id(word), reason: rest.to_owned() }),
        "yes" | "no" | "well" | "ill" => {
            let verdict = match kind {
                "well" => Verdict::Healthy { ms: 9 },
                "ill" => Verdict::Unhealthy,
                _ => Verdict::Nothing,
            };
            Ok(Fact::Probed { id: id(word), answer: rest.to_owned(), verdict })
        }
        "found" => {
            let written = Some(Written {
                spec: Spec::parse(&id(word), &text(json!({}))).unwrap().into(),
                text: text(json!({})).into(),
            });
            let alive = |pid, healthy| {
                let spec = written.as_ref().unwrap().spec.clone();
                Phase::Alive(Alive {
                    spec,
                    digest: "sha256:a".into(),
                    pid,
                    since_ms: pid.map(|_| 5),
                    address: None,
                    port: None,
                    healthy,
                })
            };
            let phase = match rest {
                "new" => Phase::New,
                "intended" => Phase::Intended,
                "healthy" => alive(Some(7), Some(true)),
                "starting" => alive(None, None),
                "exited" => Phase::Ended(exit(3)),
                other => panic!("no phase {other}"),
            };
            Ok(Fact::Found(Found { id: id(word), written, phase }))
        }
        other => panic!("no line {other}"),
    }
}

/// A line is what happens, the `>` lines after it are all that comes of it; `!` is a refusal.
fn check(script: &str) {
    let mut world = World::default();
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let came = match read(line) {
            Ok(fact) => world.step(fact).iter().map(show).collect(),
            Err(request) => match world.check(&request) {
                Ok(()) => world.step(Fact::Accepted(request)).iter().map(show).collect(),
                Err(error) => vec![format!("! {}", error.refusal())],
            },
        };
        let mut expected = Vec::new();
        while let Some(next) = lines.next_if(|next| next.starts_with(['>', '!', '='])) {
            if let Some(status) = next.strip_prefix("= ") {
                let word = line.split(' ').nth(1).unwrap();
                let text = world.get(&id(word)).unwrap().status().replace('\n', " ");
                assert_eq!(text.trim(), status, "after {line:?}");
            } else {
                expected.push(next.strip_prefix("> ").unwrap_or(next).to_owned());
            }
        }
        assert_eq!(came, expected, "after {line:?}");
    }
}

#[test]
fn what_is_told_of_a_place_counts_only_for_one_that_is_being_started() {
    check(
        "make a
         spec a
         placed a
         = state=new health=none
         do a start
         > begin a
         failed a no image
         > tell failed a permanent=true reason='no image'
         placed a
         = state=failed health=none reason=no image permanent=true
         over a
         found b healthy
         > adopt b
         placed b
         = state=running pid=7 address=127.0.0.1 health=healthy digest=sha256:a started=5",
    );
}

#[test]
fn an_instance_lives_once_from_new_to_removed() {
    check(
        "make a
         = state=new health=none
         make a
         ! instance a exists
         do a start
         ! instance a has no spec: write its spec before start
         spec a
         do a signal HUP
         ! instance a is not running
         do a start
         > begin a
         = state=pulling health=none
         do a start
         placed a
         = state=starting address=10.0.0.2 port=80 health=none digest=sha256:a
         running a
         > tell started a pid=7 address=10.0.0.2 port=80
         = state=running pid=7 address=10.0.0.2 port=80 health=starting digest=sha256:a started=1
         running a
         do a signal HUP
         > order a Signal(\"HUP\")
         do a stop INT 1
         > order a Stop { signal: Some(\"INT\"), timeout_ms: Some(1000) }
         exited a 0
         > tell exited a code=0 oom=false
         exited a 0
         over a
         do a start
         do a stop
         do a remove
         > erase a
         do a remove
         erased a 5
         > tell removed a log=5
         erased a
         do a start
         ! no instance a",
    );
}

#[test]
fn a_spec_is_written_once_and_the_same_again_is_fine() {
    check(
        "make a
         spec a
         spec a
         respec a
         ! instance a has another spec: a spec is written once, make a new instance
         spec b
         ! no instance b",
    );
}

#[test]
fn a_stop_of_what_never_ran_ends_it() {
    check(
        "make a
         spec a
         do a stop
         > retire a
         do a stop
         do a start
         exited a 143
         > tell exited a code=143 oom=false
         do a start
         do a stop",
    );
}

#[test]
fn a_stop_while_starting_is_passed_on() {
    check(
        "make a
         spec a
         do a start
         > begin a
         do a stop
         > order a Stop { signal: None, timeout_ms: None }
         exited a 143
         > tell exited a code=143 oom=false
         over a",
    );
}

#[test]
fn a_removal_kills_first() {
    check(
        "make a
         spec a
         do a start
         > begin a
         do a remove
         > order a Kill
         do a remove
         exited a 137
         > tell exited a code=137 oom=false
         over a
         > erase a
         erased a
         > tell removed a
         make b
         spec b
         do b remove
         > erase b
         do b start
         ! instance b is being removed: make a new one",
    );
}

#[test]
fn a_removal_that_fails_is_told_and_tried_again_until_it_is_done() {
    let mut script = "make a\n do a remove\n > erase a\n".to_owned();
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        let failed = "kept a no room\n > tell remove-failed a reason='no room'";
        script.push_str(&format!("{failed}\n > erase a in {pause} s\n"));
        script.push_str("= state=new health=none warning=could not be removed: no room\n");
        script.push_str("do a remove\n");
    }
    check(&format!("{script} erased a\n > tell removed a"));
}

#[test]
fn a_removal_waits_until_the_end_of_what_never_ran_is_written() {
    check(
        "make a
         spec a
         do a stop
         > retire a
         do a remove
         exited a 143
         > tell exited a code=143 oom=false
         > erase a
         erased a
         > tell removed a",
    );
}

#[test]
fn only_what_is_new_of_a_probe_is_told() {
    check(
        "make a
         spec a
         do a start
         > begin a
         no a refused
         running a
         > tell started a pid=7
         no a refused
         > tell probe a answer=refused
         no a refused
         well a HTTP 200
         > tell probe a answer='HTTP 200'
         > mark a true
         > tell healthy a ms=9
         = state=running pid=7 health=healthy probe=HTTP 200 started=1
         ill a HTTP 500
         > tell probe a answer='HTTP 500'
         > mark a false
         > tell unhealthy a reason='HTTP 500'
         exited a 1
         > tell exited a code=1 oom=false
         well a HTTP 200",
    );
}

#[test]
fn what_an_earlier_node_left_goes_on() {
    check(
        "found a new
         = state=new health=none
         found b intended
         > begin b
         found c healthy
         > adopt c
         = state=running pid=7 address=127.0.0.1 health=healthy digest=sha256:a started=5
         running c
         > tell started c pid=7 address=127.0.0.1
         running c
         = state=running pid=7 address=127.0.0.1 health=healthy digest=sha256:a started=1
         found d starting
         > adopt d
         running d
         > tell started d pid=7 address=127.0.0.1
         found e exited
         do e start
         do e remove
         > erase e",
    );
}

#[test]
fn going_down_stops_all_and_starts_nothing() {
    check(
        "make a
         spec a
         make b
         spec b
         do a start
         > begin a
         running a
         > tell started a pid=7
         down
         > order a Stop { signal: None, timeout_ms: None }
         do b start
         ! node is ending: nothing is started any more
         make c
         ! node is ending: nothing is started any more
         exited a 0
         > tell exited a code=0 oom=false
         over a
         > end",
    );
    check("down\n > end");
}

#[test]
fn a_failure_to_start_is_told_and_is_the_end() {
    check(
        "make a
         spec a
         do a start
         > begin a
         failed a no such image
         > tell failed a permanent=true reason='no such image'
         = state=failed health=none reason=no such image permanent=true
         over a
         do a start",
    );
}

#[test]
fn capacity_is_allocated_from_start_to_end() {
    let mut world = World::default();
    for line in ["make a", "spec a", "do a start", "make b", "spec b"] {
        world.step(read(line).unwrap_or_else(Fact::Accepted));
    }
    assert_eq!(world.allocated(), (250, 268_435_456));
    let exited = read("exited a 0").unwrap();
    world.step(exited);
    assert_eq!(world.allocated(), (0, 0));
}

//! The edges as ledgers: a line is what happens, the `>` lines below it are what must come of it.

use super::*;

/// `+MS` lets time pass; `table N [left…]` publishes; `publish S G` and `drain S ID` are asked;
/// `EDGE came | open N | close N | LINE` is what an edge does.
fn check(mut edges: Edges, script: &str) {
    let (mut now, mut wanted, mut got) = (0, Vec::new(), Vec::new());
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(want) = line.strip_prefix("> ") {
            wanted.push(want.to_string());
            continue;
        }
        assert_eq!(got, wanted, "before: {line}");
        wanted.clear();
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let heard = match words.as_slice() {
            [ms] => {
                now += ms.strip_prefix('+').unwrap().parse::<u64>().unwrap();
                edges.pass(now)
            }
            ["table", _, left @ ..] => {
                let left = left.iter().map(ToString::to_string).collect();
                edges.published(number(1), left, now);
                Vec::new()
            }
            ["publish", service, _] => edges.publish(service, number(2)),
            ["drain", service, _] => edges.drain(service, Id(number(2))),
            [name, "came"] => edges.take(name, Deed::Came, now),
            [name, "open", _] => edges.take(name, Deed::Opened(number(2)), now),
            [name, "close", _] => edges.take(name, Deed::Closed(number(2)), now),
            [name, "began", "0", "at", _] => edges.take(name, Deed::Began(number(4)), now),
            [name, ..] => {
                let word = Word::parse(&words[1..].join(" ")).unwrap();
                edges.take(name, Deed::Said(word), now)
            }
            [] => unreachable!(),
        };
        got = heard.iter().map(told).collect();
    }
    assert_eq!(got, wanted, "at the end");
}

fn told(heard: &Heard) -> String {
    match heard {
        Heard::Served { service, generation } => format!("served {service} {generation}"),
        Heard::Drained { service, id } => format!("drained {service} {id}"),
        Heard::Noted { text } | Heard::Cut { text, .. } => text.clone(),
        Heard::OfPort { port, text } => format!("{port}: {text}"),
        other @ (Heard::Told(_)
        | Heard::NodeUp { .. }
        | Heard::Disk { .. }
        | Heard::VolumeGone { .. }
        | Heard::NodeDown { .. }
        | Heard::StartRefused { .. }
        | Heard::CancelTold { .. }
        | Heard::CollectRefused { .. }
        | Heard::Missing { .. }
        | Heard::PullLate { .. }
        | Heard::Woke { .. }
        | Heard::Logged { .. }) => panic!("an edge told {other:?}"),
    }
}

/// One edge that serves table 7.
const AT_7: &str = "
    main open 1
    > edge main is connected
    main began 0 at 0
    table 7
    main serves 7
";

#[test]
fn without_an_edge_everything_is_served_and_drained_at_once() {
    check(
        Edges::default(),
        "publish web 1
         > served web 1
         table 7
         publish web 2
         > served web 2
         drain web 3
         > drained web 3",
    );
}

#[test]
fn a_table_is_served_when_the_edge_says_so_and_a_late_word_about_an_older_one_is_not_it() {
    let script = format!(
        "{AT_7}
         table 8
         publish web 4
         table 9
         publish api 1
         main serves 8
         > served web 4
         main serves 9
         > served api 1
         publish api 2
         > served api 2"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn a_drain_ends_when_the_edge_says_so_also_when_it_said_so_before_it_was_asked() {
    let script = format!(
        "{AT_7}
         table 8 web-3 web-4
         publish web 4
         main drained web-4
         main serves 8
         > served web 4
         drain web 3
         drain web 4
         > drained web 4
         main drained web-3
         > drained web 3
         main drained web-3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn one_that_comes_back_is_not_drained_until_that_is_said_of_its_second_time() {
    let script = format!(
        "{AT_7}
         table 8 web-3
         drain web 3
         main serves 8
         main drained web-3
         > drained web 3
         table 9
         main serves 9
         table 10 web-3
         drain web 3
         main serves 10
         main drained web-3
         > drained web 3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn what_an_edge_has_to_say_is_told_and_counts_as_a_sign_of_life() {
    let script = format!(
        "{AT_7}
         table 8
         publish web 2
         +4000
         main told certificate for a.b cannot be obtained: no proof
         > edge main: certificate for a.b cannot be obtained: no proof
         main told route tcp 5432 is not served: in use
         > 5432: edge main: route tcp 5432 is not served: in use
         +4000
         main serves 8
         > served web 2"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn requests_that_were_cut_are_told() {
    let script = format!(
        "{AT_7}
         table 8 web-3
         drain web 3
         main cut web-3 2 drain of 15s has passed
         > edge main ended 2 of web-3: drain of 15s has passed
         main drained web-3
         > drained web 3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn of_two_edges_both_are_waited_for() {
    let script = format!(
        "{AT_7}
         b came
         b open 2
         > edge b is connected
         b serves 7
         table 8 web-3
         publish web 4
         main serves 8
         b serves 8
         > served web 4
         drain web 3
         b drained web-3
         main drained web-3
         > drained web 3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn the_machine_s_own_edge_counts_before_it_answers_and_is_written_off_when_it_does_not() {
    check(
        Edges::with_own("main"),
        "publish web 1
         table 7
         publish web 1
         +4999
         +1
         > edge main has not answered for 5s: nothing waits for it until it serves the newest table
         > served web 1
         drain web 3
         > drained web 3
         table 8
         main open 1
         > edge main is connected
         publish web 2
         > served web 2
         main serves 7
         main serves 8
         > edge main serves the newest table again
         table 9
         publish web 3
         main serves 9
         > served web 3",
    );
}

#[test]
fn an_edge_that_speaks_is_given_time_and_one_that_lost_its_connection_too() {
    let script = format!(
        "{AT_7}
         table 8
         publish web 4
         +4000
         table 9
         main drained old-1
         +4000
         main close 1
         > edge main has lost its connection
         +999
         +1
         > edge main has not answered for 5s: nothing waits for it until it serves the newest table
         > served web 4"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn an_edge_with_nothing_outstanding_is_never_written_off() {
    let script = format!(
        "{AT_7}
         main close 1
         > edge main has lost its connection
         +60000
         table 8
         +4000
         main open 2
         > edge main is connected
         main serves 8
         +60000
         publish web 4
         > served web 4"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn an_edge_that_dies_in_a_drain_and_comes_back_as_a_new_process_holds_nothing() {
    let script = format!(
        "{AT_7}
         table 8 web-3
         publish web 4
         main serves 8
         > served web 4
         drain web 3
         main close 1
         > edge main has lost its connection
         main open 2
         > edge main is connected
         main serves 8
         main began 8
         > drained web 3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn a_new_edge_is_asked_about_what_was_in_the_table_when_it_came() {
    // Between its word and the taking of it there was a newer table.
    let script = format!(
        "{AT_7}
         b came
         b open 2
         > edge b is connected
         table 8 web-3
         b began 0 at 7
         b serves 8
         publish web 4
         main serves 8
         > served web 4
         drain web 3
         main drained web-3
         b drained web-3
         > drained web 3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn a_new_edge_is_not_asked_about_instances_it_never_had() {
    let script = format!(
        "{AT_7}
         table 8 web-3
         b came
         b open 2
         > edge b is connected
         b began 0 at 8
         b serves 8
         publish web 4
         main serves 8
         > served web 4
         drain web 3
         main drained web-3
         > drained web 3"
    );
    check(Edges::with_own("main"), &script);
}

#[test]
fn after_a_restart_of_this_server_edges_say_again_what_they_serve_and_have_drained() {
    check(
        Edges::with_own("main"),
        "main open 1
         > edge main is connected
         main serves 7
         main drained web-2
         table 1000001
         publish web 4
         drain web 2
         > drained web 2
         drain web 3
         main serves 1000001
         > served web 4
         main drained web-3
         > drained web 3",
    );
}

#[test]
fn a_table_that_was_never_made_here_is_not_an_answer() {
    check(
        Edges::with_own("main"),
        "main open 1
         > edge main is connected
         main serves 99
         table 7
         publish web 1
         main serves 8
         main serves 7
         > served web 1",
    );
}

#[test]
fn what_is_not_asked_for_any_more_is_forgotten() {
    let mut edges = Edges::with_own("main");
    edges.published(7, Vec::new(), 0);
    assert!(edges.publish("web", 1).is_empty());
    assert!(edges.drain("web", Id(1)).is_empty() && edges.drain("web", Id(2)).is_empty());
    edges.retain("web", true, |id| id == Id(2));
    let heard = edges.take("main", Deed::Said(Word::Drained("web-1".to_string())), 1);
    assert!(heard.is_empty(), "{heard:?}");
    edges.retain("web", false, |_| false);
    let heard = edges.take("main", Deed::Said(Word::Serves(7)), 1);
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn due_is_the_first_moment_at_which_time_alone_changes_something() {
    let mut edges = Edges::with_own("main");
    assert_eq!(edges.due(), None);
    edges.published(7, Vec::new(), 1_000);
    assert_eq!(edges.due(), Some(6_000));
    edges.published(8, Vec::new(), 2_000);
    assert_eq!(edges.due(), Some(6_000));
    edges.pass(6_000);
    assert_eq!(edges.due(), None);
}

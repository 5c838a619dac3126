//! When a host is ordered for: a line is what happens at a second, `>` what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};

use crate::acme::plan::{Held, Outcome, Pace, Plan, Time, Tried};
use crate::tls::Validity;

const DAY: i64 = 24 * 60 * 60;

fn at(second: i64) -> Time {
    // Far from the beginning of all time.
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + second)
}

fn valid(text: &str) -> Validity {
    let (from, to) = text.split_once("..").expect("FROM..TO");
    let second = |text: &str| at(text.parse().expect("a second"));
    Validity { from: second(from), to: second(to) }
}

fn plan() -> Plan {
    Plan::new(Pace::default(), 7, BTreeMap::new(), Tried::default())
}

/// `SECOND look HOST[=given|=FROM..TO] … > order HOST … next MINUTE`, where a minute is one that
/// has begun; `SECOND begin HOST`; `SECOND got HOST=FROM..TO`; `SECOND refused HOST [REST]`;
/// `SECOND unreached HOST [REST]`.
fn check(mut plan: Plan, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, want) = line.split_once(" >").unwrap_or((line, ""));
        let mut words = what.split_whitespace();
        let second: i64 = words.next().and_then(|it| it.parse().ok()).expect(line);
        let (now, verb) = (at(second), words.next().expect(line));
        let words: Vec<&str> = words.collect();
        let rest = words.get(1).and_then(|it| it.parse().ok()).map(Duration::from_secs);
        match verb {
            "look" => {
                let held = |word: &&str| match word.split_once('=') {
                    None => ((*word).to_owned(), Held::Nothing),
                    Some((host, "given")) => (host.to_owned(), Held::Given),
                    Some((host, valid)) => (host.to_owned(), Held::Ordered(self::valid(valid))),
                };
                let due = plan.due(&words.iter().map(held).collect(), now);
                let mut got = Vec::new();
                if !due.orders.is_empty() {
                    got.push(format!("order {}", due.orders.join(" ")));
                }
                got.extend(due.next.map(|next| format!("next {}", (next - at(0)).num_minutes())));
                assert_eq!(got.join(" "), want.trim(), "{line}");
            }
            "begin" => plan.begin(words[0], now),
            "got" => {
                let (host, valid) = words[0].split_once('=').expect(line);
                plan.end(host, Outcome::Got(self::valid(valid)), now);
            }
            "refused" => {
                plan.end(words[0], Outcome::Refused { why: "no".to_owned(), rest }, now);
            }
            "unreached" => {
                plan.end(words[0], Outcome::Unreached { why: "no".to_owned(), rest }, now);
            }
            _ => panic!("{line}"),
        }
    }
}

#[test]
fn a_host_without_a_certificate_is_ordered_for_once_and_renewed_when_a_third_is_left() {
    // Of 90 days; a tenth of the third is three days.
    let day = |day: i64| day * DAY;
    check(
        plan(),
        &format!(
            "0 look a b=given > order a
         0 begin a
         1 look a b=given >
         9 got a=0..{end}
         10 look a=0..{end} b=given > next {renewal}
         {early} look a=0..{end} > next {renewal}
         {late} look a=0..{end} > order a
         {late} look >
         {late} look a=given >",
            end = day(90),
            // As chance has it, less than three days before day 60.
            renewal = {
                let mut plan = plan();
                let held = Held::Ordered(Validity { from: at(0), to: at(day(90)) });
                let due = plan.due(&BTreeMap::from([("a".to_owned(), held)]), at(0));
                let next = due.next.expect("a renewal");
                assert!(at(day(57)) <= next && next <= at(day(60)), "{next}");
                (next - at(0)).num_minutes()
            },
            early = day(57),
            late = day(60),
        ),
    );
}

#[test]
fn a_failure_is_rested_from_and_a_success_forgets_it() {
    check(
        plan(),
        "
        0 look a > order a
        0 begin a
        10 refused a
        10 look a > next 1
        69 look a > next 1
        77 look a > order a
        77 begin a
        80 refused a
        80 look a > next 3
        220 look a > order a
        220 begin a
        221 got a=0..7776000
        221 look a > order a",
    );
}

#[test]
fn an_order_that_nobody_saw_the_end_of_counts_as_a_failure() {
    let mut before = plan();
    before.begin("a", at(0));
    let (hosts, all) = before.tried();
    let after = Plan::new(Pace::default(), 8, hosts.clone(), all.clone());
    check(
        after,
        "
        1 look a > next 1
        70 look a > order a
        70 begin a
        71 refused a
        71 look a > next 3",
    );
}

#[test]
fn the_authoritys_own_wish_is_a_longer_rest_and_never_a_shorter_one() {
    check(
        plan(),
        "
        0 begin a
        0 refused a 3600
        0 look a > next 60
        3600 begin a
        3600 refused a 1
        3600 look a > next 62
        7300 begin a
        7300 refused a 999999999
        7300 look a > next 1561
        93699 look a > next 1561
        93700 look a > order a",
    );
}

#[test]
fn an_authority_that_is_not_there_is_asked_for_no_other_host_either() {
    check(
        plan(),
        "
        0 look a b c d e > order a b c d
        0 begin a
        0 begin b
        0 look a b c d e > order c d
        1 unreached a
        1 look a b c d e > next 1
        2 refused b
        2 look a b c d e > order c d e next 1
        2 begin c
        3 unreached c
        3 look a b c d e > next 1
        70 look a b c d e > order a c d e",
    );
}

#[test]
fn a_host_that_goes_and_comes_back_has_its_rest_all_the_same() {
    check(
        plan(),
        "
        0 begin a
        1 refused a
        2 look b > order b
        3 look a > next 1
        70 look b > order b
        71 look a > order a",
    );
}

#[test]
fn a_certificate_that_is_to_be_renewed_at_once_is_a_failure() {
    check(
        plan(),
        "
        0 begin a
        1 got a=-3600..100
        1 look a=-3600..100 > next 1
        70 begin a
        71 got a=-3600..200
        71 look a=-3600..200 > next 3",
    );
}

#[test]
fn a_clock_that_was_set_back_does_not_make_a_rest_longer_than_the_longest() {
    let day = DAY;
    check(
        plan(),
        &format!(
            "{day} begin a
         {day} refused a
         100 look a > next 1441
         0 look a > order a"
        ),
    );
}

#[test]
fn rests_double_from_a_minute_to_a_day_and_chance_adds_a_tenth_at_most() {
    let mut seen = Vec::new();
    for salt in 0..50 {
        let mut plan = Plan::new(Pace::default(), salt, BTreeMap::new(), Tried::default());
        let mut now = at(0);
        for failures in 0..40_u32 {
            plan.begin("a", now);
            plan.end("a", Outcome::Refused { why: String::new(), rest: None }, now);
            let until = plan.tried().0["a"].until.expect("a rest");
            let rest = (until - now).num_seconds();
            let least = 60_i64.saturating_mul(1 << failures.min(30)).min(DAY);
            assert!((least..=(least + least / 10).min(DAY)).contains(&rest), "{failures}: {rest}");
            if failures == 5 {
                seen.push(rest);
            }
            now = until;
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 25, "not all edges ask at the same moment: {seen:?}");
}

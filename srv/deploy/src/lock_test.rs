//! The lock as ledgers: a line is what an open of it does at a second, the `>` line what comes of
//! it. `ann:1` is ann's open 1; her connection has the number 10 times the first digit of it.

use super::{Asker, FORCE_MS, Hand, Lock, Refused, Stands, WAITING_MAX, When, read};
use crate::record::By;

fn by(name: &str) -> By {
    By { uid: u32::from(name.as_bytes()[0]), name: name.to_string() }
}

fn at(second: &str) -> When {
    let ms = second.parse::<u64>().unwrap() * 1_000;
    When { now: ms, stamp: ms }
}

/// `ann:1`: who, and which open.
fn asker(word: &str) -> Asker {
    let (name, open) = word.split_once(':').unwrap();
    let open = open.parse().unwrap();
    Asker { open, connection: open * 10, by: by(name) }
}

fn done(result: Result<(), Refused>) -> String {
    result.map_or_else(|refused| refused.to_string(), |()| "done".to_string())
}

/// What a line comes to.
fn perform(lock: &mut Lock, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [now, "take", who] => done(lock.take(asker(who), at(now))),
        [now, "wait", who] => match lock.wait(asker(who), at(now)) {
            Ok(()) => format!("{:?}", lock.stands(asker(who).open).unwrap()).to_lowercase(),
            Err(refused) => refused.to_string(),
        },
        [now, "leave", who] => {
            lock.leave(asker(who).open, at(now));
            let next = lock.held().map(|held| held.by().name.clone());
            next.map_or("free".to_string(), |name| format!("has it: {name}"))
        }
        [now, "force", who] => {
            let forced = lock.force(&by(who), at(now), FORCE_MS);
            let next = lock.held().map(|held| format!(", has it: {}", held.by().name));
            match forced {
                Ok(held) => format!("taken from {}{}", held.by().name, next.unwrap_or_default()),
                Err(refused) => refused.to_string(),
            }
        }
        [now, "cancel", who] => {
            let ended = lock.cancel(&by(who), at(now));
            let next = lock.held().map(|held| format!(", has it: {}", held.by().name));
            let of = ended.map_or("nobody".to_string(), |held| held.by().name.clone());
            format!("ended {of}{}", next.unwrap_or_default())
        }
        // Over its connection, by another file.
        [_, "writes", who] => {
            done(lock.admits(Hand { connection: asker(who).connection, ..Hand::default() }))
        }
        [_, "verb", who] => {
            let Asker { open, connection, .. } = asker(who);
            done(lock.admits(Hand { connection, open: Some(open), ..Hand::default() }))
        }
        [_, who, "says", ..] => {
            let words = read(line.split_once(" says ").unwrap().1).unwrap();
            done(lock.say(asker(who).open, words))
        }
        other => panic!("no such line: {other:?}"),
    }
}

#[track_caller]
fn check(script: &str) {
    let mut lock = Lock::default();
    let mut got = String::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines.clone().filter(|line| !line.starts_with('>')) {
        got += &format!("{line}\n> {}\n", perform(&mut lock, line));
    }
    let want: String = lines.map(|line| format!("{line}\n")).collect();
    assert_eq!(got, want);
}

#[test]
fn one_has_it_and_the_next_is_told_who_since_when_and_at_what() {
    check(
        "0 take ann:1
         > done
         1 ann:1 says from ci-3 pid 4711
         > done
         1 ann:1 says build
         > done
         2 take bob:2
         > lock is in use by ann (uid 97) on ci-3 pid 4711 since 1970-01-01T00:00:00Z, \
           phase build; wait for it: deploy apply --wait-lock
         3 leave ann:1
         > free
         3 take bob:2
         > done",
    );
}

#[test]
fn who_waits_gets_it_in_the_order_of_coming_and_who_gives_up_does_not() {
    check(
        "0 wait ann:1
         > holds
         1 wait bob:2
         > waits
         2 wait cyd:3
         > waits
         3 wait dan:4
         > waits
         4 leave cyd:3
         > has it: ann
         5 leave ann:1
         > has it: bob
         6 leave bob:2
         > has it: dan
         7 leave dan:4
         > free",
    );
}

#[test]
fn while_it_is_held_a_deploy_begins_by_its_holder_alone() {
    check(
        "0 writes bob:2
         > done
         0 take ann:1
         > done
         1 writes ann:1
         > done
         1 verb ann:1
         > done
         1 writes bob:2
         > lock is in use by ann (uid 97) since 1970-01-01T00:00:00Z, phase lock; \
           wait for it: deploy apply --wait-lock
         1 verb bob:2
         > lock is not held by this open; open it again
         2 leave ann:1
         > free
         2 writes bob:2
         > done
         2 verb ann:1
         > lock is not held by this open; open it again",
    );
}

#[test]
fn force_takes_what_is_older_than_five_minutes_and_says_how_long_it_is_to_wait() {
    assert_eq!(FORCE_MS, 5 * 60 * 1_000);
    check(
        "0 force bob
         > lock is free; nothing is to be broken
         10 take ann:1
         > done
         11 force bob
         > lock is in use by ann (uid 97) since 1970-01-01T00:00:10Z, phase lock; \
           it can be broken in 299 s
         309 force bob
         > lock is in use by ann (uid 97) since 1970-01-01T00:00:10Z, phase lock; \
           it can be broken in 1 s
         310 force bob
         > taken from ann
         310 take bob:2
         > done",
    );
}

#[test]
fn whose_lock_was_taken_is_refused_until_he_opens_it_again() {
    check(
        "0 take ann:1
         > done
         300 force bob
         > taken from ann
         300 verb ann:1
         > lock was taken by bob (uid 98) at 1970-01-01T00:05:00Z; \
           nothing you write counts until you open it again
         300 writes ann:1
         > lock was taken by bob (uid 98) at 1970-01-01T00:05:00Z; \
           nothing you write counts until you open it again
         300 ann:1 says build
         > lock was taken by bob (uid 98) at 1970-01-01T00:05:00Z; \
           nothing you write counts until you open it again
         301 take bob:2
         > done
         302 writes ann:1
         > lock was taken by bob (uid 98) at 1970-01-01T00:05:00Z; \
           nothing you write counts until you open it again
         303 leave bob:2
         > free
         304 writes ann:1
         > lock was taken by bob (uid 98) at 1970-01-01T00:05:00Z; \
           nothing you write counts until you open it again
         304 writes cyd:3
         > done
         305 leave ann:1
         > free
         306 writes ann:1
         > done",
    );
}

#[test]
fn what_was_taken_by_force_goes_to_who_waited_first() {
    check(
        "0 take ann:1
         > done
         1 wait bob:2
         > waits
         300 force cyd
         > taken from ann, has it: bob
         301 force cyd
         > lock is in use by bob (uid 98) since 1970-01-01T00:05:00Z, phase lock; \
           it can be broken in 299 s",
    );
}

#[test]
fn no_more_than_so_many_wait_and_an_open_is_forgotten_with_its_close() {
    let mut lock = Lock::default();
    lock.take(asker("ann:1"), at("0")).unwrap();
    for open in 0..WAITING_MAX {
        lock.wait(asker(&format!("bob:{}", open + 2)), at("1")).unwrap();
    }
    assert_eq!(lock.wait(asker("cyd:1000"), at("1")), Err(Refused::Full));
    assert_eq!(lock.queue().lines().count(), WAITING_MAX);
    assert_eq!(lock.queue().lines().next(), Some("bob (uid 98) since 1970-01-01T00:00:01Z"));
    lock.force(&by("cyd"), at("400"), FORCE_MS).unwrap();
    assert_eq!(lock.stands(1), Some(Stands::Broken));
    lock.leave(1, at("401"));
    assert_eq!(lock.stands(1), None);
}

#[test]
fn its_text_says_everything_that_was_said() {
    let mut lock = Lock::default();
    assert_eq!(lock.text(), "");
    lock.take(asker("ann:1"), at("0")).unwrap();
    let said = "pre-flight\nfrom ci-3 pid 4711\ncommit ab12 mend the \x1b[2Jdoor\nmessage now\n";
    lock.say(1, read(said).unwrap()).unwrap();
    assert_eq!(
        lock.text(),
        "holder=ann\nuid=97\nfrom=ci-3 pid 4711\nsince=1970-01-01T00:00:00Z\nphase=pre-flight\n\
         commit=ab12 mend the ?[2Jdoor\nmessage=now\n"
    );
    assert_eq!(read("apply"), None);
    assert_eq!(read("build\napply"), None);
    let long = format!("message {}", "ü".repeat(10_000));
    lock.say(1, read(&long).unwrap()).unwrap();
    assert!(lock.text().len() < 1_000);
}

#[test]
fn a_deploy_that_is_cancelled_while_it_is_prepared_counts_no_more_and_the_next_has_the_lock() {
    check(
        "0 take ann:1
         > done
         1 ann:1 says build
         > done
         1 wait bob:2
         > waits
         2 cancel cyd
         > ended ann, has it: bob
         3 verb ann:1
         > deploy was cancelled by cyd (uid 99) at 1970-01-01T00:00:02Z; nothing you write \
           counts until you lock again
         3 writes ann:1
         > deploy was cancelled by cyd (uid 99) at 1970-01-01T00:00:02Z; nothing you write \
           counts until you lock again
         3 verb bob:2
         > done
         4 leave ann:1
         > has it: bob
         5 leave bob:2
         > free
         6 cancel cyd
         > ended nobody",
    );
    let mut lock = Lock::default();
    lock.take(asker("ann:1"), at("0")).unwrap();
    assert!(lock.is_held_by(Hand { connection: 10, ..Hand::default() }));
    assert!(lock.is_held_by(Hand { open: Some(1), connection: 99, ..Hand::default() }));
    assert!(!lock.is_held_by(Hand { connection: 20, open: Some(2), ..Hand::default() }));
}

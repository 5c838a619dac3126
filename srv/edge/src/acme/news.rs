//! What of orders is worth a line in the events: that a certificate came, that one cannot be had,
//! that one is about to end. A pure machine: what happened comes in, lines to tell come out.
//!
//! Law: a trouble is told once, however often it is tried again, until it is over or is another.

use std::collections::BTreeMap;

use super::plan::{Held, Time, Tried};
use crate::tls::{Validity, shown};

/// So small a part of its life is left to a certificate that is about to end. It should have been
/// renewed when a third was left.
const ENDING_PART: i32 = 10;
/// In the place of a host: the authority itself.
const ALL: &str = "";

/// What was told, so that it is not told again.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Why there is none for a host, or for any.
    troubles: BTreeMap<String, String>,
    /// Certificates that were said to end, and when.
    ending: BTreeMap<String, Time>,
    /// What cannot be written.
    wrong: String,
}

impl News {
    /// What an earlier process tried in vain, it has told.
    pub(super) fn new(hosts: &BTreeMap<String, Tried>, all: &Tried) -> News {
        let hosts = hosts.iter().map(|(host, tried)| (host.clone(), tried.why.clone()));
        let all = all.until.map(|_| (ALL.to_owned(), all.why.clone()));
        News { troubles: hosts.chain(all).collect(), ..News::default() }
    }

    /// A certificate came.
    pub(super) fn got(&mut self, host: &str, valid: Validity) -> String {
        self.troubles.remove(host);
        self.troubles.remove(ALL);
        self.ending.remove(host);
        format!("certificate for {host} obtained, valid until {}", shown(valid.to))
    }

    /// None came, for a reason that is the host's.
    pub(super) fn refused(&mut self, host: &str, why: &str) -> Option<String> {
        self.troubles.remove(ALL);
        let new = self.is_new(host, why);
        new.then(|| format!("certificate for {host} cannot be obtained: {why}"))
    }

    /// None came, and another host would have fared no better.
    pub(super) fn unreached(&mut self, url: &str, why: &str) -> Option<String> {
        let new = self.is_new(ALL, why);
        new.then(|| format!("certificates cannot be obtained from {url}: {why}"))
    }

    /// What was tried cannot be kept; empty: it can.
    pub(super) fn wrong(&mut self, wrong: &str) -> Option<String> {
        let before = std::mem::replace(&mut self.wrong, wrong.to_owned());
        (before != wrong && !wrong.is_empty()).then(|| wrong.to_owned())
    }

    /// Looks for certificates that end because they could not be renewed.
    pub(super) fn look(&mut self, hosts: &BTreeMap<String, Held>, now: Time) -> Vec<String> {
        self.troubles.retain(|host, _| host == ALL || hosts.contains_key(host));
        self.ending.retain(|host, _| hosts.contains_key(host));
        let mut lines = Vec::new();
        for (host, held) in hosts {
            let line = match held {
                Held::Given => None,
                Held::Nothing => self.ended(host, now),
                Held::Ordered(valid) => self.ends(host, *valid, now),
            };
            lines.extend(line);
        }
        lines
    }

    fn ends(&mut self, host: &str, valid: Validity, now: Time) -> Option<String> {
        let life = valid.to - valid.from;
        if valid.to - now > life / ENDING_PART || self.ending.get(host) == Some(&valid.to) {
            return None;
        }
        let why = self.troubles.get(host).or_else(|| self.troubles.get(ALL))?;
        let until = shown(valid.to);
        let line = format!("certificate for {host} expires at {until} and is not renewed: {why}");
        self.ending.insert(host.to_owned(), valid.to);
        Some(line)
    }

    fn ended(&mut self, host: &str, now: Time) -> Option<String> {
        let to = self.ending.remove(host)?;
        let text = || format!("certificate for {host} expired at {}: it is not served", shown(to));
        (to <= now).then(text)
    }

    fn is_new(&mut self, key: &str, why: &str) -> bool {
        let before = self.troubles.insert(key.to_owned(), why.to_owned());
        before.is_none_or(|before| before != why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta};

    fn at(seconds: i64) -> Time {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn valid() -> Validity {
        Validity { from: at(0), to: at(100) }
    }

    #[test]
    fn a_trouble_is_told_once_until_it_is_over_or_is_another() {
        let mut news = News::default();
        let told = news.refused("a.b", "no proof").unwrap();
        assert_eq!(told, "certificate for a.b cannot be obtained: no proof");
        assert_eq!(news.refused("a.b", "no proof"), None);
        assert!(news.refused("c.d", "no proof").is_some() && news.refused("a.b", "x").is_some());
        assert!(news.unreached("https://ca", "down").unwrap().contains("from https://ca: down"));
        assert_eq!(news.unreached("https://ca", "down"), None);
        let got = news.got("a.b", valid());
        assert_eq!(got, "certificate for a.b obtained, valid until 1970-01-01T00:01:40Z");
        assert!(news.refused("a.b", "x").is_some() && news.unreached("u", "down").is_some());
        assert!(news.wrong("disk full").is_some() && news.wrong("disk full").is_none());
        assert!(news.wrong("").is_none() && news.wrong("disk full").is_some());
    }

    #[test]
    fn what_an_earlier_process_tried_in_vain_is_not_told_again() {
        let tried = |why: &str| Tried { failures: 2, until: Some(at(9)), why: why.to_owned() };
        let hosts = BTreeMap::from([("a.b".to_owned(), tried("no proof"))]);
        let mut news = News::new(&hosts, &tried("down"));
        assert_eq!(news.refused("a.b", "no proof"), None);
        let mut news = News::new(&hosts, &tried("down"));
        assert_eq!(news.unreached("https://ca", "down"), None);
    }

    #[test]
    fn a_certificate_that_ends_and_is_not_renewed_is_told_before_and_after() {
        let mut news = News::default();
        let held = |held| BTreeMap::from([("a.b".to_owned(), held)]);
        let ordered = held(Held::Ordered(valid()));
        assert!(news.look(&ordered, at(95)).is_empty(), "nothing has failed");
        news.refused("a.b", "no proof");
        assert!(news.look(&ordered, at(89)).is_empty(), "there is time");
        let line =
            "certificate for a.b expires at 1970-01-01T00:01:40Z and is not renewed: no proof";
        assert_eq!(news.look(&ordered, at(90)), [line]);
        assert!(news.look(&ordered, at(95)).is_empty(), "it was told");
        let line = "certificate for a.b expired at 1970-01-01T00:01:40Z: it is not served";
        assert_eq!(news.look(&held(Held::Nothing), at(100)), [line]);
        assert!(news.look(&held(Held::Nothing), at(101)).is_empty(), "it was told");
    }

    #[test]
    fn no_more_is_remembered_than_hosts_of_the_table() {
        let mut news = News::default();
        (0..100).for_each(|n| drop(news.refused(&format!("h{n}.b"), "no proof")));
        news.look(&BTreeMap::new(), at(0));
        assert!(news.troubles.is_empty() && news.ending.is_empty());
    }
}

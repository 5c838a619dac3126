//! The decision: which host a certificate is ordered for, and when. What there is, what time it
//! is and what chance says come in; what is to be done comes out.
//!
//! Law: a host is not asked for again before its rest is over. A rest is a minute at first and
//! doubles with each failure up to a day; it is written down before an order begins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::tls::Validity;

/// A moment.
pub(super) type Time = DateTime<Utc>;

/// How often the authority may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The rest after the first failure, and the least between two orders for a host.
    pub(crate) rest_min: Duration,
    /// The longest rest.
    pub(crate) rest_max: Duration,
    /// Orders under way, each for another host.
    pub(crate) orders: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rest_min: Duration::from_secs(60),
            rest_max: Duration::from_secs(24 * 60 * 60),
            orders: 4,
        }
    }
}

/// What a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// No certificate.
    Nothing,
    /// One from the directory of certificates.
    Given,
    /// One that was ordered.
    Ordered(Validity),
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A certificate that holds so long.
    Got(Validity),
    /// None, for a reason that is the host's.
    Refused {
        /// In words.
        why: String,
        /// The rest that the authority asks for.
        rest: Option<Duration>,
    },
    /// None, and another host would have fared no better.
    Unreached {
        /// In words.
        why: String,
        /// The rest that the authority asks for.
        rest: Option<Duration>,
    },
}

/// What was tried in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried {
    /// How often, one after the other.
    pub(super) failures: u32,
    /// Not again before; none: at once.
    pub(super) until: Option<Time>,
    pub(super) why: String,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Hosts to order for now.
    pub(super) orders: Vec<String>,
    /// When to look again.
    pub(super) next: Option<Time>,
}

/// All that is decided by.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pace: Pace,
    /// Chance: moves each moment a little, so that not all edges ask at the same one.
    salt: u64,
    hosts: BTreeMap<String, Tried>,
    /// The authority itself.
    all: Tried,
    under_way: BTreeSet<String>,
}

impl Plan {
    /// A plan that goes on from what was tried before.
    pub(super) fn new(pace: Pace, salt: u64, hosts: BTreeMap<String, Tried>, all: Tried) -> Plan {
        Plan { pace, salt, hosts, all, under_way: BTreeSet::new() }
    }

    /// What was tried in vain: of each host, and of the authority itself.
    pub(super) fn tried(&self) -> (&BTreeMap<String, Tried>, &Tried) {
        (&self.hosts, &self.all)
    }

    /// Whether an order for the host is under way.
    pub(super) fn is_under_way(&self, host: &str) -> bool {
        self.under_way.contains(host)
    }

    /// What is to be done for these hosts; who waits longest comes first.
    pub(super) fn due(&mut self, hosts: &BTreeMap<String, Held>, now: Time) -> Due {
        // A host that goes and comes back has its rest all the same.
        self.hosts.retain(|host, tried| {
            hosts.contains_key(host) || tried.until.is_some_and(|until| until > now)
        });
        let mut all: Vec<(Time, &String)> = Vec::new();
        for (host, held) in hosts.iter().filter(|(host, _)| !self.under_way.contains(*host)) {
            all.extend(self.at(host, held, now).map(|at| (at, host)));
        }
        all.sort();
        let later = all.partition_point(|(at, _)| *at <= now);
        let next = all.get(later).map(|(at, _)| *at);
        let free = self.pace.orders.saturating_sub(self.under_way.len());
        let orders = all[..later].iter().take(free).map(|(_, host)| (*host).clone());
        Due { orders: orders.collect(), next }
    }

    /// When the host is to be ordered for.
    fn at(&self, host: &str, held: &Held, now: Time) -> Option<Time> {
        let wanted = match held {
            Held::Given => return None,
            Held::Nothing => DateTime::UNIX_EPOCH,
            Held::Ordered(valid) => self.renewal(host, *valid),
        };
        // A clock that was set back must not make a rest longer than the longest.
        let latest = now + self.pace.rest_max;
        let rests = self.hosts.get(host).into_iter().chain([&self.all]);
        let rest = rests.filter_map(|tried| tried.until).filter(|until| *until <= latest).max();
        Some(rest.map_or(wanted, |rest| wanted.max(rest)))
    }

    /// When a third of the certificate's life is left, or up to a tenth of that earlier.
    fn renewal(&self, host: &str, valid: Validity) -> Time {
        let third = (valid.to - valid.from).max(TimeDelta::zero()) / 3;
        let part = chance(self.salt, host, valid.to.timestamp().cast_unsigned());
        valid.to - third - third / 10 * part / PARTS
    }

    /// An order begins: until more is known it counts as one that failed, so that whoever is
    /// killed again and again asks no more often than others.
    pub(super) fn begin(&mut self, host: &str, now: Time) {
        self.under_way.insert(host.to_owned());
        let failures = self.hosts.get(host).map_or(0, |tried| tried.failures).saturating_add(1);
        let until = Some(now + self.rest(host, failures, None));
        let why = "an order was begun and not brought to its end".to_owned();
        self.hosts.insert(host.to_owned(), Tried { failures, until, why });
    }

    /// An order has ended.
    pub(super) fn end(&mut self, host: &str, outcome: Outcome, now: Time) {
        self.under_way.remove(host);
        let failures = self.hosts.get(host).map_or(1, |tried| tried.failures.max(1));
        let tried = match outcome {
            Outcome::Got(valid) => {
                self.all = Tried::default();
                let soon = self.renewal(host, valid) < now + self.pace.rest_min;
                soon.then(|| {
                    let until = Some(now + self.rest(host, failures, None));
                    let why = "a certificate came that is to be renewed at once".to_owned();
                    Tried { failures, until, why }
                })
            }
            Outcome::Refused { why, rest } => {
                self.all = Tried::default();
                let until = Some(now + self.rest(host, failures, rest));
                Some(Tried { failures, until, why })
            }
            Outcome::Unreached { why, rest } => {
                let all = self.all.failures.saturating_add(1);
                let until = Some(now + self.rest("", all, rest));
                self.all = Tried { failures: all, until, why: why.clone() };
                let until = Some(now + self.rest(host, failures, rest));
                Some(Tried { failures, until, why })
            }
        };
        match tried {
            Some(tried) => drop(self.hosts.insert(host.to_owned(), tried)),
            None => drop(self.hosts.remove(host)),
        }
    }

    /// The rest after so many failures, and no less than what was asked for.
    fn rest(&self, host: &str, failures: u32, asked: Option<Duration>) -> Duration {
        let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let rest = self.pace.rest_min.saturating_mul(1 << doublings);
        let part = chance(self.salt, host, failures.into()).cast_unsigned();
        let rest = rest.saturating_add(rest / 10 * part / PARTS.cast_unsigned());
        rest.max(asked.unwrap_or_default()).min(self.pace.rest_max)
    }
}

/// More of them are more than any longest rest.
const DOUBLINGS_MAX: u32 = 30;
/// In how many parts chance divides something.
const PARTS: i32 = 1000;

/// A number below [`PARTS`] that looks random, and is the same for the same host and number
/// (FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>).
fn chance(salt: u64, host: &str, number: u64) -> i32 {
    let bytes = host.bytes().chain(number.to_le_bytes()).chain(salt.to_le_bytes());
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, fold);
    // The low bits of such a sum follow the last bytes too closely.
    ((hash >> 32) % PARTS as u64) as i32
}

//! What the server counts, and how it is told to Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rcode::Rcode;
use super::record::Kind;

/// Why a message got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Shorter than a header.
    Short,
    /// An answer, which is never answered.
    Answer,
    /// From port 0 or from ourselves.
    Sender,
    /// The kernel would not take the answer.
    Unsent,
    /// A connection of TCP above the limits.
    Connection,
}

impl Dropped {
    const ALL: [Dropped; 5] =
        [Dropped::Short, Dropped::Answer, Dropped::Sender, Dropped::Unsent, Dropped::Connection];

    fn name(self) -> &'static str {
        match self {
            Dropped::Short => "short",
            Dropped::Answer => "answer",
            Dropped::Sender => "sender",
            Dropped::Unsent => "unsent",
            Dropped::Connection => "connection",
        }
    }
}

/// What came of a question that only others can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarded {
    /// Answered from what was answered before.
    Kept,
    /// A resolver answered.
    Answered,
    /// None answered in time, or none is there.
    Failed,
    /// Too many were under way.
    Busy,
    /// The question was one of ours that came back.
    Loop,
}

impl Forwarded {
    const ALL: [Forwarded; 5] =
        [Forwarded::Kept, Forwarded::Answered, Forwarded::Failed, Forwarded::Busy, Forwarded::Loop];

    fn name(self) -> &'static str {
        match self {
            Forwarded::Kept => "kept",
            Forwarded::Answered => "answered",
            Forwarded::Failed => "failed",
            Forwarded::Busy => "busy",
            Forwarded::Loop => "loop",
        }
    }
}

/// Counts since the start; they only grow.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rcodes: [AtomicU64; Rcode::ALL.len()],
    kinds: [AtomicU64; Kind::ALL.len()],
    dropped: [AtomicU64; Dropped::ALL.len()],
    forwarded: [AtomicU64; Forwarded::ALL.len()],
}

impl Figures {
    /// An answer was given to a question of `kind`, or to a message without one that was read.
    pub(crate) fn answered(&self, kind: Option<Kind>, rcode: Rcode) {
        self.rcodes[rcode as usize].fetch_add(1, Ordering::Relaxed);
        self.kinds[kind.unwrap_or(Kind::Meta) as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// `count` messages got no answer.
    pub(crate) fn dropped(&self, why: Dropped, count: u64) {
        self.dropped[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// A question was one that only others can answer.
    pub(crate) fn forwarded(&self, what: Forwarded) {
        self.forwarded[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Append the figures in the text form of Prometheus.
    pub(crate) fn print(&self, out: &mut String) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let rcodes = Rcode::ALL.map(Rcode::name);
        let kinds = Kind::ALL.map(Kind::name);
        let dropped = Dropped::ALL.map(Dropped::name);
        let forwarded = Forwarded::ALL.map(Forwarded::name);
        family(out, "dns_queries_total", "rcode", rcodes, self.rcodes.each_ref().map(read));
        family(out, "dns_questions_total", "type", kinds, self.kinds.each_ref().map(read));
        family(out, "dns_dropped_total", "why", dropped, self.dropped.each_ref().map(read));
        family(out, "dns_forwarded_total", "end", forwarded, self.forwarded.each_ref().map(read));
    }
}

fn family<const N: usize>(
    out: &mut String,
    family: &str,
    label: &str,
    names: [&str; N],
    counts: [u64; N],
) {
    // A String takes whatever is written.
    let _ = writeln!(out, "# TYPE {family} counter");
    for (name, count) in names.into_iter().zip(counts) {
        let _ = writeln!(out, "{family}{{{label}=\"{name}\"}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_stands_under_its_own_name() {
        let figures = Figures::default();
        figures.answered(Some(Kind::Aaaa), Rcode::NxDomain);
        figures.answered(None, Rcode::BadVers);
        figures.dropped(Dropped::Connection, 3);
        figures.forwarded(Forwarded::Loop);
        let mut text = String::new();
        figures.print(&mut text);
        let counted: Vec<&str> = text.lines().filter(|line| !line.ends_with(" 0")).collect();
        assert_eq!(
            counted,
            [
                "# TYPE dns_queries_total counter",
                "dns_queries_total{rcode=\"NXDOMAIN\"} 1",
                "dns_queries_total{rcode=\"BADVERS\"} 1",
                "# TYPE dns_questions_total counter",
                "dns_questions_total{type=\"AAAA\"} 1",
                "dns_questions_total{type=\"meta\"} 1",
                "# TYPE dns_dropped_total counter",
                "dns_dropped_total{why=\"connection\"} 3",
                "# TYPE dns_forwarded_total counter",
                "dns_forwarded_total{end=\"loop\"} 1",
            ]
        );
        for at in 0..Rcode::ALL.len() {
            assert_eq!(Rcode::ALL[at] as usize, at);
        }
        for at in 0..Kind::ALL.len() {
            assert_eq!(Kind::ALL[at] as usize, at);
        }
        for at in 0..Dropped::ALL.len() {
            assert_eq!(Dropped::ALL[at] as usize, at);
            assert_eq!(Forwarded::ALL[at] as usize, at);
        }
    }
}

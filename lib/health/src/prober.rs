//! The schedule of one instance's probes. Pure: time and chance come in as data.

use crate::Check;

/// The first gap between start-up probes; most of a deploy's time is waiting for the next one.
const START_GAP_MS: u64 = 10;
/// Start-up gaps grow by half each, up to this.
const START_GAP_MS_MAX: u64 = 250;
/// How long an instance without a check must run before it counts as healthy.
const RUNNING_MS: u64 = 1_000;
/// Steady probes are spread by this part of the interval, either way.
const JITTER_PERCENT: u64 = 10;

/// When to ask and how much failure to bear; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From start to the first probe: 0, or 1000 for [`Check::Running`].
    pub first_ms: u64,
    /// Between probes once healthy, ±10 %.
    pub interval_ms: u64,
    /// Consecutive failures of a healthy instance that make it unhealthy; at least 1.
    pub retries: u32,
    /// How long a new instance must answer well without a break before it counts as healthy.
    pub min_healthy_ms: u64,
}

impl Schedule {
    /// The schedule of an instance with this check. No interval or no retries count as 1.
    pub fn new(check: &Check, interval_ms: u64, retries: u32, min_healthy_ms: u64) -> Schedule {
        let first_ms = match check {
            Check::Running => RUNNING_MS,
            Check::Http { .. } | Check::Tcp { .. } | Check::Exec { .. } | Check::File { .. } => 0,
        };
        let (interval_ms, retries) = (interval_ms.max(1), retries.max(1));
        Schedule { first_ms, interval_ms, retries, min_healthy_ms }
    }
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The instance became healthy, `ms` after its process started.
    Healthy {
        /// Milliseconds since the start.
        ms: u64,
    },
    /// A healthy instance became unhealthy.
    Unhealthy,
    /// Nothing changed.
    Nothing,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// What changed.
    pub verdict: Verdict,
    /// When to probe again, on the clock of `started_ms`.
    pub at_ms: u64,
}

/// One instance's state between probes.
#[derive(Clone, Debug)]
pub struct Prober {
    schedule: Schedule,
    started_ms: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Not healthy since it started.
    Starting { gap_ms: u64 },
    /// Answers well, but not for long enough yet.
    Proving { since_ms: u64 },
    /// Healthy, with so many failures in a row.
    Healthy { failures: u32 },
    /// Was healthy.
    Unhealthy,
}

impl Prober {
    /// A prober of an instance whose process started at `started_ms` on any monotone clock.
    pub fn new(schedule: Schedule, started_ms: u64) -> Prober {
        Prober { schedule, started_ms, stage: Stage::Starting { gap_ms: START_GAP_MS } }
    }

    /// A prober of an instance found healthy, when the server that watched it was restarted:
    /// what was healthy stays so until its failures say otherwise.
    pub fn adopted(schedule: Schedule, started_ms: u64) -> Prober {
        Prober { schedule, started_ms, stage: Stage::Healthy { failures: 0 } }
    }

    /// When the first probe is due.
    pub fn first_at_ms(&self) -> u64 {
        self.started_ms + self.schedule.first_ms
    }

    /// Takes in the answer to a probe that ended at `now_ms`. `chance` is any random number; it
    /// spreads the probes of many instances.
    ///
    /// Before the instance was healthy no number of failures makes it unhealthy: how long to
    /// wait for that is decided elsewhere.
    pub fn answered(&mut self, now_ms: u64, ok: bool, chance: u32) -> Next {
        match (self.stage, ok) {
            (Stage::Starting { gap_ms }, false) => {
                let longer = (gap_ms + gap_ms / 2).min(START_GAP_MS_MAX);
                self.stage = Stage::Starting { gap_ms: longer };
                Next { verdict: Verdict::Nothing, at_ms: now_ms + gap_ms }
            }
            (Stage::Starting { .. }, true) => self.proving(now_ms, now_ms, chance),
            (Stage::Proving { since_ms }, true) => self.proving(since_ms, now_ms, chance),
            (Stage::Proving { .. }, false) => {
                self.stage = Stage::Starting { gap_ms: START_GAP_MS };
                self.answered(now_ms, false, chance)
            }
            (Stage::Healthy { .. }, true) => {
                self.stage = Stage::Healthy { failures: 0 };
                self.steady(Verdict::Nothing, now_ms, chance)
            }
            (Stage::Healthy { failures }, false) if failures + 1 < self.schedule.retries => {
                self.stage = Stage::Healthy { failures: failures + 1 };
                self.steady(Verdict::Nothing, now_ms, chance)
            }
            (Stage::Healthy { .. }, false) => {
                self.stage = Stage::Unhealthy;
                self.steady(Verdict::Unhealthy, now_ms, chance)
            }
            (Stage::Unhealthy, true) => self.healthy_now(now_ms, chance),
            (Stage::Unhealthy, false) => self.steady(Verdict::Nothing, now_ms, chance),
        }
    }

    /// Whether the instance counts as healthy now.
    pub fn healthy(&self) -> bool {
        match self.stage {
            Stage::Healthy { .. } => true,
            Stage::Starting { .. } | Stage::Proving { .. } | Stage::Unhealthy => false,
        }
    }

    /// A good answer of an instance that has answered well since `since_ms`.
    fn proving(&mut self, since_ms: u64, now_ms: u64, chance: u32) -> Next {
        let proved_ms = since_ms + self.schedule.min_healthy_ms;
        if now_ms >= proved_ms {
            return self.healthy_now(now_ms, chance);
        }
        self.stage = Stage::Proving { since_ms };
        Next { verdict: Verdict::Nothing, at_ms: proved_ms.min(now_ms + START_GAP_MS_MAX) }
    }

    fn healthy_now(&mut self, now_ms: u64, chance: u32) -> Next {
        self.stage = Stage::Healthy { failures: 0 };
        let ms = now_ms.saturating_sub(self.started_ms);
        self.steady(Verdict::Healthy { ms }, now_ms, chance)
    }

    fn steady(&self, verdict: Verdict, now_ms: u64, chance: u32) -> Next {
        let spread = self.schedule.interval_ms * JITTER_PERCENT / 100;
        let part = (u128::from(2 * spread) * u128::from(chance) / u128::from(u32::MAX)) as u64;
        Next { verdict, at_ms: now_ms + (self.schedule.interval_ms - spread + part).max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2 + 1;

    /// Runs a script against an instance started at 1000: `250 no` is an answer at 250 ms after
    /// the start, `> healthy 260` what must come of it and when the next probe is due.
    fn check(kind: &Check, min_healthy_ms: u64, script: &str) {
        let schedule = Schedule::new(kind, 10_000, 3, min_healthy_ms);
        let mut prober = Prober::new(schedule, 1_000);
        let mut next = Next { verdict: Verdict::Nothing, at_ms: prober.first_at_ms() };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(wanted) = line.strip_prefix("> ") {
                let due = next.at_ms - 1_000;
                let said = match next.verdict {
                    Verdict::Healthy { ms } => format!("healthy after {ms}, next {due}"),
                    Verdict::Unhealthy => format!("unhealthy, next {due}"),
                    Verdict::Nothing => format!("next {due}"),
                };
                assert_eq!(said, wanted, "{script}");
                continue;
            }
            let (at, ok) = line.split_once(' ').unwrap();
            assert!(["yes", "no"].contains(&ok), "{line}");
            next = prober.answered(1_000 + at.parse::<u64>().unwrap(), ok == "yes", MIDDLE);
        }
    }

    const TCP: Check = Check::Tcp { port: 80 };

    #[test]
    fn start_up_probes_are_10_ms_apart_and_back_off_to_250() {
        let script = "
            > next 0
            0 no
            > next 10
            10 no
            > next 25
            25 no
            > next 47
            47 no
            > next 80
            100 no
            > next 149
            200 no
            > next 273
            300 no
            > next 409
            500 no
            > next 663
            1000 no
            > next 1244
            2000 no
            > next 2250
            9000 no
            > next 9250";
        check(&TCP, 0, script);
    }

    #[test]
    fn the_first_good_answer_makes_it_healthy_and_probing_slow() {
        check(
            &TCP,
            0,
            "40 no\n 50 yes\n > healthy after 50, next 10050\n 10050 yes\n > next 20050",
        );
    }

    #[test]
    fn only_so_many_failures_in_a_row_make_it_unhealthy() {
        let script = "
            0 yes
            > healthy after 0, next 10000
            10000 no
            > next 20000
            20000 no
            > next 30000
            30000 yes
            > next 40000
            40000 no
            50000 no
            60000 no
            > unhealthy, next 70000
            70000 no
            > next 80000
            80000 yes
            > healthy after 80000, next 90000
            90000 no
            > next 100000";
        check(&TCP, 0, script);
    }

    #[test]
    fn failures_before_the_first_good_answer_are_never_unhealthy() {
        check(&TCP, 0, "0 no\n 10 no\n 20 no\n 30 no\n > next 63\n 40 no\n > next 89");
    }

    #[test]
    fn min_healthy_asks_for_good_answers_without_a_break() {
        let script = "
            5 yes
            > next 255
            255 yes
            > next 505
            505 no
            > next 515
            515 yes
            > next 765
            765 yes
            1000 yes
            > next 1115
            1115 yes
            > healthy after 1115, next 11115";
        check(&TCP, 600, script);
    }

    #[test]
    fn an_instance_without_a_check_is_healthy_after_a_second() {
        check(&Check::Running, 0, "> next 1000\n 1000 yes\n > healthy after 1000, next 11000");
    }

    #[test]
    fn chance_spreads_steady_probes_by_a_tenth_either_way() {
        for (chance, at_ms) in [(0, 9_000), (MIDDLE, 10_000), (u32::MAX, 11_000)] {
            let mut prober = Prober::new(Schedule::new(&TCP, 10_000, 3, 0), 0);
            assert_eq!(prober.answered(0, true, chance).at_ms, at_ms, "{chance}");
            assert!(prober.healthy());
        }
    }

    #[test]
    fn an_adopted_instance_is_healthy_until_it_fails_as_often_as_it_may() {
        let mut prober = Prober::adopted(Schedule::new(&TCP, 10, 2, 500), 0);
        assert_eq!(prober.answered(0, false, 0), Next { verdict: Verdict::Nothing, at_ms: 9 });
        assert_eq!(prober.answered(9, false, 0).verdict, Verdict::Unhealthy);
    }

    #[test]
    fn no_interval_and_no_retries_count_as_one() {
        let mut prober = Prober::adopted(Schedule::new(&TCP, 0, 0, 0), 0);
        assert_eq!(prober.answered(5, false, 0), Next { verdict: Verdict::Unhealthy, at_ms: 6 });
    }
}

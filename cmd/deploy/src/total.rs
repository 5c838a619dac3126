//! What a deploy of several services came to, all together.

use crate::exit::Exit;
use crate::news::{News, Report, Say};
use crate::outcome::Verdict;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How each of them ended.
#[derive(Debug)]
pub(crate) struct Total {
    /// The apps, by name.
    apps: Vec<String>,
    /// All or none.
    atomic: bool,
    /// When the server took it, and when something came of it last, in milliseconds.
    began_ms: Option<u64>,
    last_ms: u64,
    ends: BTreeMap<String, Verdict>,
}

impl Total {
    /// Nothing has come to an end.
    pub(crate) fn new(apps: Vec<String>, atomic: bool) -> Total {
        Total { apps, atomic, began_ms: None, last_ms: 0, ends: BTreeMap::new() }
    }

    /// As objects: that it began.
    pub(crate) fn began(&self, services: &[String]) -> Value {
        json!({
            "phase": "started", "apps": self.apps, "services": services, "atomic": self.atomic,
        })
    }

    /// Keeps what a report says, at a time in milliseconds from any beginning.
    pub(crate) fn take(&mut self, now_ms: u64, report: &Report) {
        match &report.news {
            News::Accepted => {
                self.began_ms.get_or_insert(now_ms);
            }
            News::Ended(outcome, _) => {
                self.ends.insert(report.service.clone(), outcome.verdict);
                self.last_ms = now_ms;
            }
            News::Broken { .. } => self.last_ms = now_ms,
            News::Going { .. } | News::Told { .. } | News::Rows(_) => {}
        }
    }

    /// What the command ends with: all or none, and none, is a way back.
    pub(crate) fn exit(&self, worst: Exit) -> Exit {
        if worst == Exit::Failed && self.atomic { Exit::RolledBack } else { worst }
    }

    /// The last line.
    pub(crate) fn line(&self, exit: Exit) -> Say {
        let unchanged = self.unchanged();
        let seconds = self.seconds();
        if exit == Exit::RolledBack && self.atomic {
            Say::trouble(format!("  deploy failed, all rolled back ({seconds:.1}s)"))
        } else if exit == Exit::Paused {
            Say::trouble("  paused".to_string())
        } else if exit != Exit::Done {
            Say::trouble("  deploy failed".to_string())
        } else if unchanged == self.ends.len() {
            Say::plain("  unchanged".to_string())
        } else if unchanged > 0 {
            Say::plain(format!("  deployed ({seconds:.1}s), {unchanged} unchanged"))
        } else {
            Say::plain(format!("  deployed ({seconds:.1}s)"))
        }
    }

    /// The same as an object.
    pub(crate) fn json(&self, exit: Exit) -> Value {
        let count = |is: &dyn Fn(Verdict) -> bool| self.ends.values().filter(|v| is(**v)).count();
        json!({
            "phase": if exit == Exit::Done { "done" } else { "failed" },
            "apps": self.apps,
            "services": self.ends.len(),
            "deployed": count(&|verdict| verdict == Verdict::Done),
            "unchanged": self.unchanged(),
            "seconds": (self.seconds() * 1e3).round() / 1e3,
            "exit": exit.code(),
        })
    }

    fn unchanged(&self) -> usize {
        self.ends.values().filter(|verdict| **verdict == Verdict::Unchanged).count()
    }

    fn seconds(&self) -> f64 {
        let ms = self.last_ms.saturating_sub(self.began_ms.unwrap_or(self.last_ms));
        f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::verb::Is;

    #[track_caller]
    fn check(atomic: bool, outcomes: &[&str], want: (&str, u8)) {
        let mut total = Total::new(vec!["shop".to_string()], atomic);
        let report = |service: String, news| Report { service, asked: Is::Apply, news };
        total.take(100, &report("a".to_string(), News::Accepted));
        let mut worst = Exit::Done;
        for (n, line) in outcomes.iter().enumerate() {
            let outcome = Outcome::read(line).unwrap();
            worst = worst.max(outcome.exit(Is::Apply));
            total.take(4_900, &report(format!("s{n}"), News::Ended(outcome, None)));
        }
        let exit = total.exit(worst);
        assert_eq!((total.line(exit).text.as_str(), exit.code()), want, "{outcomes:?}");
    }

    #[test]
    fn several_services_end_in_one_line() {
        check(false, &["done update v1 (2.0s)", "done update v1 (4.8s)"], ("  deployed (4.8s)", 0));
        check(
            false,
            &["done update v1→v2 (2.0s)", "unchanged v1"],
            ("  deployed (4.8s), 1 unchanged", 0),
        );
        check(true, &["unchanged v1", "unchanged v1"], ("  unchanged", 0));
        check(
            false,
            &["done update v1→v2 (2.0s)", "failed update v1→v2 (1s): no"],
            ("  deploy failed", 4),
        );
        check(
            true,
            &["rolled back v2→v1 (2.0s): b: no", "failed update v1→v2 (1s): no"],
            ("  deploy failed, all rolled back (4.8s)", 3),
        );
    }
}

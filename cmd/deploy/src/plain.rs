//! A deploy as lines of text: one line a fact, in the order things happened.
//!
//! What is about to be over anyway (an image that is being fetched, a process that starts) is
//! held back for a moment, and only told when it lasts.

use crate::closing::closing;
use crate::exit::Exit;
use crate::fact::Fact;
use crate::news::{News, Report, Say};
use crate::outcome::{Outcome, Verdict};
use std::collections::BTreeMap;

/// How long something has to last until a line says that it goes on, in milliseconds.
pub(crate) const HOLD_MS: u64 = 1_000;

/// Lines of a deploy of one service or several.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    several: bool,
    app: App,
    lasting_only: bool,
    held: Vec<Held>,
    seen: BTreeMap<String, Seen>,
}

/// Whether the services are deployed together, and what was said of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum App {
    /// Each by itself.
    #[default]
    No,
    /// Together: one line for all images, and the end of each only where it is bad.
    Begun,
    /// The same, and the line for the images was said.
    Pulling,
}

/// A line that is told when nothing else comes of it.
#[derive(Debug)]
struct Held {
    due_ms: u64,
    service: String,
    number: Option<u32>,
    text: String,
}

/// What was already said of a service.
#[derive(Debug, Default)]
struct Seen {
    header: bool,
    failed: Vec<u32>,
}

impl Plain {
    /// Nothing told yet. With several services side by side every line names its own. With
    /// `lasting_only` the steps of instances are shown in another way, and here only what stays.
    pub(crate) fn new(several: bool, lasting_only: bool) -> Plain {
        Plain { several, lasting_only, ..Plain::default() }
    }

    /// The same for services that are deployed together.
    pub(crate) fn together(self) -> Plain {
        Plain { several: true, app: App::Begun, ..self }
    }

    /// The lines for one report, at a time in milliseconds from any beginning.
    pub(crate) fn take(&mut self, now_ms: u64, report: &Report) -> Vec<Say> {
        let service = report.service.as_str();
        match &report.news {
            News::Accepted | News::Rows(_) => Vec::new(),
            News::Going { going, .. } => {
                self.drop_held(service, None);
                let seen = self.seen.entry(service.to_string()).or_default();
                let indent = if std::mem::replace(&mut seen.header, true) { "  " } else { "" };
                vec![Say::plain(format!("{indent}{}", going.line(service)))]
            }
            News::Told { fact, .. } => self.fact(now_ms, service, fact),
            News::Ended(outcome, _) => {
                self.held.retain(|held| held.service != service);
                self.ended(report, outcome)
            }
            News::Broken { reason, .. } => {
                self.held.retain(|held| held.service != service);
                vec![Say::trouble(format!("deploy: {service}: {reason}"))]
            }
        }
    }

    /// When a line that is held back becomes due.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.held.iter().map(|held| held.due_ms).min()
    }

    /// The lines that are due.
    pub(crate) fn lapse(&mut self, now_ms: u64) -> Vec<Say> {
        let due = self.held.extract_if(.., |held| held.due_ms <= now_ms);
        due.map(|held| Say::plain(held.text)).collect()
    }

    fn fact(&mut self, now_ms: u64, service: &str, fact: &Fact) -> Vec<Say> {
        let number = number(fact);
        self.drop_held(service, number);
        let seen = self.seen.entry(service.to_string()).or_default();
        let step = |text: String| Say::plain(format!("  {service}: {text}"));
        let say = match fact {
            Fact::Pulling(_) if self.app == App::Begun => {
                self.app = App::Pulling;
                Say::plain("  pulling images...".to_string())
            }
            Fact::Pulling(_) if self.app == App::Pulling => return Vec::new(),
            Fact::Pulling(what) => {
                return self.hold(now_ms, service, None, &format!("pulling {what}"));
            }
            Fact::Starting { .. } => return self.hold(now_ms, service, number, "starting..."),
            Fact::Scheduled { .. } | Fact::Healthy { .. } | Fact::Stopped { .. }
                if self.lasting_only =>
            {
                return Vec::new();
            }
            Fact::Scheduled { node, .. } => step(format!("scheduled on {node}")),
            Fact::Healthy { took, .. } => step(format!("healthy ({took})")),
            Fact::Stopped { old: true, .. } => step("old instance stopped".to_string()),
            Fact::Stopped { number, old: false } if seen.failed.contains(number) => {
                return Vec::new();
            }
            Fact::Stopped { old: false, .. } => step("instance stopped".to_string()),
            Fact::Failed { number, reason } => {
                seen.failed.push(*number);
                // What the others were about to do is not what matters now.
                self.held.retain(|held| held.service != service);
                Say::trouble(format!("  {service}: failed: {reason}"))
            }
            Fact::Log { line, .. } => Say::trouble(format!("    {}", tame(line))),
            Fact::Of { number, text } => Say::plain(format!("  {service}/{number}: {text}")),
            Fact::Text(text) => step(text.clone()),
            // The header and the last line tell these.
            Fact::Began(_) | Fact::Paused(_) | Fact::Ended(_) => return Vec::new(),
        };
        vec![say]
    }

    fn ended(&mut self, report: &Report, outcome: &Outcome) -> Vec<Say> {
        let service = report.service.as_str();
        let seen = self.seen.entry(service.to_string()).or_default();
        let bad = outcome.exit(report.asked) != Exit::Done;
        let mut lines = Vec::new();
        if self.app != App::No && !bad {
            return lines;
        }
        let told = !seen.failed.is_empty();
        if let Some(reason) = outcome.reason.as_ref().filter(|_| bad && !told) {
            let word = if outcome.verdict == Verdict::Failed { "failed: " } else { "" };
            lines.push(Say::trouble(format!("  {service}: {word}{reason}")));
        }
        let text = closing(service, report.asked, outcome);
        let named = self.several || !seen.header;
        let text = if named { format!("  {service}: {text}") } else { format!("  {text}") };
        lines.push(if bad { Say::trouble(text) } else { Say::plain(text) });
        lines
    }

    fn hold(&mut self, now_ms: u64, service: &str, number: Option<u32>, text: &str) -> Vec<Say> {
        if !self.lasting_only || number.is_none() {
            let text = format!("  {service}: {text}");
            let due_ms = now_ms + HOLD_MS;
            self.held.push(Held { due_ms, service: service.to_string(), number, text });
        }
        Vec::new()
    }

    /// Something came of what was held: of that instance, or of the service's image.
    fn drop_held(&mut self, service: &str, number: Option<u32>) {
        let over = |held: &Held| {
            held.service == service && (held.number.is_none() || held.number == number)
        };
        self.held.retain(|held| !over(held));
    }
}

/// What a program wrote, without what would move the cursor or change colours among our lines.
fn tame(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The instance that a fact speaks of.
pub(crate) fn number(fact: &Fact) -> Option<u32> {
    match fact {
        Fact::Scheduled { number, .. }
        | Fact::Starting { number }
        | Fact::Healthy { number, .. }
        | Fact::Stopped { number, .. }
        | Fact::Failed { number, .. }
        | Fact::Log { number, .. }
        | Fact::Of { number, .. } => Some(*number),
        Fact::Pulling(_) | Fact::Began(_) | Fact::Paused(_) | Fact::Ended(_) | Fact::Text(_) => {
            None
        }
    }
}

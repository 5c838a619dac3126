//! What apply would do with one service, as far as files tell. Pure: manifests and numbers in,
//! words out; what is really done, the server decides.

use crate::going::{instances, replaces, short};
use crate::past::Past;
use crate::room::Room;
use manifest::{Change, Effect, Fate, Manifest, Outcome, Update};
use serde_json::{Value, json};

/// What would happen.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The service.
    pub(crate) service: String,
    /// The number of what is deployed, like `v7`.
    from: Option<String>,
    how: How,
    changes: Vec<Change>,
    room: Option<Room>,
    /// An image whose tag is resolved only when it is applied.
    unresolved: Option<String>,
    /// Secrets that it would be refused for, with what to do.
    lacks: Vec<String>,
    /// The app that it is of until now, where that is another one.
    leaves: Option<String>,
    words: String,
}

/// How it would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    First,
    Unchanged,
    /// It is stopped, and starts.
    Start,
    InPlace,
    Rolling,
    Replace,
}

/// What is deployed, and how many instances it runs.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// The version's file.
    pub(crate) past: Past,
    /// What it says.
    pub(crate) manifest: Manifest,
    /// An update to another version is in flight, or failed: apply goes on even when nothing
    /// differs from what is deployed.
    pub(crate) unsettled: bool,
    /// Instances wanted now.
    pub(crate) runs: u32,
}

impl Deployed {
    /// Nothing of it runs because somebody asked for that.
    fn is_stopped(&self) -> bool {
        self.runs == 0 && self.manifest.replicas > 0
    }
}

impl Plan {
    /// Compares what is deployed, if anything is, with what is wanted.
    pub(crate) fn new(service: &str, old: Option<&Deployed>, new: &Manifest) -> Plan {
        let (changes, unresolved) = old.map_or((Vec::new(), None), |old| changes(old, new));
        let how = match old {
            None => How::First,
            Some(old) if old.is_stopped() => How::Start,
            Some(old) => match manifest::outcome(&changes) {
                Outcome::Unchanged if !old.unsettled => How::Unchanged,
                Outcome::InPlace if !old.unsettled => How::InPlace,
                Outcome::Unchanged | Outcome::InPlace | Outcome::Update => match new.strategy() {
                    Update::Replace => How::Replace,
                    Update::Rolling | Update::Canary(_) | Update::BlueGreen => How::Rolling,
                },
            },
        };
        let runs = old.map_or(0, |old| old.runs);
        let more = new.replicas.saturating_sub(runs);
        let batch = new.batch().min(new.replicas).max(1);
        let needs = match how {
            How::Unchanged => 0,
            How::First | How::Start | How::InPlace | How::Replace => more,
            How::Rolling => batch + more,
        };
        let least = runs.min(new.replicas);
        let words = match how {
            How::First => format!("first deploy, {}", instances(new.replicas)),
            How::Unchanged => "unchanged".to_string(),
            How::Start => format!("start, {}; it is stopped", instances(new.replicas)),
            How::InPlace => "in place, nothing restarts".to_string(),
            How::Rolling => format!("rolling, batch {batch}, never fewer than {least}"),
            How::Replace => {
                format!("replace, {}", replaces(old.map(|old| &old.manifest), new))
            }
        };
        Plan {
            service: service.to_string(),
            from: old.map(|old| old.past.number.clone()),
            how,
            changes,
            room: (needs > 0).then(|| Room::new(new, needs)),
            unresolved,
            lacks: Vec::new(),
            leaves: old
                .and_then(|old| old.manifest.app.clone())
                .filter(|app| new.app.as_ref() != Some(app)),
            words,
        }
    }

    /// What becomes of the service, of all that its app has.
    pub(crate) fn fate(&self) -> Fate {
        match self.how {
            How::First => Fate::Added,
            How::Unchanged => Fate::Unchanged,
            How::Start | How::InPlace | How::Rolling | How::Replace => Fate::Changed,
        }
    }

    /// Whether apply would do anything.
    pub(crate) fn is_change(&self) -> bool {
        self.how != How::Unchanged
    }

    /// Says for which secrets apply would refuse it.
    pub(crate) fn lacks(&mut self, secrets: Vec<String>) {
        self.lacks = secrets;
    }

    /// The room it needs, to be compared with the nodes.
    pub(crate) fn room_mut(&mut self) -> Option<&mut Room> {
        self.room.as_mut()
    }

    /// As `plan` prints it.
    pub(crate) fn text(&self) -> String {
        let versions = match (&self.from, self.how) {
            (Some(from), How::Unchanged) => from.clone(),
            (Some(from), How::Start) if self.changes.is_empty() => from.clone(),
            (Some(from), _) => format!("{from} → new"),
            (None, _) => "new".to_string(),
        };
        let mut lines = vec![format!("{}: {versions}  {}", self.service, self.words)];
        for change in &self.changes {
            let effect = match change.effect {
                Effect::InPlace => "in place",
                Effect::NewOnes => "in place, for instances started from now on",
                Effect::Restart => "restarts instances",
            };
            lines.push(format!("  {:<50}  {effect}", change_text(change)));
        }
        lines.extend(self.unresolved.iter().map(|image| {
            format!("  {image} is resolved when it is applied; if its tag moved, instances restart")
        }));
        lines.extend(self.lacks.iter().map(|lack| format!("  refused: {lack}")));
        lines.extend(self.leaves.iter().map(|app| format!("  is of app {app} until now")));
        lines.extend(self.room.iter().map(|room| format!("  {}", room.text())));
        lines.join("\n") + "\n"
    }

    /// As `diff` prints it: nothing when nothing differs.
    pub(crate) fn diff(&self, now: &str) -> String {
        if self.changes.is_empty() {
            return match self.from {
                Some(_) => String::new(),
                None => format!("+++ {} ({now}): not deployed yet\n", self.service),
            };
        }
        let from = self.from.as_deref().unwrap_or("-");
        let mut text = format!("--- {0} {from}\n+++ {0} ({now})\n", self.service);
        for Change { key, old, new, .. } in &self.changes {
            let line = |sign: char, words: &String| format!("{sign}{key} {}\n", short(words));
            text.extend(old.iter().map(|words| line('-', words)));
            text.extend(new.iter().map(|words| line('+', words)));
        }
        text
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let effect = |change: &Change| match change.effect {
            Effect::InPlace => "in place",
            Effect::NewOnes => "new instances",
            Effect::Restart => "restart",
        };
        let change =
            |c: &Change| json!({"key": c.key, "old": c.old, "new": c.new, "effect": effect(c)});
        json!({
            "service": self.service,
            "from": self.from,
            "effect": match self.how {
                How::First => "first",
                How::Unchanged => "unchanged",
                How::Start => "start",
                How::InPlace => "in place",
                How::Rolling => "rolling",
                How::Replace => "replace",
            },
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
            "refused": self.lacks,
            "room": self.room.as_ref().map(Room::json),
        })
    }
}

/// `~ key old → new`, `+ key new`, `- key old`.
fn change_text(change: &Change) -> String {
    let key = &change.key;
    let text = match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("~ {key} {old} → {new}"),
        (None, Some(new)) => format!("+ {key} {new}"),
        (Some(old), None) => format!("- {key} {old}"),
        (None, None) => format!("~ {key}"),
    };
    short(&text)
}

/// What differs. A tag that is deployed already counts as the same bytes, and one that is not as
/// others: what it stands for is only known once it is applied.
fn changes(old: &Deployed, new: &Manifest) -> (Vec<Change>, Option<String>) {
    let (was, is) = (old.manifest.image.to_string(), new.image.to_string());
    let same = was == is;
    let digest = match new.image.digest() {
        Some(digest) => digest,
        None if same => &old.past.digest,
        None => "",
    };
    let mut changes = manifest::diff(&old.manifest, &old.past.digest, new, digest);
    if let Some(image) = changes.iter_mut().find(|change| change.key == "image") {
        (image.old, image.new) = (Some(was), Some(is.clone()));
    }
    (changes, (same && new.image.digest().is_none()).then_some(is))
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;

//! The first line of a deploy: from which version to which, with what image, and how.

use crate::fact::{Began, How, Pace};
use crate::past::Past;
use manifest::Manifest;

/// Hex digits of a digest that are shown to people.
const DIGEST_CHARS: usize = 4;

/// What the server says when it has no room for the surge.
const TURNS_ROUND: &str = "no room for the surge";

/// What it says before the batch that is made, when it has room for a part of it.
const SMALLER: &str = "no room for the whole surge: batch ";

/// What a change by replacement means, between these versions, and why it is made so where the
/// manifest does not say it.
pub(crate) fn replaces(old: Option<&Manifest>, new: &Manifest) -> String {
    let seconds = manifest::hold_ms(old.into_iter().chain([new])) as f64 / 1e3;
    let why = new.strategy_note().map(|why| format!("; because {why}")).unwrap_or_default();
    format!("all old ones stop before new ones start; requests wait for at most {seconds} s{why}")
}

/// What is known of a change that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    /// How, from where, to where.
    pub(crate) began: Began,
    /// What is known of the version gone to.
    pub(crate) to: Option<To>,
    /// Instances that serve all the time, of both versions together.
    pub(crate) floor: u32,
}

/// The version gone to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct To {
    /// The image by its bytes, `app@sha256:…`.
    pub(crate) image: String,
    /// The image as the manifest names it.
    pub(crate) reference: String,
    /// Instances wanted.
    pub(crate) replicas: u32,
    /// Instances replaced at a time.
    pub(crate) batch: u32,
    /// What a replacement means.
    replaces: String,
}

impl Going {
    /// Puts together what the event said, the version's file in `history/`, what was deployed
    /// before, and what the server told of the room for the surge.
    pub(crate) fn new(
        service: &str,
        mut began: Began,
        past: Option<&Past>,
        before: Option<&Manifest>,
        room: Option<&str>,
    ) -> Going {
        let past = past.filter(|past| past.number == began.to);
        let mut to =
            past.and_then(|past| Some(To::new(&past.manifest(service)?, &past.digest, before)));
        let wanted = to.as_ref().map_or(0, |to| to.replicas);
        let least = before.map_or(wanted, |before| before.replicas).min(wanted);
        if room.is_some_and(|text| text.starts_with(TURNS_ROUND)) {
            began.pace = Pace::TurnRound;
        }
        let turns_round = began.pace == Pace::TurnRound;
        if let Some(to) = &mut to {
            // One at a time when there is no room; never more than there are to be.
            let batch = room.and_then(smaller_batch).unwrap_or(to.batch);
            to.batch = if turns_round { 1 } else { batch.min(to.replicas).max(1) };
        }
        let floor = if turns_round { least.saturating_sub(1) } else { least };
        Going { began, to, floor }
    }

    /// The line, as people read it.
    pub(crate) fn line(&self, service: &str) -> String {
        let Began { from, to, reason, .. } = &self.began;
        let versions = match from {
            Some(from) if from != to => format!("{from} → {to}"),
            Some(_) | None => to.clone(),
        };
        let mut parts = vec![format!("{service}: {versions}")];
        if let Some(to) = &self.to {
            let short = short(&to.image);
            parts.push(match to.reference == to.image {
                true => format!("image {short}"),
                false => format!("image {short} ({})", to.reference),
            });
        }
        parts.push(self.how());
        let line = parts.join("  ");
        match reason {
            Some(reason) => format!("{line}: {reason}"),
            None => line,
        }
    }

    fn how(&self) -> String {
        let Some(to) = &self.to else { return self.began.how.word().to_string() };
        let batches = || format!("batch {}, never fewer than {}", to.batch, self.floor);
        match self.began.how {
            How::First => format!("first deploy, {}", instances(to.replicas)),
            How::InPlace => format!("in place, {}", instances(to.replicas)),
            How::Replace => format!("replace, {}", to.replaces),
            how @ (How::Restart | How::Rollback) if self.began.pace == Pace::Replace => {
                format!("{}, replace, {}", how.word(), to.replaces)
            }
            how @ (How::Rolling | How::Restart | How::Rollback) => {
                format!("{}, {}", how.word(), batches())
            }
        }
    }
}

impl How {
    /// In one word or two.
    pub(crate) fn word(self) -> &'static str {
        match self {
            How::First => "first deploy",
            How::Rolling => "rolling",
            How::Replace => "replace",
            How::Restart => "restart",
            How::InPlace => "in place",
            How::Rollback => "rollback",
        }
    }
}

impl To {
    fn new(manifest: &Manifest, digest: &str, before: Option<&Manifest>) -> To {
        To {
            image: manifest.image.at_digest(digest),
            reference: manifest.image.to_string(),
            replicas: manifest.replicas,
            batch: manifest.batch(),
            replaces: replaces(before, manifest),
        }
    }
}

/// The batch in `no room for the whole surge: batch 2 instead`.
fn smaller_batch(room: &str) -> Option<u32> {
    room.strip_prefix(SMALLER)?.split(' ').next()?.parse().ok()
}

/// Whether a text tells what room there is for the surge.
pub(crate) fn is_of_room(text: &str) -> bool {
    text.starts_with(TURNS_ROUND) || text.starts_with(SMALLER)
}

/// `1 instance`, `4 instances`.
pub(crate) fn instances(n: u32) -> String {
    format!("{n} instance{}", if n == 1 { "" } else { "s" })
}

/// A text with every digest in it cut to its first digits.
pub(crate) fn short(text: &str) -> String {
    let Some((head, rest)) = text.split_once("sha256:") else { return text.to_string() };
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    match digits.get(..DIGEST_CHARS) {
        Some(first) if digits.len() > DIGEST_CHARS => {
            format!("{head}sha256:{first}…{}", short(after))
        }
        Some(_) | None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Fact;

    #[track_caller]
    fn check(event: &str, manifest: &str, before: Option<u32>, room: Option<&str>, want: &str) {
        let Fact::Began(began) = Fact::read(event) else { panic!("{event} began nothing") };
        let digest = format!("sha256:ab12{}", "0".repeat(60));
        let head = format!("# version ab12cd34ef56 v8\n# image {digest}\n");
        let past = Past::read(format!("{head}{manifest}"));
        let before = before.map(|replicas| {
            let text = format!("image app:1.8\nreplicas {replicas}\nstop_timeout 20\n");
            manifest::parse("web", &text).manifest.unwrap()
        });
        let going = Going::new("web", began, Some(&past), before.as_ref(), room);
        assert_eq!(going.line("web"), want, "of {event:?}");
    }

    const MANIFEST: &str = "image app:1.9\nreplicas 4\n";

    #[test]
    fn the_first_line_says_versions_image_and_how() {
        check(
            "rolling update started v7→v8",
            MANIFEST,
            Some(4),
            None,
            "web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 1, never fewer than 4",
        );
        check(
            "first deploy started v8",
            MANIFEST,
            None,
            None,
            "web: v8  image app@sha256:ab12… (app:1.9)  first deploy, 4 instances",
        );
        check(
            "rollback started v9→v8: exited with code 1",
            MANIFEST,
            Some(2),
            None,
            "web: v9 → v8  image app@sha256:ab12… (app:1.9)  rollback, batch 1, \
             never fewer than 2: exited with code 1",
        );
    }

    #[test]
    fn without_room_for_the_surge_there_may_be_fewer_by_one() {
        check(
            "rolling update started v7→v8",
            "image app:1.9\nreplicas 4\nupdate_batch 2\n",
            Some(4),
            Some("no room for the surge: stops before it starts, one at a time"),
            "web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 1, never fewer than 3",
        );
        check(
            "rollback started v9→v8, one stops before one starts",
            MANIFEST,
            Some(4),
            None,
            "web: v9 → v8  image app@sha256:ab12… (app:1.9)  rollback, batch 1, never fewer than 3",
        );
        check(
            "rolling update started v7→v8",
            "image app:1.9\nreplicas 4\nupdate_batch 3\n",
            Some(4),
            Some("no room for the whole surge: batch 2 instead"),
            "web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 2, never fewer than 4",
        );
    }

    #[test]
    fn a_way_back_or_a_restart_by_replacement_is_called_so() {
        check(
            "rollback started v9→v8, replace: exited with code 1",
            MANIFEST,
            Some(4),
            None,
            "web: v9 → v8  image app@sha256:ab12… (app:1.9)  rollback, replace, \
             all old ones stop before new ones start; requests wait for at most 75 s: \
             exited with code 1",
        );
        check(
            "restart started v8, replace",
            MANIFEST,
            Some(4),
            None,
            "web: v8  image app@sha256:ab12… (app:1.9)  restart, replace, \
             all old ones stop before new ones start; requests wait for at most 75 s",
        );
    }

    #[test]
    fn a_version_that_is_not_kept_any_more_is_only_named() {
        check("rolling update started v8→v9", MANIFEST, Some(4), None, "web: v8 → v9  rolling");
    }
}

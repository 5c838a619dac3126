//! A file of `history/`: what a version was, who applied it, how it ended, and its manifest.

use crate::failure::{End, Failure};
use manifest::Manifest;
use std::collections::BTreeMap;

/// Lines of the head: version, image, by, at, ended, commit, message, story. The last says how
/// many lines of what became of the version follow.
const HEAD_LINES: usize = 8;

/// One version that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Its name, 12 hex digits.
    pub(crate) name: String,
    /// Its number, like `v7`.
    pub(crate) number: String,
    /// What its image resolved to.
    pub(crate) digest: String,
    /// Who applied it.
    pub(crate) by: String,
    /// When.
    pub(crate) at: String,
    /// How the update to it ended.
    pub(crate) ended: String,
    /// What it was made from.
    pub(crate) commit: String,
    /// Why, in the words of who applied it.
    pub(crate) message: String,
    /// All ends it had, of updates to it and away from it: when, by whom and how.
    pub(crate) ends: Vec<String>,
    /// Which version of each of its secrets it means.
    pub(crate) secrets: BTreeMap<String, u32>,
    /// The watch after its update ended well.
    pub(crate) validated: bool,
    /// Its instance that failed last.
    pub(crate) failure: Option<Failure>,
    /// The file, head and manifest.
    pub(crate) text: String,
}

impl Past {
    /// Reads the file: `#` lines with a word each, then the manifest.
    pub(crate) fn read(text: String) -> Past {
        let mut past = Past::default();
        // What comes after the head may be comments of the manifest's own.
        let mut left = HEAD_LINES;
        for line in text.lines() {
            let Some(line) = line.strip_prefix("# ").filter(|_| left > 0) else { break };
            left -= 1;
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "version" => {
                    let (name, number) = rest.split_once(' ').unwrap_or((rest, ""));
                    (past.name, past.number) = (name.to_string(), number.to_string());
                }
                "image" => past.digest = rest.to_string(),
                "by" => past.by = rest.to_string(),
                "at" => past.at = rest.to_string(),
                "ended" => past.ended = rest.to_string(),
                "commit" => past.commit = rest.to_string(),
                "message" => past.message = rest.to_string(),
                "story" => left = rest.parse().unwrap_or(0),
                _ => past.became(word, rest),
            }
        }
        past.text = unmarked(text);
        past
    }

    /// A line of what became of it.
    fn became(&mut self, word: &str, rest: &str) {
        match word {
            "then" => self.ends.push(rest.to_string()),
            "secret" => {
                let secret = rest.split_once(' ');
                let known = secret.and_then(|(name, n)| Some((name.to_string(), n.parse().ok()?)));
                self.secrets.extend(known);
            }
            "validated" => self.validated = true,
            "failed" => self.failure().began(rest),
            "exit" => self.failure().end = End::read(rest),
            "probe" => self.failure().probe = Some(rest.to_string()),
            "log" => self.failure().log.push(rest.to_string()),
            _ => {}
        }
    }

    fn failure(&mut self) -> &mut Failure {
        self.failure.get_or_insert_default()
    }

    /// The manifest, where this command understands it. The head is comments to it.
    pub(crate) fn manifest(&self, service: &str) -> Option<Manifest> {
        let mut manifest = manifest::parse(service, &self.text).manifest?;
        manifest.secrets_are(|name| self.secrets.get(name).copied().unwrap_or_default());
        Some(manifest)
    }

    /// Whether a word of a user means this version.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.name == word || self.number == word
    }

    /// What its number counts.
    pub(crate) fn count(&self) -> u32 {
        self.number.trim_start_matches('v').parse().unwrap_or_default()
    }
}

/// The text without the mark of byte order that some editors begin a manifest with: behind the
/// head it stands in the middle of the file, where nobody expects one.
fn unmarked(mut text: String) -> String {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    let begins = |at: &usize| text[*at..].starts_with("# ");
    let marked = std::iter::once(0).chain(ends).find(|at| !begins(at));
    if let Some(at) = marked.filter(|at| text[*at..].starts_with('\u{feff}')) {
        text.remove(at);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_version_says_who_when_and_how_it_ended_and_is_a_manifest() {
        let text = "# version ab12cd34ef56 v7\n# image sha256:ab\n# by root (uid 0)\n\
                    # at 2026-11-20T12:34:05Z\n# ended done update v6→v7 (0.9s)\n\
                    # commit ab12 mend\n# message for good\n# story 6\n\
                    # then 2026-11-20T12:34:06Z by root (uid 0): done update v6→v7 (0.9s)\n\
                    # validated\n\
                    # failed 2026-11-20T13:00:00Z 2: killed by SIGKILL, out of memory\n\
                    # exit 137 KILL out of memory\n# probe HTTP 503\n# log last words\n\
                    # by hand, says the manifest's own comment\nimage app:1\nreplicas 3\n";
        let past = Past::read(text.to_string());
        assert_eq!((past.name.as_str(), past.count()), ("ab12cd34ef56", 7));
        assert!(past.is("v7") && past.is("ab12cd34ef56") && !past.is("v8"));
        assert_eq!(past.by, "root (uid 0)");
        assert_eq!(past.ended, "done update v6→v7 (0.9s)");
        assert_eq!((past.commit.as_str(), past.message.as_str()), ("ab12 mend", "for good"));
        assert_eq!(past.ends, ["2026-11-20T12:34:06Z by root (uid 0): done update v6→v7 (0.9s)"]);
        let failure = past.failure.as_ref().unwrap();
        assert_eq!((failure.end.code, failure.end.oom), (Some(137), true));
        assert_eq!((failure.probe.as_deref(), failure.log.len()), (Some("HTTP 503"), 1));
        assert!(past.validated);
        assert_eq!(past.manifest("web").unwrap().replicas, 3);
    }

    #[test]
    fn a_manifest_that_begins_with_a_mark_of_byte_order_is_read_behind_its_head() {
        let head = "# version ab12cd34ef56 v7\n# image sha256:ab\n# by root (uid 0)\n\
                    # at 2026-11-20T12:34:05Z\n# ended done\n";
        let past = Past::read(format!("{head}\u{feff}image app:1\nreplicas 3\n"));
        assert_eq!(past.text, format!("{head}image app:1\nreplicas 3\n"));
        assert_eq!(past.manifest("web").unwrap().replicas, 3);
    }
}

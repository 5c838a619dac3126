//! Many refusals in one line that a person can read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::refusal::{Reason, Refusal};

/// The longest line, in bytes; what does not fit is counted.
pub const TOLD_BYTES_MAX: usize = 600;

/// What is left free for the count of what is not told.
const REST_BYTES: usize = 40;

/// Nodes with the same kinds of reasons.
struct Alike<'a> {
    /// The first by name.
    first: &'a Refusal,
    more: usize,
    /// Whether all have the same reasons, word for word.
    same: bool,
}

/// One line about all nodes that were refused: `a: memory: wants 512M, 200M free of 4G; 12 more:
/// memory; b and 3 more: label disk=ssd missing`. Nodes with the same kinds of reasons are told
/// together, those with the fewest first, by the first of them; the line has at most
/// [`TOLD_BYTES_MAX`] bytes.
#[must_use]
pub fn told(refusals: &[Refusal]) -> String {
    let mut alike: BTreeMap<Vec<&str>, Alike<'_>> = BTreeMap::new();
    let mut sorted: Vec<&Refusal> = refusals.iter().collect();
    sorted.sort_by(|a, b| a.node.cmp(&b.node));
    for refusal in sorted {
        let kinds = refusal.reasons.iter().map(Reason::kind).collect();
        let group = alike.entry(kinds);
        let new = || Alike { first: refusal, more: 0, same: true };
        group
            .and_modify(|group| {
                group.more += 1;
                group.same &= group.first.reasons == refusal.reasons;
            })
            .or_insert_with(new);
    }
    let mut groups: Vec<(Vec<&str>, Alike<'_>)> = alike.into_iter().collect();
    groups.sort_by_key(|(kinds, group)| (kinds.len(), &group.first.node));
    let mut line = String::new();
    let mut left: usize = refusals.len();
    for (kinds, group) in groups {
        let text = group.text(&kinds);
        let between = if line.is_empty() { "" } else { "; " };
        let last = left == group.more + 1;
        let room = if last { TOLD_BYTES_MAX } else { TOLD_BYTES_MAX - REST_BYTES };
        if line.len() + between.len() + text.len() > room {
            break;
        }
        line.push_str(between);
        line.push_str(&text);
        left -= group.more + 1;
    }
    if left > 0 {
        let between = if line.is_empty() { "" } else { "; " };
        // Writing to a text does not fail.
        let _ = write!(line, "{between}{left} more nodes do not fit");
    }
    line
}

impl Alike<'_> {
    fn text(&self, kinds: &[&str]) -> String {
        let (first, more) = (self.first, self.more);
        match (more, self.same) {
            (0, _) => first.to_string(),
            (1.., true) => {
                let reasons: Vec<String> = first.reasons.iter().map(Reason::to_string).collect();
                format!("{} and {more} more: {}", first.node, reasons.join("; "))
            }
            (1.., false) => {
                let mut kinds = kinds.to_vec();
                kinds.dedup();
                format!("{first}; {more} more: {}", kinds.join(", "))
            }
        }
    }
}

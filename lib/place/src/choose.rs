//! The choice. Where few nodes can come into question they are looked at one by one; else the rows
//! of the classes are searched, those of the values with the fewest instances first.

use crate::fleet::{Fleet, Kept};
use crate::seats::Seat;
use crate::services::Service;

/// A node that may be chosen; the least is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// Instances of the service on it.
    count: u32,
    left: u64,
    rank: u32,
    slot: u32,
}

/// Instances of a service by the value of each label it spreads over.
struct Groups {
    /// The label's place among the values of a class, and instances by value.
    labels: Vec<(usize, Vec<u32>)>,
}

impl Fleet {
    /// The slot of the node for one more instance, whose predecessor leaves that seat.
    pub(crate) fn choose(&self, kept: &Kept, leaver: Option<Seat>) -> Option<u32> {
        let its_own = |seat: &Seat| {
            let left = self.wants[seat.want as usize].as_ref();
            left.is_some_and(|left| left.service == kept.service)
        };
        let leaver = leaver.filter(its_own).map(|seat| seat.slot);
        let groups = self.groups(kept, leaver);
        if let Some(few) = self.few(kept) {
            return self.among(kept, &few, &groups, leaver);
        }
        let classes = self.classes.left_by(kept.filter);
        if groups.labels.is_empty() {
            return self.in_classes(kept, classes, leaver);
        }
        let mut sorted: Vec<(Vec<u32>, u32)> =
            classes.iter().map(|class| (self.counts_of(*class, &groups), *class)).collect();
        sorted.sort_unstable();
        sorted.chunk_by(|a, b| a.0 == b.0).find_map(|equal| {
            let classes: Vec<u32> = equal.iter().map(|(_, class)| *class).collect();
            self.in_classes(kept, &classes, leaver)
        })
    }

    /// The only nodes that can come into question, where that is known beforehand: the one it
    /// names, the one its volume is on, those of a service it must be beside.
    fn few(&self, kept: &Kept) -> Option<Vec<u32>> {
        if let Some(node) = kept.want.node() {
            return Some(self.nodes.find(node).into_iter().collect());
        }
        let mut homes = kept.want.bound().filter_map(|volume| self.volumes.get(&volume.name));
        if let Some(home) = homes.next() {
            return Some(vec![home.slot]);
        }
        let needed = kept.near.iter().filter(|other| !self.is_first(kept, **other));
        let beside = needed.map(|other| self.services.at(*other));
        let fewest = beside.min_by_key(|service| service.counts.nodes())?;
        Some(fewest.counts.each().map(|(slot, _)| slot).collect())
    }

    /// Whether that is its own service, of which nothing is anywhere yet: somebody must be first.
    pub(crate) fn is_first(&self, kept: &Kept, other: u32) -> bool {
        other == kept.service && self.services.at(other).counts.nodes() == 0
    }

    /// The best of a list of nodes.
    fn among(&self, kept: &Kept, few: &[u32], groups: &Groups, leaver: Option<u32>) -> Option<u32> {
        let service = self.services.at(kept.service);
        let fitting = few.iter().copied().filter(|slot| self.fits(kept, *slot));
        fitting.min_by_key(|slot| {
            let post = self.nodes.at(*slot);
            let spread = (self.counts_of(post.class, groups), count(service, *slot, leaver));
            let (left, rank) = (post.free().weight(), self.nodes.ranks()[*slot as usize]);
            (spread, leaver != Some(*slot), left, rank)
        })
    }

    /// The best of classes whose values have as many instances.
    fn in_classes(&self, kept: &Kept, classes: &[u32], leaver: Option<u32>) -> Option<u32> {
        let service = self.services.at(kept.service);
        let mut best: Option<Found> = None;
        for class in classes {
            best = self.in_row(kept, *class, best, leaver);
        }
        let best = best?;
        let stays = leaver.filter(|slot| {
            classes.contains(&self.nodes.at(*slot).class)
                && count(service, *slot, leaver) <= best.count
                && self.fits(kept, *slot)
        });
        Some(stays.unwrap_or(best.slot))
    }

    /// The best of a class, or what was found before if that is better.
    fn in_row(
        &self,
        kept: &Kept,
        class: u32,
        mut best: Option<Found>,
        leaver: Option<u32>,
    ) -> Option<Found> {
        let service = self.services.at(kept.service);
        let plain = self.is_plain(kept, service);
        let (needs, ranks) = (kept.want.needs, self.nodes.ranks());
        for entry in self.classes.at(class).row.fitting(needs, needs.weight()) {
            if best.is_some_and(|best| best.count == 0 && entry.left > best.left) {
                break;
            }
            let (slot, left) = (entry.slot, entry.left);
            let count = count(service, slot, leaver);
            let found = Found { count, left, rank: ranks[slot as usize], slot };
            if best.is_some_and(|best| best <= found) {
                continue;
            }
            if plain || self.beyond(kept, slot).next().is_none() {
                best = Some(found);
                if count == 0 {
                    break;
                }
            }
        }
        best
    }

    /// Whether labels, cores and memory are all that can stand against it.
    fn is_plain(&self, kept: &Kept, service: &Service) -> bool {
        let want = &kept.want;
        let names_nodes = want.node_shunned().next().is_some();
        let others = !kept.near.is_empty() || !kept.apart.is_empty();
        let shunned = !service.shunned_by.is_empty();
        want.ports.is_empty() && want.volumes.is_empty() && !names_nodes && !others && !shunned
    }

    fn groups(&self, kept: &Kept, leaver: Option<u32>) -> Groups {
        let by_class = &self.services.at(kept.service).by_class;
        let labels = kept.want.spread().filter_map(|label| {
            let (at, values) = self.classes.label(label)?;
            let mut counts = vec![0; values];
            for (class, count) in by_class {
                counts[self.classes.at(*class).values[at] as usize] += count;
            }
            if let Some(slot) = leaver {
                let value = self.classes.at(self.nodes.at(slot).class).values[at];
                counts[value as usize] -= 1;
            }
            Some((at, counts))
        });
        Groups { labels: labels.collect() }
    }

    /// Instances of the service with the values of a class, a number a label.
    fn counts_of(&self, class: u32, groups: &Groups) -> Vec<u32> {
        let values = &self.classes.at(class).values;
        groups.labels.iter().map(|(at, counts)| counts[values[*at] as usize]).collect()
    }
}

/// Instances of a service on a node, but for the one that leaves.
fn count(service: &Service, slot: u32, leaver: Option<u32>) -> u32 {
    service.counts.at(slot) - u32::from(leaver == Some(slot))
}

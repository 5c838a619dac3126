//! How many instances of something are on each node.

/// A count a node: a short list while they are few, a table over all nodes when they are many.
#[derive(Clone, Debug)]
pub(crate) enum Counts {
    /// `(slot, count)` in the order of slots, no count is 0.
    Few(Vec<(u32, u32)>),
    /// A count a slot, and how many are not 0.
    Many(Vec<u32>, u32),
}

/// A table is kept once one node in this many has an instance, which bounds it to 64 bytes for
/// each of these nodes; it is given up below a quarter of that.
const TABLE_SHARE: usize = 16;

impl Default for Counts {
    fn default() -> Counts {
        Counts::Few(Vec::new())
    }
}

impl Counts {
    pub(crate) fn at(&self, slot: u32) -> u32 {
        match self {
            Counts::Few(list) => match list.binary_search_by_key(&slot, |(slot, _)| *slot) {
                Ok(at) => list[at].1,
                Err(_) => 0,
            },
            Counts::Many(table, _) => table.get(slot as usize).copied().unwrap_or(0),
        }
    }

    /// How many nodes have any.
    pub(crate) fn nodes(&self) -> usize {
        match self {
            Counts::Few(list) => list.len(),
            Counts::Many(_, nodes) => *nodes as usize,
        }
    }

    /// Slot and count of each node that has any.
    pub(crate) fn each(&self) -> Box<dyn Iterator<Item = (u32, u32)> + '_> {
        match self {
            Counts::Few(list) => Box::new(list.iter().copied()),
            Counts::Many(table, _) => {
                let counts = (0..).zip(table.iter().copied());
                Box::new(counts.filter(|(_, count)| *count > 0))
            }
        }
    }

    /// One more on a node, of that many nodes in all.
    pub(crate) fn add(&mut self, slot: u32, of: usize) {
        match self {
            Counts::Few(list) => match list.binary_search_by_key(&slot, |(slot, _)| *slot) {
                Ok(at) => list[at].1 += 1,
                Err(at) => list.insert(at, (slot, 1)),
            },
            Counts::Many(table, nodes) => {
                if table.len() <= slot as usize {
                    table.resize(of.max(slot as usize + 1), 0);
                }
                let count = &mut table[slot as usize];
                *nodes += u32::from(*count == 0);
                *count += 1;
            }
        }
        if let Counts::Few(list) = self
            && list.len() > TABLE_SHARE
            && list.len() * TABLE_SHARE > of
        {
            let highest = list.last().map_or(0, |(slot, _)| *slot as usize + 1);
            let mut table = vec![0; of.max(highest)];
            let nodes = u32::try_from(list.len()).unwrap_or(u32::MAX);
            for (slot, count) in list {
                table[*slot as usize] = *count;
            }
            *self = Counts::Many(table, nodes);
        }
    }

    /// One fewer on a node that has one.
    pub(crate) fn take(&mut self, slot: u32) {
        match self {
            Counts::Few(list) => {
                let Ok(at) = list.binary_search_by_key(&slot, |(slot, _)| *slot) else { return };
                list[at].1 -= 1;
                if list[at].1 == 0 {
                    list.remove(at);
                }
            }
            Counts::Many(table, nodes) => {
                let Some(count) = table.get_mut(slot as usize).filter(|count| **count > 0) else {
                    return;
                };
                *count -= 1;
                *nodes -= u32::from(*count == 0);
            }
        }
        if let Counts::Many(table, nodes) = self
            && (*nodes as usize) * TABLE_SHARE * 4 < table.len()
        {
            *self = Counts::Few(self.each().collect());
        }
    }
}

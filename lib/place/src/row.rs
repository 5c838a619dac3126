//! Nodes in the order of best fit, in blocks that know the most that is free in them, so that a
//! search passes over whole blocks of nodes that are full.

use crate::place::Resources;

/// Nodes in a block; a search looks at the head of each block and into those that may fit.
const BLOCK_MAX: usize = 64;

/// A node that takes instances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Weight of what is free.
    pub(crate) left: u64,
    pub(crate) free: Resources,
    pub(crate) slot: u32,
}

/// All nodes of one class that take instances, those with the least left over first and, of
/// equals, by name. `ranks` is the order of names, by slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    /// The most that is free in it, of each kind by itself.
    most: Resources,
    /// The weight of its last node.
    left: u64,
    /// Never empty.
    entries: Vec<Entry>,
}

impl Row {
    /// The nodes into which that much fits, in order. `weight` is that of what is needed: nodes
    /// with less left over stand before all that fit.
    pub(crate) fn fitting(&self, needs: Resources, weight: u64) -> impl Iterator<Item = &Entry> {
        let first = self.blocks.partition_point(|block| block.left < weight);
        let blocks = self.blocks[first..].iter().filter(move |block| needs.fits(block.most));
        let entries = blocks.flat_map(|block| &block.entries);
        entries.filter(move |entry| needs.fits(entry.free))
    }

    pub(crate) fn insert(&mut self, entry: Entry, ranks: &[u32]) {
        let at = self.block(entry.left, entry.slot, ranks).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(Block::new(vec![entry]));
            return;
        };
        let place = block.find(entry.left, entry.slot, ranks);
        block.entries.insert(place, entry);
        block.left = block.entries.last().map_or(0, |last| last.left);
        block.most = block.most.max_each(entry.free);
        if block.entries.len() > BLOCK_MAX {
            let rest = block.entries.split_off(BLOCK_MAX / 2);
            *block = Block::new(std::mem::take(&mut block.entries));
            self.blocks.insert(at + 1, Block::new(rest));
        }
    }

    /// Takes a node out that stands there with that weight.
    pub(crate) fn remove(&mut self, left: u64, slot: u32, ranks: &[u32]) {
        let at = self.block(left, slot, ranks);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let place = block.find(left, slot, ranks);
        if block.entries.get(place).is_none_or(|entry| entry.slot != slot) {
            return;
        }
        let gone = block.entries.remove(place);
        match block.entries.last() {
            Some(last) => block.left = last.left,
            None => {
                self.blocks.remove(at);
                return;
            }
        }
        let (most, free) = (block.most, gone.free);
        if free.cpu_milli == most.cpu_milli || free.memory_bytes == most.memory_bytes {
            block.most = most_of(&block.entries);
        }
        self.join(at);
    }

    /// Joins a block with the one behind it when both are mostly empty, so that blocks do not
    /// become many while nodes come and go.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.blocks.get(at).map_or(BLOCK_MAX, |block| block.entries.len());
        if len(at) + len(at + 1) <= BLOCK_MAX / 2 {
            let behind = self.blocks.remove(at + 1);
            let block = &mut self.blocks[at];
            block.entries.extend(behind.entries);
            (block.left, block.most) = (behind.left, block.most.max_each(behind.most));
        }
    }

    /// The first block whose last node does not stand before that place.
    fn block(&self, left: u64, slot: u32, ranks: &[u32]) -> usize {
        self.blocks.partition_point(|block| {
            let last = block.entries.last().map_or(slot, |last| last.slot);
            before(block.left, last, left, slot, ranks)
        })
    }
}

impl Block {
    fn new(entries: Vec<Entry>) -> Block {
        let left = entries.last().map_or(0, |last| last.left);
        Block { most: most_of(&entries), left, entries }
    }

    fn find(&self, left: u64, slot: u32, ranks: &[u32]) -> usize {
        self.entries.partition_point(|entry| before(entry.left, entry.slot, left, slot, ranks))
    }
}

impl Resources {
    fn max_each(self, other: Resources) -> Resources {
        Resources {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }
}

fn before(left: u64, slot: u32, than_left: u64, than_slot: u32, ranks: &[u32]) -> bool {
    match left == than_left {
        true => ranks[slot as usize] < ranks[than_slot as usize],
        false => left < than_left,
    }
}

fn most_of(entries: &[Entry]) -> Resources {
    entries.iter().fold(Resources::default(), |most, entry| most.max_each(entry.free))
}

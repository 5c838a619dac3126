//! The nodes of a fleet by slot and by name, and what instances have of each.

use crate::machine::{Machine, State};
use crate::place::Resources;
use crate::row::Entry;

/// A node and what is reserved on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Post {
    pub(crate) machine: Machine,
    /// The class of its labels.
    pub(crate) class: u32,
    pub(crate) used: Used,
    /// Ports that are taken, in order; twice where two instances were found on one.
    pub(crate) ports: Vec<u16>,
}

/// What is reserved; it may be more than there is, when a node came back smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) cpu_milli: u64,
    pub(crate) memory_bytes: u128,
    pub(crate) volume_bytes: u128,
}

/// All nodes. A slot is a node's number for as long as it is there; slots of nodes that left are
/// given again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes {
    posts: Vec<Post>,
    by_name: Vec<u32>,
    ranks: Vec<u32>,
    vacant: Vec<u32>,
}

impl Nodes {
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.search(name).ok().map(|at| self.by_name[at])
    }

    pub(crate) fn at(&self, slot: u32) -> &Post {
        &self.posts[slot as usize]
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> &mut Post {
        &mut self.posts[slot as usize]
    }

    /// The order of names, by slot.
    pub(crate) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// Slots in the order of names.
    pub(crate) fn slots(&self) -> &[u32] {
        &self.by_name
    }

    /// Slots there are, given or not.
    pub(crate) fn width(&self) -> usize {
        self.posts.len()
    }

    /// A node whose name none has.
    pub(crate) fn add(&mut self, machine: Machine) -> u32 {
        let at = self.search(&machine.name).unwrap_or_else(|at| at);
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.posts.push(Post::default());
            self.ranks.push(0);
            u32::try_from(self.posts.len() - 1).unwrap_or(u32::MAX)
        });
        self.posts[slot as usize] = Post { machine, ..Post::default() };
        self.by_name.insert(at, slot);
        self.rank_from(at);
        slot
    }

    /// Forgets a node that nothing is on.
    pub(crate) fn drop(&mut self, slot: u32) {
        let at = self.ranks[slot as usize] as usize;
        self.by_name.remove(at);
        self.rank_from(at);
        self.posts[slot as usize] = Post::default();
        self.vacant.push(slot);
    }

    fn search(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|slot| self.at(*slot).machine.name.as_str().cmp(name))
    }

    fn rank_from(&mut self, first: usize) {
        for (slot, rank) in self.by_name[first..].iter().zip((0..).skip(first)) {
            self.ranks[*slot as usize] = rank;
        }
    }
}

impl Post {
    /// What nobody has reserved.
    pub(crate) fn free(&self) -> Resources {
        let (has, used) = (self.machine.capacity, self.used);
        let cpu = u64::from(has.cpu_milli).saturating_sub(used.cpu_milli);
        let memory = u128::from(has.memory_bytes).saturating_sub(used.memory_bytes);
        Resources {
            cpu_milli: u32::try_from(cpu).unwrap_or(u32::MAX),
            memory_bytes: u64::try_from(memory).unwrap_or(u64::MAX),
        }
    }

    /// Bytes that no volume has reserved.
    pub(crate) fn free_volume_bytes(&self) -> u64 {
        let free = u128::from(self.machine.volume_bytes).saturating_sub(self.used.volume_bytes);
        u64::try_from(free).unwrap_or(u64::MAX)
    }

    /// Where it stands in its class's row, if it takes anything.
    pub(crate) fn entry(&self, slot: u32) -> Option<Entry> {
        let free = self.free();
        let accepts = self.machine.state == State::Accepting;
        accepts.then(|| Entry { left: free.weight(), free, slot })
    }
}

//! Ends of children that nobody has spoken for: makers, which are forgotten; commands whose number
//! is told only after their end, which are kept; and orphans of the container, which a shim
//! inherits and which must never be taken for a command that gets their number later.

use std::collections::VecDeque;

use nix::sys::wait::WaitStatus;

/// The number of the first fork, the maker of the container.
pub(crate) const FIRST: u64 = 0;

/// Ends kept at a time; the oldest goes first.
const UNKNOWN_MAX: usize = 64;

/// The makers that live, and the ends that may yet be asked for.
#[derive(Debug, Default)]
pub(crate) struct Children {
    forks: u64,
    makers: Vec<i32>,
    unknown: VecDeque<Unknown>,
}

#[derive(Debug)]
struct Unknown {
    /// How many makers had been forked by then.
    forks: u64,
    pid: i32,
    status: WaitStatus,
}

impl Children {
    /// A maker was forked; its number among all forks.
    pub(crate) fn forked(&mut self, pid: i32) -> u64 {
        self.makers.push(pid);
        self.forks += 1;
        self.forks - 1
    }

    /// A child has ended that is neither the program nor a command known by now.
    pub(crate) fn ended(&mut self, pid: i32, status: WaitStatus) {
        if let Some(place) = self.makers.iter().position(|maker| *maker == pid) {
            self.makers.swap_remove(place);
            return;
        }
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unknown.pop_front();
        }
        self.unknown.push_back(Unknown { forks: self.forks, pid, status });
    }

    /// Maker number `fork` has told of a child; its end, when that came before the word. An end
    /// older than the fork was another's.
    pub(crate) fn born(&mut self, pid: i32, fork: u64) -> Option<WaitStatus> {
        let own = |one: &Unknown| one.pid == pid && one.forks > fork;
        let place = self.unknown.iter().rposition(own)?;
        self.unknown.remove(place).map(|one| one.status)
    }

    /// No maker has anything left to tell: whatever has ended was nobody's.
    pub(crate) fn forget(&mut self) {
        self.unknown.clear();
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::Pid;

    use super::*;

    fn end(children: &mut Children, pid: i32, code: i32) {
        children.ended(pid, WaitStatus::Exited(Pid::from_raw(pid), code));
    }

    fn code(children: &mut Children, pid: i32, fork: u64) -> Option<i32> {
        let status = children.born(pid, fork)?;
        (0..=99).find(|code| status == WaitStatus::Exited(Pid::from_raw(pid), *code))
    }

    #[test]
    fn an_end_that_comes_before_the_word_is_kept_for_it() {
        let mut children = Children::default();
        let fork = children.forked(10);
        end(&mut children, 11, 4);
        assert_eq!(code(&mut children, 11, fork), Some(4));
        assert_eq!(code(&mut children, 11, fork), None);
    }

    #[test]
    fn a_makers_end_is_not_that_of_a_command_with_its_number() {
        let mut children = Children::default();
        children.forked(10);
        let fork = children.forked(20);
        end(&mut children, 10, 0);
        assert_eq!(code(&mut children, 10, fork), None);
        end(&mut children, 10, 5);
        assert_eq!(code(&mut children, 10, fork), Some(5));
    }

    #[test]
    fn an_end_before_the_fork_is_not_that_of_what_it_made() {
        let mut children = Children::default();
        children.forked(10);
        end(&mut children, 30, 0);
        let fork = children.forked(20);
        assert_eq!(code(&mut children, 30, fork), None);
        end(&mut children, 30, 7);
        assert_eq!(code(&mut children, 30, fork), Some(7));
    }

    #[test]
    fn the_oldest_end_goes_first_and_all_go_when_nobody_can_ask() {
        let mut children = Children::default();
        let fork = children.forked(1000);
        for pid in (1..=65).rev() {
            end(&mut children, pid, pid);
        }
        assert_eq!(code(&mut children, 65, fork), None);
        assert_eq!(code(&mut children, 1, fork), Some(1));
        children.forget();
        assert_eq!(code(&mut children, 2, fork), None);
    }
}

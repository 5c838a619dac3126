//! Exit statuses: a closed list with the meaning of each, from which help is made.

/// How the command ends. The order is that of weight: of several services' ends, the heaviest
/// is the command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// It is done, or there was nothing to do.
    Done,
    /// `plan --exit-code` found changes.
    Changes,
    /// An update stands paused.
    Paused,
    /// The time given for waiting is over; the server goes on.
    TimeOver,
    /// Ctrl-C while following; the server goes on.
    Interrupted,
    /// The new version failed, and the earlier one serves again everywhere.
    RolledBack,
    /// There is no room on any node.
    NoRoom,
    /// Somebody else has, or took, the deploy lock, or what he began is in flight.
    Locked,
    /// The new version failed; what worked was not touched.
    Failed,
    /// Anything else.
    Other,
    /// The manifest has errors.
    Refused,
    /// The command line has errors.
    Usage,
    /// Nobody answers at the address.
    Unreachable,
    /// What a task ended with, which is its program's to say.
    Own(u8),
}

/// Every status in the order of its number, with its meaning.
pub(crate) const EXITS: [(Exit, &str); 13] = [
    (Exit::Done, "done, or unchanged"),
    (Exit::Other, "something else went wrong, or somebody ended the update; it says what"),
    (Exit::Changes, "plan or diff with --exit-code: there are changes"),
    (Exit::RolledBack, "failed and rolled back: the earlier version serves"),
    (Exit::Failed, "failed: what worked was not touched"),
    (Exit::Paused, "the update stands paused"),
    (Exit::Locked, "somebody deploys: has the lock, or took it, or an update is in flight"),
    (Exit::TimeOver, "--timeout or --wait-lock is over; an update goes on"),
    (Exit::NoRoom, "no room: on no node, or on the disk"),
    (Exit::Usage, "the command line is wrong"),
    (Exit::Refused, "the manifest is refused; nothing was written"),
    (Exit::Unreachable, "the server cannot be reached"),
    (Exit::Interrupted, "Ctrl-C: an update goes on, a push is given up"),
];

impl Exit {
    /// The process's status: 64, 65 and 69 are those of sysexits(3), 130 what a shell gives for
    /// an interrupted program.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Other => 1,
            Exit::Changes => 2,
            Exit::RolledBack => 3,
            Exit::Failed => 4,
            Exit::Paused => 5,
            Exit::Locked => 6,
            Exit::TimeOver => 7,
            Exit::NoRoom => 8,
            Exit::Usage => 64,
            Exit::Refused => 65,
            Exit::Unreachable => 69,
            Exit::Interrupted => 130,
            Exit::Own(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_status_has_its_own_number_and_stands_in_the_order_of_help() {
        for pair in EXITS.windows(2) {
            assert!(pair[0].0.code() < pair[1].0.code(), "{pair:?}");
        }
    }

    #[test]
    fn the_heaviest_end_is_the_commands() {
        let worst = [Exit::Done, Exit::Failed, Exit::RolledBack].into_iter().max();
        assert_eq!(worst, Some(Exit::Failed));
        assert!(Exit::Done < Exit::Paused);
    }
}

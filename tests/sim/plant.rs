//! Defects that are planted between the server and its world, one against each law, to see that
//! the law's check finds it. None of them is in the server.

/// A planted defect; each number is that of the law it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// There is none.
    None,
    /// An edge takes a new table's removals at once, and its new backends a second later, but
    /// says that it serves it.
    AddsLate,
    /// An instance that is to stop is said to have stopped, and runs on.
    StopsInWord,
    /// An instance that has started is told as healthy.
    HealthyAtStart,
    /// An edge says that it has drained what it still has requests in flight to.
    DrainsInWord,
    /// The store loses the line that tells an update's end.
    LosesEnds,
    /// The store gives a rollback back as an update.
    ForgetsWay,
    /// The store acknowledges a write before it keeps it.
    KeepsLater,
    /// A container that is to be removed is said to be gone, and stays.
    RemovesInWord,
    /// What is told of one service's instance is heard of another's.
    MixesUp,
    /// The store loses the numbers that a removed service has used.
    LosesNumbers,
    /// The store loses what ties one service to others.
    LosesBond,
}

impl Plant {
    pub(crate) const ALL: [Plant; 11] = [
        Plant::AddsLate,
        Plant::StopsInWord,
        Plant::HealthyAtStart,
        Plant::DrainsInWord,
        Plant::LosesEnds,
        Plant::ForgetsWay,
        Plant::KeepsLater,
        Plant::RemovesInWord,
        Plant::MixesUp,
        Plant::LosesNumbers,
        Plant::LosesBond,
    ];

    /// The law it breaks; 0 for none.
    pub(crate) fn law(self) -> u8 {
        let at = Plant::ALL.iter().position(|plant| *plant == self);
        at.map_or(0, |at| at as u8 + 1)
    }
}

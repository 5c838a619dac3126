//! Images: each has a number, and its number says what its program does.

/// What a program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It serves.
    Good,
    /// It serves, and does not heed the signal to stop.
    Stubborn,
    /// It runs and never answers a probe.
    NeverHealthy,
    /// It ends as soon as it runs.
    ExitsSoon,
    /// It serves, and ends some time later.
    ExitsLater,
    /// The kernel ends it.
    OutOfMemory,
    /// It does its work and ends with status 0.
    Succeeds,
    /// It cannot be run.
    CannotStart {
        /// And never will be.
        permanent: bool,
    },
    /// There is no such image.
    Missing,
}

/// How many manners there are; an image's number modulo this is its manner.
pub(crate) const MANNERS: u64 = 10;

impl Manner {
    fn numbered(n: u64) -> Manner {
        match n % MANNERS {
            0 => Manner::Good,
            1 => Manner::Stubborn,
            2 => Manner::NeverHealthy,
            3 => Manner::ExitsSoon,
            4 => Manner::ExitsLater,
            5 => Manner::OutOfMemory,
            6 => Manner::Succeeds,
            7 => Manner::CannotStart { permanent: true },
            8 => Manner::CannotStart { permanent: false },
            _ => Manner::Missing,
        }
    }

    /// What the image of that name or digest does.
    pub(crate) fn named(reference: &str) -> Manner {
        Manner::numbered(number(reference))
    }

    /// What the image does that a container's spec names.
    pub(crate) fn of(spec: &str) -> Manner {
        let rest = spec.split_once("\"digest\":\"").map_or("", |(_, rest)| rest);
        Manner::named(rest.split('"').next().unwrap_or_default())
    }
}

/// The number behind `app:7`, `app@sha256:…7` or `sha256:…7`.
fn number(reference: &str) -> u64 {
    let last = reference.rsplit(':').next().unwrap_or_default();
    let tail = &last[last.len().saturating_sub(16)..];
    tail.parse().unwrap_or(0)
}

/// What an image's name resolves to.
pub(crate) fn digest(reference: &str) -> String {
    format!("sha256:{:064}", number(reference))
}

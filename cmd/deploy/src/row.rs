//! An instance as its `status` file shows it.

use std::collections::BTreeMap;

/// One instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its place.
    pub(crate) number: u32,
    /// Its name for as long as it lives: `web-9`.
    pub(crate) id: String,
    /// The name of its version.
    pub(crate) version: String,
    /// Where it runs.
    pub(crate) node: String,
    /// Where it answers.
    pub(crate) address: String,
    /// scheduled, pulling, starting, checking, healthy, serving, draining, …
    pub(crate) state: String,
    /// none, starting, healthy, unhealthy.
    pub(crate) health: String,
    /// Restarts since its version was deployed.
    pub(crate) restarts: String,
    /// How it ended: `137 KILL out of memory`.
    pub(crate) exit: String,
    /// What its last probe was answered.
    pub(crate) probe: String,
    /// Why it failed.
    pub(crate) reason: String,
}

impl Row {
    /// Reads the file.
    pub(crate) fn read(number: u32, text: &str) -> Row {
        let values = values(text);
        let of = |key: &str| values.get(key).map(ToString::to_string).unwrap_or_default();
        Row {
            number,
            id: of("id"),
            version: of("version"),
            node: of("node"),
            address: of("address"),
            state: of("state"),
            health: of("health"),
            restarts: of("restarts"),
            exit: of("exit"),
            probe: of("probe"),
            reason: of("reason"),
        }
    }
}

/// The lines of a `key=value` file; of a key that repeats, the last.
pub(crate) fn values(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

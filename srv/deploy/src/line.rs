//! One line of `events`, as it is told.

use crate::clock::Millis;

/// One line of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Millis,
    /// Of which service; absent for what concerns the server.
    pub service: Option<String>,
    /// What happened.
    pub text: String,
}

impl Line {
    /// As it stands in the service's `events`.
    #[must_use]
    pub fn at_service(&self) -> String {
        format!("{} {}\n", crate::clock::stamp(self.at), self.text.replace('\n', " "))
    }

    /// As it stands in the root `events`, with the service's name; `-` where there is none.
    #[must_use]
    pub fn at_root(&self) -> String {
        let service = self.service.as_deref().unwrap_or("-");
        format!("{} {service} {}\n", crate::clock::stamp(self.at), self.text.replace('\n', " "))
    }
}

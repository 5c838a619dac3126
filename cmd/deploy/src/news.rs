//! What a follower of one service has to say; printed as lines, as JSON or as bars.

use crate::fact::Fact;
use crate::failure::Failure;
use crate::going::Going;
use crate::outcome::Outcome;
use crate::row::Row;
use crate::verb::Is;

/// One thing that happened to a service while it is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The server took the verb.
    Accepted,
    /// A change began, with what is known of it.
    Going {
        /// When, as the server says.
        time: String,
        /// What.
        going: Going,
    },
    /// Any other event.
    Told {
        /// When, as the server says.
        time: String,
        /// What.
        fact: Fact,
    },
    /// The instances as they are now.
    Rows(Vec<Row>),
    /// It ended; where it failed, with what is known of that.
    Ended(Outcome, Option<Box<Failure>>),
    /// The server would not have it, or cannot be heard any more.
    Broken {
        /// Why.
        reason: String,
        /// What the command ends with for it.
        exit: crate::exit::Exit,
    },
}

/// A follower's words: of which service, what was asked of it, what happened.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The service.
    pub(crate) service: String,
    /// What was asked.
    pub(crate) asked: Is,
    /// What happened.
    pub(crate) news: News,
}

/// A line to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Say {
    /// Without its newline.
    pub(crate) text: String,
    /// Something went wrong: it is said even to who wants quiet.
    pub(crate) trouble: bool,
}

impl Say {
    /// A line that may be left out.
    pub(crate) fn plain(text: String) -> Say {
        Say { text, trouble: false }
    }

    /// A line that is always said.
    pub(crate) fn trouble(text: String) -> Say {
        Say { text, trouble: true }
    }
}

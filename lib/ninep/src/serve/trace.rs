//! A line for each message, as `-D` of Plan 9's file servers gives.

use crate::wire::{Dialect, Rmsg, Tmsg, frame_size, tag_of};

/// Says the messages of one connection.
#[derive(Clone, Copy)]
pub(super) struct Trace {
    pub(super) connection: u64,
}

impl Trace {
    pub(super) fn asked(self, frame: &[u8], dialect: Option<Dialect>) {
        let (connection, tag) = (self.connection, tag_of(frame));
        match Tmsg::decode(frame, dialect.unwrap_or(Dialect::P9)) {
            Ok((_, message)) => tracing::info!(target: "9p", "<-{connection}- tag {tag} {message}"),
            Err(error) => tracing::info!(target: "9p", "<-{connection}- tag {tag} ({error})"),
        }
    }

    /// Says the whole messages that `replies` consists of.
    pub(super) fn answered(self, mut replies: &[u8], dialect: Option<Dialect>) {
        let connection = self.connection;
        while let Ok(Some(size)) = frame_size(replies, u32::MAX) {
            let Some((frame, rest)) = replies.split_at_checked(size) else { return };
            let tag = tag_of(frame);
            match Rmsg::decode(frame, dialect.unwrap_or(Dialect::P9)) {
                Ok((_, message)) => {
                    tracing::info!(target: "9p", "-{connection}-> tag {tag} {message}");
                }
                Err(error) => tracing::info!(target: "9p", "-{connection}-> tag {tag} ({error})"),
            }
            replies = rest;
        }
    }
}

//! A line for each message, as `-D` of Plan 9's file servers gives.

use crate::wire::{Data, Dialect, Rmsg, Tmsg, frame_size, tag_of};

/// Says the messages of one connection.
#[derive(Clone, Copy)]
pub(super) struct Trace {
    pub(super) connection: u64,
}

impl Trace {
    /// Says a message; `hidden` without the data in it.
    pub(super) fn asked(self, frame: &[u8], dialect: Option<Dialect>, hidden: bool) {
        tracing::info!(target: "9p", "{}", self.line_asked(frame, dialect, hidden));
    }

    /// Says the whole messages that `replies` consists of.
    pub(super) fn answered(self, mut replies: &[u8], dialect: Option<Dialect>) {
        while let Ok(Some(size)) = frame_size(replies, u32::MAX) {
            let Some((frame, rest)) = replies.split_at_checked(size) else { return };
            tracing::info!(target: "9p", "{}", self.line_answered(frame, dialect));
            replies = rest;
        }
    }

    pub(super) fn line_asked(self, frame: &[u8], dialect: Option<Dialect>, hidden: bool) -> String {
        let message = match Tmsg::decode(frame, dialect.unwrap_or(Dialect::P9)) {
            Ok((_, Tmsg::Write { fid, offset, data })) if hidden => {
                let rest = Tmsg::Write { fid, offset, data: Data(&[]) };
                format!("{rest}, {} hidden", data.0.len())
            }
            Ok((_, message)) => message.to_string(),
            Err(error) => error.to_string(),
        };
        format!("<-{}- tag {} {message}", self.connection, tag_of(frame))
    }

    pub(super) fn line_answered(self, frame: &[u8], dialect: Option<Dialect>) -> String {
        let message = Rmsg::decode(frame, dialect.unwrap_or(Dialect::P9));
        let message = message.map_or_else(|error| error.to_string(), |(_, m)| m.to_string());
        format!("-{}-> tag {} {message}", self.connection, tag_of(frame))
    }
}

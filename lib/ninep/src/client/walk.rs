//! Getting to a file and doing something there, in one write.

use std::sync::Arc;

use super::ClientError;
use super::fid::Fid;
use super::link::Link;
use super::message::{Ask, Reply};

/// What is said when a walk ends early for a reason that is gone when it is asked for.
const GONE: &str = "file does not exist";

/// How far a walk came.
pub(super) enum Reached {
    /// To the end: the fid, and the answers to what was asked there.
    There(Arc<Fid>, Replies),
    /// Not to the end.
    Stuck(Stuck),
}

/// A walk that ended early.
pub(super) struct Stuck {
    /// How many names it came.
    pub(super) at: usize,
    /// The server's reason; it gives none when the first names of a message were fine (walk(5)).
    why: Option<String>,
}

/// Answers in the order of the questions.
pub(super) struct Replies(std::vec::IntoIter<Result<Reply, ClientError>>);

impl Replies {
    /// The next one.
    pub(super) fn next(&mut self) -> Result<Reply, ClientError> {
        let missing = || Err(ClientError::Protocol("an answer is missing".to_owned()));
        self.0.next().unwrap_or_else(missing)
    }
}

/// Walks a new fid to `names` and sends `asks` right behind. When the walk ends early, the fid
/// is not there and the server refuses them all.
pub(super) async fn reach<'a>(
    link: &Link,
    names: &[&'a str],
    asks: impl IntoIterator<Item = Ask<'a>>,
) -> Result<Reached, ClientError> {
    let mut batch = link.batch();
    let walks = batch.walk(names);
    asks.into_iter().for_each(|ask| batch.ask(ask));
    let (fid, pending) = batch.send().await?;
    let mut replies = Vec::with_capacity(pending.len());
    for reply in pending {
        replies.push(reply.await);
    }
    let rest = replies.split_off(walks);
    let mut at = 0;
    for reply in replies {
        match reply {
            Ok(Reply::Walk { names, whole }) => {
                at += names;
                if !whole {
                    return Ok(Reached::Stuck(Stuck { at, why: None }));
                }
            }
            Ok(_) => return Err(ClientError::Protocol("a walk without Rwalk".to_owned())),
            Err(ClientError::Refused(why)) => {
                return Ok(Reached::Stuck(Stuck { at, why: Some(why) }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Reached::There(fid, Replies(rest.into_iter())))
}

/// Like `reach`, for those to whom being stuck is an error.
pub(super) async fn go<'a>(
    link: &Link,
    names: &[&'a str],
    asks: impl IntoIterator<Item = Ask<'a>>,
) -> Result<(Arc<Fid>, Replies), ClientError> {
    match reach(link, names, asks).await? {
        Reached::There(fid, replies) => Ok((fid, replies)),
        Reached::Stuck(stuck) => Err(stuck.reason(link, names).await),
    }
}

impl Stuck {
    /// The server's text for the name where the walk ended: asked for again, one name on its
    /// own, when the answer had none.
    pub(super) async fn reason(self, link: &Link, names: &[&str]) -> ClientError {
        if let Some(why) = self.why {
            return ClientError::Refused(why);
        }
        let Some(missing) = names.get(self.at) else {
            return ClientError::Protocol("Rwalk has more names than Twalk".to_owned());
        };
        let step = [Ask::Step { name: missing }];
        match reach(link, &names[..self.at], step).await {
            Ok(Reached::There(_, mut replies)) => match replies.next() {
                Ok(_) => ClientError::Refused(GONE.to_owned()),
                Err(error) => error,
            },
            Ok(Reached::Stuck(Stuck { why, .. })) => {
                ClientError::Refused(why.unwrap_or_else(|| GONE.to_owned()))
            }
            Err(error) => error,
        }
    }
}

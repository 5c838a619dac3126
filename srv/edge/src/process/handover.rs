//! One edge takes over from another: over the talk at `STATE/edge.up`.
//!
//! ```text
//! the new one                           the old one
//! (connects)                            socket PLACE, missing …   all it has
//!                                       sockets                   that was all
//! yield                                 socket PLACE …            all it has by now
//!                                       yielded                   it does not follow deployfs
//! took                                                            it leaves
//! ```
//!
//! Law: at no time do two edges speak to `deployfs` as one, and at no time does nobody accept.
//! The old one stops following, so that nothing is said to have drained, before the new one
//! serves; it accepts until the new one does. When the talk ends before `took`, the old one goes
//! on as if nothing had been. The new worker itself says `yield` and `took`: whether it lives is
//! then the same question as whether it has taken over.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::crew::{tell, told};
use super::sockets::Sockets;
use super::talk::Talk;

/// How long a new edge may take to start; it reads a table from the disk meanwhile.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long one answer may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// What a new edge wants of the one that serves.
#[derive(Debug)]
pub(crate) enum Step {
    /// To stop following, and its sockets after that.
    Yield(oneshot::Sender<Sockets>),
    /// To leave.
    Took,
    /// Nothing: it is gone.
    Lost,
}

/// Gives everything to a new edge; `steps` hears what it wants.
pub(crate) async fn give(talk: Talk, sockets: Sockets, steps: mpsc::Sender<Step>) {
    let last = match give_all(&talk, &sockets, &steps).await {
        Ok(()) => Step::Took,
        Err(why) => {
            tracing::warn!("not taken over: {why}");
            Step::Lost
        }
    };
    // The one who hears has ended, and everything with it.
    let _ = steps.send(last).await;
}

async fn give_all(talk: &Talk, sockets: &Sockets, steps: &mpsc::Sender<Step>) -> io::Result<()> {
    timeout(STEP_TIME_MAX, tell(talk, sockets)).await??;
    talk.say("sockets").await?;
    expect(talk, "yield", START_TIME_MAX).await?;
    let (reply, replied) = oneshot::channel();
    steps.send(Step::Yield(reply)).await.map_err(io::Error::other)?;
    let now = timeout(STEP_TIME_MAX, replied).await?.map_err(io::Error::other)?;
    timeout(STEP_TIME_MAX, tell(talk, &now)).await??;
    talk.say("yielded").await?;
    expect(talk, "took", STEP_TIME_MAX).await
}

async fn expect(talk: &Talk, word: &str, within: Duration) -> io::Result<()> {
    match timeout(within, talk.hear()).await?? {
        Some(said) if said.line == word => Ok(()),
        Some(said) => Err(io::Error::other(format!("`{}` in place of `{word}`", said.line))),
        None => Err(io::Error::other("the new one has ended")),
    }
}

/// All that the edge at the other end has.
pub(crate) async fn receive(talk: &Talk) -> io::Result<Sockets> {
    until(talk, "sockets").await
}

/// Asks the edge at the other end to stop following, and waits for that; gives its sockets.
pub(crate) async fn ask_to_yield(talk: &Talk) -> io::Result<Sockets> {
    talk.say("yield").await?;
    until(talk, "yielded").await
}

async fn until(talk: &Talk, word: &str) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    loop {
        let said = timeout(STEP_TIME_MAX, talk.hear()).await??;
        let said = said.ok_or_else(|| io::Error::other("the edge that serves has ended"))?;
        match told(&mut sockets, said) {
            None => {}
            Some(said) if said.line == word => return Ok(sockets),
            Some(said) => {
                let why = format!("the edge that serves said `{}`", said.line);
                return Err(io::Error::other(why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sockets::{Place, Wanted};

    fn ends() -> (Talk, Talk) {
        let (one, other) = Talk::pair().unwrap();
        (one, Talk::over(other).unwrap())
    }

    fn http() -> Sockets {
        let mut sockets = Sockets::default();
        sockets.want(&Wanted { http: Some("127.0.0.1:0".into()), ..Wanted::default() });
        sockets
    }

    #[tokio::test]
    async fn the_new_one_gets_what_is_there_at_first_and_what_came_meanwhile() {
        let (old, new) = ends();
        let (steps, mut heard) = mpsc::channel(4);
        let mut sockets = http();
        tokio::spawn(give(old, sockets.clone(), steps));
        let first = receive(&new).await.unwrap();
        let place = Place::Http("127.0.0.1:0".into());
        assert_eq!(first.address(&place), sockets.address(&place));
        let yielding = tokio::spawn(async move {
            let now = ask_to_yield(&new).await.unwrap();
            new.say("took").await.unwrap();
            now
        });
        let Some(Step::Yield(reply)) = heard.recv().await else { panic!("no yield") };
        sockets.put(Place::Tcp(1), tempfile::tempfile().unwrap().into());
        reply.send(sockets).unwrap();
        assert!(yielding.await.unwrap().get(&Place::Tcp(1)).is_some());
        assert!(matches!(heard.recv().await, Some(Step::Took)));
    }

    #[tokio::test]
    async fn one_that_ends_before_it_took_over_is_lost() {
        for yields in [false, true] {
            let (old, new) = ends();
            let (steps, mut heard) = mpsc::channel(4);
            tokio::spawn(give(old, http(), steps));
            receive(&new).await.unwrap();
            if yields {
                let asked = tokio::spawn(async move { ask_to_yield(&new).await.unwrap() });
                let Some(Step::Yield(reply)) = heard.recv().await else { panic!("no yield") };
                reply.send(http()).unwrap();
                asked.await.unwrap();
            } else {
                drop(new);
            }
            assert!(matches!(heard.recv().await, Some(Step::Lost)));
        }
    }
}

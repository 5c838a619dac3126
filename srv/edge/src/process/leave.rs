//! The word that this process is to go: no new connections, the present ones to their end.

use tokio::sync::watch;

/// Hears the word; clones hear the same one.
#[derive(Clone, Debug)]
pub(crate) struct Leave(watch::Receiver<bool>);

/// Says it.
#[derive(Debug)]
pub(crate) struct Leaving(watch::Sender<bool>);

impl Leaving {
    /// Nobody is to go yet.
    pub(crate) fn new() -> Leaving {
        Leaving(watch::Sender::new(false))
    }

    /// One who hears it.
    pub(crate) fn hear(&self) -> Leave {
        Leave(self.0.subscribe())
    }

    /// Says the word, once and for all.
    pub(crate) fn say(&self) {
        self.0.send_replace(true);
    }
}

impl Leave {
    /// Ends when the word is said, at once when it was said before.
    pub(crate) async fn said(&self) {
        // Nobody who could say it is left: the process ends.
        let _ = self.0.clone().wait_for(|said| *said).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_word_is_heard_by_all_whenever_they_ask() {
        let leaving = Leaving::new();
        let leave = leaving.hear();
        let early = tokio::spawn({
            let leave = leave.clone();
            async move { leave.said().await }
        });
        leaving.say();
        early.await.unwrap();
        leave.said().await;
    }
}

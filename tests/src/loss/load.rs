//! An open-loop load: requests begin when it is their time, whether or not earlier ones have
//! ended, as those of many users do. A closed loop would wait while the service is away, and see
//! less of it.

use super::score::{Score, Wrong};
use super::{once, pool, stream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
}

/// The kinds of clients: a name, and requests begun in a second.
const KINDS: &[(Kind, &str, u32)] = &[
    (Kind::Once, "a connection", 50),
    (Kind::Pool, "keep-alive", 80),
    (Kind::Slow, "4 seconds", 5),
    (Kind::Post, "post", 25),
    (Kind::Http2, "http/2", 35),
    (Kind::Socket, "websocket", 2),
    (Kind::Events, "events", 3),
];
/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Once,
    Pool,
    Slow,
    Post,
    Http2,
    Socket,
    Events,
}

/// A load that goes on.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
    score: Arc<Score>,
}

impl Load {
    /// Begins: 200 requests a second of all kinds.
    pub(crate) fn begin(target: &Target) -> Load {
        let (stop, stopped) = watch::channel(false);
        let (score, mut clients) = (Arc::new(Score::default()), JoinSet::new());
        for (kind, name, rate) in KINDS {
            let client = client(*kind, name, *rate, target.clone(), score.clone(), stopped.clone());
            clients.spawn(client);
        }
        Load { stop, clients, score }
    }

    /// What became of its requests so far.
    pub(crate) fn score(&self) -> &Score {
        &self.score
    }

    /// Begins no more requests, waits for those that are under way, and gives the score.
    pub(crate) async fn end(self) -> Arc<Score> {
        let Load { stop, clients, score } = self;
        stop.send_replace(true);
        clients.join_all().await;
        score
    }
}

/// Begins requests of one kind at their times until it is told to stop.
async fn client(
    kind: Kind,
    name: &'static str,
    rate: u32,
    target: Target,
    score: Arc<Score>,
    mut stopped: watch::Receiver<bool>,
) {
    let pool = Arc::new(pool::Pool::default());
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        while under_way.try_join_next().is_some() {}
        let (target, score, pool) = (target.clone(), score.clone(), pool.clone());
        under_way.spawn(async move {
            let begun = Instant::now();
            let late = || Err(Wrong::Failed("no end".to_owned()));
            let outcome = timeout(PATIENCE, ask(kind, &target, &pool)).await;
            score.count(name, begun.elapsed(), outcome.unwrap_or_else(|_| late()));
        });
    }
    under_way.join_all().await;
}

async fn ask(kind: Kind, target: &Target, pool: &pool::Pool) -> Result<(), Wrong> {
    match kind {
        Kind::Once => once::get(target, "/").await,
        Kind::Slow => once::get(target, "/slow").await,
        Kind::Pool => pool.get(target).await,
        Kind::Http2 => pool.get_http2(target).await,
        Kind::Post => once::post(target).await,
        Kind::Socket => stream::socket(target).await,
        Kind::Events => stream::events(target).await,
    }
}

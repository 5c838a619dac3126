//! Orders as they are due, for as long as this process speaks for the edge.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::sleep;

use super::Settings;
use super::hosts::{self, Hosts};
use super::news::News;
use super::order::{About, Authority, Failed, Issued};
use super::plan::{Held, Outcome, Pace, Plan, Time, Tried};
use super::store::Store;
use super::told;
use crate::swap::{Note, Shared};
use crate::tls;

/// The longest sleep: a clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(600);

/// Places orders until it is stopped.
pub(crate) struct Orders {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Orders {
    /// Orders from that authority what the table needs from now on; `dir` is where what is got
    /// is kept.
    pub(crate) fn start(shared: Arc<Shared>, settings: Settings, dir: PathBuf, pace: Pace) -> Self {
        let stop = watch::Sender::new(false);
        let heard = stop.subscribe();
        let task = tokio::spawn(async move {
            let opened = spawn_blocking(move || {
                let store = Store::open(dir)?;
                let tried = store.tried()?;
                Ok((store, tried))
            });
            match opened.await.map_err(io::Error::other).flatten() {
                Ok((store, tried)) => {
                    Desk::new(shared, settings, store, pace, tried).work(heard).await;
                }
                Err(why) => {
                    let text = format!("certificates cannot be kept: {why}");
                    tracing::warn!("{text}");
                    shared.tls.told(format!("acme={}\nacme_wrong={text}\n", settings.url));
                    shared.note(Note::Told { text });
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it: afterwards nothing is asked for, and what is on disk is what was asked for.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        // It panicked, or its runtime ends: either way it has ended.
        let _ = self.task.await;
    }
}

struct Desk {
    shared: Arc<Shared>,
    settings: Settings,
    store: Store,
    authority: Arc<Authority>,
    plan: Plan,
    news: News,
    orders: JoinSet<(String, Result<Issued, Failed>)>,
    /// What cannot be written; empty: nothing.
    wrong: String,
}

impl Desk {
    fn new(
        shared: Arc<Shared>,
        settings: Settings,
        store: Store,
        pace: Pace,
        (hosts, all): (BTreeMap<String, Tried>, Tried),
    ) -> Desk {
        let salt = RandomState::new().hash_one(0);
        let proofs = Arc::clone(&shared.tls.proofs);
        let authority = Arc::new(Authority::new(settings.clone(), store.clone(), proofs));
        let news = News::new(&hosts, &all);
        let (plan, orders) = (Plan::new(pace, salt, hosts, all), JoinSet::new());
        Desk { shared, settings, store, authority, plan, news, orders, wrong: String::new() }
    }

    async fn work(mut self, mut stop: watch::Receiver<bool>) {
        let mut tables = self.shared.generations();
        let mut looks = self.shared.tls.looks();
        self.sweep().await;
        loop {
            // Marked as seen first: what changes after the look wakes this up.
            tables.mark_unchanged();
            looks.mark_unchanged();
            let now = now();
            let hosts = self.hosts(now);
            self.news.look(&hosts.all, now).into_iter().for_each(|line| self.tell(Some(line)));
            let due = self.plan.due(&hosts.all, now);
            if !due.orders.is_empty() {
                self.begin(&due.orders, now).await;
            }
            self.shared.tls.told(told::lines(&self.settings, &hosts, &self.plan, &self.wrong));
            let wait = due.next.and_then(|next| (next - now).to_std().ok()).unwrap_or(SLEEP_MAX);
            let ended = tokio::select! {
                _ = stop.changed() => break,
                _ = tables.changed() => None,
                _ = looks.changed() => None,
                ended = self.orders.join_next(), if !self.orders.is_empty() => ended,
                () = sleep(wait.min(SLEEP_MAX)) => None,
            };
            if let Some(ended) = ended {
                self.ended(ended).await;
            }
        }
        self.orders.shutdown().await;
        self.shared.tls.told(String::new());
    }

    fn hosts(&self, now: Time) -> Hosts {
        hosts::of(&self.shared.live().table, |name| match self.shared.tls.held(name, now) {
            None => Held::Nothing,
            Some((false, _)) => Held::Given,
            Some((true, valid)) => Held::Ordered(valid),
        })
    }

    /// Begins orders, once it is on disk that they were begun.
    async fn begin(&mut self, hosts: &[String], now: Time) {
        let before = self.plan.clone();
        hosts.iter().for_each(|host| self.plan.begin(host, now));
        self.keep().await;
        if !self.wrong.is_empty() {
            // Who cannot remember what he asked for must not ask.
            self.plan = before;
            return;
        }
        for host in hosts {
            tracing::info!("certificate for {host}: ordered from {}", self.settings.url);
            let (authority, host) = (Arc::clone(&self.authority), host.clone());
            self.orders.spawn(async move {
                let ordered = authority.order(&host).await;
                (host, ordered)
            });
        }
    }

    async fn ended(&mut self, ended: Result<(String, Result<Issued, Failed>), JoinError>) {
        // An order that panicked is under way for ever: nothing good came of asking.
        let Ok((host, ordered)) = ended else { return };
        let outcome = match ordered {
            Ok(issued) => {
                self.sweep().await;
                self.take(&host, issued).await
            }
            Err(Failed { why, about: About::All, rest }) => Outcome::Unreached { why, rest },
            Err(Failed { why, about: About::Host | About::Account, rest }) => {
                Outcome::Refused { why, rest }
            }
        };
        if let Outcome::Refused { why, .. } | Outcome::Unreached { why, .. } = &outcome {
            tracing::warn!("certificate for {host}: {why}");
        }
        let line = match &outcome {
            Outcome::Got(valid) => Some(self.news.got(&host, *valid)),
            Outcome::Refused { why, .. } => self.news.refused(&host, why),
            Outcome::Unreached { why, .. } => self.news.unreached(&self.settings.url, why),
        };
        self.tell(line);
        self.plan.end(&host, outcome, now());
        self.keep().await;
    }

    /// Tells a line to whoever follows the events.
    fn tell(&self, line: Option<String>) {
        line.into_iter().for_each(|text| self.shared.note(Note::Told { text }));
    }

    /// Serves what was got, and keeps it for the next process.
    async fn take(&self, host: &str, issued: Issued) -> Outcome {
        let (store, tls, name) = (self.store.clone(), self.shared.tls.clone(), host.to_owned());
        let kept = spawn_blocking(move || {
            let Issued { key, chain } = issued;
            let checked = tls::check(chain.as_bytes(), key.as_bytes(), "its key", now());
            let valid = match checked {
                Ok(checked) if checked.names.contains(&name) => checked.valid,
                Ok(_) => return Ok(Err("it is for another name".to_owned())),
                Err(why) => return Ok(Err(why)),
            };
            store.keep_certificate(&name, &key, &chain)?;
            tls.look();
            Ok(Ok(valid))
        });
        let rest = None;
        match kept.await.map_err(io::Error::other).flatten() {
            Ok(Ok(valid)) => Outcome::Got(valid),
            Ok(Err(why)) => Outcome::Refused { why: format!("what came is wrong: {why}"), rest },
            Err(why) => Outcome::Unreached { why: format!("it cannot be kept: {why}"), rest },
        }
    }

    /// Takes away what has expired of hosts that are not in the table any more.
    async fn sweep(&self) {
        let hosts = self.hosts(now()).all;
        let store = self.store.clone();
        let swept = spawn_blocking(move || {
            for host in store.certificates()?.iter().filter(|host| !hosts.contains_key(*host)) {
                let chain = store.certificate(host)?;
                if tls::end(chain.as_bytes()).is_some_and(|end| end < now()) {
                    store.remove_certificate(host)?;
                }
            }
            Ok(())
        });
        if let Err(why) = swept.await.map_err(io::Error::other).flatten() {
            tracing::warn!("certificates that have expired stay: {why}");
        }
    }

    async fn keep(&mut self) {
        let (hosts, all) = self.plan.tried();
        let (store, tried) = (self.store.clone(), (hosts.clone(), all.clone()));
        let kept = spawn_blocking(move || store.keep_tried(&tried)).await;
        self.wrong = match kept.map_err(io::Error::other).flatten() {
            Ok(()) => String::new(),
            Err(why) => format!("what was tried cannot be kept, so nothing is ordered: {why}"),
        };
        let line = self.news.wrong(&self.wrong);
        self.tell(line);
    }
}

fn now() -> Time {
    SystemTime::now().into()
}

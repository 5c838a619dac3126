//! An authority that hands out certificates by ACME (RFC 8555), for tests: small and strict. It
//! really fetches each proof, checks every signature and nonce, and can be told to misbehave.
//!
//! Never: runs for users; asks anybody but the port that it was told.

mod door;
mod issue;
mod jws;
mod orders;
mod wicked;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use issue::Root;
use orders::Orders;

pub(crate) use wicked::Wicked;

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it behaves; may be changed at any time.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// The port of loopback at which proofs are looked for.
    pub(crate) port: u16,
    /// How long certificates hold.
    pub(crate) life: Duration,
    /// So many more requests are told that their nonce is no good.
    pub(crate) bad_nonces: u32,
    /// So many more orders are told that there were too many.
    pub(crate) rate_limits: u32,
    /// The rest that those are asked to take, in seconds.
    pub(crate) rest: String,
    /// So many more proofs are not taken, however good they are.
    pub(crate) refusals: u32,
    /// So many more orders end without a certificate and without a word, although all was proven.
    pub(crate) silent_ends: u32,
    /// Proofs are looked at when this is false.
    pub(crate) holds: bool,
    /// Whatever is asked for is answered in this way.
    pub(crate) wicked: Option<Wicked>,
}

/// What it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections.
    pub(crate) connections: u32,
    /// Accounts that were made.
    pub(crate) accounts: u32,
    /// Orders, also those that were told to come later.
    pub(crate) orders: u32,
    /// The most orders for one name that were open at once.
    pub(crate) at_once: u32,
    /// Proofs that were asked for and fetched.
    pub(crate) proofs: u32,
    /// Certificates that were fetched.
    pub(crate) issued: u32,
    /// Requests that broke a rule.
    pub(crate) faults: u32,
}

/// The authority; ends when it is dropped.
pub(crate) struct Authority {
    /// Its directory.
    pub(crate) url: String,
    dir: TempDir,
    inside: Arc<Inside>,
    serving: tokio::task::JoinHandle<()>,
}

struct Inside {
    /// Where its things are: `https://HOST:PORT`.
    base: String,
    root: Root,
    ways: watch::Sender<Ways>,
    seen: watch::Sender<Seen>,
    orders: Mutex<Orders>,
}

impl Authority {
    /// Serves at a free port; proofs are looked for at that port of loopback.
    pub(crate) async fn start(port: u16) -> Authority {
        let root = Root::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let base = format!("https://localhost:{own}");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("root.pem"), root.pem()).expect("the root");
        let ways = Ways {
            port,
            life: Duration::from_secs(90 * 24 * 60 * 60),
            bad_nonces: 0,
            rate_limits: 0,
            rest: String::new(),
            refusals: 0,
            silent_ends: 0,
            holds: false,
            wicked: None,
        };
        let inside = Arc::new(Inside {
            base: base.clone(),
            root,
            ways: watch::Sender::new(ways),
            seen: watch::Sender::default(),
            orders: Mutex::default(),
        });
        let serving = tokio::spawn(door::serve(listener, Arc::clone(&inside)));
        Authority { url: format!("{base}/directory"), dir, inside, serving }
    }

    /// The certificate that vouches for it and for all that it hands out, in a file.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    /// Changes how it behaves.
    pub(crate) fn behave(&self, change: impl FnOnce(&mut Ways)) {
        self.inside.ways.send_modify(change);
    }

    /// Forgets every account that was made until now.
    pub(crate) fn forget_accounts(&self) {
        self.inside.orders().forget_accounts();
    }

    /// What it has seen until now.
    pub(crate) fn seen(&self) -> Seen {
        *self.inside.seen.borrow()
    }

    /// Waits until it has seen that.
    pub(crate) async fn until(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.inside.seen.subscribe();
        let waited = timeout(PATIENCE, seen.wait_for(|seen| wanted(seen))).await;
        let found = waited.map(|found| *found.expect("it lives"));
        found.unwrap_or_else(|_| panic!("it never came to that: {:?}", self.seen()))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inside {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().expect("nobody panicked")
    }

    fn count(&self, change: impl FnOnce(&mut Seen)) {
        self.seen.send_modify(change);
    }

    /// Takes one of a number of faults that are to be made.
    fn takes(&self, of: impl Fn(&mut Ways) -> &mut u32) -> bool {
        self.ways.send_if_modified(|ways| {
            let left = of(ways);
            let any = *left > 0;
            *left = left.saturating_sub(1);
            any
        })
    }
}

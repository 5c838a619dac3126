//! `kill -9` right after every sync of the journal that an update makes: of the server, of the
//! node, of both. The end is the same, nothing is lost or doubled, and no request fails.
//!
//! All syncs of a case are tried where `DEPLOY_TESTS_LONG` is set, else some of them.

use super::probe::Probe;
use super::stops::Stop;
use crate::rig::{PATIENCE, Rig, web};
use ninep::Stat;
use ninep::client::{Client, Mode};
use ninep::dial::Address;
use nix::sys::signal::{Signal, kill};
use std::collections::BTreeSet;
use tokio::time::timeout;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Node,
    Both,
}

const VICTIMS: [Victim; 3] = [Victim::Server, Victim::Node, Victim::Both];

/// Between two syncs that are tried in a short run; no multiple of the syncs of a commit, nor of
/// the victims, so that all of them get their turn.
const SHORT_STEP: u32 = 5;

/// Instances of updates that failed whose logs are kept.
const FAILED_KEPT_MAX: u32 = 3;

/// How the lines begin that say how something ended.
const ENDS: [&str; 4] = ["done ", "failed update", "rolled back", "cancelled"];
const CTL: &str = "active/web/ctl";

/// What happens to the service while somebody is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Update,
    Replace,
    UpdateFails,
    ReplaceFails,
    Rollback,
}

impl Case {
    fn manifest(self, image: &str) -> String {
        let more = match self {
            Case::Update | Case::UpdateFails | Case::Rollback => "",
            Case::Replace | Case::ReplaceFails => "update replace\n",
        };
        web(image) + "route shop.test /\n" + more
    }
}

/// Where a service is between two crashes.
struct Scene {
    rig: Rig,
    case: Case,
    node: Address,
    /// The image that runs.
    now: &'static str,
    /// Rounds so far, so that no two manifests are equal.
    rounds: u32,
}

impl Scene {
    async fn set(case: Case) -> Scene {
        let rig = Rig::with_edge().await;
        rig.push(&["v1", "v2", "v3"]).await;
        rig.manifest("web", &case.manifest("web:v1")).await.expect("right");
        rig.deploy(&["apply", "web"]).await.fine();
        let node = Address::Unix(rig.state().join("node.sock"));
        Scene { rig, case, node, now: "web:v1", rounds: 0 }
    }

    /// Writes what the next verb is about; answers the verb, and what runs when it has ended.
    async fn prepare(&mut self) -> (&'static str, &'static str) {
        self.rounds += 1;
        let other = if self.now == "web:v1" { "web:v2" } else { "web:v1" };
        match self.case {
            Case::Update | Case::Replace => {
                self.rig.manifest("web", &self.case.manifest(other)).await.expect("right");
                ("apply", other)
            }
            Case::UpdateFails | Case::ReplaceFails => {
                // A version of its own a round, or it would be the one that failed already.
                let round = format!("env ROUND={}\nhealth_deadline 1\n", self.rounds);
                let text = self.case.manifest("web:v3").replace("health_deadline 3\n", &round);
                self.rig.manifest("web", &text).await.expect("right");
                ("apply", self.now)
            }
            Case::Rollback => {
                if self.rounds == 1 {
                    self.rig.manifest("web", &self.case.manifest(other)).await.expect("right");
                    self.rig.deploy(&["apply", "web"]).await.fine();
                    ("rollback", self.now)
                } else {
                    ("rollback", other)
                }
            }
        }
    }

    /// Lines of `events` that say how something ended: one for every verb.
    async fn ends(&self) -> usize {
        let events = self.rig.cat("active/web/events").await;
        let told = events.lines().filter_map(|line| line.split_once(' '));
        told.filter(|(_, text)| ENDS.iter().any(|end| text.starts_with(end))).count()
    }

    /// Somebody is killed after that many syncs of what a verb brings about; false when it came
    /// to its end before.
    async fn strike(&mut self, syncs: u32, victim: Victim) -> bool {
        let (verb, then) = self.prepare().await;
        let what = format!("{:?} to {then}, {victim:?} after sync {syncs}", self.case);
        let before = (self.ends().await, self.serving().await);
        let known = answers(&self.rig.cat("events").await);
        let mut stop = Stop::after(self.rig.server_pid(), syncs).await;
        let (asking, waiting) = (self.rig.client().await, self.rig.client().await);
        let line = format!("{verb}\n");
        let ended = async {
            asking.write(CTL, line.as_bytes()).await.expect("accepted");
            waiting.read("active/web/wait").await.expect("an outcome");
        };
        let struck = tokio::select! {
            reached = stop.reached() => reached,
            () = ended => false,
        };
        if struck {
            self.kill(victim).await;
        }
        stop.release().await;
        if struck && victim != Victim::Node {
            self.rig.serve().await;
        }
        if struck {
            self.rig.until("events", |text| answers(text) > known).await;
        }
        self.rig.wait("web").await;
        if self.ends().await == before.0 {
            // Killed before it could say yes: who asked asks again.
            assert!(struck && victim != Victim::Node, "{what}: forgotten");
            self.rig.echo(verb, CTL).await.expect("accepted");
            self.rig.wait("web").await;
        }
        self.check(then, before, &what).await;
        self.now = then;
        struck
    }

    async fn kill(&mut self, victim: Victim) {
        if victim != Victim::Server {
            kill(self.rig.node_pid(), Signal::SIGKILL).expect("the node runs");
        }
        if victim != Victim::Node {
            self.rig.kill_server().await;
        }
    }

    /// The end is the one that it would have been.
    async fn check(&self, then: &str, before: (usize, BTreeSet<String>), what: &str) {
        let rig = &self.rig;
        let events = || async { rig.cat("active/web/events").await };
        assert_eq!(self.ends().await, before.0 + 1, "{what}: an end each\n{}", events().await);
        let outcome = rig.wait("web").await;
        let verdict = match self.case {
            Case::Update | Case::Replace => "done update",
            Case::UpdateFails | Case::ReplaceFails => "failed update",
            Case::Rollback => "rolled back",
        };
        assert!(outcome.starts_with(verdict), "{what}: {outcome}\n{}", events().await);
        assert_eq!(rig.cat("active/web/replicas").await, "3/3", "{what}\n{}", events().await);
        let manifest = rig.cat("active/web/manifest").await;
        assert!(manifest.contains(&format!("image {then}")), "{what}: {manifest}");
        let serving = self.serving().await;
        assert_eq!(serving.len(), 3, "{what}: {serving:?}\n{}", events().await);
        if self.case == Case::UpdateFails {
            assert_eq!(serving, before.1, "{what}: what works is not touched\n{}", events().await);
        }
        self.nothing_else_is_there(&serving, what).await;
    }

    /// The IDs of the instances that serve.
    async fn serving(&self) -> BTreeSet<String> {
        let client = self.rig.client().await;
        let places = client.list("active/web/instances").await.expect("listed");
        let mut found = BTreeSet::new();
        for place in places {
            let path = format!("active/web/instances/{}", name(&place));
            if self.rig.of_instance(&path, "state").await == "serving" {
                found.insert(self.rig.of_instance(&path, "id").await);
            }
        }
        found
    }

    /// The node has a container for every instance, and besides only what failed and is kept.
    async fn nothing_else_is_there(&self, serving: &BTreeSet<String>, what: &str) {
        let client = Client::dial(&self.node, "").await.expect("the node answers");
        let mut events = client.open("events", Mode::Read).await.expect("events");
        let (mut running, mut kept) = (BTreeSet::new(), 0);
        let settled = async {
            loop {
                (running, kept) = self.containers(&client).await;
                if running == *serving && kept <= self.failed() {
                    return;
                }
                events.read_next(8192).await.expect("events go on");
            }
        };
        let settled = timeout(PATIENCE, settled).await;
        assert!(settled.is_ok(), "{what}: {serving:?} serve, {running:?} run, {kept} are kept");
    }

    /// The IDs of the node's containers that run, and how many others there are.
    async fn containers(&self, client: &Client) -> (BTreeSet<String>, u32) {
        let (mut running, mut others) = (BTreeSet::new(), 0);
        for entry in client.list("instances").await.expect("listed") {
            let path = format!("instances/{}/status", name(&entry));
            match client.read(&path).await {
                Ok(text) if text.starts_with(b"state=running\n") => {
                    running.insert(name(&entry));
                }
                // One that went meanwhile is told.
                Ok(_) | Err(_) => others += 1,
            }
        }
        (running, others)
    }

    /// How many instances that have failed by themselves are kept.
    fn failed(&self) -> u32 {
        match self.case {
            Case::UpdateFails => self.rounds.min(FAILED_KEPT_MAX),
            Case::ReplaceFails => FAILED_KEPT_MAX,
            Case::Update | Case::Replace | Case::Rollback => 0,
        }
    }
}

/// How often a server has found its node.
fn answers(events: &str) -> usize {
    events.lines().filter(|line| line.contains(" node ") && line.ends_with(" answers")).count()
}

fn name(entry: &Stat) -> String {
    String::from_utf8_lossy(&entry.name).into_owned()
}

/// Strikes after each sync of a case, at everybody, until one comes to its end unhindered.
async fn the_end_is_the_same(case: Case) {
    let mut scene = Scene::set(case).await;
    let status = scene.rig.until("edges/main/status", |text| text.contains("http=")).await;
    let at = status.lines().find_map(|line| line.strip_prefix("http=")).expect("listens");
    let probe = Probe::begin(at.to_owned(), "shop.test");
    let long = std::env::var_os("DEPLOY_TESTS_LONG").is_some();
    let (mut syncs, mut tried) = (1, 0);
    'all: loop {
        let victims = if long { &VICTIMS[..] } else { &VICTIMS[tried % 3..][..1] };
        for victim in victims {
            if !scene.strike(syncs, *victim).await {
                break 'all;
            }
            tried += 1;
        }
        syncs += if long { 1 } else { SHORT_STEP };
    }
    let asked = probe.end().await;
    println!("{case:?}: killed {tried} times up to sync {syncs}, {} requests", asked.fine);
    assert!(tried >= 3, "an update syncs more often: {tried}");
    assert!(asked.wrong.is_empty(), "{case:?}: {} wrong: {:#?}", asked.wrong.len(), asked.wrong);
    scene.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_ends_the_same_whoever_is_killed_at_any_sync_of_it() {
    the_end_is_the_same(Case::Update).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_by_replacement_ends_the_same_whoever_is_killed_at_any_sync_of_it() {
    the_end_is_the_same(Case::Replace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_update_ends_the_same_whoever_is_killed_at_any_sync_of_it() {
    the_end_is_the_same(Case::UpdateFails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_replacement_ends_the_same_whoever_is_killed_at_any_sync_of_it() {
    the_end_is_the_same(Case::ReplaceFails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_ends_the_same_whoever_is_killed_at_any_sync_of_it() {
    the_end_is_the_same(Case::Rollback).await;
}

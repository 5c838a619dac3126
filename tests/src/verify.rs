//! The six points that a rolling update is verified by, once through `deploy` and once through
//! files alone, with a sampler that counts healthy instances all the while.

use crate::rig::{Rig, web};
use ninep::client::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Reads every instance's status again and again, and remembers the fewest that were healthy.
struct Sampler {
    stop: Arc<AtomicBool>,
    fewest: Arc<AtomicU32>,
    samples: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Sampler {
    fn start(client: Client) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let fewest = Arc::new(AtomicU32::new(u32::MAX));
        let samples = Arc::new(AtomicU32::new(0));
        let (stopped, least, count) = (stop.clone(), fewest.clone(), samples.clone());
        let task = tokio::spawn(async move {
            // The rate of sampling, not a wait for anything.
            let mut beat = tokio::time::interval(Duration::from_millis(10));
            while !stopped.load(Ordering::SeqCst) {
                if let Some(healthy) = sample(&client).await {
                    least.fetch_min(healthy, Ordering::SeqCst);
                    count.fetch_add(1, Ordering::SeqCst);
                }
                beat.tick().await;
            }
        });
        Sampler { stop, fewest, samples, task }
    }

    async fn end(self) -> u32 {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("sampled");
        assert!(self.samples.load(Ordering::SeqCst) > 5, "too few samples to mean anything");
        self.fewest.load(Ordering::SeqCst)
    }
}

/// How many instances are healthy; nothing when one came or went under the reading, which saw
/// neither how it was before nor how it is now.
async fn sample(client: &Client) -> Option<u32> {
    let names = async || {
        let stats = client.list("active/web/instances").await.ok()?;
        Some(stats.into_iter().map(|stat| stat.name).collect::<Vec<_>>())
    };
    let (before, mut healthy) = (names().await?, 0);
    for name in &before {
        let name = String::from_utf8_lossy(name);
        let status = client.read(&format!("active/web/instances/{name}/status")).await.ok()?;
        let status = String::from_utf8_lossy(&status).into_owned();
        let serves = status.lines().any(|line| line == "state=serving");
        healthy += u32::from(serves && status.lines().any(|line| line == "health=healthy"));
    }
    (names().await? == before).then_some(healthy)
}

async fn versions_of_instances(rig: &Rig) -> Vec<String> {
    let mut found = Vec::new();
    for n in 0..3 {
        found.push(rig.of_instance(&format!("active/web/instances/{n}"), "version").await);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_six_points_hold_by_the_command() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2", "v3"]).await;
    let file = rig.state().join("web");
    let apply = async |image: &str| {
        std::fs::write(&file, web(image)).expect("written");
        rig.deploy(&["apply", "-f", file.to_str().expect("UTF-8")]).await
    };

    // 1. Three replicas of v1, all healthy.
    apply("web:v1").await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    assert_eq!(rig.cat("active/web/health").await, "healthy");
    let v1 = rig.cat("active/web/version").await;

    // 2., 3., 4. A new image: new ones come up, old ones go, and never fewer than three serve.
    let sampler = Sampler::start(rig.client().await);
    let told = apply("web:v2").await;
    let fewest = sampler.end().await;
    told.fine();
    assert!(fewest >= 3, "only {fewest} were healthy at a moment");
    let v2 = rig.cat("active/web/version").await;
    assert_ne!(v1, v2);
    assert_eq!(rig.cat("active/web/previous_version").await, v1);
    assert_eq!(versions_of_instances(&rig).await, [v2.as_str(); 3]);
    assert_eq!(rig.cat("active/web/update_status").await, "none");

    // 5. A bad image: the update aborts, and the old ones are untouched.
    let before = instance_ids(&rig).await;
    let sampler = Sampler::start(rig.client().await);
    let told = apply("web:v3").await;
    assert!(sampler.end().await >= 3);
    told.refused(4, "health check timeout after 3");
    assert_eq!(rig.cat("active/web/update_status").await, "failed");
    assert_eq!(rig.cat("active/web/version").await, v2);
    assert_eq!(instance_ids(&rig).await, before);
    assert!(rig.cat("active/web/events").await.contains("failed"));

    // 6. Back to the version before.
    rig.deploy(&["rollback", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/update_status").await, "none");
    assert_eq!(rig.cat("active/web/version").await, v2);
    rig.deploy(&["rollback", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/version").await, v1);
    assert_eq!(versions_of_instances(&rig).await, [v1.as_str(); 3]);
    rig.end().await;
}

async fn instance_ids(rig: &Rig) -> Vec<String> {
    let mut found = Vec::new();
    for n in 0..3 {
        found.push(rig.of_instance(&format!("active/web/instances/{n}"), "id").await);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_six_points_hold_by_files_alone() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2", "v3"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.echo("apply", "active/web/ctl").await.expect("accepted");
    assert!(rig.wait("web").await.starts_with("done"), "{}", rig.cat("events").await);
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    let v1 = rig.cat("active/web/version").await;

    let sampler = Sampler::start(rig.client().await);
    rig.manifest("web", &web("web:v2")).await.expect("a right manifest");
    rig.echo("apply web", "ctl").await.expect("accepted");
    assert!(rig.wait("web").await.starts_with("done"));
    assert!(sampler.end().await >= 3);
    assert_eq!(rig.cat("active/web/previous_version").await, v1);
    assert_eq!(rig.cat("active/web/update_progress").await, "3/3");
    let events = rig.cat("active/web/events").await;
    assert!(events.contains("rolling update started v1→v2"), "{events}");
    assert_eq!(events.matches("old instance stopped").count(), 3, "{events}");

    rig.manifest("web", &web("web:v3")).await.expect("a right manifest");
    rig.echo("apply", "active/web/ctl").await.expect("accepted");
    assert!(rig.wait("web").await.starts_with("failed"));
    assert_eq!(rig.cat("active/web/update_status").await, "failed");
    assert_ne!(rig.cat("active/web/target_version").await, "");

    rig.echo("rollback", "active/web/ctl").await.expect("accepted");
    rig.wait("web").await;
    rig.echo("rollback", "active/web/ctl").await.expect("accepted");
    assert!(rig.wait("web").await.contains("v2→v1"), "{}", rig.cat("active/web/events").await);
    assert_eq!(rig.cat("active/web/version").await, v1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_update_stands_until_it_is_resumed() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.deploy(&["apply", "web"]).await.fine();
    rig.manifest("web", &(web("web:v2") + "update_pause 60\n")).await.expect("right");
    rig.deploy(&["apply", "--detach", "web"]).await.fine();
    rig.until("active/web/update_phase", |phase| phase == "pause").await;
    rig.deploy(&["pause", "web"]).await.fine();
    assert!(rig.wait("web").await.starts_with("paused"));
    assert_eq!(rig.cat("active/web/update_status").await, "paused");
    assert_eq!(rig.cat("active/web/update_progress").await, "1/3");
    rig.deploy(&["pause", "web"]).await.refused(1, "already paused");
    // An update that stands can be given up; the one that was replaced comes back.
    rig.deploy(&["resume", "--detach", "web"]).await.fine();
    rig.deploy(&["cancel", "web"]).await.fine();
    assert!(rig.wait("web").await.starts_with("cancelled"), "{}", rig.wait("web").await);
    assert_eq!(rig.cat("active/web/update_status").await, "none");
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scale_restart_stop_and_remove_do_as_they_say() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.deploy(&["apply", "web"]).await.fine();
    let told = rig.deploy(&["apply", "web"]).await;
    assert!(told.out.contains("unchanged") || told.err.contains("unchanged"), "{told:?}");
    let ids = instance_ids(&rig).await;
    rig.deploy(&["scale", "web", "5"]).await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "5/5");
    assert_eq!(instance_ids(&rig).await, ids, "scaling restarts nothing");
    assert!(rig.cat("manifests/web").await.contains("replicas 5"));
    rig.deploy(&["scale", "web", "3"]).await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.deploy(&["restart", "web"]).await.fine();
    let again = instance_ids(&rig).await;
    assert!(again.iter().all(|id| !ids.contains(id)), "{ids:?} {again:?}");
    rig.deploy(&["stop", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "0/0");
    rig.deploy(&["apply", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.deploy(&["remove", "web"]).await.fine();
    assert!(rig.client().await.list("active").await.expect("listed").is_empty());

    // One of the same name goes on with the numbers, for none is ever used twice.
    rig.manifest("web", &web("web:v1")).await.expect("a right manifest");
    rig.deploy(&["apply", "web"]).await.fine();
    let later = instance_ids(&rig).await;
    assert!(later.iter().all(|id| !ids.contains(id) && !again.contains(id)), "{later:?}");
    assert!(rig.cat("active/web/events").await.contains("first deploy started v"));
    rig.end().await;
}

//! The other ways an update can go: all at once, in larger batches, and back by itself.

use crate::rig::{Rig, web};

async fn at(version: &str) -> Rig {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2", "v3"]).await;
    rig.manifest("web", &web(&format!("web:{version}"))).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig
}

/// The version of the instance at each place.
async fn versions(rig: &Rig) -> Vec<String> {
    let mut found = Vec::new();
    for n in 0..3 {
        found.push(rig.of_instance(&format!("active/web/instances/{n}"), "version").await);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_stops_all_before_it_starts_all_and_goes_back_when_that_fails() {
    let rig = at("v1").await;
    let replace = |image: &str| web(image) + "update replace\n";
    rig.manifest("web", &replace("web:v2")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let v2 = rig.cat("active/web/version").await;
    assert_eq!(versions(&rig).await, [v2.as_str(); 3]);
    let events = rig.cat("active/web/events").await;
    let last_stop = events.rfind("old instance stopped").expect("stopped");
    let first_start = events.rfind("replace update started").expect("started");
    let healthy = events[last_stop..].matches(": healthy").count();
    assert!(last_stop > first_start && healthy == 3, "{events}");

    rig.manifest("web", &replace("web:v3")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(4, "health check timeout");
    rig.until("active/web/replicas", |text| text == "3/3").await;
    assert_eq!(versions(&rig).await, [v2.as_str(); 3]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_fails_goes_back_by_itself_when_the_manifest_says_so() {
    let rig = at("v1").await;
    let v1 = rig.cat("active/web/version").await;
    rig.manifest("web", &(web("web:v3") + "update_failure rollback\n")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.refused(3, "health check timeout");
    assert!(rig.wait("web").await.starts_with("rolled back"), "{}", rig.wait("web").await);
    assert_eq!(rig.cat("active/web/version").await, v1);
    assert_eq!(versions(&rig).await, [v1.as_str(); 3]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_two_starts_two_at_a_time() {
    let rig = at("v1").await;
    rig.manifest("web", &(web("web:v2") + "update_batch 2\n")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let events = rig.cat("active/web/events").await;
    let update = &events[events.find("rolling update started").expect("started")..];
    let first_stop = update.find("old instance stopped").expect("stopped");
    assert_eq!(update[..first_stop].matches(": healthy").count(), 2, "{update}");
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_do_not_touch_each_other() {
    let rig = at("v1").await;
    rig.manifest("api", &web("web:v1").replace("replicas 3", "replicas 2")).await.expect("right");
    rig.deploy(&["apply", "api"]).await.fine();
    let ids = [
        rig.of_instance("active/api/instances/0", "id").await,
        rig.of_instance("active/api/instances/1", "id").await,
    ];
    rig.manifest("web", &web("web:v3")).await.expect("right");
    rig.manifest("api", &web("web:v2").replace("replicas 3", "replicas 2")).await.expect("right");
    let told = rig.deploy(&["apply", "web", "api"]).await;
    told.refused(4, "web: failed");
    assert!(rig.wait("api").await.starts_with("done"), "api goes on when web fails");
    let again = rig.of_instance("active/api/instances/0", "id").await;
    assert!(!ids.contains(&again));
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.end().await;
}

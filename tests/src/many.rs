//! Many services on a node that runs nothing: what `bench many` measures comes to its end, with a
//! tenth of the services.

#[allow(dead_code, reason = "the bench uses the rest")]
#[path = "../bench/node/mod.rs"]
mod node;

use crate::rig::Rig;
use futures_util::{StreamExt as _, stream};
use node::Node;

const SERVICES: usize = 100;
const REPLICAS: usize = 3;
/// Manifests on their way at once; a server keeps few that are not closed yet.
const AT_ONCE: usize = 32;

fn name(n: usize) -> String {
    format!("service-{n:03}")
}

/// Writes and applies every manifest, many at once; gives the outcomes.
async fn apply(rig: &Rig) -> Vec<String> {
    let client = rig.client().await;
    let client = &client;
    let all = (0..SERVICES).map(|n| async move {
        let name = name(n);
        let text = format!(
            "image web:v1\nreplicas {REPLICAS}\nport 8080\nhealth http /health\n\
             route {name}.example.com /\nvalidate 0\n"
        );
        client.put(&format!("manifests/{name}"), text.as_bytes()).await.expect("kept");
        client.write(&format!("active/{name}/ctl"), b"apply").await.expect("accepted");
        let outcome = client.read(&format!("active/{name}/wait")).await.expect("an outcome");
        String::from_utf8_lossy(&outcome).trim_end().to_string()
    });
    stream::iter(all).buffer_unordered(AT_ONCE).collect().await
}

/// Every service is there with all it shall have, and at rest.
fn whole(status: &str) -> bool {
    let whole = format!("{REPLICAS}/{REPLICAS}");
    let well = |line: &&str| line.contains(&whole) && line.contains("healthy  none    idle");
    status.lines().skip(1).filter(well).count() == SERVICES
}

#[tokio::test(flavor = "multi_thread")]
async fn many_services_come_up_stay_as_they_are_are_repaired_and_are_adopted() {
    let dir = tempfile::Builder::new().prefix("deploy-test-").tempdir().expect("tempdir");
    let state = dir.path().canonicalize().expect("canonical");
    let node = Node::start(&state).expect("a node");
    let mut rig = Rig::at(state).await;

    let outcomes = apply(&rig).await;
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("done ")), "{outcomes:?}");
    assert!(whole(&rig.cat("status").await), "{}", rig.cat("status").await);
    assert_eq!(node.started(), SERVICES * REPLICAS);
    let outcomes = apply(&rig).await;
    assert!(outcomes.iter().all(|outcome| outcome == "unchanged v1"), "{outcomes:?}");

    let started = SERVICES * REPLICAS * 2;
    node.exit(&node.running());
    rig.until("status", |status| whole(status) && node.started() == started).await;

    rig.kill_server().await;
    rig.serve().await;
    assert!(whole(&rig.cat("status").await), "{}", rig.cat("status").await);
    let metrics = rig.cat("metrics").await;
    let serving = format!("deployfs_instances{{state=\"serving\"}} {}", SERVICES * REPLICAS);
    assert!(metrics.contains(&serving), "{metrics}");
    assert_eq!(node.started(), started, "what runs is adopted, and nothing is started again");
    rig.kill_server().await;
}

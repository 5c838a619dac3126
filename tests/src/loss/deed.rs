//! What is done to the service and to the machine while users ask.

use super::load::Load;
use super::shop::Shop;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Requests that have to be answered while something is away, and after it is back.
const MEANWHILE: usize = 200;

/// One thing that is done, to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// Another version, by a rolling update or as the manifest says.
    Update(&'static str),
    /// A version that never gets healthy.
    Bad,
    /// Back to what worked.
    Rollback,
    /// More instances, or fewer.
    Scale(&'static str),
    /// All instances anew.
    Restart,
    /// A new process in the place of the edge's.
    RestartEdge,
    /// A server of another build in the place of the one that runs, which renews the edge.
    Upgrade,
    /// The server ends as in a crash, and is started again.
    KillServer,
    /// The same with the node, which the server starts again.
    KillNode,
    /// The same with both at once.
    KillBoth,
    /// The same with the process that keeps the edge's sockets.
    KillSupervisor,
}

impl Deed {
    /// Does it, and waits until it is done.
    pub(crate) async fn done(self, shop: &mut Shop, load: &Load) {
        let rig = &mut shop.rig;
        match self {
            Deed::Update(version) => shop.update(version).await,
            Deed::Bad => shop.fail().await,
            Deed::Rollback => drop(rig.deploy(&["rollback", "shop"]).await.fine()),
            Deed::Scale(count) => drop(rig.deploy(&["scale", "shop", count]).await.fine()),
            Deed::Restart => drop(rig.deploy(&["restart", "shop"]).await.fine()),
            Deed::RestartEdge => {
                let before = shop.edge("pid").await;
                shop.rig.echo("restart", "edges/main/ctl").await.expect("accepted");
                shop.edge_where("pid", |pid| pid != before).await;
            }
            Deed::Upgrade => {
                let before = shop.edge("build").await;
                shop.rig.build_anew();
                shop.rig.end_server().await;
                shop.rig.serve().await;
                shop.edge_where("build", |build| build != before).await;
            }
            Deed::KillServer => {
                rig.kill_server().await;
                load.score().more(MEANWHILE).await;
                rig.serve().await;
            }
            Deed::KillNode => {
                let answers = |events: &str| events.matches(" answers").count();
                let before = answers(&rig.cat("events").await);
                kill(rig.node_pid(), Signal::SIGKILL).expect("killed");
                rig.until("events", |events| answers(events) > before).await;
            }
            Deed::KillBoth => {
                kill(rig.node_pid(), Signal::SIGKILL).expect("killed");
                rig.kill_server().await;
                load.score().more(MEANWHILE).await;
                rig.serve().await;
            }
            Deed::KillSupervisor => {
                let before = shop.edge("supervisor").await;
                kill(pid(&before), Signal::SIGKILL).expect("killed");
                shop.edge_where("supervisor", |pid| pid != before && pid != "0").await;
            }
        }
        load.score().more(MEANWHILE).await;
    }
}

/// A process by its number in a text.
pub(crate) fn pid(text: &str) -> Pid {
    Pid::from_raw(text.parse().expect("a process"))
}

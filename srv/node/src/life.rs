//! One instance's life: image, place in the network, `shim.json`, shim, and then the shim's word
//! until nothing is left. A stop before the shim exists cancels; afterwards it is passed on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

use crate::error::{Error, Result};
use crate::exe::{NETNS_FD, SECRETS_FD};
use crate::fact::{Fact, Order};
use crate::follow::{Follow, Shim};
use crate::id::Id;
use crate::means::Means;
use crate::net::{Lease, Place};
use crate::record;
use crate::spec::Spec;
use crate::volumes;
use crate::wire::Config;

/// All that a start needs but the launch, in the making or made; ends when it is dropped.
///
/// Law: it may begin before the instance's intent is on disk, so it makes nothing that outlives
/// the node, writes nothing into the instance's directory and says nothing of the instance.
#[derive(Debug)]
pub(crate) struct Preparing(JoinSet<Result<Ready>>);

impl Preparing {
    /// Begins it.
    pub(crate) fn begin(means: Arc<Means>, id: Id, spec: Arc<Spec>) -> Preparing {
        let mut set = JoinSet::new();
        set.spawn(async move { prepare(&means, &id, &spec).await });
        Preparing(set)
    }

    pub(crate) async fn ready(&mut self) -> Result<Ready> {
        let joined = self.0.join_next().await;
        joined.and_then(std::result::Result::ok).unwrap_or(Err(Error::Ended))
    }

    /// Gives up what was made for an instance that is not started after all.
    pub(crate) async fn give_back(mut self, means: &Means, id: &Id) {
        // First, so that the link is not made behind its removal.
        self.0.shutdown().await;
        means.net.leave(id).await;
    }
}

/// Starts an instance and stays until it is over.
pub(crate) async fn begin(
    means: Arc<Means>,
    id: Id,
    mut preparing: Preparing,
    mut orders: mpsc::Receiver<Order>,
) {
    let ready = tokio::select! {
        biased;
        () = given_up(&mut orders) => Err(record::never_ran()),
        ready = preparing.ready() => ready.map_err(failed),
    };
    let launched = match ready {
        Ok(ready) => launch(&means, &id, ready).await,
        Err(exit) => Err((exit, None)),
    };
    match launched {
        Ok(shim) => follow(means, id, shim, orders).await,
        Err((exit, lease)) => {
            // First, so that nothing of it comes behind its end.
            preparing.0.shutdown().await;
            retire(&means, &id, exit).await;
            means.net.leave(&id).await;
            drop(lease);
            means.say(Fact::Over(id)).await;
        }
    }
}

/// Stays with an instance that has a shim until it is over; also with one whose shim outlived
/// its node.
pub(crate) async fn follow(means: Arc<Means>, id: Id, shim: Shim, orders: mpsc::Receiver<Order>) {
    let lease = Follow::new(means.clone(), id.clone(), shim, orders).run().await;
    means.net.leave(&id).await;
    // The address is free only when nothing answers at it any more.
    drop(lease);
    means.say(Fact::Over(id)).await;
}

/// Writes down and says how an instance ended that no shim ran for.
pub(crate) async fn retire(means: &Arc<Means>, id: &Id, exit: crate::wire::Exit) {
    means.handed.forget(id);
    let (dir, said) = (means.dirs.instance(id), exit.clone().into());
    let written = spawn_blocking(move || record::write_exit(&dir, &exit)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!("{id}: {error}");
    }
    means.say(Fact::Said { id: id.clone(), said }).await;
}

fn failed(error: Error) -> crate::wire::Exit {
    record::failed(error.to_string(), error.permanent())
}

/// Waits until the instance shall not run after all. A signal for what does not run is nothing.
async fn given_up(orders: &mut mpsc::Receiver<Order>) {
    loop {
        match orders.recv().await {
            Some(Order::Signal(_)) => {}
            Some(Order::Stop { .. } | Order::Kill) => return,
            // The node is ending: it drops this task as well.
            None => std::future::pending().await,
        }
    }
}

/// All that a shim needs is there, but for its file.
#[derive(Debug)]
pub(crate) struct Ready {
    place: Place,
    /// The image's digest.
    digest: String,
    /// The text of `shim.json`.
    given: Vec<u8>,
    /// Held until the container is made.
    turn: OwnedSemaphorePermit,
}

async fn prepare(means: &Arc<Means>, id: &Id, spec: &Spec) -> Result<Ready> {
    let image = means.images.ensure(spec).await?;
    let turn = means.creates.clone().acquire_owned().await.map_err(|_| Error::Ended)?;
    let place = means.net.place(id, spec).await?;
    let dir = means.dirs.instance(id);
    let (layers, rootfs) = match image.in_place {
        true => (Vec::new(), image.layers.first()),
        false => (image.layers.clone(), None),
    };
    let lease = &place.lease;
    let config = Config {
        id: id.as_str(),
        cgroup_parent: &means.dirs.cgroup_parent(),
        layers: &layers,
        rootfs,
        image_config: &image.config,
        image_digest: &image.digest,
        spec: &place.spec,
        address: lease.with_bits(),
        gateway: lease.gateway().map(|gateway| gateway.to_string()),
        netns_fd: place.netns.as_ref().map(|_| NETNS_FD),
        volumes_dir: means.dirs.volumes(),
        secrets_fd: (!spec.secrets.is_empty()).then_some(SECRETS_FD),
        hosts: lease.hosts(&spec.hostname),
        resolv: means.net.resolv(lease, spec.dns),
    };
    let json = |why: serde_json::Error| Error::io("write", &dir.join(record::SHIM))(why.into());
    let given = serde_json::to_vec(&config).map_err(json)?;
    Ok(Ready { place, digest: image.digest, given, turn })
}

/// Starts the shim of an instance whose intent is on disk. Its file comes only now: a later node
/// that finds one takes it that there was a shim. Where it fails the lease is given back with the
/// reason: the address is somebody else's only when the link is gone.
async fn launch(
    means: &Means,
    id: &Id,
    ready: Ready,
) -> std::result::Result<Shim, (crate::wire::Exit, Option<Lease>)> {
    let Ready { place: Place { lease, netns, spec, warnings }, digest, given, turn } = ready;
    let (address, port) = (lease.ip(), spec.port);
    means.say(Fact::Placed { id: id.clone(), digest, address, port, warnings }).await;
    let (dir, at) = (means.dirs.instance(id), means.dirs.instance(id));
    let (dirs, of) = (means.dirs.clone(), spec.clone());
    let written = spawn_blocking(move || {
        volumes::make(&dirs, &of)?;
        record::write_loosely(&at, record::SHIM, &given)
    });
    let written = written.await;
    let written = written.unwrap_or(Err(Error::Ended));
    let secrets = (!spec.secrets.is_empty()).then(|| means.handed.take(id)).transpose();
    let given = written.and(secrets);
    match given.and_then(|secrets| means.exe.spawn(&dir, netns, secrets)) {
        Ok(child) => {
            let (spec, turn) = (Arc::new(spec), Some(turn));
            Ok(Shim { spec, lease, child: Some(child), turn, healthy: None })
        }
        Err(error) => Err((failed(error), Some(lease))),
    }
}

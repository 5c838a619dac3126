//! The service that users ask: three replicas of the target, behind the machine's own edge.

use super::load::Target;
use crate::rig::{Rig, bin};
use std::net::SocketAddr;

/// The host that users ask for.
const HOST: &str = "shop.test";

/// It, and the server that keeps it.
pub(crate) struct Shop {
    pub(crate) rig: Rig,
    /// Lines of its manifest, beside those that every one has.
    lines: String,
}

impl Shop {
    /// Deploys it: what TERM does to its program, and what else its manifest says.
    pub(crate) async fn open(on_term: &str, lines: &str) -> Shop {
        let rig = Rig::with_edge().await;
        let shop = Shop { rig, lines: format!("env ON_TERM={on_term}\n{lines}") };
        let program = bin("target");
        let push = ["push", "target:v1", program.to_str().expect("a path")];
        shop.rig.deploy(&push).await.fine();
        shop.update("v1").await;
        shop
    }

    pub(crate) fn manifest(&self, version: &str, health: &str) -> String {
        format!(
            "image target:v1\nreplicas 3\nport 8080\nmemory 128M\nhealth http {health}\n\
             route {HOST} / websocket\ndrain 20\nstop_timeout 1\nhealth_deadline 20\n\
             env VERSION={version}\n{}",
            self.lines
        )
    }

    /// Says what it should be.
    pub(crate) async fn write(&self, version: &str) {
        let text = self.manifest(version, "/health");
        self.rig.manifest("shop", &text).await.expect("right");
    }

    /// Brings it to this version.
    pub(crate) async fn update(&self, version: &str) {
        self.write(version).await;
        self.rig.deploy(&["apply", "shop"]).await.fine();
    }

    /// Tries a version that never gets healthy.
    pub(crate) async fn fail(&self) {
        let text = self.manifest("bad", "/nowhere").replace("deadline 20", "deadline 1");
        self.rig.manifest("shop", &text).await.expect("right");
        self.rig.deploy(&["apply", "shop"]).await.refused(4, "health check timeout");
    }

    /// Where users ask.
    pub(crate) async fn target(&self) -> Target {
        let address: SocketAddr = self.edge("http").await.parse().expect("an address");
        Target { address, host: HOST.to_owned() }
    }

    /// A value of the edge's status, once it is there.
    pub(crate) async fn edge(&self, key: &str) -> String {
        self.edge_where(key, |_| true).await
    }

    /// The same, once it is as wanted.
    pub(crate) async fn edge_where(&self, key: &str, fits: impl Fn(&str) -> bool) -> String {
        let key = format!("{key}=");
        let of = |text: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(&key));
            value.filter(|value| fits(value)).map(String::from)
        };
        let text = self.rig.until("edges/main/status", |text| of(text).is_some()).await;
        of(&text).expect("it was there")
    }

    /// A figure of all that the server and its edge tell.
    pub(crate) async fn figure(&self, name: &str) -> usize {
        let text = self.rig.cat("metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }
}

//! Edges as the server sees them, played by a client of its tree: what it is given, and what waits
//! for what it says.

use crate::rig::{PATIENCE, Rig, web};
use ninep::client::{Client, File, Mode};
use std::collections::BTreeSet;
use tokio::time::timeout;

/// A client that does what an edge does, when it is told to.
struct Player {
    client: Client,
    ack: File,
    tables: File,
    rest: Vec<u8>,
    backends: BTreeSet<String>,
}

impl Player {
    async fn join(rig: &Rig, name: &str) -> Player {
        let client = rig.client().await;
        client.mkdir(&format!("edges/{name}")).await.expect("root may");
        let ack = client.open(&format!("edges/{name}/ack"), Mode::Write).await.expect("ack");
        let tables = client.open(&format!("edges/{name}/routes"), Mode::Read).await;
        let tables = tables.expect("routes");
        let mut player =
            Player { client, ack, tables, rest: Vec::new(), backends: BTreeSet::new() };
        player.say("began 0").await;
        player
    }

    async fn say(&mut self, line: &str) {
        let text = format!("{line}\n");
        let taken = self.ack.write_at(0, text.as_bytes()).await.expect("taken");
        assert_eq!(taken as usize, text.len());
    }

    /// Waits for a whole table; gives its generation and its lines.
    async fn next(&mut self) -> (u64, String) {
        loop {
            let text = String::from_utf8_lossy(&self.rest).into_owned();
            let end = text.lines().find_map(|line| line.strip_prefix("end "));
            if let Some(generation) = end.and_then(|end| end.parse().ok()) {
                let (table, _) = text.split_once("end ").expect("its end");
                self.rest.drain(..text.find("end ").expect("its end"));
                let line = self.rest.iter().position(|b| *b == b'\n').expect("a line");
                self.rest.drain(..=line);
                return (generation, table.to_string());
            }
            let read = timeout(PATIENCE, self.tables.read_next(65_536)).await;
            self.rest.extend(read.expect("a table comes").expect("read"));
        }
    }

    /// Serves every table, and drains whatever leaves, until a table has so many backends.
    async fn obey(&mut self, backends: usize) -> String {
        loop {
            let (generation, table) = self.next().await;
            let now = ids(&table);
            self.say(&format!("serves {generation}")).await;
            for gone in std::mem::replace(&mut self.backends, now).difference(&ids(&table)) {
                self.say(&format!("drained {gone}")).await;
            }
            if self.backends.len() == backends {
                return table;
            }
        }
    }
}

fn ids(table: &str) -> BTreeSet<String> {
    let words = table.split_whitespace().filter(|word| word.contains('='));
    words.filter_map(|word| word.split('/').nth(1)).map(String::from).collect()
}

/// Three instances behind a route, served by an edge.
async fn served(rig: &Rig, edge: &mut Player) -> String {
    rig.push(&["v1", "v2"]).await;
    let text = web("web:v1") + "route shop.example.com / websocket\ndrain 60\n";
    rig.manifest("web", &text).await.expect("right");
    let (told, table) = tokio::join!(rig.deploy(&["apply", "web"]), edge.obey(3));
    told.fine();
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_told_to_stop_when_the_edge_has_let_go_of_it_and_drained_it() {
    let rig = Rig::start().await;
    let mut edge = Player::join(&rig, "played").await;
    let table = served(&rig, &mut edge).await;
    let line = table.lines().last().expect("a line");
    let head = "shop.example.com / web websocket,drain=60000 0/web-0/";
    assert!(line.starts_with(head) && line.contains(":8080"), "{table}");
    assert_eq!(rig.cat("routes").await, table.trim_end());
    assert!(rig.cat("edges/played/status").await.contains("state=serving"));

    rig.deploy(&["scale", "web", "2", "--detach"]).await.fine();
    let (generation, table) = edge.next().await;
    let gone: Vec<String> = edge.backends.difference(&ids(&table)).cloned().collect();
    assert_eq!(gone, ["web-2"]);
    assert_eq!(rig.of_instance("active/web/instances/2", "state").await, "draining");
    assert!(rig.cat("edges/played/status").await.contains("state=behind"));
    edge.say(&format!("serves {generation}")).await;
    assert_eq!(rig.of_instance("active/web/instances/2", "state").await, "draining");
    edge.say("drained web-2").await;
    assert!(rig.wait("web").await.starts_with("done change"));

    let text = web("web:v2") + "route shop.example.com / websocket\ndrain 60\n";
    rig.manifest("web", &text).await.expect("right");
    edge.backends = ids(&table);
    tokio::select! {
        told = rig.deploy(&["apply", "web"]) => told.fine(),
        table = edge.obey(usize::MAX) => panic!("{table}"),
    };
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_gone_holds_nothing_up_for_long() {
    let rig = Rig::start().await;
    let mut edge = Player::join(&rig, "played").await;
    served(&rig, &mut edge).await;
    drop(edge);
    rig.deploy(&["stop", "web"]).await.fine();
    let events = rig.cat("events").await;
    assert!(events.contains("edge played has not answered for 5s"), "{events}");
    assert!(rig.cat("edges/played/status").await.contains("state=written-off"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_go_on_above_those_of_the_server_before_and_wait_for_the_node() {
    let mut rig = Rig::start().await;
    let mut edge = Player::join(&rig, "played").await;
    let before = served(&rig, &mut edge).await;
    rig.kill_server().await;
    rig.serve().await;
    let mut edge = Player::join(&rig, "played").await;
    let (generation, table) = edge.next().await;
    let lines = |table: &str| table.lines().skip(1).map(String::from).collect::<Vec<_>>();
    assert_eq!(lines(&table), lines(&before), "the same backends, at once");
    assert!(generation > 1_000_000, "{generation}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_root_may_be_an_edge_and_what_it_says_must_make_sense() {
    let rig = Rig::start().await;
    let edge = Player::join(&rig, "played").await;
    let twice = edge.client.mkdir("edges/played").await.expect_err("it is there");
    assert!(twice.to_string().contains("exists"), "{twice}");
    let odd = edge.client.write("edges/played/ack", b"dances\n").await.expect_err("refused");
    assert!(odd.to_string().contains("\"dances\""), "{odd}");
    edge.client.mkdir("edges/No Name").await.expect_err("no name");
    for (line, why) in [("restart\n", "only main is this server's"), ("leap\n", "say: restart")] {
        let refused = edge.client.write("edges/played/ctl", line.as_bytes()).await;
        let refused = refused.expect_err("it was not started here").to_string();
        assert!(refused.contains(why), "{refused}");
    }
    // Somebody else does not speak for it, though he is root.
    let before = rig.cat("edges/played/status").await;
    for line in ["serves 99999999", "serves 1", "began 0", "drained web-0", "told lies"] {
        let told = rig.deploy(&["write", "edges/played/ack", line]).await;
        assert!(told.code != 0 && told.err.contains("played is another connection"), "{told:?}");
    }
    assert_eq!(rig.cat("edges/played/status").await, before);
    let metrics = rig.cat("metrics").await;
    let edges = |line: &&str| line.starts_with("deployfs_edges{") && line.ends_with("} 1");
    assert!(metrics.lines().any(|line| edges(&line)), "{metrics}");
    drop(edge);
    rig.end().await;
}

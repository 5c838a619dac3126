//! A shim that hangs up, lives and dies, with a process and a socket in its stead.

use std::process::Child;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::*;
use crate::adopt::tests::shim;
use crate::tree::tests::means;

/// How long anything may take that is waited for.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// One follower of a shim that the test plays.
struct Stage {
    child: Child,
    door: Option<UnixListener>,
    orders: mpsc::Sender<Order>,
    facts: mpsc::Receiver<Fact>,
    over: JoinHandle<()>,
    dir: PathBuf,
    _root: TempDir,
}

impl Stage {
    fn new() -> Stage {
        let root = tempfile::tempdir().unwrap();
        let (means, facts) = means(root.path());
        let id: Id = "web-1".parse().unwrap();
        let dir = means.dirs.instance(&id);
        record::make(&dir).unwrap();
        std::fs::write(dir.join(record::SHIM), "{}").unwrap();
        let child = shim(&dir);
        let door = Some(UnixListener::bind(dir.join(record::SOCK)).unwrap());
        let spec = Arc::new(Spec::recover(&serde_json::Value::Null));
        let lease = means.net.adopt(None, None);
        let shim = Shim { spec, lease, child: None, turn: None, healthy: None };
        let (orders, taken) = mpsc::channel(4);
        let follow = Follow::new(means, id, shim, taken);
        let over = tokio::spawn(async move { drop(follow.run().await) });
        Stage { child, door, orders, facts, over, dir, _root: root }
    }

    /// The next connection of the node, to which a line is said.
    async fn accept(&self, line: &str) -> BufReader<UnixStream> {
        let accepted = timeout(WAIT_MAX, self.door.as_ref().unwrap().accept()).await;
        let (mut stream, _) = accepted.expect("a connection").unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    /// What the node was told next, but for probes.
    async fn said(&mut self) -> Said {
        loop {
            let fact = timeout(WAIT_MAX, self.facts.recv()).await.expect("a fact").unwrap();
            if let Fact::Said { said, .. } = fact {
                return said;
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn heard(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    timeout(WAIT_MAX, stream.read_line(&mut line)).await.expect("a line").unwrap();
    line
}

const RUNNING: &str = r#"{"state":"running","pid":1,"started_ms":2,"warnings":[]}"#;
const EXITED: &str = r#"{"state":"exited","code":3,"signal":null,"oom":false,"reason":null}"#;

#[tokio::test]
async fn a_shim_that_hangs_up_and_lives_is_connected_to_anew() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        let stream = stage.accept(RUNNING).await;
        assert!(matches!(stage.said().await, Said::Running { .. }));
        drop(stream);
    }
    drop(stage.accept(EXITED).await);
    assert!(matches!(stage.said().await, Said::Exited(exit) if exit.code == 3));
    timeout(WAIT_MAX, &mut stage.over).await.expect("the end").unwrap();
    assert!(record::exit(&stage.dir).unwrap().is_none(), "nothing was cleaned up after it");
    stage.kill();
}

#[tokio::test]
async fn a_stop_outlives_the_connection_and_one_without_a_connection_is_kept() {
    let mut stage = Stage::new();
    let stream = stage.accept(RUNNING).await;
    assert!(matches!(stage.said().await, Said::Running { .. }));
    // Nobody listens, and a signal and a stop come.
    stage.door = None;
    std::fs::remove_file(stage.dir.join(record::SOCK)).unwrap();
    drop(stream);
    stage.orders.send(Order::Signal("HUP".to_owned())).await.unwrap();
    let stop = Order::Stop { signal: None, timeout_ms: Some(60_000) };
    stage.orders.send(stop).await.unwrap();
    while stage.orders.capacity() < stage.orders.max_capacity() {
        tokio::task::yield_now().await;
    }
    stage.door = Some(UnixListener::bind(stage.dir.join(record::SOCK)).unwrap());
    let stop = "{\"stop\":{\"signal\":null,\"timeout_ms\":60000}}\n";
    for again in [false, true] {
        let mut stream = stage.accept(RUNNING).await;
        if !again {
            assert_eq!(heard(&mut stream).await, "{\"signal\":\"HUP\"}\n");
        }
        assert_eq!(heard(&mut stream).await, stop);
    }
    drop(stage.accept(EXITED).await);
    timeout(WAIT_MAX, &mut stage.over).await.expect("the end").unwrap();
    stage.kill();
}

#[tokio::test]
async fn a_shim_that_is_dead_without_a_word_is_cleaned_up_after() {
    let mut stage = Stage::new();
    let stream = stage.accept(RUNNING).await;
    assert!(matches!(stage.said().await, Said::Running { .. }));
    stage.kill();
    drop(stream);
    assert!(matches!(stage.said().await, Said::Exited(exit) if exit.code == 137));
    timeout(WAIT_MAX, &mut stage.over).await.expect("the end").unwrap();
}

//! What instances wrote: followed over updates, kept when they are gone, gone with their service.

use crate::rig::{PATIENCE, Rig, bin, web};
use ninep::client::{Client, Mode};
use nix::sys::signal::{Signal, kill};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// `deploy logs -f` and what it has printed so far.
struct Followed {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Followed {
    fn start(rig: &Rig, what: &str) -> Followed {
        let mut command = Command::new(bin("deploy"));
        command.args(["logs", "-f", what]).env("DEPLOY_ADDR", rig.address().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("deploy starts");
        let stdout = child.stdout.take().expect("piped");
        Followed { child, lines: BufReader::new(stdout).lines(), seen: Vec::new() }
    }

    /// Reads on until so many of the lines so far have that text.
    async fn until(&mut self, count: usize, text: &str) {
        while having(&self.seen, text) < count {
            let line = timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no {text:?} came: {:#?}", self.seen));
            let line = line.expect("read").unwrap_or_else(|| panic!("ended: {:#?}", self.seen));
            self.seen.push(line);
        }
    }

    /// Reads to the end, which must come; every line once.
    async fn end(mut self) -> Vec<String> {
        let rest = async {
            while let Some(line) = self.lines.next_line().await.expect("read") {
                self.seen.push(line);
            }
            self.child.wait().await.expect("waited")
        };
        let status = timeout(PATIENCE, rest).await.expect("the service is gone");
        assert!(status.success(), "{status}");
        let mut once = self.seen.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), self.seen.len(), "a line came twice: {:#?}", self.seen);
        self.seen
    }
}

fn having(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

async fn at_v1() -> Rig {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2", "v3"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    rig
}

async fn go_to(rig: &Rig, image: &str) {
    rig.manifest("web", &web(image)).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
}

/// The lines of `deploy logs`.
async fn logs(rig: &Rig, what: &str) -> Vec<String> {
    rig.deploy(&["logs", what]).await.fine().lines().map(String::from).collect()
}

/// Looks at a service's log at every event until the service is gone: the file that somebody has
/// open is never shorter than it was.
async fn watched(client: Client) -> u64 {
    let log = client.open("active/web/log", Mode::Read).await.expect("log");
    let mut watch = client.open("active/web/watch", Mode::Read).await.expect("watch");
    let before = log.stat().await.expect("stat");
    let mut length = before.length;
    while !watch.read_next(8192).await.expect("watch goes on").is_empty() {
        let Ok(stat) = log.stat().await else { break };
        assert_eq!(stat.path, before.path, "another file");
        assert!(stat.length >= length, "{} after {length}", stat.length);
        length = stat.length;
    }
    length
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_sees_new_instances_come_and_what_old_ones_wrote_stays() {
    let rig = at_v1().await;
    let mut followed = Followed::start(&rig, "web");
    followed.until(3, "stdout v1 serves port 8080").await;
    let watched = tokio::spawn(watched(rig.client().await));
    go_to(&rig, "web:v2").await;
    followed.until(3, "stdout v2 serves port 8080").await;
    followed.until(3, "stdout v1 ends on SIGTERM").await;
    rig.deploy(&["restart", "web"]).await.fine();
    followed.until(6, "stdout v2 serves port 8080").await;
    followed.until(3, "stdout v2 ends on SIGTERM").await;

    let now = logs(&rig, "web").await;
    for (count, text) in [(3, "v1 serves"), (3, "v1 ends"), (6, "v2 serves"), (3, "v2 ends")] {
        assert_eq!(having(&now, text), count, "{text}: {now:#?}");
    }
    rig.deploy(&["remove", "web"]).await.fine();
    let seen = followed.end().await;
    assert_eq!(having(&seen, "v2 ends"), 6, "{seen:#?}");
    let length = watched.await.expect("never shorter");
    assert!(length >= now.iter().map(|line| line.len() as u64 + 1).sum(), "{length}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_names_an_instance_that_can_be_asked_for_also_when_it_is_gone() {
    let mut rig = at_v1().await;
    let old = rig.of_instance("active/web/instances/0", "id").await;
    assert!(rig.deploy(&["status", "web"]).await.fine().contains(&format!("web/0     {old} ")));
    let mut followed = Followed::start(&rig, "web/0");
    followed.until(1, "stdout v1 serves").await;
    go_to(&rig, "web:v2").await;
    followed.until(1, "stdout v1 ends").await;
    followed.until(1, "stdout v2 serves").await;
    let new = rig.of_instance("active/web/instances/0", "id").await;
    assert_ne!(old, new);
    // Nobody reads the service's log now, and neither server has it in its memory.
    kill(rig.node_pid(), Signal::SIGKILL).expect("killed");
    rig.kill_server().await;
    let status = timeout(PATIENCE, followed.child.wait()).await.expect("it ends").expect("waited");
    assert_eq!(status.code(), Some(69), "the server is not reachable any more");
    rig.serve().await;
    let lines = logs(&rig, &old).await;
    assert!(lines.iter().all(|line| line.contains(&format!("Z {old} stdout v1 "))), "{lines:#?}");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let lines = logs(&rig, "web/0").await;
    assert!(lines.len() == 1 && lines[0].contains("Z stdout v2 serves"), "{lines:#?}");
    rig.deploy(&["logs", "web/7"]).await.refused(1, "web has no instance 7");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_goes_on_over_the_end_of_a_node() {
    let rig = at_v1().await;
    let mut followed = Followed::start(&rig, "web");
    followed.until(3, "v1 serves").await;
    let answers = rig.cat("events").await.matches("answers").count();
    kill(rig.node_pid(), Signal::SIGKILL).expect("killed");
    rig.until("events", |text| text.matches("answers").count() > answers).await;
    go_to(&rig, "web:v2").await;
    followed.until(3, "v2 serves").await;
    rig.deploy(&["remove", "web"]).await.fine();
    let seen = followed.end().await;
    for text in ["v1 serves", "v1 ends", "v2 serves", "v2 ends"] {
        assert_eq!(having(&seen, text), 3, "{text}: {seen:#?}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_logs_are_bounded_and_go_with_their_service() {
    let rig = at_v1().await;
    for _ in 0..4 {
        rig.deploy(&["restart", "web"]).await.fine();
    }
    let logs = rig.state().join("node/logs");
    // Twelve have gone.
    emptied_to(&logs, 10).await;
    rig.deploy(&["remove", "web"]).await.fine();
    emptied_to(&logs, 0).await;
    rig.end().await;
}

/// Waits until a directory has that many entries and no more.
async fn emptied_to(dir: &std::path::Path, count: usize) {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    let notices = Inotify::init(InitFlags::IN_CLOEXEC).expect("inotify");
    let changed = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE;
    notices.add_watch(dir, changed).expect("watch");
    let dir = dir.to_path_buf();
    let wait = tokio::task::spawn_blocking(move || {
        while std::fs::read_dir(&dir).expect("listed").count() != count {
            notices.read_events().expect("notices");
        }
    });
    timeout(PATIENCE, wait).await.expect("what is not wanted goes").expect("waited");
}

//! Tasks: run once, by a job or by files, and as they end so ends the command.

use crate::rig::{PATIENCE, Rig, Told, bin};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// An app of one job that does what its words say.
const JOBS: &str = r#"
task "say" {
  image = "box:1"; cpu = 0.1; memory = "64M"; timeout = "30s"; stop_timeout = "1s"
  env { A = "one" }
  command = ["/bin/busybox", "sh", "-c", "echo out $A; echo err >&2; exit 3"]
}
task "sleep" {
  image = "box:1"; cpu = 0.1; memory = "64M"; stop_timeout = "1s"
  command = ["/bin/busybox", "sh", "-c", "echo begun; exec /bin/busybox sleep 1000"]
}
"#;

/// A server with busybox as an image, and the jobs.
async fn with_jobs() -> Rig {
    let rig = Rig::start().await;
    let root = rig.state().join("box");
    std::fs::create_dir_all(root.join("bin")).expect("made");
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("Debian's busybox-static");
    rig.deploy(&["push", "box:1", root.to_str().expect("UTF-8")]).await.fine();
    let told = apply(&rig, JOBS, &[]).await;
    assert!(told.code == 0 && told.err.contains("job say: kept"), "{told:#?}");
    rig
}

async fn apply(rig: &Rig, text: &str, more: &[&str]) -> Told {
    let path = rig.state().join("shop.hcl");
    std::fs::write(&path, text).expect("written");
    let words = ["apply", "-f", path.to_str().expect("UTF-8")];
    rig.deploy(&[&words[..], more].concat()).await
}

/// A `deploy run` that goes on, and what it has written to standard output so far.
async fn running(rig: &Rig, words: &[&str], until: &str) -> Child {
    let mut child = Command::new(bin("deploy"))
        .arg("run")
        .args(words)
        .env("DEPLOY_ADDR", rig.address().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("deploy starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
    assert_eq!(line.as_deref(), Some(until));
    child
}

async fn code(mut child: Child) -> Option<i32> {
    timeout(PATIENCE, child.wait()).await.expect("it ends").expect("waited").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_s_output_and_exit_status_are_the_command_s_own() {
    let rig = with_jobs().await;
    let told = rig.deploy(&["run", "say"]).await;
    assert_eq!((told.code, told.out.as_str()), (3, "out one\n"), "{told:#?}");
    assert!(told.err.lines().any(|line| line == "err"), "{}", told.err);
    let told = rig.deploy(&["run", "say", "--env", "A=two", "-q"]).await;
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (3, "out two\n", "err\n"));
    let words = ["run", "say", "--", "/bin/busybox", "echo", "-x", "y"];
    assert_eq!(rig.deploy(&words).await.fine(), "-x y\n");

    // It ran once, and is told of.
    let status = rig.cat("tasks/1/status").await;
    assert!(status.contains("state=ended\nname=say\n") && status.contains("exit=3\n"), "{status}");
    assert_eq!(rig.cat("tasks/1/wait").await, "3 3");
    let log = rig.until("tasks/1/log", |log| log.lines().count() == 2).await;
    assert!(log.contains(" stdout out one") && log.contains(" stderr err"), "{log}");
    let listed = rig.deploy(&["ps"]).await.fine();
    assert_eq!(listed.lines().count(), 4, "{listed}");
    let told = rig.deploy(&["run", "say", "--", "/none"]).await;
    assert!(told.code == 125 && told.err.contains("command not found"), "{told:#?}");
    rig.deploy(&["run", "none"]).await.refused(1, "there is no job none");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_ended_by_its_time_or_by_hand_and_says_which() {
    let rig = with_jobs().await;
    let told = rig.deploy(&["run", "sleep", "--timeout", "1s"]).await;
    assert!(told.code == 124 && told.err.contains("timeout of 1"), "{told:#?}");
    let child = running(&rig, &["sleep"], "begun").await;
    rig.deploy(&["kill", "2"]).await.fine();
    assert_eq!(code(child).await, Some(137));
    let status = rig.cat("tasks/2/status").await;
    assert!(status.contains("how=killed: 137 KILL"), "{status}");
    rig.deploy(&["kill", "2"]).await.refused(1, "task 2: has ended already");

    // Ctrl-C leaves it.
    let child = running(&rig, &["sleep"], "begun").await;
    let pid = i32::try_from(child.id().expect("it runs")).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT)
        .expect("sent");
    assert_eq!(code(child).await, Some(130));
    assert!(rig.cat("tasks/3/status").await.contains("state=running"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_outlives_its_server_and_node_and_is_never_started_again() {
    let mut rig = with_jobs().await;
    let file = "echo begun; while [ ! -e /data/go ]; do /bin/busybox sleep 0.05; done; exit 5";
    let text = format!(
        "{JOBS}\ntask \"wait\" {{\n image = \"box:1\"; cpu = 0.1; memory = \"64M\"\n \
         volume \"data\" {{ path = \"/data\" }}\n \
         command = [\"/bin/busybox\", \"sh\", \"-c\", \"{file}\"]\n}}\n"
    );
    apply(&rig, &text, &[]).await.fine();
    assert_eq!(rig.deploy(&["run", "wait", "--detach"]).await.fine(), "1\n");
    rig.until("tasks/1/status", |text| text.contains("state=running")).await;
    let node = rig.node_pid();
    rig.kill_server().await;
    nix::sys::signal::kill(node, nix::sys::signal::Signal::SIGKILL).expect("killed");
    rig.serve().await;
    assert!(rig.cat("tasks/1/status").await.contains("state=running"));
    rig.deploy(&["volume", "delete", "data"]).await.refused(1, "is in use by task 1 (wait)");
    rig.kill_server().await;
    std::fs::write(rig.state().join("node/volumes/data/go"), "").expect("written");
    rig.serve().await;
    let outcome = timeout(PATIENCE, rig.cat("tasks/1/wait")).await.expect("it ends");
    assert_eq!(outcome, "5 5");
    let log = rig.until("tasks/1/log", |log| log.contains("begun")).await;
    assert_eq!(log.matches("begun").count(), 1, "{log}");
    // Not after another start either.
    rig.kill_server().await;
    rig.serve().await;
    assert_eq!(rig.cat("tasks/1/wait").await, "5 5");
    let events = rig.cat("events").await;
    assert_eq!(events.matches("task 1 (wait): started").count(), 1, "{events}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_files_a_task_is_a_number_a_manifest_and_a_verb() {
    let rig = with_jobs().await;
    let (first, second) = (rig.cat("tasks/clone").await, rig.cat("tasks/clone").await);
    assert_eq!((first.as_str(), second.as_str()), ("1", "2"));
    let bad = rig.client().await.put("tasks/1/spec", b"image box:1\ncpu x\n").await;
    assert!(bad.expect_err("refused").to_string().contains("manifest refused"));
    let started = rig.echo("start", "tasks/1/ctl").await.expect_err("nothing to start");
    assert!(started.contains("has no manifest"), "{started}");
    let text = "image box:1\ncpu 0.1\nmemory 64M\ncommand /bin/busybox echo hello\n";
    rig.client().await.put("tasks/1/spec", text.as_bytes()).await.expect("written");
    assert_eq!(rig.cat("tasks/1/spec").await, text.trim_end());
    rig.echo("start", "tasks/1/ctl").await.expect("started");
    assert_eq!(timeout(PATIENCE, rig.cat("tasks/1/wait")).await.expect("it ends"), "0 0");
    let again = rig.echo("start", "tasks/1/ctl").await.expect_err("once");
    assert!(again.contains("was started; a task runs once"), "{again}");
    rig.until("tasks/1/log", |log| log.contains("stdout hello")).await;
    // What its file no longer has stays until it is pruned.
    let rest = &JOBS[..JOBS.find("task \"sleep\"").expect("there")];
    let told = apply(&rig, rest, &[]).await;
    assert!(told.err.contains("job sleep: gone from "), "{told:#?}");
    apply(&rig, rest, &["--prune"]).await.fine();
    assert!(rig.client().await.read("jobs/sleep").await.is_err());
    rig.end().await;
}

//! What the command tells, and ends with: of an update that somebody else ended, of a way back,
//! to programs, and where nobody answers.

use crate::rig::{Rig, Told, bin, web};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::process::Command;

/// A server whose service `web` is at v1 while an update to v3, which never becomes healthy, is
/// in flight and followed.
async fn in_flight() -> (Rig, tokio::process::Child) {
    let rig = Rig::start().await;
    rig.push(&["v1", "v3"]).await;
    rig.manifest("web", &web("web:v1")).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let stuck = web("web:v3").replace("health_deadline 3", "health_deadline 60");
    rig.manifest("web", &stuck).await.expect("right");
    let mut apply = Command::new(bin("deploy"));
    apply.args(["apply", "web"]).env("DEPLOY_ADDR", rig.address().to_string());
    apply.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let apply = apply.spawn().expect("deploy starts");
    rig.until("active/web/events", |events| events.ends_with("3: starting")).await;
    (rig, apply)
}

/// What somebody who followed was told in the end.
async fn end_of(apply: tokio::process::Child) -> Told {
    let output = apply.wait_with_output().await.expect("deploy ends");
    Told {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_update_is_done_to_who_cancelled_it_and_who_waits_and_not_to_who_applied_it() {
    let (rig, apply) = in_flight().await;
    let cancelled = rig.deploy(&["cancel", "web"]).await;
    cancelled.refused(0, "cancelled");
    end_of(apply).await.refused(1, "deploy cancelled by somebody, back to v1");
    rig.deploy(&["wait", "web"]).await.refused(0, "cancelled update v1→v2");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_ends_by_somebodys_stop_is_no_success() {
    let (rig, apply) = in_flight().await;
    rig.deploy(&["stop", "web"]).await.refused(0, "stopped");
    end_of(apply).await.refused(1, "deploy ended by somebody's stop");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_or_a_restart_by_replacement_is_announced_as_one() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2"]).await;
    for version in ["v1", "v2"] {
        let text = web(&format!("web:{version}")) + "update replace\n";
        rig.manifest("web", &text).await.expect("right");
        rig.deploy(&["apply", "web"]).await.fine();
    }
    let header = "rollback, replace, all old ones stop before new ones start";
    rig.deploy(&["rollback", "web"]).await.refused(0, header);
    let header = "restart, replace, all old ones stop before new ones start";
    rig.deploy(&["restart", "web"]).await.refused(0, header);
    rig.end().await;
}

/// The objects on standard output; each line is one.
fn objects(told: &Told) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{told:#?}"));
    told.out.lines().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_reads_objects_alone_is_told_every_refusal() {
    let rig = Rig::start().await;
    let file = rig.state().join("web");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, "image web:v1\nport 80\nreplicas many\ncpu -1\n").expect("written");
    let check = |told: &Told, file: &str| {
        let got = objects(told);
        let places: Vec<Value> =
            got.iter().map(|o| json!([o["level"], o["file"], o["line"], o["column"]])).collect();
        assert_eq!(places[..2], [json!(["error", file, 3, 10]), json!(["error", file, 4, 5])]);
        assert!(got[0]["message"].as_str().is_some_and(|text| text.contains("many")), "{got:?}");
        assert_eq!(
            (told.code, &got[2]["phase"], &got[2]["exit"]),
            (65, &json!("failed"), &json!(65))
        );
    };
    check(&rig.deploy(&["--json", "apply", "-f", path]).await, path);
    check(&rig.deploy(&["plan", "-f", path, "--json"]).await, path);
    let text = std::fs::read_to_string(&file).expect("read");
    rig.manifest("web", &text).await.expect_err("errors are told at the close");
    check(&rig.deploy(&["--json", "apply", "web"]).await, "manifests/web");
    check(&rig.deploy(&["--json", "diff", "web"]).await, "manifests/web");

    let others: [(&[&str], i32); 6] = [
        (&["--json", "frob"], 64),
        (&["status", "--json", "--frob"], 64),
        (&["--json", "status", "nobody"], 1),
        (&["--json", "cat", "nowhere"], 1),
        (&["--json", "pause", "nobody"], 1),
        (&["--json", "-a", "unix!/nowhere/at/all", "status"], 69),
    ];
    for (words, code) in others {
        let told = rig.deploy(words).await;
        let got = objects(&told);
        let reason = got[0]["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty() && !reason.contains("os error"), "{told:#?}");
        assert_eq!((told.code, &got[0]["exit"]), (code, &json!(code)), "{told:#?}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_cannot_do_is_refused_by_its_right() {
    let rig = Rig::start().await;
    let denied = rig.echo("x", "help").await.expect_err("only read");
    assert_eq!(denied, "permission denied");
    let denied = rig.client().await.read("ctl").await.expect_err("only written");
    assert_eq!(denied.to_string(), "permission denied");
    rig.deploy(&["write", "help", "x"]).await.refused(1, "help is only read");
    rig.deploy(&["cat", "ctl"]).await.refused(1, "ctl is only written");
    rig.deploy(&["cat", "active"]).await.refused(1, "is a directory");
    rig.deploy(&["tree", "help"]).await.refused(1, "help: it is not a directory");
    rig.deploy(&["write", "manifests/BAD", "x"]).await.refused(64, "\"BAD\" is not a name");
    rig.end().await;
}

/// Runs `deploy` without a server of its own.
async fn alone(words: &[&str]) -> Told {
    let mut command = Command::new(bin("deploy"));
    let output = command.args(words).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.expect("deploy runs");
    Told {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_something_else_is_told_from_a_server() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("sock");
    let address = format!("unix!{}", path.display());
    let listener = UnixListener::bind(&path).expect("bound");
    let web = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.expect("dialled");
        let mut asked = [0; 7];
        peer.read_exact(&mut asked).await.expect("asked");
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("answered");
        peer
    });
    let told = alone(&["-a", &address, "status"]).await;
    told.refused(69, &format!("{address}: the server does not keep to 9P"));
    drop(web.await.expect("it was asked"));
    // The socket is there still, and nobody listens any more.
    alone(&["-a", &address, "status"]).await.refused(69, "connection refused; is deployfs running");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_say_their_version_and_deploy_without_words_its_verbs() {
    let version = format!("deploy {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(alone(&["--version"]).await.fine(), version);
    assert_eq!(alone(&["-V"]).await.fine(), version);
    let output = Command::new(bin("deployfs")).arg("--version").output().await.expect("runs");
    assert!(output.stdout.starts_with(b"deployfs ") && output.status.success(), "{output:?}");
    alone(&[]).await.refused(64, "usage: deploy ");
}

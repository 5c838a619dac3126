//! Builds by a real shell.

use super::{Build, Built, LINE_BYTES_MAX, Lines};
use crate::error::Error;
use crate::out::Out;
use crate::stop::Stop;
use std::future::pending;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

/// Within which anything here comes to an end.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs a line of a shell as a build; says nothing of it.
async fn run(line: &str) -> Result<Built, String> {
    run_until(line, pending()).await
}

async fn run_until(line: &str, lost: impl Future<Output = Error>) -> Result<Built, String> {
    let words = ["sh", "-c", line].map(str::to_string);
    let env = vec![("DEPLOY_COMMIT", "ab12".to_string())];
    let build = Build { service: "web", words: &words, place: "/".into(), env };
    let out = Out { json: false, quiet: true };
    let built = timeout(DEADLINE, build.run(out, &mut Stop::new(), lost)).await;
    built.expect("an end in time").map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_build_that_succeeds_is_done_and_one_that_fails_says_how() {
    assert_eq!(run("test $DEPLOY_COMMIT = ab12 && test $PWD = /").await, Ok(Built::Done));
    let failed = run("exit 3").await.unwrap_err();
    assert_eq!(failed, "build of web: sh -c exit 3: exited with 3; nothing was changed");
    let killed = run("kill -9 $$").await.unwrap_err();
    assert!(killed.contains("ended by signal 9"), "{killed}");
    let words = ["/none/such".to_string()];
    let build = Build { service: "web", words: &words, place: "/".into(), env: Vec::new() };
    let missing =
        build.run(Out::default(), &mut Stop::new(), pending()).await.unwrap_err().to_string();
    assert!(missing.contains("/none/such: no such file or directory"), "{missing}");
}

#[tokio::test]
async fn what_a_build_leaves_running_does_not_hold_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let path = fifo.display();
    // What is left has the pipe open until somebody opens the other end of the fifo.
    assert_eq!(run(&format!("mkfifo {path}; cat {path} >/dev/null &")).await, Ok(Built::Done));
    std::fs::write(&fifo, "").unwrap();
}

#[tokio::test]
async fn what_a_build_leaves_writing_does_not_hold_it_up() {
    let line = "while echo more; do :; done 2>/dev/null &";
    assert_eq!(run(line).await, Ok(Built::Done));
}

#[tokio::test]
async fn a_build_that_has_closed_its_output_ends_with_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let (closed, never) = (dir.path().join("closed"), dir.path().join("never"));
    let made = std::process::Command::new("mkfifo").args([&closed, &never]).status().unwrap();
    assert!(made.success());
    let (closed, never) = (closed.display().to_string(), never.display());
    let line = format!("exec >/dev/null 2>&1; echo >{closed}; exec cat {never}");
    let lost = async {
        tokio::fs::read(&closed).await.unwrap();
        Error::Other("the lock is lost".to_string())
    };
    assert_eq!(run_until(&line, lost).await, Err("the lock is lost".to_string()));
}

#[tokio::test]
async fn nothing_of_a_build_outlives_the_command_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let [alive, never] = ["alive", "never"].map(|name| dir.path().join(name));
    let made = std::process::Command::new("mkfifo").args([&alive, &never]).status().unwrap();
    assert!(made.success());
    // Behind the shell something runs on that nobody waits for, and that is in nobody's hand.
    let (there, never) = (alive.display(), never.display());
    let line = format!("(exec 3>{there}; echo up >&3; cat {never}) & wait");
    let mut building = Box::pin(run(&line));
    let is_up = async {
        let mut alive = tokio::fs::File::open(&alive).await.unwrap();
        let mut up = [0; 3];
        alive.read_exact(&mut up).await.unwrap();
        assert_eq!(&up, b"up\n");
        alive
    };
    let mut alive = tokio::select! {
        alive = is_up => alive,
        built = &mut building => panic!("{built:?}"),
    };
    // What a killed command does: nothing, but that all it has open is closed.
    drop(building);
    let mut rest = Vec::new();
    timeout(DEADLINE, alive.read_to_end(&mut rest)).await.expect("its end").unwrap();
}

#[tokio::test]
async fn lines_come_whole_in_their_order_and_have_an_end() {
    let long = "x".repeat(LINE_BYTES_MAX + 10);
    let text = format!("a\r\n\n{long}\nlast");
    let mut lines = Lines { output: text.as_bytes(), rest: Vec::new() };
    let mut got = Vec::new();
    while let Some(line) = lines.next().await {
        got.push(line);
    }
    let want = ["a", "", &long[..LINE_BYTES_MAX], &long[LINE_BYTES_MAX..], "last"];
    assert_eq!(got, want);
}

//! Builds by a real shell.

use super::{Build, Built, LINE_BYTES_MAX, Lines};
use crate::out::Out;
use crate::stop::Stop;
use std::future::pending;

/// Runs a line of a shell as a build; says nothing of it.
async fn run(line: &str) -> Result<Built, String> {
    let words = ["sh", "-c", line].map(str::to_string);
    let env = vec![("DEPLOY_COMMIT", "ab12".to_string())];
    let build = Build { service: "web", words: &words, place: "/".into(), env };
    let out = Out { json: false, quiet: true };
    build.run(out, &mut Stop::new(), pending()).await.map_err(|error| error.to_string())
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

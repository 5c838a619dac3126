//! How connections and servers end, and that what was open is closed.

use super::*;
use crate::dial::{connect, listen};

#[tokio::test]
async fn a_lost_connection_closes_every_file_and_gives_up_every_read() {
    let (ram, task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "watch").await;
    raw.open(2, "lock").await;
    raw.send(&[(5, read(1)), (6, Tmsg::Stat { fid: 0 })]).await;
    assert!(raw.next().await.starts_with("6 Rstat"));
    drop(raw);
    task.await.unwrap();
    let mut log = std::mem::take(&mut ram.state().log);
    log.sort();
    assert_eq!(log, ["close lock", "close watch", "open lock", "open watch"]);
    assert!(!ram.release("event watch"), "nobody waits any more");
}

#[tokio::test]
async fn closing_is_run_to_its_end_after_the_connection_is_lost() {
    let (ram, task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "tidy").await;
    drop(raw);
    while !ram.release("closed tidy") {
        tokio::task::yield_now().await;
    }
    task.await.unwrap();
    assert_eq!(ram.state().log, ["open tidy", "close tidy", "closed tidy"]);
}

#[tokio::test]
async fn files_are_closed_when_the_task_of_the_connection_is_given_up() {
    let (ram, task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "tidy").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(ram.release("closed tidy"));
    while ram.state().log.last().map(String::as_str) != Some("closed tidy") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_asked_before_the_peer_stopped_sending_is_answered() {
    let (_ram, task, mut raw) = serving(Limits::default()).await;
    raw.send(&[(1, Tmsg::Stat { fid: 0 })]).await;
    raw.stream.shutdown().await.unwrap();
    assert!(raw.next().await.starts_with("1 Rstat"));
    assert_eq!(raw.next_or_end().await, None);
    task.await.unwrap();
}

#[tokio::test]
async fn many_answers_that_a_peer_has_yet_to_take_when_it_stops_sending_are_all_sent() {
    let (_ram, task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "big").await;
    let ask = |tag| (tag, Tmsg::Read { fid: 1, offset: 0, count: 131_072 });
    raw.send(&(0..20).map(ask).collect::<Vec<_>>()).await;
    raw.stream.shutdown().await.unwrap();
    for tag in 0..20 {
        let answer = raw.next_or_end().await.unwrap_or_default();
        assert!(answer.starts_with(&format!("{tag} Rread data 131072 ")), "{tag}: {answer}");
    }
    assert_eq!(raw.next_or_end().await, None);
    task.await.unwrap();
}

#[tokio::test]
async fn a_write_that_takes_time_is_run_to_its_end_and_answered_if_anybody_listens() {
    for listens in [false, true] {
        let (ram, task, mut raw) = serving(Limits::default()).await;
        raw.send(&[(1, walk(0, 1, "slow")), (2, Tmsg::Open { fid: 1, mode: 1 })]).await;
        assert!(raw.next().await.starts_with("1 Rwalk"));
        assert!(ram.release("opened slow"));
        assert!(raw.next().await.starts_with("2 Ropen"));
        let write = Tmsg::Write { fid: 1, offset: 0, data: crate::wire::Data(b"x") };
        raw.send(&[(3, write), (4, Tmsg::Stat { fid: 0 })]).await;
        assert!(raw.next().await.starts_with("4 Rstat"));
        if listens {
            raw.stream.shutdown().await.unwrap();
            tokio::task::yield_now().await;
            assert!(ram.release("wrote slow"));
            assert_eq!(raw.next().await, "3 Rwrite count 1");
        } else {
            drop(raw);
            tokio::task::yield_now().await;
            assert!(ram.release("wrote slow"));
        }
        while !ram.release("closed slow") {
            tokio::task::yield_now().await;
        }
        task.await.unwrap();
        assert!(ram.state().log.contains(&"wrote slow".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_agrees_on_no_version_is_let_go_after_a_while() {
    let server = Arc::new(Server::new(Arc::new(Ram::new()), Limits::default()));
    let (ours, theirs) = duplex(1024);
    let task = tokio::spawn(server.serve_connection(theirs, root()));
    let mut raw = Raw::new(ours);
    let began = tokio::time::Instant::now();
    assert_eq!(raw.next_or_end().await, None);
    assert_eq!(began.elapsed().as_secs(), 10);
    task.await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_ends_its_connections_and_returns() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix!{}", dir.path().join("sock").display()).parse().unwrap();
    let listener = listen(&address).await.unwrap();
    let ram = Ram::new();
    let server = Arc::new(Server::new(Arc::new(ram.clone()), Limits::default()));
    let task = tokio::spawn(Arc::clone(&server).serve(listener));
    let mut raw = Raw::new(connect(&address).await.unwrap());
    raw.greet().await;
    raw.open(1, "lock").await;
    server.stop();
    assert_eq!(raw.next_or_end().await, None);
    task.await.unwrap().unwrap();
    assert_eq!(ram.state().log.last().map(String::as_str), Some("close lock"));
    assert!(connect(&address).await.is_err());
}

//! The client and the server of this crate.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{join_all, poll_immediate};

use super::tree::{LONG, Small};
use super::*;
use crate::client::Mode;
use crate::dial::{Address, Peer as Who, listen};
use crate::{Kind, Limits, Server};

fn root() -> Who {
    Who::Unix { uid: 0, gid: 0, groups: vec![0], name: "root".to_owned(), pid: None }
}

/// A client of the tree, over a stream in memory.
async fn client_of(tree: &Arc<Small>) -> Client {
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = Arc::new(Server::new(tree.clone(), Limits::default()));
    tokio::spawn(server.serve_connection(far, root()));
    soon(Client::from_stream(near, "")).await.unwrap()
}

#[tokio::test]
async fn whole_files_come_whole() {
    let client = client_of(&Small::new()).await;
    assert_eq!(soon(client.read("status")).await.unwrap(), b"fine\n");
    let long = soon(client.read("/long")).await.unwrap();
    assert_eq!(long.len(), LONG);
    assert!(long.iter().enumerate().all(|(at, byte)| *byte == at as u8));
    let missing = soon(client.read("nowhere/at/all")).await.unwrap_err();
    assert_eq!(missing, refused(&crate::Error::NotFound.to_string()));
    let below = soon(client.read("status/x")).await.unwrap_err();
    assert!(matches!(below, ClientError::Refused(_)), "{below}");
}

#[tokio::test]
async fn a_verb_is_taken_or_refused_with_its_text() {
    let client = client_of(&Small::new()).await;
    soon(client.write("ctl", b"pause")).await.unwrap();
    let got = soon(client.write("ctl", b"puase")).await.unwrap_err();
    assert_eq!(got, refused("invalid argument: unknown command \"puase\""));
}

#[tokio::test]
async fn documents_are_put_listed_renamed_and_removed() {
    let client = client_of(&Small::new()).await;
    let long = vec![b'x'; 300_000];
    soon(client.put("docs/a", &long)).await.unwrap();
    assert_eq!(soon(client.read("docs/a")).await.unwrap(), long);
    soon(client.put("docs/a", b"short")).await.unwrap();
    assert_eq!(soon(client.read("docs/a")).await.unwrap(), b"short");
    soon(client.rename("docs/a", "b")).await.unwrap();
    soon(client.put("docs/c", b"")).await.unwrap();
    let names = async || {
        let listed = soon(client.list("docs")).await.unwrap();
        listed.into_iter().map(|stat| (stat.name, stat.length)).collect::<Vec<_>>()
    };
    assert_eq!(names().await, [("b".into(), 5), ("c".into(), 0)]);
    soon(client.remove("docs/c")).await.unwrap();
    assert_eq!(names().await, [("b".into(), 5)]);
    let bad = soon(client.put("docs/d", b"bad")).await.unwrap_err();
    assert_eq!(bad, refused("line 1: bad"));
    let stat = soon(client.stat("docs")).await.unwrap();
    assert_eq!((stat.kind, stat.mode), (Kind::Dir, 0o777));
    let denied = soon(client.mkdir("docs/dir")).await.unwrap_err();
    assert_eq!(denied, refused(&crate::Error::PermissionDenied.to_string()));
}

#[tokio::test]
async fn a_long_directory_comes_whole() {
    let client = client_of(&Small::new()).await;
    let put = |at: usize| {
        let client = client.clone();
        async move { client.put(&format!("docs/{at:05}"), b"x").await }
    };
    for all in soon(join_all((0..3000).map(put))).await {
        all.unwrap();
    }
    let listed = soon(client.list("docs")).await.unwrap();
    assert_eq!(listed.len(), 3000);
    assert!(listed.iter().enumerate().all(|(at, it)| it.name == format!("{at:05}")));
}

#[tokio::test]
async fn a_file_that_waits_holds_nothing_up_and_is_let_go() {
    let tree = Small::new();
    let client = client_of(&tree).await;
    let mut wait = soon(client.open("wait", Mode::Read)).await.unwrap();
    let first = poll_immediate(pin!(wait.read_next(100))).await;
    assert!(first.is_none());
    // The read has reached the server when this, sent after it, is answered.
    assert_eq!(soon(client.read("status")).await.unwrap(), b"fine\n");
    tree.events.send("one\n".into()).unwrap();
    assert_eq!(soon(wait.read_next(100)).await.unwrap(), "one\n");
    {
        let read = poll_immediate(pin!(wait.read_at(4, 100))).await;
        assert!(read.is_none());
    }
    assert_eq!(soon(client.read("status")).await.unwrap(), b"fine\n");
    assert_eq!(*tree.waiting.borrow(), 1);
    drop(wait);
    let mut waiting = tree.waiting.subscribe();
    soon(waiting.wait_for(|count| *count == 0)).await.unwrap();
}

#[tokio::test]
async fn nothing_stays_open_behind_a_client_that_is_gone() {
    let tree = Small::new();
    let client = client_of(&tree).await;
    let files = join_all((0..1000).map(|_| client.open("wait", Mode::Read)));
    let files: Vec<_> = soon(files).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(*tree.waiting.borrow(), 1000);
    drop((files, client));
    let mut waiting = tree.waiting.subscribe();
    soon(waiting.wait_for(|count| *count == 0)).await.unwrap();
}

#[tokio::test]
async fn a_thousand_reads_at_once_are_a_thousand_answers() {
    let client = client_of(&Small::new()).await;
    let all = soon(join_all((0..1000).map(|_| client.read("status")))).await;
    assert!(all.into_iter().all(|one| one.unwrap() == b"fine\n"));
}

#[tokio::test]
async fn it_is_the_same_over_a_unix_socket_and_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let unix = Address::Unix(dir.path().join("sock"));
    for address in [unix, "tcp!127.0.0.1!0".parse().unwrap()] {
        let listener = listen(&address).await.unwrap();
        let address = listener.address().unwrap();
        let server = Arc::new(Server::new(Small::new(), Limits::default()));
        let serving = tokio::spawn(server.clone().serve(listener));
        let client = soon(Client::dial(&address, "docs")).await.unwrap();
        soon(client.put("a", b"text")).await.unwrap();
        assert_eq!(soon(client.read("a")).await.unwrap(), b"text");
        let nowhere = soon(Client::dial(&address, "nowhere")).await.unwrap_err();
        assert_eq!(nowhere, refused(&crate::Error::NotFound.to_string()));
        server.stop();
        soon(client.closed()).await;
        soon(serving).await.unwrap().unwrap();
        let gone = soon(Client::dial(&address, "")).await.unwrap_err();
        assert!(matches!(gone, ClientError::Unreachable(_)), "{gone}");
    }
}

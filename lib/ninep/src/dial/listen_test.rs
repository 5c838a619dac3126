//! Facts about listening, connecting and who the peer is.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::{SOCKET_PATH_MAX, connect};
use super::*;

fn unix(dir: &tempfile::TempDir, name: &str) -> (Address, PathBuf) {
    let path = dir.path().join(name);
    (Address::Unix(path.clone()), path)
}

async fn refusal(address: &Address) -> String {
    listen(address).await.expect_err("listens").to_string()
}

/// What a connection carries arrives, and the peer is as told.
async fn check_talk(listener: &Listener) -> Peer {
    let address = listener.address().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), connect(&address));
    let ((mut server, peer), mut client) = (accepted.unwrap(), connected.unwrap());
    client.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    peer
}

#[tokio::test]
async fn a_unix_socket_is_open_to_all_and_knows_its_peer() {
    let dir = tempfile::tempdir().unwrap();
    let (address, path) = unix(&dir, "a/b/sock");
    let listener = listen(&address).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o666);
    assert_eq!(mode(path.parent().unwrap()) & 0o022, 0);
    match check_talk(&listener).await {
        Peer::Unix { uid, gid, groups, pid, name: _ } => {
            assert_eq!(uid, nix::unistd::geteuid().as_raw());
            assert_eq!(gid, nix::unistd::getegid().as_raw());
            assert!(groups.contains(&gid));
            assert_eq!(pid, Some(std::process::id() as i32));
        }
        Peer::Tcp(from) => panic!("{from} came by tcp"),
    }
    drop(listener);
    assert!(!path.exists(), "the socket goes with its listener");
}

#[tokio::test]
async fn a_socket_that_answers_is_left_alone_and_a_stale_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (address, path) = unix(&dir, "sock");
    let dead = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(refusal(&address).await, format!("{address}: already served"));
    drop(dead);
    assert!(path.exists());
    let listener = listen(&address).await.unwrap();
    check_talk(&listener).await;
    assert_eq!(refusal(&address).await, format!("{address}: already served"));
    // The one who asked whether anybody answers comes first.
    listener.accept().await.unwrap();
    check_talk(&listener).await;
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (address, path) = unix(&dir, "precious");
    std::fs::write(&path, "gold").unwrap();
    let want = format!("{address}: there is a file of that name that is not a socket: remove it");
    assert_eq!(refusal(&address).await, want);
    assert_eq!(std::fs::read(&path).unwrap(), b"gold");
}

#[tokio::test]
async fn whoever_locks_the_directory_keeps_nobody_from_listening_but_a_starting_server_does() {
    let dir = tempfile::tempdir().unwrap();
    let (address, path) = unix(&dir, "sock");
    let directory = File::open(dir.path()).unwrap();
    let _locked = Flock::lock(directory, FlockArg::LockExclusiveNonblock).unwrap();
    let starting = Lock::take(&path, &address).unwrap();
    let mode = std::fs::metadata(lock_path(&path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let want = format!("{address}: another server is just starting there");
    assert_eq!(refusal(&address).await, want);
    drop(starting);
    let listener = listen(&address).await.unwrap();
    check_talk(&listener).await;
    assert!(!lock_path(&path).exists(), "the lock goes when the socket is there");
}

#[tokio::test]
async fn a_socket_made_later_at_the_same_place_outlives_the_old_listener() {
    let dir = tempfile::tempdir().unwrap();
    let (address, path) = unix(&dir, "sock");
    let old = listen(&address).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let new = listen(&address).await.unwrap();
    drop(old);
    check_talk(&new).await;
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_named_with_the_limit() {
    let path = format!("/tmp/{}", "x".repeat(SOCKET_PATH_MAX));
    let address = Address::Unix(PathBuf::from(&path));
    let want = format!("{address}: the path has 112 bytes, a unix socket has room for 107");
    assert_eq!(refusal(&address).await, want);
    assert_eq!(connect(&address).await.expect_err("connects").to_string(), want);
}

#[test]
fn connections_are_taken_while_the_user_database_is_asked() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build().unwrap();
    let (answer, answered) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        // The only thread that could ask is busy.
        tokio::task::spawn_blocking(move || answered.recv());
        let dir = tempfile::tempdir().unwrap();
        let (address, _) = unix(&dir, "sock");
        let listener = listen(&address).await.unwrap();
        let _clients = tokio::join!(connect(&address), connect(&address));
        let first = tokio::spawn(listener.arrival().await.unwrap().known());
        tokio::task::yield_now().await;
        let second = listener.arrival().await.unwrap();
        assert!(!first.is_finished());
        assert!(matches!(second.peer(), Peer::Unix { name, uid, .. } if *name == uid.to_string()));
        drop(answer);
        let uid = nix::unistd::geteuid();
        let want = nix::unistd::User::from_uid(uid).unwrap().unwrap().name;
        let (_, peer) = first.await.unwrap();
        assert!(matches!(peer, Peer::Unix { name, .. } if name == want));
    });
}

#[tokio::test]
async fn tcp_is_for_loopback_and_without_a_name() {
    let everywhere: Address = "tcp!0.0.0.0!0".parse().unwrap();
    let want = "tcp!0.0.0.0!0: tcp is served on loopback only: use tcp!127.0.0.1!port";
    assert_eq!(refusal(&everywhere).await, want);
    let listener = listen(&"tcp!127.0.0.1!0".parse().unwrap()).await.unwrap();
    assert!(matches!(check_talk(&listener).await, Peer::Tcp(from) if from.ip().is_loopback()));
}

#[tokio::test]
async fn tls_and_ssh_say_that_they_are_not_there_yet() {
    for (text, what) in [("tls!box!564", "tls"), ("ssh!root@box", "ssh")] {
        let address: Address = text.parse().unwrap();
        let want = format!("{text}: {what} is not supported yet: use unix!path or tcp!host!port");
        assert_eq!(refusal(&address).await, want);
        assert_eq!(connect(&address).await.expect_err("connects").to_string(), want);
    }
}

#[test]
fn only_an_error_of_the_socket_itself_ends_accepting() {
    let check = |errno: Errno, want| assert_eq!(weight(&errno.into()), want, "{errno}");
    check(Errno::EMFILE, Weight::Shortage);
    check(Errno::ENOMEM, Weight::Shortage);
    check(Errno::ECONNABORTED, Weight::Connection);
    check(Errno::ENETDOWN, Weight::Connection);
    check(Errno::EOPNOTSUPP, Weight::Connection);
    check(Errno::EBADF, Weight::Listener);
}

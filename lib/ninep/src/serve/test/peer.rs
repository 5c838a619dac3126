//! Who is served.

use super::*;
use crate::dial::{Stream, connect, listen};
use crate::{User, tree::Tree};

/// A server on a socket, and two connections to it, one after the other.
async fn two(limits: Limits, address: &str) -> (Ram, Raw<Stream>, Raw<Stream>) {
    let listener = listen(&address.parse().unwrap()).await.unwrap();
    let address = listener.address().unwrap();
    let ram = Ram::new();
    let server = Arc::new(Server::new(Arc::new(ram.clone()), limits));
    tokio::spawn(server.serve(listener));
    let mut first = Raw::new(connect(&address).await.unwrap());
    first.greet().await;
    (ram, first, Raw::new(connect(&address).await.unwrap()))
}

#[tokio::test]
async fn on_a_unix_socket_the_user_is_whom_the_kernel_names() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix!{}", dir.path().join("sock").display());
    let (ram, _first, mut second) = two(Limits::default(), &address).await;
    second.greet().await;
    let uid = nix::unistd::geteuid();
    let name = nix::unistd::User::from_uid(uid).unwrap().unwrap().name;
    assert_eq!(ram.state().log, [format!("attach {name}"), format!("attach {name}")]);
}

#[tokio::test]
async fn on_tcp_everybody_is_nobody() {
    let (ram, _first, mut second) = two(Limits::default(), "tcp!127.0.0.1!0").await;
    second.greet().await;
    assert_eq!(ram.state().log, ["attach none", "attach none"]);
    second.send(&[(1, walk(0, 1, "secret")), (1, Tmsg::Open { fid: 1, mode: 0 })]).await;
    second.next().await;
    assert_eq!(second.next().await, "1 Rerror ename \"permission denied\"");
}

#[tokio::test]
async fn connections_are_limited_in_all_and_for_each_user() {
    for limits in [
        Limits { user_connections_max: 1, ..Limits::default() },
        Limits { connections_max: 1, ..Limits::default() },
    ] {
        let (_ram, mut first, mut second) = two(limits, "tcp!127.0.0.1!0").await;
        assert_eq!(second.next_or_end().await, None);
        first.send(&[(1, Tmsg::Stat { fid: 0 })]).await;
        assert!(first.next().await.starts_with("1 Rstat"));
    }
}

#[tokio::test]
async fn root_speaks_for_the_users_of_its_mount() {
    let ram = Ram::new();
    let server = Arc::new(Server::new(Arc::new(ram.clone()), Limits::default()));
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(server.serve_connection(theirs, root()));
    let mut raw = Raw::new(ours);
    let mut frames = Vec::new();
    let version = Tmsg::Version { msize: 8192, version: b"9P2000.L" };
    version.encode(1, Dialect::Linux, &mut frames);
    let n_uname = Uid(3_999_999_999);
    let attach = Tmsg::Attach { fid: 1, afid: NOFID, uname: b"root", aname: b"", n_uname };
    attach.encode(1, Dialect::Linux, &mut frames);
    raw.stream.write_all(&frames).await.unwrap();
    assert_eq!(raw.next().await, "1 Rversion msize 8192 version \"9P2000.L\"");
    assert_eq!(raw.next().await, "1 Rattach qid (0 0 80)");
    assert_eq!(ram.state().log, ["attach 3999999999"]);
}

#[test]
fn one_class_of_mode_bits_decides() {
    use crate::Access::{Execute, Read, Write};
    let ram = Ram::new();
    let mut stat = ram.stat(&1).unwrap();
    (stat.uid, stat.gid, stat.mode) = (5, 7, 0o461);
    let user =
        |uid, gid, groups: &[u32]| User { uid, gid, groups: groups.to_vec(), ..User::nobody() };
    let rights = |user: User| [Read, Write, Execute].map(|access| user.may(&stat, access));
    assert_eq!(rights(user(5, 7, &[7])), [true, false, false], "the owner");
    assert_eq!(rights(user(6, 7, &[])), [true, true, false], "the group");
    assert_eq!(rights(user(6, 6, &[9, 7])), [true, true, false], "a group of several");
    assert_eq!(rights(user(6, 6, &[])), [false, false, true], "others");
    assert_eq!(rights(User::nobody()), [false, false, true], "nobody");
    assert_eq!(rights(user(0, 0, &[])), [true, true, true], "root");
}

//! The edge's tree on a socket that was bound by another process.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ninep::dial::Peer;
use ninep::{Limits, Server};
use tokio::net::{UnixListener, UnixStream};

use super::leave::Leave;
use crate::args::Options;
use crate::tree::EdgeTree;
use crate::tree::desk::Desk;

/// Serves the tree until it is time to leave; then connections are lost, and who dials again finds
/// the next process.
pub(crate) fn tree(
    options: &Options,
    socket: &OwnedFd,
    desk: Arc<Desk>,
    leave: Leave,
) -> io::Result<()> {
    let listener = std::os::unix::net::UnixListener::from(socket.try_clone()?);
    let listener = UnixListener::from_std(listener)?;
    let tree = EdgeTree::new(desk, nix::unistd::geteuid().as_raw());
    let server = Arc::new(Server::new(Arc::new(tree), Limits::default()).trace(options.trace));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = leave.said() => break,
            };
            let served = accepted.and_then(|(stream, _)| Ok((peer(&stream)?, stream)));
            match served {
                Ok((peer, stream)) => {
                    tokio::spawn(server.clone().serve_connection(stream, peer));
                }
                Err(why) => {
                    tracing::warn!("the tree: {why}");
                    // Descriptors or memory are short, and no event says when they are not.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        server.stop();
    });
    Ok(())
}

/// The pause after an accept that failed.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let cred = stream.peer_cred()?;
    let (uid, gid) = (cred.uid(), cred.gid());
    // Only the edge's own user and root may do more than read: no names are needed.
    let name = uid.to_string();
    Ok(Peer::Unix { uid, gid, groups: vec![gid], name, pid: cred.pid() })
}

//! Connections to instances. One on the same machine is there before connect(2) has returned,
//! though a socket that does not block says that it is still under way: it is used at once. Who
//! waited for word of each would make all new connections of a full queue, at a new table as many
//! as users there are, before the first request went out on one.

use std::io;
use std::net::SocketAddr;
use std::net::TcpStream as Socket;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use tokio::net::TcpStream;

/// Connects; gives also whether bytes can be written at once, before the runtime knows of it.
pub(super) async fn dial(address: SocketAddr) -> io::Result<(TcpStream, bool)> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(why) => return Err(why.into()),
    }
    let mut asked = [PollFd::new(&socket, PollFlags::OUT)];
    let there = poll(&mut asked, Some(&Timespec::default()))? > 0;
    let stream = TcpStream::from_std(Socket::from(socket))?;
    if !there {
        stream.writable().await?;
    }
    match stream.take_error()? {
        None => Ok((stream, there)),
        Some(why) => Err(why),
    }
}

/// Writes to one that can be written to before the runtime knows of it.
pub(super) fn write_first(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_on_this_machine_takes_bytes_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, there) = dial(listener.local_addr().unwrap()).await.unwrap();
        assert!(there);
        assert_eq!(write_first(&stream, b"first").unwrap(), 5);
        let mut came = [0; 5];
        listener.accept().await.unwrap().0.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"first");
    }

    #[tokio::test]
    async fn who_does_not_listen_refuses() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let why = dial(free).await.map(drop).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_connection_that_takes_its_time_is_waited_for() {
        // Its queue is full, so that the next one is answered when there is room.
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(any).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut early = Vec::new();
        let late = loop {
            let mut dialled = Box::pin(dial(address));
            let now = std::future::poll_fn(|context| {
                std::task::Poll::Ready(dialled.as_mut().poll(context))
            });
            match now.await {
                std::task::Poll::Ready(stream) => early.push(stream.unwrap().0),
                std::task::Poll::Pending => break dialled,
            }
        };
        assert!(!early.is_empty());
        let room = async {
            loop {
                listener.accept().await.unwrap();
            }
        };
        tokio::select! {
            dialled = late => assert!(!dialled.unwrap().1),
            () = room => {}
        }
    }
}

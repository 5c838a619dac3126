//! Every number that bounds something, with its unit.

use std::io;
use std::os::fd::AsFd;
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::net::sockopt;

/// What is bounded, and by how much.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Threads that serve, each with connections of its own.
    pub(crate) workers: usize,
    /// Connections of users, all together.
    pub(crate) connections: usize,
    /// Connections of users from one address.
    pub(crate) connections_an_address: usize,
    /// TLS handshakes that may be under way, all together.
    pub(crate) handshakes: usize,
    /// The same from one address.
    pub(crate) handshakes_an_address: usize,
    /// How long one may take, from the connection on.
    pub(crate) handshake_time: Duration,
    /// Bytes of a request's head.
    pub(crate) head_bytes: usize,
    /// How long a request's head may take from its first byte; also how long until a new
    /// connection has sent one.
    pub(crate) head_time: Duration,
    /// How long a connection may rest between two requests.
    pub(crate) idle_time: Duration,
    /// How long a body, a tunnel's side that is closing, or a user who does not read may rest.
    pub(crate) stall_time: Duration,
    /// How long an answer may be silent for a user who has ended his side of the connection: he may
    /// have gone.
    pub(crate) half_time: Duration,
    /// How long the other side of a stream or tunnel may be silent before it is asked whether it is
    /// there, how often it is asked, and after how many questions it is not.
    pub(crate) keep_alive: KeepAlive,
    /// How long a connection to an instance may take to be made.
    pub(crate) connect_time: Duration,
    /// How long an instance may take to begin its answer, after the request has gone out.
    pub(crate) answer_time: Duration,
    /// How long a connection to an instance is kept without a request. Less than what servers
    /// usually keep one, so that we close it and not they.
    pub(crate) upstream_idle_time: Duration,
    /// Connections without a request that a worker keeps to one instance.
    pub(crate) upstream_idle: usize,
    /// Requests that may wait for an instance (option `hold`), all together.
    pub(crate) held: usize,
    /// Streams of one HTTP/2 connection.
    pub(crate) streams: u32,
    /// Streams that a user may reset before they were looked at, on one HTTP/2 connection.
    pub(crate) resets: usize,
    /// Requests that are sent again for every hundred that come.
    pub(crate) retry_percent: u32,
    /// How long an answer says `Connection: close` before resting connections are closed, when
    /// the edge itself leaves.
    pub(crate) linger_time: Duration,
    /// Whether `X-Forwarded-*` of the user are believed: another proxy is in front of this.
    pub(crate) trusted: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: available_parallelism().map_or(1, usize::from),
            connections: 50_000,
            connections_an_address: 10_000,
            handshakes: 4096,
            handshakes_an_address: 1024,
            handshake_time: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            head_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_secs(60),
            half_time: Duration::from_secs(10),
            keep_alive: KeepAlive::default(),
            connect_time: Duration::from_secs(3),
            answer_time: Duration::from_secs(60),
            upstream_idle_time: Duration::from_secs(4),
            upstream_idle: 512,
            held: 10_000,
            streams: 128,
            resets: 64,
            retry_percent: 20,
            linger_time: Duration::from_millis(400),
            trusted: false,
        }
    }
}

/// By what a connection without a word is known to be dead (tcp(7)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    /// How long it is silent first.
    pub(crate) idle: Duration,
    /// Between two questions.
    pub(crate) interval: Duration,
    /// Questions without an answer.
    pub(crate) count: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(10), count: 6 }
    }
}

impl KeepAlive {
    /// Makes the kernel ask on this socket; what is taken at a listener does as the listener.
    pub(crate) fn set(self, socket: impl AsFd) -> io::Result<()> {
        let socket = socket.as_fd();
        sockopt::set_tcp_keepidle(socket, self.idle)?;
        sockopt::set_tcp_keepintvl(socket, self.interval)?;
        sockopt::set_tcp_keepcnt(socket, self.count)?;
        Ok(sockopt::set_socket_keepalive(socket, true)?)
    }
}

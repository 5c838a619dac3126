//! A handshake: bounded in number and in time, and over before a request is read.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::limits::Limits;

/// The first byte of whoever speaks TLS: a record with a handshake in it (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// What others are told.
const PLAIN: &str = "400 bad request: this port takes TLS only: use https://\n";

/// The stream inside, when both sides agree in time.
pub(crate) async fn shake(
    tls: &Tls,
    stream: TcpStream,
    limits: &Limits,
) -> Option<TlsStream<TcpStream>> {
    let Some(_place) = Place::take(&tls.under_way, limits.handshakes) else {
        tls.refused.fetch_add(1, Ordering::Relaxed);
        return None;
    };
    // Counted before the stream is closed: who sees its end finds it in the figures.
    let mut speaking = pin!(speak(tls, stream));
    // As long when the edge leaves: a user far away has not been told that it does.
    let shaken = timeout(limits.handshake_time, &mut speaking).await;
    let shaken = shaken.unwrap_or_else(|late| Err(late.into()));
    if let Err(why) = &shaken {
        tls.failed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("handshake: {why}");
    }
    shaken.ok()
}

async fn speak(tls: &Tls, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ if first == [HANDSHAKE] => {
            TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream).await
        }
        _ => {
            let len = PLAIN.len();
            let head = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {len}\r\nConnection: close\r\n\r\n{PLAIN}"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.shutdown().await?;
            // Closed with bytes unread, the answer might be lost on its way.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            Err(io::Error::other("not TLS"))
        }
    }
}

/// A place among the handshakes under way.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(under_way: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(under_way);
        (under_way.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

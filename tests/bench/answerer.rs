//! An instance that says when it is first asked.

use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes of a request: none that is asked here has more.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// How a request ends.
const END: &[u8] = b"\r\n\r\n";

/// An instance on a port of its own.
pub(crate) struct Answerer {
    pub(crate) port: u16,
    /// When the last request was answered, while somebody wants to know; none: not yet.
    first: watch::Sender<Option<Instant>>,
}

impl Answerer {
    /// Answers on this runtime for as long as it lives.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) async fn start() -> Result<Answerer, String> {
        let failed = |error: std::io::Error| format!("no port: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let first = watch::Sender::new(Some(Instant::now()));
        let told = first.clone();
        tokio::spawn(async move {
            let answer: Arc<[u8]> = answer().into();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, told.clone(), Arc::clone(&answer)));
            }
        });
        Ok(Answerer { port, first })
    }

    /// From now on it is asked for the first time.
    pub(crate) fn forget(&self) {
        self.first.send_replace(None);
    }

    /// Waits until it is; gives when it had answered.
    pub(crate) async fn first(&self) -> Option<Instant> {
        let mut first = self.first.subscribe();
        first.wait_for(Option::is_some).await.ok().and_then(|when| *when)
    }
}

async fn serve(mut stream: TcpStream, told: watch::Sender<Option<Instant>>, answer: Arc<[u8]>) {
    let mut request = [0; REQUEST_BYTES_MAX];
    let mut have = 0;
    while let Ok(count @ 1..) = stream.read(&mut request[have..]).await {
        have += count;
        if !request[..have].ends_with(END) {
            continue;
        }
        have = 0;
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        told.send_if_modified(|first| first.is_none() && first.replace(Instant::now()).is_none());
    }
}

fn answer() -> Vec<u8> {
    let body = "x".repeat(1024);
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

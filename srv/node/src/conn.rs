//! The connection to a shim: one JSON object a line, both ways.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::record;
use crate::wire::{Line, Request};

/// Bytes of a line; a shim gives up connections that leave half of that untaken, so that a longer
/// one is nonsense, and is passed over.
const LINE_BYTES_MAX: usize = 512 * 1024;
/// How long a shim may take to take in a line; it reads whenever it is not making the container.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: UnixStream,
    /// What was read and is not yet a whole line.
    read: Vec<u8>,
    /// Up to the next end of a line it is nonsense.
    skip: bool,
}

impl Conn {
    /// Connects to the shim of the instance in `dir`. The way through a descriptor is short
    /// however long the directory's path is: a socket's has at most 107 bytes.
    pub(crate) async fn open(dir: &Path) -> io::Result<Conn> {
        let dir = File::open(dir)?;
        let path = format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), record::SOCK);
        Ok(Conn { stream: UnixStream::connect(path).await?, read: Vec::new(), skip: false })
    }

    /// The next line; none when the shim has hung up. Giving the future up loses nothing.
    pub(crate) async fn line(&mut self) -> Option<Line> {
        loop {
            if let Some(end) = self.read.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if std::mem::take(&mut self.skip) {
                    continue;
                }
                match serde_json::from_slice(&line) {
                    Ok(line) => return Some(line),
                    // A later shim may say more than this node knows.
                    Err(why) => {
                        let line = String::from_utf8_lossy(&line);
                        tracing::warn!("shim said {:?}: {why}", line.trim());
                        continue;
                    }
                }
            }
            if self.read.len() > LINE_BYTES_MAX {
                tracing::warn!("shim said more than {LINE_BYTES_MAX} bytes in a line");
                (self.read, self.skip) = (Vec::new(), true);
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Says a line.
    pub(crate) async fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        match timeout(SEND_TIME_MAX, self.stream.write_all(&line)).await {
            Ok(sent) => sent,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Asked, Said};
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn lines_go_both_ways_however_long_the_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let open = File::open(&deep).unwrap();
        let short = format!("/proc/self/fd/{}/{}", open.as_raw_fd(), record::SOCK);
        let listener = UnixListener::bind(short).unwrap();
        let mut conn = Conn::open(&deep).await.unwrap();
        let (mut shim, _) = listener.accept().await.unwrap();
        shim.write_all(b"{\"state\":\"starting\"}\n{\"later\":1}\n{\"state\":\"run").await.unwrap();
        assert_eq!(conn.line().await, Some(Line::Said(Said::Starting)));
        assert!(futures_util::poll!(std::pin::pin!(conn.line())).is_pending());
        shim.write_all(b"ning\",\"pid\":1,\"started_ms\":2,\"warnings\":[]}\n").await.unwrap();
        let running = Said::Running { pid: 1, started_ms: 2, warnings: vec![] };
        assert_eq!(conn.line().await, Some(Line::Said(running)));
        conn.send(&Request { n: None, order: Asked::Kill(true) }).await.unwrap();
        let mut said = vec![0; 14];
        shim.read_exact(&mut said).await.unwrap();
        assert_eq!(said, b"{\"kill\":true}\n");
        let long = tokio::spawn(async move {
            shim.write_all(&vec![b'x'; 3 * LINE_BYTES_MAX]).await.unwrap();
            shim.write_all(b"\n{\"state\":\"starting\"}\n").await.unwrap();
        });
        assert_eq!(conn.line().await, Some(Line::Said(Said::Starting)));
        long.await.unwrap();
        assert_eq!(conn.line().await, None);
    }
}

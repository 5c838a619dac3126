//! A client against a peer that follows a script, and against the real server.

mod flush;
mod hostile;
mod ledger;
mod real;
mod tree;

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use super::task::next_frame;
use super::{Client, ClientError};
use crate::wire::{Data, Dialect, QIdType, Qid, Qids, Rmsg, Tmsg};

/// The longest wait for anything in these tests: only a failing one needs it.
const DEADLINE: Duration = Duration::from_secs(20);

/// The message size the scripted server agrees to, and what is left of it for data.
const MSIZE: u32 = 8192;
const PAYLOAD: u32 = MSIZE - 24;

/// The scripted server.
struct Peer {
    stream: DuplexStream,
    input: BytesMut,
}

impl Peer {
    /// Messages must come, in this order, each as its line of a trace; gives their tags.
    #[track_caller]
    fn hears(&mut self, want: &str) -> impl Future<Output = Vec<u16>> {
        let at = std::panic::Location::caller();
        async move {
            let mut tags = Vec::new();
            for line in want.lines().map(str::trim) {
                let (tag, message) = self.next().await.expect("a message");
                assert!(alike(&message, line), "{message}, not {line}, at {at}");
                tags.push(tag);
            }
            tags
        }
    }

    /// So many messages must come, whatever they are.
    async fn hears_any(&mut self, count: usize) -> Vec<u16> {
        let mut tags = Vec::new();
        for _ in 0..count {
            tags.push(self.next().await.expect("a message").0);
        }
        tags
    }

    /// The next message; none when the client has closed.
    async fn next(&mut self) -> Option<(u16, String)> {
        loop {
            if let Some(frame) = next_frame(&mut self.input, u32::MAX).unwrap() {
                let (tag, message) = Tmsg::decode(&frame, Dialect::P9).unwrap();
                return Some((tag, message.to_string()));
            }
            let read = self.stream.read_buf(&mut self.input);
            if soon(read).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// Answers these tags, in this order.
    async fn says(&mut self, tags: &[u16], answers: &[Rmsg<'_>]) {
        let mut out = Vec::new();
        for (tag, message) in tags.iter().zip(answers) {
            message.encode(*tag, Dialect::P9, &mut out);
        }
        self.stream.write_all(&out).await.unwrap();
    }
}

/// A client that has attached to the scripted server.
async fn pair() -> (Client, Peer) {
    pair_over(|near| near).await
}

/// The same over a stream that `wrap` makes of the near end.
async fn pair_over<S>(wrap: impl FnOnce(DuplexStream) -> S) -> (Client, Peer)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (near, far) = tokio::io::duplex(1 << 20);
    let mut peer = Peer { stream: far, input: BytesMut::new() };
    let greet = async {
        let tags = peer.hears_any(2).await;
        let version = Rmsg::Version { msize: MSIZE, version: b"9P2000" };
        peer.says(&tags, &[version, Rmsg::Attach { qid: Qid::default() }]).await;
    };
    let (client, ()) = tokio::join!(Client::from_stream(wrap(near), ""), greet);
    (client.unwrap(), peer)
}

/// Runs an operation and the peer's script beside it.
async fn beside<T>(operation: impl Future<Output = T>, script: impl Future<Output = ()>) -> T {
    soon(async { tokio::join!(operation, script).0 }).await
}

/// Waits for what must come within the deadline.
async fn soon<T>(operation: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, operation).await.expect("an end")
}

/// The same message: whether its name is Tread or TRead is no matter here.
fn alike(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

fn walked(names: usize) -> Rmsg<'static> {
    Rmsg::Walk { qids: Qids::new(&vec![Qid::default(); names]).unwrap() }
}

fn opened() -> Rmsg<'static> {
    Rmsg::Open { qid: Qid::default(), iounit: 0 }
}

fn directory() -> Rmsg<'static> {
    let qid = Qid { kind: QIdType::DIR.bits(), version: 0, path: 0 };
    Rmsg::Open { qid, iounit: 0 }
}

fn data(bytes: &[u8]) -> Rmsg<'_> {
    Rmsg::Read { data: Data(bytes) }
}

fn no(text: &str) -> Rmsg<'_> {
    Rmsg::Error { ename: text.as_bytes() }
}

fn refused(text: &str) -> ClientError {
    ClientError::Refused(text.to_owned())
}

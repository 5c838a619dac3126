//! `stdio`: standard input and output to the server's socket, byte for byte, so that ssh can
//! carry a connection.

use crate::error::{Error, Result};
use crate::link;
use ninep::dial::Address;
use ninep::words;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};

/// Carries bytes until the server has said its last.
pub(crate) async fn run(address: &Address) -> Result<()> {
    let stream = link::connect(address).await?;
    carry(stream, tokio::io::stdin(), tokio::io::stdout()).await
}

async fn carry<S, R, W>(stream: S, mut input: R, mut output: W) -> Result<()>
where
    S: AsyncRead + AsyncWrite,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut from, mut to) = split(stream);
    let there = async {
        // Whichever way it ended, the server is told that there is no more.
        let copied = copy(&mut input, &mut to).await;
        let _ = to.shutdown().await;
        copied
    };
    let back = async {
        copy(&mut from, &mut output).await?;
        output.flush().await
    };
    tokio::pin!(there, back);
    tokio::select! {
        done = &mut back => done.map_err(lost),
        // The end of the input is not the end of the answers.
        _ = &mut there => back.await.map_err(lost),
    }
}

fn lost(why: std::io::Error) -> Error {
    Error::Lost(words(&why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn the_end_of_the_input_is_not_the_end_of_the_answers() {
        let (ours, mut server) = tokio::io::duplex(64);
        let mut output = Vec::new();
        let serve = async {
            let mut asked = String::new();
            server.read_to_string(&mut asked).await.unwrap();
            server.write_all(format!("{asked} and more").as_bytes()).await.unwrap();
            drop(server);
        };
        let (done, ()) = tokio::join!(carry(ours, &b"hello"[..], &mut output), serve);
        done.unwrap();
        assert_eq!(output, b"hello and more");
    }
}

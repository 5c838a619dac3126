//! A 9P2000 client: one connection, any number of requests at once, whole files in one go.
//!
//! Messages that depend on each other are sent together: reading a file is Twalk, Topen and
//! Tread in one write and one wait. This leans on a server that takes the messages of a
//! connection in order, as 9P servers do; one that does not answers with errors, never with
//! wrong bytes. Tclunk follows the answer and is not waited for: sent with the rest it would end
//! a read that has to wait, and a file longer than one message is read on.
//!
//! A future that is dropped sends Tflush, and its tag is used again only after Rflush. A dropped
//! `File` clunks its fid. When the last `Client` and `File` are gone, the connection is closed.
//!
//! Never: retries, reconnects, times an operation out, or believes a server: an answer that
//! nothing asked for, that is of another kind or longer than asked for ends the connection.

mod error;
mod fid;
mod file;
mod hello;
mod link;
mod message;
mod path;
mod table;
mod task;
mod walk;
mod whole;

pub use error::ClientError;
pub use file::{File, Mode};
pub use whole::WHOLE_BYTES_MAX;

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::dial::{self, Address};
use link::{Link, Shared};

/// A connection to a file server, attached to its tree. Clones share it.
#[derive(Clone)]
pub struct Client {
    link: Arc<Link>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Connects to `address` and attaches to the tree `aname` (empty: the whole one).
    ///
    /// # Errors
    /// `Unreachable` when there is no connection, `Refused` when the server does not want this
    /// user or has no such tree, and what `from_stream` says.
    pub async fn dial(address: &Address, aname: &str) -> Result<Self, ClientError> {
        match dial::connect(address).await {
            Ok(stream) => Self::from_stream(stream, aname).await,
            Err(error) => Err(ClientError::Unreachable(error.to_string())),
        }
    }

    /// Attaches to the tree `aname` over a connection that is there. Needs a tokio runtime, in
    /// which a task for the connection is started.
    ///
    /// # Errors
    /// `Refused`, `Lost` when the connection ends or there is no answer within ten seconds,
    /// `Protocol` when the server does not speak 9P2000.
    pub async fn from_stream<S>(mut stream: S, aname: &str) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (msize, rest) = hello::greet(&mut stream, aname).await?;
        let shared = Shared::new(msize);
        tokio::spawn(task::run(stream, rest, shared.clone()));
        Ok(Self { link: Arc::new(Link(shared)) })
    }

    /// Ends when the connection is lost, with the reason. Holds no connection open itself.
    pub fn closed(&self) -> impl Future<Output = ClientError> + Send + use<> {
        let shared = self.link.0.clone();
        async move { shared.lost().await }
    }
}

#[cfg(test)]
mod tests;

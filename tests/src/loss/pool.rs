//! Connections that are used again: a pool of HTTP/1.1, one of HTTP/2 with many streams.

use super::load::Target;
use super::once::{body, connect, failed, http1, named};
use super::score::Wrong;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::{http1 as one, http2 as two};
use hyper::header::HOST;
use hyper::{Request, Version};
use hyper_util::rt::TokioExecutor;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Mutex as Turn;

/// Whether the server has said that it did nothing about a request: a GOAWAY without an error
/// names the last that it will answer (RFC 9113, section 6.8).
fn untouched(why: &hyper::Error) -> bool {
    let from = std::error::Error::source(why).and_then(|from| from.downcast_ref::<h2::Error>());
    from.is_some_and(|from| from.is_go_away() && from.reason() == Some(h2::Reason::NO_ERROR))
}

/// Connections of a client.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<one::SendRequest<Empty<Bytes>>>>,
    http2: Turn<Option<two::SendRequest<Empty<Bytes>>>>,
}

impl Pool {
    /// A GET on an idle connection, or on a new one when there is none. One that the server had
    /// said it closes is not used; one that it closes without a word is a lost request.
    pub(crate) async fn get(&self, target: &Target) -> Result<(), Wrong> {
        let mut sender = match self.idle() {
            Some(sender) => sender,
            None => http1(target).await?,
        };
        let request = Request::get("/").header(HOST, &target.host).body(Empty::new());
        let request = request.map_err(|why| Wrong::Failed(why.to_string()))?;
        let response = sender.send_request(request).await.map_err(failed("get"))?;
        named(&body(response).await?)?;
        if sender.ready().await.is_ok() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        }
        Ok(())
    }

    /// An idle connection that is still open.
    fn idle(&self) -> Option<one::SendRequest<Empty<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|sender| !sender.is_closed())
    }

    /// A GET as one of many streams of a connection. One that the server has not looked at,
    /// because it is about to close the connection, goes over the next one, as browsers do it.
    pub(crate) async fn get_http2(&self, target: &Target) -> Result<(), Wrong> {
        loop {
            let mut sender = self.http2(target).await?;
            let request = Request::get(format!("http://{}/", target.host)).version(Version::HTTP_2);
            let request = request.body(Empty::new());
            let request = request.map_err(|why| Wrong::Failed(why.to_string()))?;
            match sender.send_request(request).await {
                Ok(response) => return named(&body(response).await?),
                Err(why) if untouched(&why) => *self.http2.lock().await = None,
                Err(why) => return Err(failed("get")(why)),
            }
        }
    }

    async fn http2(&self, target: &Target) -> Result<two::SendRequest<Empty<Bytes>>, Wrong> {
        let mut there = self.http2.lock().await;
        if let Some(sender) = there.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let io = connect(target).await?;
        let shaken = two::handshake(TokioExecutor::new(), io).await;
        let (sender, connection) = shaken.map_err(failed("handshake"))?;
        tokio::spawn(async move { drop(connection.await) });
        *there = Some(sender.clone());
        Ok(sender)
    }
}

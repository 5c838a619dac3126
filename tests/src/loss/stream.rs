//! Answers that go on: a websocket, and a stream of events.

use super::load::Target;
use super::once::{connect, failed, http1};
use super::score::Wrong;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// Messages of a conversation.
const MESSAGES: u32 = 20;
/// Between two messages.
const MESSAGE_EVERY: Duration = Duration::from_millis(100);

/// A conversation over a websocket: every message comes back, and the other end says goodbye.
pub(crate) async fn socket(target: &Target) -> Result<(), Wrong> {
    let url = format!("ws://{}/socket", target.host);
    let stream = connect(target).await?.into_inner();
    let shaken = tokio_tungstenite::client_async(url, stream).await;
    let (mut socket, _) = shaken.map_err(|why| Wrong::Failed(format!("upgrade: {why}")))?;
    for n in 0..MESSAGES {
        tokio::time::sleep(MESSAGE_EVERY).await;
        let message = Message::text(n.to_string());
        let sent = socket.send(message.clone()).await;
        sent.map_err(|why| Wrong::Cut(format!("message {n}: {why}")))?;
        match socket.next().await {
            Some(Ok(back)) if back == message => {}
            Some(Ok(other)) => return Err(Wrong::Cut(format!("message {n}: {other:?}"))),
            Some(Err(why)) => return Err(Wrong::Cut(format!("message {n}: {why}"))),
            None => return Err(Wrong::Cut(format!("ended at message {n}"))),
        }
    }
    // The conversation was whole; how the farewell goes is nobody's loss.
    let _ = socket.close(None).await;
    Ok(())
}

/// A stream of events, up to the last one.
pub(crate) async fn events(target: &Target) -> Result<(), Wrong> {
    let mut sender = http1::<Empty<Bytes>>(target).await?;
    let request = Request::get("/events").header(HOST, &target.host).body(Empty::new());
    let request = request.map_err(|why| Wrong::Failed(why.to_string()))?;
    let response = sender.send_request(request).await.map_err(failed("events"))?;
    if response.status() != StatusCode::OK {
        return Err(Wrong::Failed(response.status().to_string()));
    }
    let (mut body, mut text) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|why| Wrong::Cut(why.to_string()))?;
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
    }
    match text.ends_with(b"data: end\n\n") {
        true => Ok(()),
        false => Err(Wrong::Cut(format!("after {} bytes", text.len()))),
    }
}

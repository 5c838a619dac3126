//! Server-sent events as bytes (HTML, section 9.2), and the way to whoever reads them.

use crate::refusal::{Refusal, Result};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use std::io;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::limits::{PIECES_MAX, STREAMS_MAX};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// From where a stream that broke off goes on.
    pub(crate) id: String,
    /// Its name; none for a plain message.
    pub(crate) name: Option<&'static str>,
    /// What it says.
    pub(crate) data: Value,
}

impl Event {
    /// As it goes over the wire. A value is one line whatever is in it.
    pub(crate) fn wire(&self) -> String {
        let name = self.name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("id: {}\n{name}data: {}\n\n", self.id, spaced(&self.data))
    }
}

/// A value with a blank behind colons and commas, as people write it.
fn spaced(value: &Value) -> String {
    let mut bytes = Vec::new();
    // A value made here has nothing that cannot be written, and memory takes it.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced));
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

/// Room for streams of one kind: whoever only looks takes no room from deploys.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Streams {
        Streams(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

impl Streams {
    /// Room for one more.
    ///
    /// # Errors
    /// 429, when there is none.
    pub(crate) fn begin(&self) -> Result<(Reader, mpsc::Receiver<Bytes>)> {
        let Ok(seat) = Arc::clone(&self.0).try_acquire_owned() else {
            let text = format!("{STREAMS_MAX} such streams are open, which is all there may be");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).hint("close one"));
        };
        let (pieces, come) = mpsc::channel(PIECES_MAX);
        Ok((Reader { pieces, _seat: seat }, come))
    }
}

/// Whoever reads a stream. What he does not take is waited for, and nothing more is read for him;
/// his connection is given up by the time he has.
#[derive(Debug)]
pub(crate) struct Reader {
    pieces: mpsc::Sender<Bytes>,
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    /// Tells him; whether he is still there.
    pub(crate) async fn tell(&self, events: &[Event]) -> bool {
        let text: String = events.iter().map(Event::wire).collect();
        text.is_empty() || self.pieces.send(text.into()).await.is_ok()
    }

    /// Tells him that the stream goes on, though there is nothing to tell.
    pub(crate) async fn beat(&self) -> bool {
        self.pieces.send(Bytes::from_static(b":\n\n")).await.is_ok()
    }

    /// Ends when he has gone.
    pub(crate) async fn gone(&self) {
        self.pieces.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_a_few_lines_and_its_data_is_one() {
        let data = json!({"service": "web", "seconds": 2.1, "log": ["a\nb"]});
        let event = Event { id: "a.b".to_string(), name: Some("progress"), data };
        let want = "id: a.b\nevent: progress\n\
                    data: {\"service\": \"web\", \"seconds\": 2.1, \"log\": [\"a\\nb\"]}\n\n";
        assert_eq!(event.wire(), want);
        let event = Event { id: "1".to_string(), name: None, data: json!({}) };
        assert_eq!(event.wire(), "id: 1\ndata: {}\n\n");
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_streams_and_again_when_one_has_ended() {
        let streams = Streams::default();
        let mut all: Vec<_> = (0..STREAMS_MAX).map(|_| streams.begin().unwrap()).collect();
        assert_eq!(streams.begin().unwrap_err().status.as_u16(), 429);
        all.pop();
        let (reader, come) = streams.begin().unwrap();
        drop(come);
        reader.gone().await;
        assert!(!reader.beat().await);
    }
}

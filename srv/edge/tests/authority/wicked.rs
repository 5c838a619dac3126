//! Answers that no authority should give.

use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// How whatever is asked for is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wicked {
    /// A body that never ends.
    Endless,
    /// A head that never ends.
    EndlessHead,
    /// No JSON.
    Garbage,
    /// JSON of another thing, deeply nested.
    Nested,
    /// It is to be asked for elsewhere.
    Redirects,
    /// A directory whose things are at another server.
    Elsewhere,
    /// A refusal that asks for a rest of all time, in words that are none.
    Rests,
}

impl Wicked {
    /// All of them.
    pub(crate) const ALL: [Wicked; 7] = [
        Self::Endless,
        Self::EndlessHead,
        Self::Garbage,
        Self::Nested,
        Self::Redirects,
        Self::Elsewhere,
        Self::Rests,
    ];

    pub(super) async fn answer(self, stream: &mut (impl AsyncWrite + Unpin), base: &str) {
        let whole = |status: &str, fields: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status} x\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
        };
        let text = match self {
            Self::Endless => "HTTP/1.1 200 x\r\n\r\n".to_owned(),
            Self::EndlessHead => "HTTP/1.1 200 x\r\nA: ".to_owned(),
            Self::Garbage => whole("200", "Replay-Nonce: x\r\n", "\u{1}<html>"),
            Self::Nested => whole("200", "Replay-Nonce: x\r\n", &"[".repeat(100_000)),
            Self::Redirects => whole("301", &format!("Location: {base}/other\r\n"), ""),
            Self::Elsewhere => {
                let other = "https://127.0.0.1:1/x";
                let body = json!({ "newNonce": other, "newAccount": other, "newOrder": other });
                whole("200", "", &body.to_string())
            }
            Self::Rests => {
                let body =
                    json!({ "type": "x\nacme_host=y", "detail": "\u{1b}[2J\n".repeat(9999) });
                let fields = "Replay-Nonce: x\r\nRetry-After: 18446744073709551615\r\n";
                whole("503", fields, &body.to_string())
            }
        };
        let mut goes_on = stream.write_all(text.as_bytes()).await.is_ok();
        while goes_on && matches!(self, Self::Endless | Self::EndlessHead) {
            goes_on = stream.write_all(&[b'x'; 16 * 1024]).await.is_ok();
        }
        let _ = stream.shutdown().await;
    }
}

//! Somebody who asks a service through the edge all the time, a connection a request.

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between two questions.
const EVERY: Duration = Duration::from_millis(10);
/// The longest a request may be held while a service is replaced: longer than its `drain`.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What was asked and what was wrong, until it is ended.
pub(super) struct Probe {
    end: watch::Sender<bool>,
    asking: JoinHandle<Asked>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Questions that were answered with 200.
    pub(super) fine: u32,
    /// Everything else, in words.
    pub(super) wrong: Vec<String>,
}

impl Probe {
    /// Begins to ask `host` at that address.
    pub(super) fn begin(at: String, host: &'static str) -> Probe {
        let (end, mut ended) = watch::channel(false);
        let asking = tokio::spawn(async move {
            let mut asked = Asked::default();
            let mut turns = interval(EVERY);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => return asked,
                    _ = turns.tick() => {}
                }
                match timeout(ANSWER_MAX, ask(&at, host)).await {
                    Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => asked.fine += 1,
                    Ok(Ok(answer)) => asked.wrong.push(answer),
                    Ok(Err(why)) => asked.wrong.push(why.to_string()),
                    Err(_) => asked.wrong.push("no answer".to_owned()),
                }
            }
        });
        Probe { end, asking }
    }

    /// Ends it.
    pub(super) async fn end(self) -> Asked {
        self.end.send_replace(true);
        self.asking.await.expect("the probe ends")
    }
}

async fn ask(at: &str, host: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

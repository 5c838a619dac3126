//! One GET over a connection of its own: never a pooled one, which might belong to a server that
//! has gone on to its next life.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::{one_line, tcp};

/// How an instance can tell a probe from a user.
const AGENT: &str = concat!("deploy-health/", env!("CARGO_PKG_VERSION"));
/// How much of the body people get to see.
const SHOWN_BYTES_MAX: usize = 80;
/// How much of the body is read at all, so that a common short one ends the connection in peace.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long the body may take; the status has decided already.
const BODY_MS_MAX: u64 = 200;
/// The largest head; hyper's floor is 8 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Asks for `path` and answers with the text of a healthy status, or of any other outcome.
/// Healthy is 200 to 399: a redirect (to a login page, to https) comes from a working program.
pub(crate) async fn get(to: SocketAddr, path: &str) -> Result<String, String> {
    let uri: Uri = path.parse().map_err(|_| format!("bad path `{path}`"))?;
    let request = Request::get(uri)
        .header(HOST, to.to_string())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|why| format!("bad path `{path}`: {why}"))?;
    let stream = TokioIo::new(tcp::connect(to).await?);
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) =
        client.handshake(stream).await.map_err(|why| broken(to, &why))?;
    // The set ends the connection with this call, however it ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|why| broken(to, &why))?;
    let status = response.status();
    let shown = beginning(response).await;
    let healthy = (StatusCode::OK..StatusCode::BAD_REQUEST).contains(&status);
    let code = status.as_u16();
    match (healthy, shown.is_empty()) {
        (true, _) => Ok(format!("HTTP {code}")),
        (false, true) => Err(format!("HTTP {code}")),
        (false, false) => Err(format!("HTTP {code}: {shown}")),
    }
}

/// The body's beginning as one line.
async fn beginning(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut shown = Vec::new();
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(data) = frame.data_ref() else { continue };
            bytes += data.len();
            let room = SHOWN_BYTES_MAX - shown.len();
            shown.extend_from_slice(&data[..data.len().min(room)]);
            if bytes > BODY_BYTES_MAX {
                break;
            }
        }
    };
    // Too slow is no failure: what came is shown.
    let _ = tokio::time::timeout(Duration::from_millis(BODY_MS_MAX), read).await;
    one_line(&String::from_utf8_lossy(&shown), SHOWN_BYTES_MAX)
}

fn broken(to: SocketAddr, why: &hyper::Error) -> String {
    if why.is_parse() {
        format!("{to} does not speak HTTP/1.1: {why}")
    } else if why.is_incomplete_message() || why.is_canceled() || why.is_closed() {
        format!("{to} closed the connection without an answer")
    } else {
        let cause =
            std::error::Error::source(why).map_or_else(|| why.to_string(), |c| c.to_string());
        format!("{to}: {cause}")
    }
}

//! HTTP/1.1 over TLS, a request a connection; and the fetching of proofs.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::Inside;

/// Bytes of a request.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A request.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: String,
}

pub(super) async fn serve(listener: TcpListener, inside: Arc<Inside>) {
    let acceptor = TlsAcceptor::from(inside.root.server());
    while let Ok((stream, _)) = listener.accept().await {
        inside.count(|seen| seen.connections += 1);
        let (acceptor, inside) = (acceptor.clone(), Arc::clone(&inside));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Some(asked) = read(&mut stream).await else { return };
            let wicked = inside.ways.borrow().wicked;
            if let Some(wicked) = wicked {
                return wicked.answer(&mut stream, &inside.base).await;
            }
            let text = inside.answer(&asked).text(asked.method != "HEAD");
            // Who has gone hears nothing.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        });
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = field(&head, "content-length").and_then(|it| it.parse::<usize>().ok());
            let body = bytes.split_off(end + 4);
            if body.len() >= length.unwrap_or(0) {
                let mut words = head.split(' ');
                let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
                return Some(Asked { method, path, head, body });
            }
            bytes.extend(body);
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A field of a head.
pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl Reply {
    fn text(&self, with_body: bool) -> String {
        let fields: String =
            self.fields.iter().map(|(name, it)| format!("{name}: {it}\r\n")).collect();
        let (status, length) = (self.status, self.body.len());
        let body = if with_body { self.body.as_str() } else { "" };
        format!(
            "HTTP/1.1 {status} x\r\n{fields}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }
}

/// What is found where the proof of a token is to be, or why nothing is.
pub(super) async fn fetch(port: u16, host: &str, token: &str) -> Result<String, String> {
    let fetched = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let text = format!(
            "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {host}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = fetched.await.map_err(|why| why.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(answer.lines().next().unwrap_or("nothing").to_owned()),
    }
}

//! An edge with real sockets, instances that are small real servers, and users who write bytes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::access::Access;
use crate::http::Scheme;
use crate::limits::Limits;
use crate::swap::{Note, Shared};
use crate::worker::Kind;

/// How long anything in these tests may take.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Bytes of the answer to `/long`.
pub(crate) const LONG_BYTES: u32 = 40_000;

/// Ends a wait that takes too long.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(SOON, work).await {
        Ok(it) => it,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

/// An edge that serves.
pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) notes: mpsc::UnboundedReceiver<Note>,
    pub(crate) address: SocketAddr,
    pub(crate) leave: watch::Sender<bool>,
    pub(crate) served: tokio::task::JoinHandle<()>,
    generation: u64,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Limits { workers: 2, ..Limits::default() }, Access::none()).await
    }

    pub(crate) async fn with(limits: Limits, access: Access) -> Self {
        let (shared, notes) = Shared::new(limits, access).expect("an edge");
        let (address, leave, served) = listen(&shared, Kind::Http(Scheme::Http)).await;
        Self { shared, notes, address, leave, served, generation: 0 }
    }

    /// Serves these lines.
    pub(crate) fn table(&mut self, lines: &str) {
        self.generation += 1;
        let text = format!("generation {}\n{lines}\n", self.generation);
        assert_eq!(self.shared.take(&text).expect("a table"), self.generation);
    }

    /// A user's connection.
    pub(crate) async fn user(&self) -> User {
        User::to(self.address).await
    }

    /// What a new user gets for this.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut user = self.user().await;
        user.send(request).await;
        user.answer().await
    }

    pub(crate) async fn note(&mut self) -> Note {
        soon("a note", self.notes.recv()).await.expect("a note")
    }
}

/// A listener of an edge.
pub(crate) async fn listen(
    shared: &Arc<Shared>,
    kind: Kind,
) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let (leave, mut left) = watch::channel(false);
    let shared = Arc::clone(shared);
    let served = tokio::spawn(async move {
        let leave = async move { _ = left.wait_for(|left| *left).await };
        crate::http::serve(listener, kind, shared, leave).await.expect("serves");
    });
    (address, leave, served)
}

/// An answer, as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a field, or nothing.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A user with one connection.
pub(crate) struct User {
    pub(crate) stream: TcpStream,
    got: Vec<u8>,
}

impl User {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await.expect("connects");
        Self { stream, got: Vec::new() }
    }

    /// Writes, with every line's end made a network's.
    pub(crate) async fn send(&mut self, text: &str) {
        self.raw(text.replace('\n', "\r\n").as_bytes()).await;
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("writes");
    }

    /// Ends his side: there is nothing more to come from him.
    pub(crate) async fn ends_half(&mut self) {
        self.stream.shutdown().await.expect("the end of one side");
    }

    /// Writes until the other side has closed the connection.
    pub(crate) async fn stream_takes(&mut self, bytes: &[u8]) -> bool {
        soon("the other side to take it or to close", self.stream.write_all(bytes)).await.is_ok()
    }

    async fn more(&mut self) -> usize {
        soon("more", self.stream.read_buf(&mut self.got)).await.unwrap_or(0)
    }

    /// Reads until this has come; gives all until then.
    pub(crate) async fn until(&mut self, wanted: &str) -> String {
        loop {
            let found = self.got.windows(wanted.len()).position(|it| it == wanted.as_bytes());
            if let Some(at) = found {
                let rest = self.got.split_off(at + wanted.len());
                let got = std::mem::replace(&mut self.got, rest);
                return String::from_utf8_lossy(&got).into_owned();
            }
            let so_far = String::from_utf8_lossy(&self.got).into_owned();
            assert!(self.more().await > 0, "ended before `{wanted}`: `{so_far}`");
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.got)).into_owned()
    }

    /// Reads one answer; a body of known length, or in chunks, which are kept as they are.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head.get(9..12).and_then(|code| code.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: String::new() };
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.until("0\r\n\r\n").await;
        } else if let Some(len) = answer.field("content-length") {
            let len: usize = len.parse().expect("a length");
            while self.got.len() < len {
                assert!(self.more().await > 0, "ended in the body");
            }
            let rest = self.got.split_off(len);
            let body = std::mem::replace(&mut self.got, rest);
            answer.body = String::from_utf8_lossy(&body).into_owned();
        }
        answer
    }
}

/// An instance: a server that can be told when to answer, and says what it saw.
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    /// Requests that have come.
    pub(crate) requests: Arc<AtomicUsize>,
    /// Connections that are open.
    pub(crate) open: Arc<AtomicUsize>,
    /// Lets one request to `/wait`, or one chunk of `/chunks`, go on.
    pub(crate) go: Arc<Semaphore>,
    /// Rung when a request has come.
    pub(crate) came: Arc<Notify>,
    /// Rung when a request was given up by who made it.
    pub(crate) given_up: Arc<Notify>,
    /// Connections that were ever made.
    pub(crate) made: Arc<AtomicUsize>,
    connections: Arc<Mutex<BTreeMap<u16, AbortHandle>>>,
    listening: AbortHandle,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Instance {
    pub(crate) async fn new(id: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let desk = Desk {
            id: id.to_owned(),
            requests: Arc::default(),
            open: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
            came: Arc::default(),
            given_up: Arc::default(),
        };
        let connections = Arc::new(Mutex::new(BTreeMap::new()));
        let (made, kept) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&connections));
        let (counted, shared) = (Arc::clone(&made), desk.clone());
        let listening = tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let task = tokio::spawn(connection(stream, shared.clone()));
                kept.lock().expect("connections").insert(from.port(), task.abort_handle());
            }
        });
        let Desk { id, requests, open, go, came, given_up } = desk;
        let listening = listening.abort_handle();
        Self { id, address, requests, open, go, came, given_up, made, connections, listening }
    }

    /// As it stands in a table.
    pub(crate) fn line(&self) -> String {
        format!("0/{}/v1={}", self.id, self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Ends all connections, without a word.
    pub(crate) fn hang_up(&self) {
        let mut connections = self.connections.lock().expect("connections");
        std::mem::take(&mut *connections).values().for_each(AbortHandle::abort);
    }

    /// Ends the instance, without a word.
    pub(crate) fn kill(&self) {
        self.listening.abort();
        self.hang_up();
    }

    /// Waits until that many requests have come.
    pub(crate) async fn has_seen(&self, requests: usize) {
        soon("requests", async {
            while self.count() < requests {
                self.came.notified().await;
            }
        })
        .await;
    }
}

#[derive(Clone)]
struct Desk {
    id: String,
    requests: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
    came: Arc<Notify>,
    given_up: Arc<Notify>,
}

/// Counts while it lives.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Rings when it is dropped before the request was answered.
struct GivenUp(Option<Arc<Notify>>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(ring) = &self.0 {
            ring.notify_one();
        }
    }
}

async fn connection(stream: TcpStream, desk: Desk) {
    desk.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(Arc::clone(&desk.open));
    let service = service_fn(|request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(respond(request, desk).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

type Reply = Response<BoxBody<Bytes, hyper::Error>>;

fn text(text: impl Into<Bytes>) -> Reply {
    Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed())
}

async fn respond(mut request: Request<Incoming>, desk: Desk) -> Reply {
    desk.requests.fetch_add(1, Ordering::SeqCst);
    desk.came.notify_one();
    let mut given_up = GivenUp(Some(Arc::clone(&desk.given_up)));
    let reply = match request.uri().path() {
        "/head" => {
            let fields = request.headers().iter();
            let fields =
                fields.map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")));
            let (method, uri, version) = (request.method(), request.uri(), request.version());
            text(format!("{method} {uri} {version:?}\n{}", fields.collect::<String>()))
        }
        "/echo" => Response::new(request.into_body().boxed()),
        "/wait" => {
            desk.go.acquire().await.expect("go").forget();
            text(format!("waited at {}", desk.id))
        }
        "/long" => text(vec![b'x'; LONG_BYTES as usize]),
        "/take" => match request.into_body().collect().await {
            Ok(body) => text(format!("{} bytes", body.to_bytes().len())),
            Err(_) => return text("not all came"),
        },
        "/chunks" => chunks(desk.clone()),
        "/much" => much(desk.clone()),
        "/hop" => {
            let mut reply = text("hop");
            for (name, value) in [
                ("connection", "x-one"),
                ("x-one", "1"),
                ("x-two", "2"),
                ("keep-alive", "timeout=5"),
            ] {
                reply.headers_mut().insert(name, value.parse().expect("a value"));
            }
            reply
        }
        "/ws" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.expect("upgraded"));
                let (mut near, mut far) = tokio::io::duplex(1024);
                let echo = async move {
                    let mut all = vec![0; 1024];
                    while let Ok(len @ 1..) = far.read(&mut all).await {
                        far.write_all(&all[..len]).await.expect("echoes");
                    }
                };
                tokio::join!(echo, async {
                    _ = copy_bidirectional(&mut stream, &mut near).await;
                    drop(near);
                });
            });
            let mut reply = text("");
            *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            reply.headers_mut().insert("connection", "upgrade".parse().expect("a value"));
            reply.headers_mut().insert("upgrade", "websocket".parse().expect("a value"));
            reply
        }
        "/grpc" => grpc(request).await,
        _ => text(format!("hello from {}", desk.id)),
    };
    given_up.0 = None;
    reply
}

/// Chunks `0`, `1`, `2`, each when it is told.
fn chunks(desk: Desk) -> Reply {
    let next = move |count: usize| {
        let desk = desk.clone();
        async move {
            if count == 3 {
                return None;
            }
            let mut given_up = GivenUp(Some(Arc::clone(&desk.given_up)));
            desk.go.acquire().await.expect("go").forget();
            given_up.0 = None;
            Some((Ok(Frame::data(Bytes::from(format!("chunk {count}\n")))), count + 1))
        }
    };
    let stream = futures_util::stream::unfold(0, next);
    Response::new(BodyExt::boxed(StreamBody::new(stream)))
}

/// A body without end.
fn much(desk: Desk) -> Reply {
    static PART: [u8; 1 << 16] = [b'x'; 1 << 16];
    let next = |given_up| async { Some((Ok(Frame::data(Bytes::from_static(&PART))), given_up)) };
    let stream = futures_util::stream::unfold(GivenUp(Some(desk.given_up)), next);
    Response::new(BodyExt::boxed(StreamBody::new(stream)))
}

async fn grpc(request: Request<Incoming>) -> Reply {
    let whole = request.into_body().collect().await.expect("a body");
    let sent = whole.trailers().and_then(|it| it.get("x-sum").cloned());
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    trailers.extend(sent.map(|sum| (hyper::header::HeaderName::from_static("x-sum"), sum)));
    let data = Full::new(whole.to_bytes()).map_err(|never| match never {});
    Response::new(data.with_trailers(async move { Some(Ok(trailers)) }).boxed())
}

//! Connections: taken within a bound, spoken to in HTTP/1.1 within bounds, and ended in peace when
//! the door is to go.

use crate::answer::{Door, answer};
use crate::limits::{
    CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX, HEAD_TIME_MAX, LEAVE_TIME_MAX,
};
use crate::stall::Stall;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// How long taking connections rests when the process may have no more descriptors.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Connections that find no room and are told so, at once.
const FAREWELLS_MAX: usize = 64;

/// How long that may take.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);

/// What is said to who finds no room, without looking at what he wants.
const NO_ROOM: &str = "{\"error\":\"there are as many connections as there may be\",\
                       \"hint\":\"try again\"}\n";

/// Takes connections until told to leave, and then waits a while for what is being answered.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Arc<Door>,
    mut leave: watch::Receiver<bool>,
) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let farewells = Arc::new(Semaphore::new(FAREWELLS_MAX));
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = leave.wait_for(|leaves| *leaves) => break,
        };
        let (stream, from) = match taken {
            Ok(taken) => taken,
            // Others must end first.
            Err(_) => {
                sleep(BACK_OFF).await;
                continue;
            }
        };
        match Arc::clone(&seats).try_acquire_owned() {
            Ok(seat) => {
                let (door, leave) = (Arc::clone(&door), leave.clone());
                tokio::spawn(async move {
                    connection(stream, from, door, leave).await;
                    drop(seat);
                });
            }
            // Of more than that nobody is told anything.
            Err(_) => match Arc::clone(&farewells).try_acquire_owned() {
                Ok(farewell) => {
                    tokio::spawn(async move {
                        refuse(stream).await;
                        drop(farewell);
                    });
                }
                Err(_) => drop(stream),
            },
        }
    }
    drop(listener);
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // Streams have no end of their own; their readers go on with the next door.
    let _ = timeout(LEAVE_TIME_MAX, seats.acquire_many(all)).await;
}

/// Says that there is no room. What he sends is read for a moment: a connection that is closed
/// before that is reset, and what was said on it is lost.
async fn refuse(mut stream: TcpStream) {
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
         Retry-After: 2\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        NO_ROOM.len()
    );
    let said = async {
        stream.write_all((head + NO_ROOM).as_bytes()).await?;
        stream.shutdown().await?;
        while stream.read(&mut [0; 1024]).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(FAREWELL_TIME_MAX, said).await;
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    door: Arc<Door>,
    mut leave: watch::Receiver<bool>,
) {
    // An event must not wait for a packet to fill.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(answer(&door, from, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let serving = builder.serve_connection(TokioIo::new(Stall::new(stream)), service);
    let mut serving = std::pin::pin!(serving);
    // Whatever is wrong with a connection is its user's to notice.
    tokio::select! {
        _ = serving.as_mut() => return,
        left = leave.wait_for(|leaves| *leaves) => drop(left),
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

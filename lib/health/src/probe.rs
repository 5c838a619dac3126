//! One probe: the right question within the time allowed.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{Answer, Check, Exec, TEXT_BYTES_MAX, Target, file, http, one_line, tcp};

/// What an [`Exec`] gets above the timeout to kill the program and say so.
const EXEC_GRACE_MS: u64 = 1_000;

/// Asks once and answers within `timeout` (a program gets a second more to be killed), whatever
/// the instance does.
pub async fn probe(check: &Check, target: &Target, timeout: Duration, exec: &dyn Exec) -> Answer {
    let at = |port: u16| SocketAddr::new(target.address, port);
    let said = match check {
        Check::Http { path, port } => within(timeout, at(*port), http::get(at(*port), path)).await,
        Check::Tcp { port } => {
            let connected = within(timeout, at(*port), tcp::connect(at(*port))).await;
            connected.map(|_| format!("connected to {}", at(*port)))
        }
        Check::File { path } => looked(timeout, target, path).await,
        Check::Exec { argv } => ran(timeout, argv, exec).await,
        Check::Running => Ok("running".to_owned()),
    };
    let (ok, text) = match said {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    Answer { ok, text: one_line(&text, TEXT_BYTES_MAX) }
}

async fn within<T>(
    timeout: Duration,
    to: SocketAddr,
    asked: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = |_| format!("no answer from {to} within {}", seconds(timeout));
    tokio::time::timeout(timeout, asked).await.map_err(late)?
}

/// On a thread of its own, since a file system may hang; the thread then stays behind until the
/// file system answers.
async fn looked(timeout: Duration, target: &Target, path: &str) -> Result<String, String> {
    let (root, file) = (target.root.clone(), path.to_owned());
    let look = tokio::task::spawn_blocking(move || file::look(&root, &file));
    match tokio::time::timeout(timeout, look).await {
        Err(_) => Err(format!("{path} cannot be read within {}", seconds(timeout))),
        Ok(Err(_)) => Err(format!("{path} was not looked at: the server is stopping")),
        Ok(Ok(found)) => found.map(|()| format!("{path} is there")),
    }
}

async fn ran(timeout: Duration, argv: &[String], exec: &dyn Exec) -> Result<String, String> {
    let program = argv.first().map_or("", String::as_str);
    let limit = timeout + Duration::from_millis(EXEC_GRACE_MS);
    let late = |_| format!("{program} did not end within {}", seconds(timeout));
    let ran = tokio::time::timeout(limit, exec.exec(argv, timeout)).await.map_err(late)??;
    let shown = one_line(&ran.output, TEXT_BYTES_MAX);
    let colon = if shown.is_empty() { "" } else { ": " };
    let text = format!("{program} exited with {}{colon}{shown}", ran.code);
    if ran.code == 0 { Ok(text) } else { Err(text) }
}

/// `5 s`, `250 ms`.
fn seconds(time: Duration) -> String {
    let ms = time.as_millis();
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

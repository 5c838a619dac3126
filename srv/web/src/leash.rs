//! The leash: a socket in the state directory at which the server that wants a door holds the one
//! that is there. It says what it would start; a door that is the same stays held until either
//! ends, and one that is another goes, so that the next can be started. A server that ends lets go
//! of it, and the door stays open.

use crate::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Bytes of what is said over it.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// How long either side may take to say it.
const LINE_TIME_MAX: Duration = Duration::from_secs(5);
/// What stands before the words of a door.
const HOLD: &str = "hold ";
/// What ends one, whatever it is.
const END: &str = "end";
/// The answer of a door that is the same.
const HELD: &str = "held";

fn path(state: &Path) -> PathBuf {
    state.join("web.sock")
}

/// Words of a door in one line.
fn line(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")
}

/// A door that is held.
#[derive(Debug)]
pub struct Held(BufReader<UnixStream>);

impl Held {
    /// Waits until it is gone.
    pub async fn gone(mut self) {
        // It says nothing more: whatever a read comes to, it is the end.
        let _ = self.0.read(&mut [0; 1]).await;
    }
}

/// Holds the door that runs in a state directory, if it was started with these words; one that was
/// started with others ends, and is gone when this returns.
///
/// # Errors
/// There is none now.
pub async fn hold(state: &Path, words: &[String]) -> Result<Held, Error> {
    let (held, said) = tell(state, &format!("{HOLD}{}", line(words))).await?;
    match said == HELD {
        true => Ok(held),
        false => {
            held.gone().await;
            Err(Error::Leash("the door that was there was another".to_owned()))
        }
    }
}

/// Ends the door in a state directory, and waits until it is gone.
///
/// # Errors
/// There is none.
pub async fn end(state: &Path) -> Result<(), Error> {
    tell(state, END).await?.0.gone().await;
    Ok(())
}

/// Says something to the door, and gives its answer.
async fn tell(state: &Path, line: &str) -> Result<(Held, String), Error> {
    let path = path(state);
    let failed = |why| Error::Io { what: path.display().to_string(), why };
    let stream = UnixStream::connect(&path).await.map_err(failed)?;
    let mut stream = BufReader::new(stream);
    let asked = async {
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut said = String::new();
        (&mut stream).take(LINE_BYTES_MAX).read_line(&mut said).await?;
        Ok(said.trim_end().to_string())
    };
    let said = timeout(LINE_TIME_MAX, asked).await;
    let said = said.map_err(|_| Error::Leash("the door says nothing".to_owned()))?;
    Ok((Held(stream), said.map_err(failed)?))
}

/// The door's end of it.
#[derive(Debug)]
pub(crate) struct Leash {
    listener: UnixListener,
    words: Arc<str>,
    leave: watch::Sender<bool>,
}

impl Leash {
    /// Listens. The caller holds the lock of the state directory's door, so that a socket that is
    /// there is nobody's.
    pub(crate) fn listen(
        state: &Path,
        words: &[String],
        leave: watch::Sender<bool>,
    ) -> Result<Leash, Error> {
        let path = path(state);
        let failed = |why| Error::Io { what: path.display().to_string(), why };
        match std::fs::remove_file(&path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(failed(why)),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        Ok(Leash { listener, words: line(words).into(), leave })
    }

    /// Answers whoever holds it, for as long as it is polled.
    pub(crate) async fn serve(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (words, leave) = (Arc::clone(&self.words), self.leave.clone());
                    tokio::spawn(async move { attend(stream, &words, &leave).await });
                }
                // Others must end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Attends to one holder until he lets go.
async fn attend(stream: UnixStream, words: &str, leave: &watch::Sender<bool>) -> Option<()> {
    let own = nix::unistd::geteuid().as_raw();
    let uid = stream.peer_cred().ok()?.uid();
    if uid != 0 && uid != own {
        return None;
    }
    let mut stream = BufReader::new(stream);
    let mut said = String::new();
    let read = (&mut stream).take(LINE_BYTES_MAX).read_line(&mut said).await;
    read.ok()?;
    let said = said.trim_end();
    if said.strip_prefix(HOLD) == Some(words) {
        stream.write_all(format!("{HELD}\n").as_bytes()).await.ok()?;
    } else if said == END || said.starts_with(HOLD) {
        stream.write_all(b"leaving\n").await.ok()?;
        leave.send_replace(true);
        // Closed by nothing but the end of the process, which is what he waits for.
        std::mem::forget(stream);
        return Some(());
    }
    // Open until he lets go, or this process ends.
    let _ = stream.read(&mut [0; 1]).await;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    #[tokio::test]
    async fn a_door_is_held_by_who_would_start_the_same_and_ends_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let (leave, mut leaves) = watch::channel(false);
        let leash = Leash::listen(dir.path(), &words("--listen :1"), leave).unwrap();
        let serving = tokio::spawn(leash.serve());
        let held = hold(dir.path(), &words("--listen :1")).await.unwrap();
        assert!(!*leaves.borrow());
        // A second server, as after a restart, holds it as well.
        drop(held);
        let held = hold(dir.path(), &words("--listen :1")).await.unwrap();
        let ending = async {
            leaves.wait_for(|leaves| *leaves).await.unwrap();
            serving.abort();
        };
        // Here its tasks end, and not the process, which would let go of the holder.
        let others = words("--listen :2");
        let asked = timeout(Duration::from_millis(100), hold(dir.path(), &others));
        let (other, ()) = tokio::join!(asked, ending);
        assert!(other.is_err(), "a door that goes is waited for");
        drop(held);
        assert!(hold(Path::new("/no/such"), &[]).await.is_err());
    }
}

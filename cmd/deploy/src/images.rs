//! `push`, `images` and `gc`: the images that the server keeps.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::fact::Line;
use crate::link::{Lines, Link};
use crate::out::{Out, table};
use serde_json::json;
use std::future::poll_fn;
use std::path::{Path, absolute};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// How long the event of a push may come after its answer.
const EVENT_MAX: Duration = Duration::from_secs(2);

/// How long the server may take to end a push that was given up.
const GIVE_UP_MAX: Duration = Duration::from_secs(30);

/// Has an image made of a directory or a program, and prints its digest. Ctrl-C gives it up.
pub(crate) async fn push(link: &Link, out: Out, name: &str, path: &str) -> Result<Exit> {
    let whole = absolute(Path::new(path));
    let whole = whole.map_err(|why| Error::Local { path: path.to_string(), why })?;
    let whole = whole.display().to_string();
    if whole.contains(char::is_whitespace) {
        return Err(Error::Other(format!("{whole:?} has a blank in it, which no ctl can carry")));
    }
    let mut watch = Lines::open(link, "watch").await?;
    out.message(&format!("  pushing {whole}"));
    let line = format!("push {name} {whole}");
    let mut push = pin!(link.write("ctl", &line));
    let mut interrupts = Interrupts::new();
    let (pushed, interrupted) = tokio::select! {
        biased;
        pushed = &mut push => (pushed, false),
        () = interrupts.next() => {
            match give_up(link, name, push.as_mut(), &mut interrupts).await {
                Some(pushed) => (pushed, true),
                None => {
                    out.message("  interrupted: the push is given up at the server");
                    return Ok(Exit::Interrupted);
                }
            }
        }
    };
    // Of a push that failed, whatever by, nothing is kept. One that somebody else gave up ends as
    // any other that was refused.
    if interrupted && matches!(pushed, Err(Error::Refused { .. })) {
        out.message(&format!("  given up: nothing of {name} is kept"));
        return Ok(Exit::Interrupted);
    }
    pushed?;
    let told = timeout(EVENT_MAX, digest(&mut watch, name)).await;
    let digest = told.unwrap_or_else(|_| Err(no_event(name)))?;
    match out.json {
        true => out.object(&json!({"image": name, "digest": digest})),
        false => out.data(format!("{digest}\n").as_bytes()),
    }?;
    Ok(Exit::Done)
}

/// Has the server give the push up, and waits for its end; none when that is not waited for.
async fn give_up(
    link: &Link,
    name: &str,
    push: Pin<&mut impl Future<Output = Result<()>>>,
    interrupts: &mut Interrupts,
) -> Option<Result<()>> {
    let ended = async {
        // It is refused when the push has just ended, and then that is what counts.
        let _ = link.write("ctl", &format!("cancel-push {name}")).await;
        push.await
    };
    tokio::select! {
        ended = timeout(GIVE_UP_MAX, ended) => ended.ok(),
        () = interrupts.next() => None,
    }
}

/// Ctrl-C, a closed terminal, and the polite kill.
struct Interrupts([Option<Signal>; 3]);

impl Interrupts {
    fn new() -> Interrupts {
        let kinds = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()];
        Interrupts(kinds.map(|kind| signal(kind).ok()))
    }

    async fn next(&mut self) {
        let each = self.0.iter_mut().flatten().map(|signal| Box::pin(signal.recv()));
        let mut each: Vec<_> = each.collect();
        poll_fn(|cx| match each.iter_mut().any(|one| one.as_mut().poll(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

async fn digest(watch: &mut Lines, name: &str) -> Result<String> {
    loop {
        let lines = watch.next().await?;
        if lines.is_empty() {
            return Err(no_event(name));
        }
        let found = lines.iter().find_map(|line| pushed(line, name));
        if let Some(digest) = found {
            return Ok(digest);
        }
    }
}

/// The digest in `… - pushed NAME DIGEST`.
fn pushed(line: &str, name: &str) -> Option<String> {
    let text = Line::of_root(line)?.text;
    let digest = text.strip_prefix("pushed ")?.strip_prefix(name)?.strip_prefix(' ')?;
    Some(digest.to_string())
}

fn no_event(name: &str) -> Error {
    Error::Other(format!("{name} is pushed, its digest was not told; see: deploy images"))
}

/// Lists the images.
pub(crate) async fn list(link: &Link, out: Out) -> Result<()> {
    let text = link.read("images").await?;
    let rows = rows(&text);
    if out.json {
        return rows.iter().try_for_each(|[reference, digest, bytes, used_by]| {
            let used: Vec<&str> = used_by.split(',').filter(|user| *user != "-").collect();
            let bytes = bytes.parse::<u64>().ok();
            out.object(&json!({
                "reference": reference, "digest": digest, "bytes": bytes, "used_by": used,
            }))
        });
    }
    let head = ["REFERENCE", "DIGEST", "BYTES", "USED BY"].map(String::from);
    let all: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    out.data(table(&all).as_bytes())
}

/// Reference, digest, bytes, used by; what is no such line is left out.
fn rows(text: &str) -> Vec<[String; 4]> {
    let row = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        words.try_into().ok()
    };
    text.lines().filter_map(row).collect()
}

/// Has images removed that nothing needs, and lists what went.
///
/// # Errors
/// [`Error::TimeOver`] when there is a limit and it is over.
pub(crate) async fn collect(link: &Link, out: Out, limit: Option<Duration>) -> Result<()> {
    let mut watch = Lines::open(link, "watch").await?;
    link.write("ctl", "gc").await?;
    let ended = collected(&mut watch);
    let Collected { gone, images, bytes } = match limit {
        None => ended.await?,
        Some(limit) => timeout(limit, ended).await.map_err(|_| {
            let text = format!("gc: not done after {limit:?}; it goes on, see: deploy events");
            Error::TimeOver(text)
        })??,
    };
    if out.json {
        for [reference, digest, bytes] in &gone {
            let bytes = bytes.parse::<u64>().ok();
            out.object(&json!({"reference": reference, "digest": digest, "bytes": bytes}))?;
        }
        return out.object(&json!({"images": images, "bytes": bytes}));
    }
    if !gone.is_empty() {
        let head = ["REFERENCE", "DIGEST", "BYTES"].map(String::from);
        let all: Vec<[String; 3]> = std::iter::once(head).chain(gone).collect();
        out.data(table(&all).as_bytes())?;
    }
    out.message(&format!(
        "  {images} images removed, {bytes} bytes freed; what stays: deploy images"
    ));
    Ok(())
}

/// What a collection came to.
struct Collected {
    gone: Vec<[String; 3]>,
    images: u64,
    bytes: u64,
}

/// Follows a collection to its end.
async fn collected(watch: &mut Lines) -> Result<Collected> {
    let mut gone = Vec::new();
    loop {
        let lines = watch.next().await?;
        if lines.is_empty() {
            return Err(Error::Other(
                "the server tells nothing more of it; see: deploy events".into(),
            ));
        }
        for step in lines.iter().filter_map(|line| Step::read(line)) {
            match step {
                Step::Gone(row) => gone.push(row),
                Step::Done { images, bytes } => return Ok(Collected { gone, images, bytes }),
                Step::Failed(why) => return Err(Error::Other(why)),
            }
        }
    }
}

/// What an event tells of a collection.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Reference, digest and bytes of an image that went.
    Gone([String; 3]),
    Done {
        images: u64,
        bytes: u64,
    },
    Failed(String),
}

impl Step {
    fn read(line: &str) -> Option<Step> {
        let line = Line::of_root(line).filter(|line| line.service == "-")?;
        let words: Vec<&str> = line.text.split(' ').collect();
        match words[..] {
            ["collected", name, digest, bytes, "bytes"] => {
                Some(Step::Gone([name, digest, bytes].map(String::from)))
            }
            ["collection", "done:", images, "images,", bytes, "bytes", "freed"] => {
                Some(Step::Done { images: images.parse().ok()?, bytes: bytes.parse().ok()? })
            }
            ["gc", "refused:", ..] => Some(Step::Failed(line.text.to_string())),
            ["node", _, "does", "not", "answer:", ..] => Some(Step::Failed(line.text.to_string())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_tree::{Script, serve};

    const QUIET: Out = Out { json: false, quiet: true };

    #[tokio::test]
    async fn a_push_that_somebody_else_gave_up_is_no_interrupt() {
        let why = "push web:1: web:1 was given up, nothing of it is kept";
        let script = Script { refusal: Some(why.to_string()), ..Script::default() };
        let (fake, link) = serve(script).await;
        let error = push(&link, QUIET, "web:1", "/srv/web").await.unwrap_err();
        assert_eq!(error.exit(), Exit::Other);
        assert_eq!(error.to_string(), format!("ctl: {why}"));
        assert_eq!(*fake.written.lock().unwrap(), ["push web:1 /srv/web"]);
    }

    #[tokio::test]
    async fn a_collection_is_followed_to_its_end_or_until_the_time_is_over() {
        let (_, link) = serve(Script::default()).await;
        let limit = Some(Duration::from_millis(5));
        let error = collect(&link, QUIET, limit).await.unwrap_err();
        assert_eq!(error.exit(), Exit::TimeOver);
        assert_eq!(error.to_string(), "gc: not done after 5ms; it goes on, see: deploy events");
        let line = "2026-11-20T12:34:05Z - collection done: 3 images, 40 bytes freed";
        let script = Script { lines: vec![line.to_string()], ..Script::default() };
        let (_, link) = serve(script).await;
        collect(&link, QUIET, Some(Duration::from_secs(60))).await.unwrap();
    }

    #[test]
    fn the_event_of_a_push_tells_its_digest() {
        let line = "2026-11-20T12:34:05Z - pushed app:1.0 sha256:ab12";
        assert_eq!(pushed(line, "app:1.0").as_deref(), Some("sha256:ab12"));
        assert_eq!(pushed(line, "app:1"), None);
        assert_eq!(pushed("2026-11-20T12:34:05Z web pulling app:1.0", "app:1.0"), None);
    }

    #[test]
    fn a_collection_tells_what_went_and_its_end() {
        let check = |text: &str, want: Option<Step>| {
            assert_eq!(Step::read(&format!("2026-11-20T12:34:05Z {text}")), want, "{text}");
        };
        let row = ["web:1", "sha256:ab", "12"].map(String::from);
        check("- collected web:1 sha256:ab 12 bytes", Some(Step::Gone(row)));
        let done = Step::Done { images: 3, bytes: 40 };
        check("- collection done: 3 images, 40 bytes freed", Some(done));
        let refused = "gc refused: read /a: permission denied";
        check(&format!("- {refused}"), Some(Step::Failed(refused.to_string())));
        let lost = "node n does not answer: its connection was lost";
        check(&format!("- {lost}"), Some(Step::Failed(lost.to_string())));
        check("- pushed web:1 sha256:ab", None);
        check("gc collected web:1 sha256:ab 12 bytes", None);
    }

    #[test]
    fn the_listing_is_four_words_a_line() {
        let got = rows("app:1.0 sha256:ab 123 web-1,web-2\nodd\n");
        assert_eq!(got, [["app:1.0", "sha256:ab", "123", "web-1,web-2"].map(String::from)]);
    }
}

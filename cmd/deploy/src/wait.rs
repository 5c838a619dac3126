//! `wait`: until no update is in flight, and how the last one ended.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::json::of_outcome;
use crate::link::{Lines, Link};
use crate::out::Out;
use crate::outcome::Outcome;
use crate::verb::Is;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Waits, prints the outcome and ends as it ended.
///
/// # Errors
/// [`Error::TimeOver`] when there is a limit and it is over.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    service: &str,
    limit: Option<Duration>,
) -> Result<Exit> {
    let mut lines = Lines::open(link, &format!("active/{service}/wait")).await?;
    let lines = match limit {
        None => lines.next().await?,
        Some(limit) => timeout(limit, lines.next()).await.map_err(|_| {
            Error::TimeOver(format!("{service}: still in flight after {limit:?}; it goes on"))
        })??,
    };
    let line = lines.first().map(String::as_str).unwrap_or_default();
    let outcome = Outcome::read(line);
    let exit = outcome.as_ref().map_or(Exit::Other, |outcome| outcome.exit(Is::Wait));
    match (out.json, outcome) {
        (true, Some(outcome)) => {
            let mut object = of_outcome(&outcome, exit);
            object.shift_insert(0, "service".to_string(), json!(service));
            out.object(&object.into())?;
        }
        (_, _) => out.data(format!("{line}\n").as_bytes())?,
    }
    Ok(exit)
}

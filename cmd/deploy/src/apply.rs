//! `apply`: manifests checked here, written there, and followed to the end.

use crate::ask;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::files::{self, Draft};
use crate::link::Link;
use crate::out::Out;
use crate::parse::Command;
use crate::verb::Is;

/// Applies files and what is in `manifests/`.
///
/// # Errors
/// Before anything is written: what is wrong with a file. Then what the server refuses.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    command: &Command,
    drafts: Vec<Draft>,
) -> Result<Exit> {
    let services = services(link, command, &drafts).await?;
    for draft in &drafts {
        let path = format!("manifests/{}", draft.service);
        let done = link.client.put(&path, draft.text.as_bytes()).await;
        done.map_err(|error| Error::at(&path, error))?;
    }
    let lines = services.into_iter().map(|service| (service, "apply".to_string())).collect();
    ask::run(link, out, command, Is::Apply, lines).await
}

/// Those of the files, and those named; without either, all there are manifests of.
///
/// # Errors
/// When there is nothing at all.
pub(crate) async fn services(
    link: &Link,
    command: &Command,
    drafts: &[Draft],
) -> Result<Vec<String>> {
    let mut services: Vec<String> = drafts.iter().map(|draft| draft.service.clone()).collect();
    for word in &command.words {
        if !services.contains(word) {
            services.push(word.clone());
        }
    }
    if services.is_empty() {
        services = link.names("manifests").await?;
        // An editor's own files are no service's.
        services.retain(|name| manifest::check_name(name).is_ok());
    }
    match services.is_empty() {
        true => Err(Error::Other("manifests/ is empty: say apply -f FILE".to_string())),
        false => Ok(services),
    }
}

/// The files of a command line.
///
/// # Errors
/// As [`files::load`].
pub(crate) fn drafts(out: Out, command: &Command) -> Result<Vec<Draft>> {
    files::load(out, &command.files)
}

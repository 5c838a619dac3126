//! From a command line to its end.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::files::Draft;
use crate::link::{self, Link};
use crate::out::Out;
use crate::parse::{self, Command};
use crate::verb::{self, Is, Verb};
use crate::{apply, ask, compare, events, help, history, images, logs, since, status, stdio};
use crate::{wait, walk};
use std::ffi::OsString;

/// Does what the words say; tells on standard error what went wrong.
pub(crate) async fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let done = match parse::parse(args) {
        Ok(command) => perform(&command).await,
        Err(usage) => Err(usage.into()),
    };
    match done {
        Ok(exit) => exit,
        Err(error) => {
            let exit = error.exit();
            if exit != Exit::Done {
                Out::default().trouble(&format!("deploy: {error}"));
            }
            exit
        }
    }
}

async fn perform(command: &Command) -> Result<Exit> {
    let out = Out { json: command.json, quiet: command.quiet };
    let verb = match command.verb {
        Some(verb) if command.help => {
            return out.data(help::of_verb(verb).as_bytes()).map(|()| Exit::Done);
        }
        Some(verb) if verb.is == Is::Help => {
            let text = explain(command.words.first().map(String::as_str))?;
            return out.data(text.as_bytes()).map(|()| Exit::Done);
        }
        Some(verb) => verb,
        None => return out.data(help::overview().as_bytes()).map(|()| Exit::Done),
    };
    let address = link::address(command.address.as_deref())?;
    if verb.is == Is::Stdio {
        return stdio::run(&address).await.map(|()| Exit::Done);
    }
    // Errors in files need no server.
    let drafts = apply::drafts(out, command)?;
    let link = Link::dial(&address).await?;
    match at_server(&link, out, command, verb, drafts).await {
        Err(error) => Err(link.explained(error).await),
        done => done,
    }
}

fn explain(word: Option<&str>) -> Result<String> {
    match word {
        None => Ok(help::overview()),
        Some("manifest") => Ok(help::manifest()),
        Some(name) => match verb::find(name) {
            Some(verb) => Ok(help::of_verb(verb)),
            None => Err(parse::unknown_verb(name).into()),
        },
    }
}

async fn at_server(
    link: &Link,
    out: Out,
    command: &Command,
    verb: &Verb,
    drafts: Vec<Draft>,
) -> Result<Exit> {
    let words = command.words.as_slice();
    let first = words.first().map(String::as_str);
    let word = first.unwrap_or_default();
    let from = command.since.map(since::ago);
    let from = from.as_deref();
    let done = match verb.is {
        Is::Apply => return apply::run(link, out, command, drafts).await,
        Is::Plan | Is::Diff => return compare::run(link, out, command, verb.is, drafts).await,
        Is::Pause
        | Is::Resume
        | Is::Cancel
        | Is::Rollback
        | Is::Restart
        | Is::Scale
        | Is::Stop
        | Is::Remove => {
            let lines = ask::asks(verb, words);
            return ask::run(link, out, command, verb.is, lines).await;
        }
        Is::Wait => return wait::run(link, out, word, command.timeout).await,
        Is::Status => match first {
            None => status::all(link, out).await,
            Some(service) => status::one(link, out, service).await,
        },
        Is::History => match words {
            [service, version, ..] => history::one(link, out, service, version).await,
            _ => history::all(link, out, word).await,
        },
        Is::Events => events::run(link, out, first, command.follow, from).await,
        Is::Logs => logs::run(link, out, first, command.follow, from).await,
        Is::Push => images::push(link, out, word, words.get(1).map_or("", String::as_str)).await,
        Is::Images => images::list(link, out).await,
        Is::Gc => images::collect(link, out).await,
        Is::Cat => walk::cat(link, out, words).await,
        Is::Write => walk::write(link, word, &words[1..]).await,
        Is::Ls => walk::ls(link, out, words, command.long).await,
        Is::Tree => walk::tree(link, out, word).await,
        // These two need no server and were done before it was dialled.
        Is::Stdio | Is::Help => Err(Error::Other(format!("{} has no server", verb.name))),
    };
    done.map(|()| Exit::Done)
}

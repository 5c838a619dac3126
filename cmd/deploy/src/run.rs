//! From a command line to its end.

use crate::apply::Stage;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::files::Files;
use crate::flaw::Flaw;
use crate::link::{self, Link};
use crate::out::Out;
use crate::parse::{self, Command, Usage};
use crate::verb::{self, Is, Verb};
use crate::{apply, ask, compare, events, help, history, images, logs, secret, since, status};
use crate::{stdio, task, top, volume, wait, walk};
use ninep::numberless;
use serde_json::{Value, json};
use std::ffi::OsString;

/// Does what the words say; tells on standard error, or as an object, what went wrong.
pub(crate) async fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    // Who wants objects wants them of a line that cannot be read, too.
    let json = args.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    let done = match parse::parse(args) {
        Ok(command) => perform(&command).await,
        Err(usage) => Err(usage.into()),
    };
    done.unwrap_or_else(|error| fail(Out { json, quiet: false }, &error))
}

/// Tells an error; gives what the command ends with.
fn fail(out: Out, error: &Error) -> Exit {
    let exit = error.exit();
    if exit == Exit::Done {
        return exit;
    }
    let told = out.json && failure(error).iter().all(|object| out.object(object).is_ok());
    if !told {
        out.trouble(&sentence(error));
    }
    exit
}

/// An error as people read it.
fn sentence(error: &Error) -> String {
    if let Error::Usage(Usage::Nothing) = error {
        return help::short();
    }
    numberless(&format!("deploy: {error}"))
}

/// An error as objects: what is wrong in a manifest that the server refused, then the end.
fn failure(error: &Error) -> Vec<Value> {
    let flaws = error.refused().map_or(Vec::new(), |(path, text)| Flaw::of_refusal(path, text));
    let reason = numberless(&error.to_string());
    let mut end = json!({"phase": "failed", "reason": reason, "exit": error.exit().code()});
    if let Error::Of { service, .. } = error {
        end["service"] = json!(service);
    }
    flaws.iter().map(Flaw::json).chain([end]).collect()
}

async fn perform(command: &Command) -> Result<Exit> {
    let out = Out { json: command.json, quiet: command.quiet };
    let verb = match command.verb {
        _ if command.version => {
            return out.data(help::version().as_bytes()).map(|()| Exit::Done);
        }
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
    let files = apply::files(out, command)?;
    let link = Link::dial(&address).await?;
    let stage = Stage::new(&link, &address, out, command);
    let done = match verb.is == Is::Apply {
        true => apply::run(&stage, files).await,
        false => at_server(&link, out, command, verb, files).await,
    };
    match done {
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
    files: Files,
) -> Result<Exit> {
    let words = command.words.as_slice();
    let first = words.first().map(String::as_str);
    let word = first.unwrap_or_default();
    let from = command.since.map(since::ago);
    let from = from.as_deref();
    let done = match verb.is {
        Is::Plan | Is::Diff => return compare::run(link, out, command, verb.is, files).await,
        Is::Pause
        | Is::Resume
        | Is::Cancel
        | Is::Rollback
        | Is::Restart
        | Is::Scale
        | Is::Stop
        | Is::Remove => {
            let lines = ask::asks(verb, words);
            return ask::run(link, out, command, verb.is, lines, Vec::new(), None).await;
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
        Is::Push => {
            let path = words.get(1).map_or("", String::as_str);
            return images::push(link, out, word, path).await;
        }
        Is::Images => images::list(link, out).await,
        Is::Gc => images::collect(link, out, command.timeout).await,
        Is::Run => return task::run(link, out, command).await,
        Is::Ps => task::list(link, out).await,
        Is::Kill => task::kill(link, out, words).await,
        Is::Volume => volume::run(link, out, words).await,
        Is::Top => top::run(link, out).await,
        Is::Metrics => out.data(link.read("metrics").await?.as_bytes()),
        Is::Secret => return secret::run(link, out, words).await,
        Is::Cat => walk::cat(link, out, words).await,
        Is::Write => walk::write(link, word, &words[1..]).await,
        Is::Ls => walk::ls(link, out, words, command.long).await,
        Is::Tree => walk::tree(link, out, word).await,
        // These were done before.
        Is::Apply | Is::Stdio | Is::Help => {
            Err(Error::Other(format!("{} has no server", verb.name)))
        }
    };
    done.map(|()| Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &Error, want: &[Value]) {
        assert_eq!(failure(error), want, "of {error}");
    }

    #[test]
    fn an_error_is_an_object_with_its_reason_and_what_the_command_ends_with() {
        let end =
            |reason: &str, exit: u8| json!({"phase": "failed", "reason": reason, "exit": exit});
        let (path, why) = ("x".to_string(), std::io::Error::from_raw_os_error(2));
        check(&Error::Local { path, why }, &[end("x: no such file or directory", 1)]);
        let usage = parse::parse(["frob".into()]).unwrap_err();
        let reason = "unknown verb \"frob\"; deploy help shows them all";
        check(&Error::Usage(usage), &[end(reason, 64)]);
        let (path, text) = ("manifests/web".to_string(), "manifest refused: line 2, column 3: bad");
        let of = Error::Other("no".to_string()).of("web");
        let end_of = json!({"service": "web", "phase": "failed", "reason": "no", "exit": 1});
        check(&of, &[end_of]);
        let flaw = json!({
            "level": "error", "file": path, "line": 2, "column": 3, "message": "bad",
        });
        let reason = format!("{path}: {text}");
        check(&Error::Refused { path, text: text.to_string() }, &[flaw, end(&reason, 65)]);
    }

    #[test]
    fn an_error_as_people_read_it_is_one_line_and_the_verbs_are_shown_to_who_names_none() {
        let text = "push a:1: /x: No such file or directory (os error 2)".to_string();
        let error = Error::Refused { path: "ctl".to_string(), text };
        assert_eq!(sentence(&error), "deploy: ctl: push a:1: /x: No such file or directory");
        let usage = sentence(&Error::Usage(Usage::Nothing));
        assert!(usage.starts_with("usage: deploy ") && usage.contains(" rollback "), "{usage}");
    }
}

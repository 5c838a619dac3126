//! The command line: words to one plain value, by the tables of verbs and flags.

use crate::error::cut;
use crate::flag::{EVERYWHERE, Flag, Is};
use crate::nearest::nearest;
use crate::verb::{self, VERBS, Verb};
use manifest::limits::REPLICAS_MAX;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// What the user asks for.
#[derive(Debug, Default)]
pub(crate) struct Command {
    /// The verb; none when there is only `--help`.
    pub(crate) verb: Option<&'static Verb>,
    /// The words after it.
    pub(crate) words: Vec<String>,
    /// `-a`.
    pub(crate) address: Option<String>,
    /// `--json`.
    pub(crate) json: bool,
    /// `-q`.
    pub(crate) quiet: bool,
    /// `--help`.
    pub(crate) help: bool,
    /// `--version`.
    pub(crate) version: bool,
    /// `-f FILE`, each.
    pub(crate) files: Vec<PathBuf>,
    /// `--detach`.
    pub(crate) detach: bool,
    /// `--env KEY=VALUE`, each.
    pub(crate) env: Vec<String>,
    /// `--timeout`.
    pub(crate) timeout: Option<Duration>,
    /// `--wait-lock`, with its time where one was said.
    pub(crate) wait_lock: Option<Option<Duration>>,
    /// `--force`.
    pub(crate) force: bool,
    /// `--supersede`.
    pub(crate) supersede: bool,
    /// `-m TEXT`.
    pub(crate) message: Option<String>,
    /// `--atomic`.
    pub(crate) atomic: bool,
    /// `--prune`.
    pub(crate) prune: bool,
    /// `--exit-code`.
    pub(crate) exit_code: bool,
    /// `-f` of what can be followed.
    pub(crate) follow: bool,
    /// `--since`.
    pub(crate) since: Option<Duration>,
    /// `-l`.
    pub(crate) long: bool,
}

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Usage {
    /// Nothing was said.
    #[error("no verb: say what to do; deploy help shows the verbs")]
    Nothing,
    /// No such verb.
    #[error("unknown verb {:?}{}; deploy help shows them all", cut(.word), meant(.nearest))]
    Verb {
        /// As written.
        word: String,
        /// What was meant.
        nearest: Option<&'static str>,
    },
    /// No such flag.
    #[error(
        "unknown flag {}{}; see: deploy help{}",
        cut(.flag),
        .nearest.map(|word| format!(", did you mean --{word}?")).unwrap_or_default(),
        .verb.map(|verb| format!(" {verb}")).unwrap_or_default()
    )]
    Flag {
        /// As written.
        flag: String,
        /// Of which verb, where there is one already.
        verb: Option<&'static str>,
        /// What was meant.
        nearest: Option<&'static str>,
    },
    /// Too few words, or too many.
    #[error("{0} words; say: deploy {1}")]
    Words(&'static str, String),
    /// A word that is not what it should be.
    #[error("{0}")]
    Value(String),
}

fn meant(nearest: &Option<&'static str>) -> String {
    nearest.map(|word| format!(", did you mean {word}?")).unwrap_or_default()
}

/// Reads a command line without the program's own name.
///
/// # Errors
/// The first thing that is wrong, with what to say instead.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Usage> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut command = Command::default();
    while let Some(arg) = parser.next().map_err(odd)? {
        match arg {
            lexopt::Arg::Short(digit @ '0'..='9') => {
                return Err(Usage::Value(format!(
                    "-{digit}… is no flag, and no number here is below 0"
                )));
            }
            lexopt::Arg::Short(letter) => {
                let found = find(command.verb, |flag| flag.short == Some(letter));
                let flag = found.ok_or_else(|| unknown(command.verb, format!("-{letter}")))?;
                take(&mut command, flag, &mut parser)?;
            }
            lexopt::Arg::Long(word) => {
                let found = find(command.verb, |flag| flag.long == Some(word));
                let flag = found.ok_or_else(|| unknown(command.verb, format!("--{word}")))?;
                take(&mut command, flag, &mut parser)?;
            }
            lexopt::Arg::Value(word) => {
                let word = text(word)?;
                match command.verb {
                    Some(_) => command.words.push(word),
                    None => command.verb = Some(find_verb(&word)?),
                }
            }
        }
    }
    check(command)
}

/// The flag, among the verb's own and those of all verbs.
fn find(verb: Option<&'static Verb>, is: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
    let own = verb.map(|verb| verb.flags).unwrap_or_default();
    own.iter().chain(EVERYWHERE).find(|flag| is(flag))
}

fn find_verb(word: &str) -> Result<&'static Verb, Usage> {
    verb::find(word).ok_or_else(|| unknown_verb(word))
}

/// What is said of a word that is no verb: the nearest one that is.
pub(crate) fn unknown_verb(word: &str) -> Usage {
    let names = VERBS.iter().map(|verb| verb.name);
    // It ends the server, and is a word of the server's own program.
    let down = (word == "down").then_some("deployfs down");
    Usage::Verb { word: word.to_string(), nearest: down.or(nearest(word, names)) }
}

fn unknown(verb: Option<&'static Verb>, flag: String) -> Usage {
    let own = verb.map(|verb| verb.flags).unwrap_or_default();
    let words = own.iter().chain(EVERYWHERE).filter_map(|flag| flag.long);
    let nearest = flag.strip_prefix("--").and_then(|word| nearest(word, words));
    Usage::Flag { flag, verb: verb.map(|verb| verb.name), nearest }
}

fn take(command: &mut Command, flag: &Flag, parser: &mut lexopt::Parser) -> Result<(), Usage> {
    let value = match flag.value {
        Some(_) if flag.may_lack() => parser.optional_value().unwrap_or_default(),
        Some(_) => parser.value().map_err(odd)?,
        None => OsString::new(),
    };
    match flag.is {
        Is::Address => command.address = Some(text(value)?),
        Is::Json => command.json = true,
        Is::Quiet => command.quiet = true,
        Is::Help => command.help = true,
        Is::Version => command.version = true,
        Is::File => command.files.push(PathBuf::from(value)),
        Is::Detach => command.detach = true,
        Is::Env => command.env.push(text(value)?),
        Is::Timeout => command.timeout = Some(time(&text(value)?)?),
        Is::WaitLock if value.is_empty() => command.wait_lock = Some(None),
        Is::WaitLock => command.wait_lock = Some(Some(time(&text(value)?)?)),
        Is::Force => command.force = true,
        Is::Supersede => command.supersede = true,
        Is::Message => command.message = Some(text(value)?),
        Is::Atomic => command.atomic = true,
        Is::Prune => command.prune = true,
        Is::ExitCode => command.exit_code = true,
        Is::Follow => command.follow = true,
        Is::Since => command.since = Some(time(&text(value)?)?),
        Is::Long => command.long = true,
    }
    Ok(())
}

fn time(text: &str) -> Result<Duration, Usage> {
    let ms = manifest::units::parse_time_ms(text).map_err(|why| Usage::Value(why.to_string()))?;
    Ok(Duration::from_millis(ms))
}

fn text(word: OsString) -> Result<String, Usage> {
    word.into_string().map_err(|word| Usage::Value(format!("{word:?} is not UTF-8 text")))
}

fn odd(error: lexopt::Error) -> Usage {
    Usage::Value(error.to_string())
}

fn check(command: Command) -> Result<Command, Usage> {
    if command.help || command.version {
        return Ok(command);
    }
    let Some(verb) = command.verb else { return Err(Usage::Nothing) };
    match command.words.len() {
        n if n < verb.least => Err(Usage::Words("too few", verb.usage())),
        n if n > verb.most => Err(Usage::Words("too many", verb.usage())),
        _ => services(verb, &command.words).map(|()| command),
    }
}

/// Checks the words that are names of services, and `scale`'s number, before anything is asked.
fn services(verb: &Verb, words: &[String]) -> Result<(), Usage> {
    if verb.is == verb::Is::Volume {
        return crate::volume::check(words);
    }
    if verb.is == verb::Is::Kill {
        return crate::task::check(words);
    }
    let names = match verb.is {
        verb::Is::Apply
        | verb::Is::Plan
        | verb::Is::Diff
        | verb::Is::Status
        | verb::Is::Pause
        | verb::Is::Resume
        | verb::Is::Cancel
        | verb::Is::Restart
        | verb::Is::Stop
        | verb::Is::Remove
        | verb::Is::Events
        | verb::Is::Wait => words,
        verb::Is::Rollback | verb::Is::Scale | verb::Is::History | verb::Is::Run => &words[..1],
        verb::Is::Logs
        | verb::Is::Push
        | verb::Is::Images
        | verb::Is::Gc
        | verb::Is::Volume
        | verb::Is::Ps
        | verb::Is::Kill
        | verb::Is::Top
        | verb::Is::Metrics
        | verb::Is::Secret
        | verb::Is::Cat
        | verb::Is::Write
        | verb::Is::Ls
        | verb::Is::Tree
        | verb::Is::Stdio
        | verb::Is::Help => &[],
    };
    for name in names {
        manifest::check_name(name).map_err(|why| Usage::Value(why.to_string()))?;
    }
    let fits = |n: &String| n.parse().is_ok_and(|n: u32| n <= REPLICAS_MAX);
    match words {
        [_, n] if verb.is == verb::Is::Scale && !fits(n) => {
            let n = cut(n);
            Err(Usage::Value(format!("{n:?} is not a number of instances: 0 to {REPLICAS_MAX}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "parse_test.rs"]
mod tests;

//! What `help` says, made from the tables.

use crate::exit::EXITS;
use crate::flag::{EVERYWHERE, Flag};
use crate::verb::{VERBS, Verb};
use manifest::{Effect, When};
use std::fmt::Write as _;

/// A line of [`short`], at most.
const WIDTH_CHARS: usize = 78;

/// The widest first column; a longer entry gets a line of its own.
const COLUMN_CHARS: usize = 26;

/// All verbs, the flags they share, the addresses and the exit statuses.
pub(crate) fn overview() -> String {
    let mut text = String::from(
        "deploy [-a ADDR] [--json] [-q] VERB …\n\
         runs containers, and changes their versions without dropping a request\n\nverbs\n",
    );
    for verb in VERBS {
        entry(&mut text, &verb.usage(), verb.meaning);
    }
    text.push_str("\nflags of every verb\n");
    flags(&mut text, EVERYWHERE);
    let _ = write!(
        text,
        "\naddresses\n  unix!PATH   tcp!HOST!PORT   ssh![USER@]HOST (runs deploy stdio there)\n  \
         without -a: the variable DEPLOY_ADDR, else {}\n\nexit status\n",
        crate::link::ADDRESS
    );
    for (exit, meaning) in EXITS {
        let _ = writeln!(text, "  {:>3}  {meaning}", exit.code());
    }
    text.push_str("\ndeploy help VERB explains one verb, deploy help manifest the manifest\n");
    text
}

/// What is said to who says nothing: the verbs alone.
pub(crate) fn short() -> String {
    let mut text = String::from("usage: deploy [-a ADDR] [--json] [-q] VERB [WORD…]\nverbs:");
    let mut width = "verbs:".len();
    for verb in VERBS {
        width += verb.name.len() + 1;
        if width > WIDTH_CHARS {
            text.push_str("\n      ");
            width = "       ".len() + verb.name.len();
        }
        let _ = write!(text, " {}", verb.name);
    }
    text + "\ndeploy help explains them; deploy help VERB explains one"
}

/// Words of keys that are known and not yet supported.
const LATER: [&str; 2] = ["update canary", "update blue-green"];

/// Name and version.
pub(crate) fn version() -> String {
    format!("deploy {}\n", env!("CARGO_PKG_VERSION"))
}

/// One verb in full.
pub(crate) fn of_verb(verb: &Verb) -> String {
    let mut text = format!("deploy {}\n{}\n", verb.usage(), verb.meaning);
    if !verb.more.is_empty() {
        let _ = write!(text, "\n{}\n", verb.more);
    }
    text.push_str("\nflags\n");
    flags(&mut text, verb.flags);
    flags(&mut text, EVERYWHERE);
    if !verb.by_hand.is_empty() {
        let _ = write!(text, "\nby hand, with the tree at /deploy\n  {}\n", verb.by_hand);
    }
    text
}

/// The keys of a manifest.
pub(crate) fn manifest() -> String {
    let mut text = String::from(
        "a manifest: a file named for its service, applied by deploy apply -f FILE\n\
         one directive a line, a key and its words; 'quotes as in rc, it''s so'; # a comment\n\
         [what holds without the key]; a key marked * is changed without restarting anything\n\n",
    );
    for key in manifest::keys().iter().filter(|key| key.when == When::Ready) {
        let mark = if key.effect != Effect::Restart { " *" } else { "" };
        let repeat = if key.repeat { "; repeatable" } else { "" };
        let meaning = format!("{}{repeat} [{}]{mark}", key.meaning, key.default);
        entry(&mut text, &format!("{} {}", key.name, key.words), &meaning);
    }
    let later: Vec<&str> =
        manifest::keys().iter().filter(|k| k.when == When::NotYet).map(|k| k.name).collect();
    if !later.is_empty() {
        let _ = write!(
            text,
            "\nknown, and not yet supported, so that a manifest with one is refused:\n  {}\n  {}\n",
            later.join(" "),
            LATER.join(", ")
        );
    }
    text.push_str("\nfor example\n  image app:1.9\n  replicas 4\n  port 8080\n  health http /\n");
    text
}

fn flags(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        entry(text, &flag.usage(), flag.meaning);
    }
}

fn entry(text: &mut String, name: &str, meaning: &str) {
    if name.chars().count() > COLUMN_CHARS {
        let _ = writeln!(text, "  {name}\n  {:COLUMN_CHARS$}  {meaning}", "");
    } else {
        let _ = writeln!(text, "  {name:COLUMN_CHARS$}  {meaning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_names_every_verb_and_every_exit_status() {
        let text = overview();
        for verb in VERBS {
            assert!(text.contains(&format!("  {}", verb.usage())), "{}", verb.name);
        }
        for (exit, meaning) in EXITS {
            assert!(text.contains(&format!("{:>3}  {meaning}", exit.code())), "{exit:?}");
        }
    }

    #[test]
    fn help_of_a_verb_names_its_flags_and_fits_a_page() {
        for verb in VERBS {
            let text = of_verb(verb);
            assert!(verb.flags.iter().all(|flag| text.contains(&flag.usage())), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        }
        assert!(short().lines().all(|line| line.chars().count() <= WIDTH_CHARS), "{}", short());
        assert!(overview().lines().all(|line| line.chars().count() <= 80), "{}", overview());
    }

    #[test]
    fn the_manifests_keys_are_all_told() {
        let text = manifest();
        for key in manifest::keys() {
            assert!(text.contains(key.name), "{}", key.name);
        }
        for words in LATER {
            // `canary` wants a number behind it, which the others must not have.
            let refused = [words.to_string(), format!("{words} 1")].iter().any(|line| {
                let parsed = manifest::parse("web", &format!("image app:1\nport 80\n{line}\n"));
                matches!(&parsed.errors[..], [it] if it.text.contains("not yet supported"))
            });
            assert!(refused && text.contains(words), "{words}: {text}");
        }
        // What help says of a key is what becomes of a manifest with it.
        for key in manifest::keys().iter().filter(|key| key.when == When::NotYet) {
            let parsed = manifest::parse("web", &format!("image app:1\n{}\n", key.name));
            assert!(parsed.errors.iter().any(|it| it.text.contains("not yet supported")));
            let told = text.find("a manifest with one is refused").unwrap();
            assert!(text[told..].contains(key.name), "{}", key.name);
        }
    }
}

//! Keys that hold named entries: `env`, `config`, `secret`.

use crate::args::Args;
use crate::error::quoted;
use crate::form::Form;
use crate::keys::Id;
use crate::kinds::Secret;
use crate::limits::LABEL_CHARS_MAX;
use crate::manifest::Manifest;

/// Variables every instance is given by the node; a manifest cannot say otherwise.
const GIVEN: [&str; 3] = ["PORT", "INSTANCE_ID", "SERVICE"];

pub(super) fn env(m: &mut Manifest, args: &mut Args<'_>) -> Option<()> {
    let word = args.word()?;
    let Some((name, value)) = word.split_once('=') else {
        return args.wrong(format!("{} has no =; write KEY=VALUE", quoted(word)));
    };
    variable(args, name)?;
    warn_of_quotes(args, value);
    args.once(name)?;
    m.env.insert(name.to_owned(), value.to_owned());
    Some(())
}

pub(super) fn config(m: &mut Manifest, args: &mut Args<'_>) -> Option<()> {
    let word = args.word()?;
    let Some((name, value)) = word.split_once('=') else {
        return args.wrong(format!("{} has no =; write KEY=VALUE", quoted(word)));
    };
    file_name(args, name)?;
    warn_of_quotes(args, value);
    args.once(name)?;
    m.config.insert(name.to_owned(), value.to_owned());
    Some(())
}

pub(super) fn secret(args: &mut Args<'_>) -> Option<Secret> {
    let name = args.word()?;
    file_name(args, name)?;
    let secret = name.to_owned();
    if !args.more() {
        args.once(name)?;
        return Some(Secret { name: secret, env: None, version: 0 });
    }
    args.choice(&[("env", ())])?;
    let key = args.word()?;
    variable(args, key)?;
    // A variable has one value, a secret's or another.
    args.once_of(Id::Env, key)?;
    Some(Secret { name: secret, env: Some(key.to_owned()), version: 0 })
}

/// The name of an environment variable (POSIX, 8.1) that is the manifest's to set.
fn variable(args: &mut Args<'_>, name: &str) -> Option<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let right = name.bytes().all(known) && !name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || !right {
        return args.wrong(format!(
            "{} is not a variable's name; use A-Z, a-z, 0-9 and _, not beginning with a digit",
            quoted(name)
        ));
    }
    if GIVEN.contains(&name) {
        let port =
            args.told.form.say("; write port NUMBER instead", "; write port = NUMBER instead");
        let instead = if name == "PORT" { port } else { "" };
        return args.wrong(format!("{name} is given by deploy itself{instead}; remove the line"));
    }
    Some(())
}

/// A name that can stand as a file in a directory of ours.
fn file_name(args: &mut Args<'_>, name: &str) -> Option<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let right = (1..=LABEL_CHARS_MAX).contains(&name.len())
        && name.bytes().all(known)
        && !name.starts_with('.');
    if right {
        return Some(());
    }
    args.wrong(format!(
        "{} is not a file's name; use 1 to {LABEL_CHARS_MAX} of A-Z, a-z, 0-9, ., _ and -, \
         not beginning with .",
        quoted(name)
    ))
}

/// Who writes `KEY="a b"` means quotes of another language.
fn warn_of_quotes(args: &mut Args<'_>, value: &str) {
    let flat = args.told.form == Form::Flat;
    if flat && value.len() >= 2 && value.starts_with('"') && value.ends_with('"') {
        args.warn("the quotes \" are part of the value; quote with ' instead");
    }
}

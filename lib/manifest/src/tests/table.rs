//! The table of keys: help, parser and printer say the same.

use crate::keys::{Of, When, keys, nearest_key};
use crate::parse::{parse, parse_task, parse_whole, parse_whole_task};

#[test]
fn every_key_of_the_table_is_read_and_is_named_in_its_own_errors() {
    for (place, key) in keys().iter().enumerate() {
        assert_eq!(key.id as usize, place, "{} stands where its id says", key.name);
        let parse = if key.of == Of::Task { parse_task } else { parse };
        let parsed = parse("web", &format!("image app\n\n{} ''", key.name));
        let own = parsed.errors.iter().filter(|error| error.line == 3).collect::<Vec<_>>();
        let named = format!("{}: ", key.name);
        assert!(!own.is_empty(), "{}", key.name);
        assert!(own.iter().all(|error| error.text.starts_with(&named)), "{own:?}");
        let later = own.iter().any(|error| error.text.contains("not yet supported"));
        assert_eq!(later, key.when == When::NotYet, "{}", key.name);
    }
}

#[test]
fn help_has_a_line_for_every_key_and_no_key_twice() {
    let mut names: Vec<_> = keys().iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), keys().len());
    for key in keys() {
        let texts = [key.words, key.hcl, key.default, key.meaning];
        assert!(texts.iter().all(|text| !text.is_empty() && !text.contains('\n')), "{}", key.name);
    }
}

#[test]
fn defaults_in_help_are_the_defaults() {
    for key in keys().iter().filter(|key| key.default.starts_with(|c: char| c.is_ascii_digit())) {
        let default = key.default.split(',').next().unwrap();
        let text = format!("image app\n{} {default}", key.name);
        let parse = if key.of == Of::Task { parse_whole_task } else { parse_whole };
        let parsed = parse("web", &text);
        let canonical = parsed.manifest.unwrap().canonical("");
        assert_eq!(canonical, "image \n", "{}", key.name);
    }
}

#[test]
fn the_nearest_key_is_near() {
    for (word, near) in [
        ("replica", Some("replicas")),
        ("Port", Some("port")),
        ("mermory", Some("memory")),
        ("stop-timeout", Some("stop_timeout")),
        ("envs", Some("env")),
        ("iamge", Some("image")),
        ("banana", None),
        ("", None),
        ("=", None),
    ] {
        assert_eq!(nearest_key(word), near, "{word}");
    }
}

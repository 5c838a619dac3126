//! What holds for every text and every manifest.

use proptest::prelude::*;

use super::DIGEST;
use crate::diff::{Outcome, diff, outcome};
use crate::edit::with_replicas;
use crate::keys::keys;
use crate::manifest::Manifest;
use crate::parse::{parse, parse_whole};
use crate::print::print;

/// Right and wrong words of all kinds of keys, so that many lines are nearly right.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "http",
        "tcp",
        "exec",
        "file",
        "/x",
        "/",
        "80",
        "81",
        "3",
        "0",
        "25%",
        "5s",
        "1m30s",
        "500ms",
        "64M",
        "512Mi",
        "0.5",
        "always",
        "never",
        "on",
        "host",
        "bridge",
        "rolling",
        "replace",
        "canary",
        "rollback",
        "A=b",
        "B='c d'",
        "'it''s'",
        "app:1",
        "oci:/a:b",
        "TERM",
        "CHOWN",
        "ALL",
        "data",
        "a.example",
        "*",
        "websocket",
        "ro",
        "host:/a",
        "ephemeral",
        "spread",
        "affinity",
        "a!=b",
        "a=b",
        "web",
        "''",
        "'",
        "#",
        "env",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,8}", 1 => any::<String>()]
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(keys().iter().map(|key| key.name).collect::<Vec<_>>());
    (key, prop::collection::vec(word(), 0..4))
        .prop_map(|(key, words)| format!("{key} {}", words.join(" ")))
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..12).prop_map(|lines| lines.join("\n"))
}

/// A manifest of those lines that are right by themselves and together.
fn any_manifest() -> impl Strategy<Value = Manifest> {
    prop::collection::vec(line(), 0..40).prop_map(|lines| {
        let mut text = "image app\n".to_owned();
        for line in lines {
            let longer = format!("{text}{line}\n");
            if parse_whole("web", &longer).manifest.is_some() {
                text = longer;
            }
        }
        parse_whole("web", &text).manifest.unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics_and_a_manifest_is_there_exactly_without_errors(
        name in "[a-z]{0,3}|\\PC{0,5}", text in prop_oneof![text(), any::<String>()],
    ) {
        let parsed = parse(&name, &text);
        prop_assert_eq!(parsed.manifest.is_some(), parsed.errors.is_empty());
        for problem in parsed.errors.iter().chain(&parsed.warnings) {
            prop_assert!(problem.line >= 1 && problem.column >= 1);
            prop_assert!(!problem.text.contains(char::is_control), "{}", problem);
        }
        let scaled = parse(&name, &with_replicas(&text, 3));
        prop_assert_eq!(scaled.manifest.is_some(), scaled.errors.is_empty());
    }

    #[test]
    fn what_is_printed_parses_to_an_equal_manifest(manifest in any_manifest()) {
        let text = print(&manifest);
        let parsed = parse_whole("web", &text);
        prop_assert_eq!(parsed.errors, []);
        prop_assert_eq!(parsed.manifest.unwrap(), manifest);
    }

    #[test]
    fn manifests_differ_exactly_when_their_versions_do(
        old in any_manifest(), new in any_manifest(),
    ) {
        let same = old.version(DIGEST) == new.version(DIGEST);
        let changes = diff(&old, DIGEST, &new, DIGEST);
        prop_assert_eq!(outcome(&changes) == Outcome::Unchanged, same);
        prop_assert_eq!(diff(&old, DIGEST, &old, DIGEST), []);
    }

    #[test]
    fn scaling_changes_replicas_and_nothing_else(
        manifest in any_manifest(), replicas in 0..1000_u32,
    ) {
        let scaled = with_replicas(&print(&manifest), replicas);
        let wanted = Manifest { replicas, ..manifest };
        prop_assert_eq!(parse_whole("web", &scaled).manifest, Some(wanted));
    }
}

//! What is said of a name that is nowhere. One without a registry may have been meant for an image
//! that was pushed here, so both places are told, and what there is.

use std::collections::BTreeMap;

use crate::Error;
use crate::reference::Remote;
use crate::tags::Tag;

/// Names told at most.
const NAMES_MAX: usize = 8;

/// The error of a pull of `remote` in the words of whoever may have meant a pushed image.
pub(crate) fn told(names: &BTreeMap<String, Tag>, remote: &Remote, error: Error) -> Error {
    let Some(push) = remote.short.clone() else { return error };
    let permanent = error.permanent();
    let why = match error {
        Error::NotFound { .. } => "is not there".to_owned(),
        Error::Denied { why, .. } | Error::Refused { why, .. } => format!("was refused: {why}"),
        Error::Registry { why, .. } => format!("could not be asked for: {why}"),
        other @ (Error::Reference { .. }
        | Error::NotPushed { .. }
        | Error::GivenUp { .. }
        | Error::Platform { .. }
        | Error::Digest { .. }
        | Error::Changed { .. }
        | Error::Size { .. }
        | Error::Document { .. }
        | Error::Entry { .. }
        | Error::Layer { .. }
        | Error::Room { .. }
        | Error::Inodes { .. }
        | Error::Source { .. }
        | Error::Library { .. }
        | Error::Busy { .. }
        | Error::Io { .. }) => return other,
    };
    let pinned = remote.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
    let (name, there) = (format!("{push}{pinned}"), there(names, &push));
    let why = format!("{remote} {why}");
    Error::NotPushed { name, there, why, push, permanent }
}

/// The names that were pushed: those with another tag, or else all.
fn there(names: &BTreeMap<String, Tag>, push: &str) -> String {
    let pushed: Vec<&str> =
        names.iter().filter(|(_, tag)| tag.pushed).map(|(name, _)| name.as_str()).collect();
    let untagged = |name: &str| name.rsplit_once(':').map_or(name, |(it, _)| it).to_owned();
    let like = |name: &&str| untagged(name) == untagged(push);
    let alike: Vec<&str> = pushed.iter().copied().filter(like).collect();
    let told = if alike.is_empty() { pushed } else { alike };
    let first = told.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match told.len() {
        0 => "nothing is".to_owned(),
        n if n > NAMES_MAX => format!("there are {first} and {} more", n - NAMES_MAX),
        1 => format!("there is {first}"),
        _ => format!("there are {first}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::reference::Reference;

    #[test]
    fn a_name_that_nobody_pushed_is_told_once_with_those_that_were_and_what_to_do() {
        let digest = Digest::of(b"x");
        let check = |reference: &str, pushed: &[&str], error: Error, want: &str| {
            let tag = |name: &&str| (name.to_string(), Tag::new(&digest, true));
            let mut names: BTreeMap<String, Tag> = pushed.iter().map(tag).collect();
            names.insert("quay.io/web:1".into(), Tag::new(&digest, false));
            let Reference::Registry(remote) = Reference::parse(reference).unwrap() else {
                panic!("a registry")
            };
            let permanent = error.permanent();
            let got = told(&names, &remote, error);
            assert_eq!(got.permanent(), permanent);
            assert_eq!(got.to_string(), want);
        };
        let (registry, what) = (|| "docker.io".to_owned(), || "x".to_owned());
        let denied = Error::Denied { registry: registry(), what: what(), why: "no entry".into() };
        check(
            "web:9",
            &["api:1", "web:1", "web:2"],
            denied,
            "no image web:9 was pushed here (there are web:1, web:2), and \
             docker.io/library/web:9 was refused: no entry; push it: deploy push web:9 DIR",
        );
        check(
            "team/web",
            &["api:1"],
            Error::NotFound { what: what(), place: registry() },
            "no image team/web:latest was pushed here (there is api:1), and \
             docker.io/team/web:latest is not there; push it: deploy push team/web:latest DIR",
        );
        check(
            &format!("web:1@{digest}"),
            &[],
            Error::Registry { registry: registry(), why: "no route".into() },
            &format!(
                "no image web:1@{digest} was pushed here (nothing is), and \
                 docker.io/library/web:1@{digest} could not be asked for: no route; push it: \
                 deploy push web:1 DIR"
            ),
        );
        let many = (0..20).map(|n| (format!("web:{n}"), Tag::new(&digest, true))).collect();
        assert!(there(&many, "web:x").ends_with(", web:15 and 12 more"));
        // A registry that was named is the only place that was meant, and its words are enough.
        let named = || Error::NotFound { what: "quay.io/web:9".into(), place: "quay.io".into() };
        check("quay.io/web:9", &["web:1"], named(), &named().to_string());
    }
}

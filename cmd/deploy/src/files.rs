//! Manifests on this side: read, and checked before anything is written.

use crate::error::{Error, Result};
use crate::out::Out;
use manifest::{Manifest, Parsed};
use std::path::{Path, PathBuf};

/// The name that means standard input.
const STDIN: &str = "-";

/// A manifest that may be written.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The service.
    pub(crate) service: String,
    /// Where it came from, for messages.
    pub(crate) path: String,
    /// As it was written.
    pub(crate) text: String,
    /// What it says.
    pub(crate) manifest: Manifest,
}

/// Reads and checks all files. Errors and warnings are said as `FILE:line:column: text`, all of
/// them.
///
/// # Errors
/// The first file that cannot be read; [`Error::Manifests`] when any has errors, or when two
/// mean the same service.
pub(crate) fn load(out: Out, paths: &[PathBuf]) -> Result<Vec<Draft>> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut refused = 0;
    for path in paths {
        let text = read(path)?;
        let path = path.display().to_string();
        let service = service(&path, &text);
        let parsed = manifest::parse(&service, &text);
        let (errors, warnings) = problems(&path, &parsed);
        warnings.iter().for_each(|line| out.message(line));
        errors.iter().for_each(|line| out.trouble(line));
        refused += errors.len();
        if let Some(twin) = drafts.iter().find(|draft| draft.service == service) {
            out.trouble(&format!("{path}: {service} is also in {}", twin.path));
            refused += 1;
        }
        drafts.extend(parsed.manifest.map(|manifest| Draft { service, path, text, manifest }));
    }
    match refused {
        0 => Ok(drafts),
        1 => Err(Error::Manifests("1 error".to_string())),
        n => Err(Error::Manifests(format!("{n} errors"))),
    }
}

fn read(path: &Path) -> Result<String> {
    let read = match path.to_str() {
        Some(STDIN) => std::io::read_to_string(std::io::stdin()),
        Some(_) | None => std::fs::read_to_string(path),
    };
    let text = read.map_err(|why| Error::Local { path: path.display().to_string(), why })?;
    // The mark of byte order some editors begin a file with is none of the manifest's.
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// The service a file is about: what its `name` says, else the file's name up to its first dot.
fn service(path: &str, text: &str) -> String {
    let named = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("name")).then(|| words.next()).flatten()
    });
    let file = || path.rsplit('/').next().unwrap_or_default();
    let name = named.unwrap_or_else(|| file().split('.').next().unwrap_or_default());
    name.trim_matches('\'').to_string()
}

/// All that is wrong with a manifest, and all that is odd, as `FILE:line:column: text`.
fn problems(path: &str, parsed: &Parsed) -> (Vec<String>, Vec<String>) {
    let line = |word: &str, p: &manifest::Problem| {
        format!("{path}:{}:{}: {word}{}", p.line, p.column, p.text)
    };
    let errors = parsed.errors.iter().map(|problem| line("", problem)).collect();
    (errors, parsed.warnings.iter().map(|problem| line("warning: ", problem)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, want: &str) {
        assert_eq!(service(path, text), want, "of {path:?} {text:?}");
    }

    #[test]
    fn a_file_is_about_the_service_it_names_or_is_named_for() {
        check("/srv/web.manifest", "image app:1\n", "web");
        check("web", "image app:1\n", "web");
        check("web.v2.txt", "image app:1\n", "web");
        check("x", "# a comment\nname api # here\n", "api");
        check("x", "name 'api'\n", "api");
        check("-", "image app:1\n", "-");
    }

    #[test]
    fn every_problem_has_file_line_and_column() {
        let parsed = manifest::parse("web", "image app:1\n  replicas many\nprot 80\ncpu x\n");
        let (errors, warnings) = problems("a/web", &parsed);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with("a/web:2:12: "), "{errors:?}");
        assert!(errors[1].starts_with("a/web:4:5: "), "{errors:?}");
        assert!(
            warnings.iter().any(|line| line.starts_with("a/web:3:1: warning: ")),
            "{warnings:?}"
        );
    }

    #[test]
    fn all_files_are_checked_before_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let good = path("web", "image app:1\n");
        let out = Out { json: false, quiet: true };
        assert_eq!(load(out, std::slice::from_ref(&good)).unwrap()[0].service, "web");
        let (bad, worse) = (path("api", "replicas x\n"), path("db", "cpu x\n"));
        let error = load(out, &[good.clone(), bad, worse]).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Refused);
        assert_eq!(error.to_string(), "nothing was written: 4 errors");
        let twin = path("web.new", "image app:2\n");
        assert!(load(out, &[good, twin]).is_err());
    }
}

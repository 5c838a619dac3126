//! Manifests on this side: read, and checked before anything is written.

use crate::app::{self, App};
use crate::error::{Error, Result};
use crate::flaw::{Flaw, errors};
use crate::out::Out;
use manifest::limits::{APP_BYTES_MAX, TEXT_BYTES_MAX};
use manifest::{Manifest, Problem};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The name that means standard input.
const STDIN: &str = "-";

/// What standard input is called in messages.
pub(crate) const STDIN_PATH: &str = "standard input";

/// The service that a manifest is checked for that does not say of which service it is.
const NAMELESS: &str = "nameless";

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

/// What all files say.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// A draft a service.
    pub(crate) drafts: Vec<Draft>,
    /// The files of several services.
    pub(crate) apps: Vec<App>,
}

/// Reads and checks all files, and tells all that is wrong or odd in them.
///
/// # Errors
/// The first file that cannot be read; [`Error::Manifests`] when any has errors, or when two
/// mean the same service.
pub(crate) fn load(out: Out, paths: &[PathBuf]) -> Result<Files> {
    let mut files = Files::default();
    let mut refused = 0;
    for path in paths {
        let bytes = read(path)?;
        let path = match path.to_str() {
            Some(STDIN) => STDIN_PATH.to_string(),
            Some(_) | None => path.display().to_string(),
        };
        let (mut flaws, drafts, app) = check(&path, &bytes);
        let twin = |draft: &Draft| files.drafts.iter().find(|other| other.service == draft.service);
        let twins = drafts.iter().filter_map(twin);
        let twins = twins.map(|twin| format!("{} is also in {}", twin.service, twin.path));
        let same = |app: &App| files.apps.iter().find(|other| other.name == app.name);
        let same = app.iter().filter_map(same).map(|same| {
            format!("app {} is also in {}; write app = \"NAME\" in one", same.name, same.path)
        });
        let first = |text| Flaw::error(&path, Problem { line: 1, column: 1, text });
        flaws.extend(twins.chain(same).map(first));
        flaws.iter().try_for_each(|flaw| flaw.tell(out))?;
        refused += flaws.iter().filter(|flaw| flaw.refuses).count();
        files.drafts.extend(drafts);
        files.apps.extend(app);
    }
    match refused {
        0 => Ok(files),
        n => Err(Error::Manifests(format!("nothing was written: {}", errors(n)))),
    }
}

/// What is wrong or odd in a file, and what it says.
fn check(path: &str, bytes: &[u8]) -> (Vec<Flaw>, Vec<Draft>, Option<App>) {
    let most = if app::may_be_app(path) { APP_BYTES_MAX } else { TEXT_BYTES_MAX };
    let text = match std::str::from_utf8(bytes) {
        // The mark of byte order some editors begin a file with is none of the manifest's.
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(why) if bytes.len() <= most => return (vec![odd(path, bytes, why)], Vec::new(), None),
        Err(_) => "",
    };
    if bytes.len() <= most && app::is_app(path, text) {
        return app::check(path, text);
    }
    let most = if app::is_app(path, text) { most } else { TEXT_BYTES_MAX };
    let (flaws, draft) = check_one(path, (bytes.len(), most), text);
    (flaws, draft.into_iter().collect(), None)
}

/// The same of a file of one service.
fn check_one(path: &str, (length, most): (usize, usize), text: &str) -> (Vec<Flaw>, Option<Draft>) {
    let at_first = |text: String| Flaw::error(path, Problem { line: 1, column: 1, text });
    if length > most {
        let text = format!("is longer than {most} bytes, which no manifest is");
        return (vec![at_first(text)], None);
    }
    let service = service(path, text);
    let parsed = manifest::parse(service.as_deref().unwrap_or(NAMELESS), text);
    let warnings = parsed.warnings.into_iter().map(|problem| Flaw::warning(path, problem));
    let mut flaws: Vec<Flaw> = warnings.collect();
    if service.is_none() {
        let text = "does not say of which service: add a line such as name web";
        flaws.push(at_first(text.to_string()));
    }
    flaws.extend(parsed.errors.into_iter().map(|problem| Flaw::error(path, problem)));
    let flaws = flaws.into_iter().map(|flaw| flaw.within(text)).collect();
    let (path, text) = (path.to_string(), text.to_string());
    let draft = service.zip(parsed.manifest);
    (flaws, draft.map(|(service, manifest)| Draft { service, path, text, manifest }))
}

/// A byte that is no text, and where.
fn odd(path: &str, bytes: &[u8], why: std::str::Utf8Error) -> Flaw {
    let (before, after) = bytes.split_at(why.valid_up_to());
    let before = String::from_utf8_lossy(before);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let byte = after.first().copied().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let text = format!("byte {byte:#04x} is not UTF-8: a manifest is text");
    Flaw::error(path, Problem { line: count(line), column: count(column), text })
}

/// As much of a file as shows that it is too long.
fn read(path: &Path) -> Result<Vec<u8>> {
    let most = APP_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let (done, path) = match path.to_str() {
        Some(STDIN) => {
            let read = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
            (read, STDIN_PATH.to_string())
        }
        Some(_) | None => {
            let open = std::fs::File::open(path);
            let read = open.and_then(|file| file.take(most).read_to_end(&mut bytes));
            (read, path.display().to_string())
        }
    };
    done.map(|_| bytes).map_err(|why| Error::Local { path, why })
}

/// The service a file is about: what its `name` says, else the file's name up to its first dot.
fn service(path: &str, text: &str) -> Option<String> {
    let named = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("name")).then(|| words.next()).flatten()
    });
    let file = || {
        let name = path.rsplit('/').next()?.split('.').next()?;
        (path != STDIN_PATH).then_some(name)
    };
    named.or_else(file).map(|name| name.trim_matches('\'').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[track_caller]
    fn is_of(path: &str, text: &str, want: Option<&str>) {
        assert_eq!(service(path, text).as_deref(), want, "of {path:?} {text:?}");
    }

    #[test]
    fn a_file_is_about_the_service_it_names_or_is_named_for() {
        is_of("/srv/web.manifest", "image app:1\n", Some("web"));
        is_of("web", "image app:1\n", Some("web"));
        is_of("web.v2.txt", "image app:1\n", Some("web"));
        is_of("x", "# a comment\nname api # here\n", Some("api"));
        is_of("x", "name 'api'\n", Some("api"));
        is_of(STDIN_PATH, "image app:1\n", None);
        is_of(STDIN_PATH, "name api\nimage app:1\n", Some("api"));
    }

    /// What is told of a file, a line each, without its texts after `most` characters.
    #[track_caller]
    fn tells(path: &str, bytes: &[u8], want: &[&str]) {
        let (flaws, drafts, _) = check(path, bytes);
        let errors = flaws.iter().filter(|flaw| flaw.refuses);
        let got: Vec<String> = errors
            .map(|f| {
                format!("{}:{}:{}: {}", f.file, f.problem.line, f.problem.column, f.problem.text)
            })
            .collect();
        assert_eq!(got.len(), want.len(), "{got:?}");
        assert!(got.iter().zip(want).all(|(got, want)| got.starts_with(want)), "{got:?}");
        assert_eq!(drafts.is_empty(), !want.is_empty());
    }

    #[test]
    fn every_problem_has_file_line_and_column() {
        tells("a/web", b"image app:1\nport 80\n", &[]);
        let text = b"image app:1\n  replicas many\ncpu x\n";
        tells("a/web", text, &["a/web:2:12: replicas: ", "a/web:3:5: cpu: "]);
        let (flaws, ..) = check("web", b"image app:1\nport 80\nprot 80\n");
        assert!(flaws.iter().any(|f| !f.refuses && f.problem.line == 3), "{flaws:?}");
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_refused_where_it_stands() {
        let want = "web:2:6: byte 0xff is not UTF-8";
        tells("web", b"image app:1\n# \xc3\xbc, \xff\n", &[want]);
        tells("web", b"\x7fELF\x02\xff\xff", &["web:1:6: byte 0xff is not UTF-8"]);
        let long = "ü".repeat(TEXT_BYTES_MAX);
        tells("web", &long.as_bytes()[..=TEXT_BYTES_MAX], &["web:1:1: is longer than 65536 bytes"]);
        tells(
            STDIN_PATH,
            b"image app:1\nport 80\n",
            &["standard input:1:1: does not say of which"],
        );
        assert_eq!(read(Path::new("/dev/zero")).unwrap().len(), APP_BYTES_MAX + 1);
        let error = read(Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "/: is a directory");
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
        assert_eq!(load(out, std::slice::from_ref(&good)).unwrap().drafts[0].service, "web");
        let (bad, worse) = (path("api", "replicas x\n"), path("db", "cpu x\n"));
        let error = load(out, &[good.clone(), bad, worse]).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused);
        assert_eq!(error.to_string(), "nothing was written: 4 errors");
        let twin = path("web.new", "image app:2\n");
        assert!(load(out, &[good, twin]).is_err());
    }
}

//! The body of a deploy: one service in the flat language, or the services of an app in HCL, read
//! into a draft each, in the language that servers keep.

use manifest::Problem;
use serde_json::{Value, json};

/// What the app of a body is called that does not say so.
pub(crate) const APP: &str = "app";

/// What a body in HCL begins with: no key of the flat language is followed by a string or a `=`.
const BEGINS: [&str; 3] = ["service", "task", "app"];

/// A manifest that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The service.
    pub(crate) service: String,
    /// What is written.
    pub(crate) text: String,
}

/// Reads a body. `name` is that of its service, or of its app, unless it says so itself.
///
/// # Errors
/// All that is wrong with it, each with its line and column.
pub(crate) fn read(bytes: &[u8], name: Option<&str>) -> Result<Vec<Draft>, Vec<Value>> {
    let text = std::str::from_utf8(bytes).map_err(|why| {
        let before = String::from_utf8_lossy(&bytes[..why.valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        vec![wrong(line, column, "is not UTF-8: a manifest is text")]
    })?;
    // The mark of byte order some editors begin a file with is none of the manifest's.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        let why = "the body is empty: send service \"NAME\" { … }, or a manifest with its name";
        return Err(vec![wrong(1, 1, why)]);
    }
    match is_app(text) {
        true => app(text, name),
        false => flat(text, name),
    }
}

/// Whether a text has blocks of services, by its first word.
fn is_app(text: &str) -> bool {
    let comment = |line: &&str| line.is_empty() || line.starts_with(['#', '/', '*']);
    let first = text.lines().map(str::trim).find(|line| !comment(line)).unwrap_or_default();
    let rest = BEGINS.iter().find_map(|word| first.strip_prefix(word));
    rest.is_some_and(|rest| rest.trim_start().starts_with(['"', '=']))
}

fn app(text: &str, name: Option<&str>) -> Result<Vec<Draft>, Vec<Value>> {
    let parsed = manifest::parse_app(name.unwrap_or(APP), text);
    // What has no effect yet a server would refuse, service by service.
    let mut errors: Vec<Problem> = parsed.errors.into_iter().chain(parsed.later).collect();
    let tasks = parsed.app.iter().flat_map(|app| &app.tasks);
    errors.extend(tasks.map(|task| no_task(&task.name, text)));
    errors.sort_by_key(|problem| (problem.line, problem.column));
    let Some(app) = parsed.app.filter(|_| errors.is_empty()) else {
        return Err(errors.into_iter().map(value).collect());
    };
    let draft = |service: manifest::Manifest| Draft {
        text: manifest::print(&service),
        service: service.name,
    };
    Ok(app.services.into_iter().map(draft).collect())
}

fn no_task(name: &str, text: &str) -> Problem {
    let begins = |line: &&str| {
        let rest = line.trim_start().strip_prefix("task").map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(&format!("\"{name}\"")))
    };
    let line = (1..).zip(text.lines()).find(|(_, line)| begins(line)).map_or(1, |(n, _)| n);
    let text =
        format!("task {name}: this door takes no tasks: deploy apply -f keeps them; remove it");
    Problem { line, column: 1, text }
}

fn flat(text: &str, name: Option<&str>) -> Result<Vec<Draft>, Vec<Value>> {
    let Some(service) = name.map(str::to_string).or_else(|| own_name(text)) else {
        let why =
            "does not say of which service: add a line such as name web, or ask for ?name=web";
        return Err(vec![wrong(1, 1, why)]);
    };
    let parsed = manifest::parse(&service, text);
    if parsed.manifest.is_some() {
        return Ok(vec![Draft { service, text: text.to_string() }]);
    }
    Err(parsed.errors.into_iter().map(value).collect())
}

/// The service that a manifest names itself.
fn own_name(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("name")).then(|| words.next()).flatten()
    });
    name.map(|name| name.trim_matches('\'').to_string())
}

fn value(problem: Problem) -> Value {
    json!({"line": problem.line, "column": problem.column, "message": problem.text})
}

fn wrong(line: usize, column: usize, message: &str) -> Value {
    json!({"line": line, "column": column, "message": message})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], want: &[(u64, u64, &str)]) {
        let wrong = read(text, None).unwrap_err();
        assert_eq!(wrong.len(), want.len(), "{wrong:?}");
        for (got, (line, column, message)) in wrong.iter().zip(want) {
            assert_eq!((&got["line"], &got["column"]), (&json!(line), &json!(column)), "{got}");
            assert!(got["message"].as_str().unwrap().contains(message), "{got}");
        }
    }

    #[test]
    fn a_manifest_is_of_the_service_it_names_or_that_is_asked_for() {
        let of = |text: &str, service: Option<&str>| {
            read(text.as_bytes(), service).unwrap()[0].service.clone()
        };
        assert_eq!(of("name web\nimage app:1\n", None), "web");
        assert_eq!(of("image app:1\n", Some("api")), "api");
        assert_eq!(of("\u{feff}name 'web'\nimage app:1\n", None), "web");
    }

    #[test]
    fn the_services_of_an_app_are_drafts_in_the_language_that_servers_keep() {
        let text = "# ours\nservice \"web\" {\n  image = \"app:1\"\n  port = 80\n}\n\
                    service \"api\" { image = \"api:1\" }\n";
        let drafts = read(text.as_bytes(), None).unwrap();
        assert_eq!(drafts[0].text, "name web\napp app\nimage app:1\nport 80\n");
        assert_eq!((drafts.len(), drafts[1].service.as_str()), (2, "api"));
        let drafts = read(text.as_bytes(), Some("shop")).unwrap();
        assert_eq!(manifest::app_of(&drafts[0].text), Some("shop".to_string()));
        let drafts = read(format!("app = \"own\"\n{text}").as_bytes(), Some("shop"));
        assert_eq!(manifest::app_of(&drafts.unwrap()[0].text), Some("own".to_string()));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_line_and_column() {
        let flat = b"name web\nreplicas many\ncpu x\n";
        check(flat, &[(1, 1, "image"), (2, 10, "replicas"), (3, 5, "cpu")]);
        check(b"image app:1\n", &[(1, 1, "?name=web")]);
        check(b"name web\n# \xff", &[(2, 3, "is not UTF-8")]);
        check(b" \n", &[(1, 1, "is empty")]);
        let app = b"service \"web\" {\n  image = \"Web:1\"\n  replica = 3\n}\n\
                    task \"job\" { image = \"a:1\" }\n";
        check(app, &[(2, 11, "is not an image"), (3, 3, "did you mean replicas?")]);
        let task = b"service \"web\" { image = \"a:1\" }\ntask \"job\" { image = \"a:1\" }\n";
        check(task, &[(2, 1, "this door takes no tasks")]);
    }
}

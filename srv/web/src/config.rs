//! The body of a deploy: which services it is of, and the manifest of each.

use manifest::Problem;
use serde_json::{Value, json};

/// A manifest that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The service.
    pub(crate) service: String,
    /// As it was written.
    pub(crate) text: String,
}

/// Reads a body, in the flat language: one service, named by its `name` or else by who asks.
///
/// # Errors
/// All that is wrong with it, each with its line and column.
pub(crate) fn read(bytes: &[u8], service: Option<&str>) -> Result<Vec<Draft>, Vec<Value>> {
    let text = std::str::from_utf8(bytes).map_err(|why| {
        let before = String::from_utf8_lossy(&bytes[..why.valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        vec![wrong(line, column, "is not UTF-8: a manifest is text")]
    })?;
    // The mark of byte order some editors begin a file with is none of the manifest's.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(service) = service.map(str::to_string).or_else(|| named(text)) else {
        let why =
            "does not say of which service: add a line such as name web, or ask for ?service=web";
        return Err(vec![wrong(1, 1, why)]);
    };
    let parsed = manifest::parse(&service, text);
    if parsed.manifest.is_some() {
        return Ok(vec![Draft { service, text: text.to_string() }]);
    }
    let value = |Problem { line, column, text }: Problem| json!({"line": line, "column": column, "message": text});
    Err(parsed.errors.into_iter().map(value).collect())
}

fn wrong(line: usize, column: usize, message: &str) -> Value {
    json!({"line": line, "column": column, "message": message})
}

/// The service that a text names itself.
fn named(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("name")).then(|| words.next()).flatten()
    });
    name.map(|name| name.trim_matches('\'').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_of_the_service_it_names_or_that_is_asked_for() {
        let of = |text: &str, service| read(text.as_bytes(), service).unwrap()[0].service.clone();
        assert_eq!(of("name web\nimage app:1\n", None), "web");
        assert_eq!(of("image app:1\n", Some("api")), "api");
        assert_eq!(of("\u{feff}name 'web'\nimage app:1\n", None), "web");
    }

    #[test]
    fn all_that_is_wrong_is_told_with_line_and_column() {
        let check = |text: &[u8], want: &[(u64, u64, &str)]| {
            let wrong = read(text, None).unwrap_err();
            assert_eq!(wrong.len(), want.len(), "{wrong:?}");
            for (got, (line, column, message)) in wrong.iter().zip(want) {
                assert_eq!((&got["line"], &got["column"]), (&json!(line), &json!(column)), "{got}");
                assert!(got["message"].as_str().unwrap().contains(message), "{got}");
            }
        };
        check(
            b"name web\nreplicas many\ncpu x\n",
            &[(1, 1, "image"), (2, 10, "replicas"), (3, 5, "cpu")],
        );
        check(b"image app:1\n", &[(1, 1, "?service=web")]);
        check(b"name web\n# \xff", &[(2, 3, "is not UTF-8")]);
        check(b"", &[(1, 1, "does not say of which service")]);
    }
}

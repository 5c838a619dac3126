//! What is wrong or odd in a manifest, and where: a line for people, an object for programs.

use crate::error::Result;
use crate::out::Out;
use manifest::Problem;
use serde_json::{Value, json};

/// One error or warning of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The file, here or in the tree.
    pub(crate) file: String,
    /// It refuses the manifest; else it is only odd.
    pub(crate) refuses: bool,
    /// Where and what.
    pub(crate) problem: Problem,
    /// The line it stands in, with its place marked, where that is known here.
    shown: String,
}

impl Flaw {
    /// A flaw for which the manifest is refused.
    pub(crate) fn error(file: &str, problem: Problem) -> Flaw {
        Flaw { file: file.to_string(), refuses: true, problem, shown: String::new() }
    }

    /// One that is only told.
    pub(crate) fn warning(file: &str, problem: Problem) -> Flaw {
        Flaw { file: file.to_string(), refuses: false, problem, shown: String::new() }
    }

    /// The same with its line of the file's text.
    pub(crate) fn within(self, text: &str) -> Flaw {
        let excerpt = manifest::excerpt(&self.file, text, &self.problem);
        let shown = excerpt.split_once('\n').map_or("", |(_, shown)| shown);
        Flaw { shown: shown.trim_end().to_string(), ..self }
    }

    /// Those that a refusal of the server lists, in its lines `line 3, column 10: …`.
    pub(crate) fn of_refusal(file: &str, text: &str) -> Vec<Flaw> {
        let text = text.strip_prefix("manifest refused: ").unwrap_or(text);
        let problem = |line: &str| {
            let (line, rest) = line.strip_prefix("line ")?.split_once(", column ")?;
            let (column, text) = rest.split_once(": ")?;
            let (line, column) = (line.parse().ok()?, column.parse().ok()?);
            Some(Flaw::error(file, Problem { line, column, text: text.to_string() }))
        };
        text.lines().filter_map(problem).collect()
    }

    /// Says it: as `FILE:line:column: text` with the line below it, or as an object.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub(crate) fn tell(&self, out: Out) -> Result<()> {
        if out.json {
            return out.object(&self.json());
        }
        let text = format!("{}\n{}", self.line(), self.shown);
        match self.refuses {
            true => out.trouble(text.trim_end()),
            false => out.message(text.trim_end()),
        }
        Ok(())
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let Problem { line, column, text } = &self.problem;
        let level = if self.refuses { "error" } else { "warning" };
        json!({
            "level": level, "file": self.file, "line": line, "column": column, "message": text,
        })
    }

    fn line(&self) -> String {
        let Problem { line, column, text } = &self.problem;
        let word = if self.refuses { "" } else { "warning: " };
        format!("{}:{line}:{column}: {word}{text}", self.file)
    }
}

/// `1 error`, `4 errors`.
pub(crate) fn errors(n: usize) -> String {
    format!("{n} error{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_server_is_taken_apart_into_its_errors() {
        let text = "manifest refused, 2 errors\nline 1, column 1: image: is missing\n\
                    line 3, column 10: replicas: \"x\": no number";
        let flaws = Flaw::of_refusal("manifests/web", text);
        let want = json!({
            "level": "error", "file": "manifests/web", "line": 3, "column": 10,
            "message": "replicas: \"x\": no number",
        });
        assert_eq!((flaws.len(), flaws[1].json()), (2, want));
        assert_eq!(flaws[0].line(), "manifests/web:1:1: image: is missing");
        let one = Flaw::of_refusal("manifests/web", "manifest refused: line 1, column 2: bad");
        assert_eq!(one[0].line(), "manifests/web:1:2: bad");
        assert_eq!(Flaw::of_refusal("x", "no room: node-1: cpu"), []);
    }
}

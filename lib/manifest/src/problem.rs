//! A problem in a manifest's text, and where it stands.

use std::fmt;

use crate::limits::PROBLEMS_MAX;

/// One error or warning. Its Display is `line 3, column 10: …`, one line of text that says
/// what is wrong, quotes the word, and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the text, counted from 1.
    pub line: u32,
    /// Column of the word in its line, in characters, counted from 1.
    pub column: u32,
    /// What is wrong and what to do, in lower case, without a line break.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

/// Problems in the order of the text; a flood of them is cut where nobody reads on.
pub(crate) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if let Some(next) = problems.get(PROBLEMS_MAX) {
        let more = problems.len() - PROBLEMS_MAX;
        let text = format!("and {more} more from here on; mend the others first");
        let last = Problem { text, ..next.clone() };
        problems.truncate(PROBLEMS_MAX);
        problems.push(last);
    }
    problems
}

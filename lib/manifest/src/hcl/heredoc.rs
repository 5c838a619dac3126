//! Here documents: `<<WORD` and `<<-WORD`, lines, `WORD` alone on a line.

use nom::bytes::complete::{tag, take_while};
use nom::character::complete::char;
use nom::combinator::opt;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::lex::{line_end, name};

/// What a here document begins with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    /// Whether the blanks are left out that all its lines begin with.
    flush: bool,
    /// The word that ends it.
    pub(super) word: &'a str,
}

/// The lines of a here document.
pub(super) struct Lines<'a> {
    /// The text of each, with its end.
    pub(super) lines: Vec<&'a str>,
    /// Blanks at the beginning of each that are left out.
    pub(super) indent: usize,
    /// Bytes up to the end of the closing word, which leaves the end of its line.
    pub(super) bytes: usize,
}

/// `<<WORD` or `<<-WORD` at the end of a line.
pub(super) fn opening(input: &str) -> IResult<&str, Opening<'_>> {
    let flush = opt(char('-')).map(|dash| dash.is_some());
    let blanks = take_while(|c| c == ' ' || c == '\t');
    let head = preceded(tag("<<"), (flush, name));
    terminated(head, (blanks, line_end)).map(|(flush, word)| Opening { flush, word }).parse(input)
}

/// The lines behind an opening; none when the closing word is missing.
pub(super) fn lines<'a>(text: &'a str, opening: Opening<'_>) -> Option<Lines<'a>> {
    let mut lines = Vec::new();
    let mut bytes = 0;
    for line in text.split_inclusive('\n') {
        if line.trim() == opening.word {
            bytes += line.trim_end().len();
            let indent = if opening.flush { indent(&lines) } else { 0 };
            return Some(Lines { lines, indent, bytes });
        }
        bytes += line.len();
        lines.push(line);
    }
    None
}

/// Blanks that all lines begin with which are not blank altogether.
fn indent(lines: &[&str]) -> usize {
    let written = lines.iter().filter(|line| !line.trim().is_empty());
    let blanks = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    written.map(blanks).min().unwrap_or_default()
}

//! A problem with the line it stands in.

use crate::problem::Problem;

/// Characters of a line that are shown; of a longer one, those around the place.
const SHOWN_CHARS: usize = 76;

/// Characters shown before the place in a longer line.
const BEFORE_CHARS: usize = 40;

/// The problem as `FILE:3:10: text`, the line of the text it stands in, and a `^` below its
/// place. What a terminal would not show as one character is shown as a blank.
#[must_use]
pub fn excerpt(file: &str, text: &str, problem: &Problem) -> String {
    let Problem { line, column, text: what } = problem;
    let index = |number: &u32| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = text.split('\n').nth(index(line)).unwrap_or_default();
    let source = source.strip_suffix('\r').unwrap_or(source);
    let place = index(column).min(source.chars().count());
    let skip = match source.chars().count() > SHOWN_CHARS {
        true => place.saturating_sub(BEFORE_CHARS),
        false => 0,
    };
    let shown: String = source.chars().skip(skip).take(SHOWN_CHARS).map(visible).collect();
    let (shown, number) = (shown.trim_end(), line.to_string());
    let (gap, blanks) = (" ".repeat(number.len()), " ".repeat(place - skip));
    format!("{file}:{line}:{column}: {what}\n {number} | {shown}\n {gap} | {blanks}^\n")
}

fn visible(c: char) -> char {
    let wide =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    if c.is_control() || wide || c == '\u{feff}' { ' ' } else { c }
}

//! A line of the flat language to its words.
//!
//! Blanks part words. Quotes are rc's: `'it''s'` is one word, and a quote may begin inside a
//! word (`KEY='a b'`). `#` begins a comment where a word could begin and nowhere else, so that
//! `http://host/#part` is one word. A line that begins with `+` goes on with the directive before:
//! its first word with the last one there, after a line end, and then with more words; so every
//! quote is closed on its line, and one that was forgotten swallows no other line.

use nom::branch::alt;
use nom::bytes::complete::{is_a, is_not, tag};
use nom::character::complete::char;
use nom::combinator::{cut, opt, value};
use nom::multi::{fold_many0, fold_many1};
use nom::sequence::delimited;
use nom::{IResult, Parser};

use crate::place::{Cursor, Place};

const BLANKS: &str = " \t";
const BLANKS_AND_QUOTE: &str = " \t'";

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// What it says, quotes resolved.
    pub(crate) text: String,
    /// Where its first character stands.
    pub(crate) place: Place,
    /// Where its bytes stand in the line, quotes and all.
    pub(crate) span: std::ops::Range<usize>,
}

/// A line that cannot be parted into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Where it stands.
    pub(crate) place: Place,
    /// What is wrong and what to do.
    pub(crate) text: String,
}

/// The words of one line, which has no line end and begins at `place`.
pub(crate) fn words(line: &str, place: Place) -> Result<Vec<Word>, Unreadable> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(line, place);
    let mut rest = skip_blanks(line);
    while !rest.is_empty() && !rest.starts_with('#') {
        let start = line.len() - rest.len();
        let place = cursor.at(start);
        let Ok((after, text)) = word(rest) else {
            let text = "a quote ' is not closed on its line; close it, or write '' for a quote";
            return Err(Unreadable { place, text: text.to_owned() });
        };
        let span = start..line.len() - after.len();
        check_characters(line, span.clone(), &mut cursor)?;
        found.push(Word { text, place, span });
        rest = skip_blanks(after);
    }
    Ok(found)
}

/// What a line begins with that goes on with the one before.
pub(crate) const MORE: &str = "+";

/// Words as one directive, each quoted where it needs it, a line for each line in them.
pub(crate) fn join(words: &[String]) -> String {
    let line_end = format!("\n{MORE} ");
    let word = |word: &String| word.split('\n').map(quote).collect::<Vec<_>>().join(&line_end);
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A word as it has to be written to be read as this text, which has no line end.
fn quote(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.starts_with('#')
        && !text.contains(|c: char| c == '\'' || is_blank(c) || c.is_control());
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn skip_blanks(input: &str) -> &str {
    let blanks: IResult<&str, Option<&str>> = opt(is_a(BLANKS)).parse(input);
    blanks.map_or(input, |(rest, _)| rest)
}

fn word(input: &str) -> IResult<&str, String> {
    let plain = is_not(BLANKS_AND_QUOTE).map(str::to_owned);
    fold_many1(alt((plain, quoted)), String::new, |word, part| word + &part).parse(input)
}

fn quoted(input: &str) -> IResult<&str, String> {
    let inside = fold_many0(
        alt((is_not("'"), value("'", tag("''")))),
        String::new,
        |text: String, part: &str| text + part,
    );
    delimited(char('\''), inside, cut(char('\''))).parse(input)
}

/// Refuses what an editor does not show: control characters anywhere, and outside quotes the
/// blanks that are neither space nor tab, which come with text copied from a page.
fn check_characters(
    line: &str,
    span: std::ops::Range<usize>,
    cursor: &mut Cursor<'_>,
) -> Result<(), Unreadable> {
    let start = span.start;
    let mut inside_quotes = false;
    for (offset, c) in line[span].char_indices() {
        inside_quotes ^= c == '\'';
        let stray = is_blank(c) && !inside_quotes;
        if c != '\t' && (c.is_control() || stray) {
            let text = cannot_stand(c);
            return Err(Unreadable { place: cursor.at(start + offset), text });
        }
    }
    Ok(())
}

/// What is told of a character that an editor does not show.
pub(crate) fn cannot_stand(c: char) -> String {
    let code = u32::from(c);
    format!("the character U+{code:04X} cannot stand here; use a space or remove it")
}

/// Blanks and characters without width.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

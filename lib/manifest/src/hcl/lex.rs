//! A text of the HCL language to its tokens. Whatever it is, it becomes tokens: what is none is
//! told and stands as [`Kind::Bad`]. No character is looked at more than a few times.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_until, take_while, take_while1};
use nom::character::complete::{anychar, char, line_ending, one_of, satisfy};
use nom::combinator::{eof, map, opt, recognize, rest, value};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::heredoc::{self, Opening};
use super::token::{Kind, Token};
use crate::error::quoted;
use crate::place::{Cursor, Place};
use crate::problem::Problem;
use crate::words::cannot_stand;

/// A text that is being read.
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    /// The byte that is read next.
    pub(super) at: usize,
    pub(super) problems: Vec<Problem>,
    cursor: Cursor<'a>,
}

/// What the next characters are.
#[derive(Clone)]
enum Next<'a> {
    Blank,
    Kind(Kind),
    Quote,
    Heredoc(Opening<'a>),
    OpenComment,
    Odd(char),
}

/// All tokens, the last of which is [`Kind::End`], and what is wrong with them.
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<Problem>) {
    let cursor = Cursor::new(text, Place::START);
    let mut lexer = Lexer { text, at: 0, problems: Vec::new(), cursor };
    let mut tokens = Vec::new();
    while lexer.at < text.len() {
        let place = lexer.place();
        if let Some(kind) = lexer.token(place) {
            tokens.push(Token { place, kind });
        }
    }
    tokens.push(Token { place: lexer.place(), kind: Kind::End });
    (tokens, lexer.problems)
}

impl<'a> Lexer<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Where the next byte stands.
    pub(super) fn place(&mut self) -> Place {
        self.cursor.at(self.at)
    }

    pub(super) fn wrong(&mut self, place: Place, text: impl Into<String>) {
        self.problems.push(place.problem(text.into()));
    }

    /// The next token; none where there is nothing to see.
    fn token(&mut self, place: Place) -> Option<Kind> {
        let Ok((after, next)) = next(self.rest()) else {
            self.at = self.text.len();
            return None;
        };
        self.at = self.text.len() - after.len();
        match next {
            Next::Blank => None,
            Next::Kind(kind) => Some(kind),
            Next::Quote => Some(self.quoted(place)),
            Next::Heredoc(opening) => Some(self.heredoc(place, opening)),
            Next::OpenComment => {
                self.wrong(place, "a comment /* is not closed; write */ where it ends");
                Some(Kind::Bad)
            }
            Next::Odd(c) => {
                let known = c.is_control() || (c.is_whitespace() && !c.is_ascii());
                let text = match c {
                    _ if known => cannot_stand(c),
                    '\'' => "' begins no string; write \" around it".to_owned(),
                    '(' | ')' | '+' | '*' | '?' | '!' | '&' | '|' | '<' | '>' | '$' => {
                        format!("{c} cannot stand here: values are not reckoned; write the value")
                    }
                    _ => format!("{} cannot stand here", quoted(&c.to_string())),
                };
                self.wrong(place, text);
                Some(Kind::Bad)
            }
        }
    }

    /// A here document, whose opening is read.
    fn heredoc(&mut self, place: Place, opening: Opening<'_>) -> Kind {
        let Some(lines) = heredoc::lines(self.rest(), opening) else {
            let word = opening.word;
            self.wrong(place, format!("<<{word} is not closed; write {word} alone on a line"));
            self.at = self.text.len();
            return Kind::Bad;
        };
        self.document(place, lines)
    }
}

fn next(input: &str) -> IResult<&str, Next<'_>> {
    alt((
        map(line_ending, |_| Next::Kind(Kind::Line)),
        value(Next::Blank, recognize(take_while1(|c| c == ' ' || c == '\t'))),
        value(Next::Blank, preceded(alt((tag("#"), tag("//"))), opt(is_not("\n")))),
        preceded(tag("/*"), comment),
        value(Next::Quote, char('"')),
        map(heredoc::opening, Next::Heredoc),
        map(one_of("{}[]=,;:"), |sign| Next::Kind(Kind::Sign(sign))),
        map(name, |name| Next::Kind(Kind::Name(name.to_owned()))),
        map(number, |number| Next::Kind(Kind::Number(number.to_owned()))),
        map(anychar, Next::Odd),
    ))
    .parse(input)
}

fn comment(input: &str) -> IResult<&str, Next<'_>> {
    let closed = terminated(take_until("*/"), tag("*/"));
    alt((value(Next::Blank, closed), value(Next::OpenComment, rest))).parse(input)
}

/// A name: a letter, then letters, digits, `_` and `-`.
pub(super) fn name(input: &str) -> IResult<&str, &str> {
    let first = satisfy(|c| c.is_alphabetic() || c == '_');
    recognize((first, take_while(|c: char| c.is_alphanumeric() || c == '_' || c == '-')))
        .parse(input)
}

/// A number, and the letters of a unit behind it.
fn number(input: &str) -> IResult<&str, &str> {
    let digit = satisfy(|c| c.is_ascii_digit());
    let more = take_while(|c: char| c.is_alphanumeric() || c == '.' || c == '_' || c == '%');
    recognize((opt(char('-')), digit, more)).parse(input)
}

/// The end of a line or of the text.
pub(super) fn line_end(input: &str) -> IResult<&str, &str> {
    alt((line_ending, eof)).parse(input)
}

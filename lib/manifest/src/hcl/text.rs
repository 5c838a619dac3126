//! The inside of strings and here documents: escapes, and what stands between `${` and `}`.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while_m_n, take_while1};
use nom::character::complete::{anychar, char, multispace0, one_of};
use nom::combinator::{all_consuming, map, map_opt, value, verify};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::heredoc::Lines;
use super::lex::Lexer;
use super::token::{Kind, Piece};
use crate::error::quoted;
use crate::limits::{REFERENCE_BYTES_MAX, STRING_BYTES_MAX};
use crate::place::Place;
use crate::words::cannot_stand;

/// A part of a string, as it is written.
#[derive(Clone)]
enum Part<'a> {
    Plain(&'a str),
    Char(char),
    /// What stands between `${` and `}`.
    Reference(&'a str),
    /// `${` without its end.
    OpenReference,
    /// `%{`, which nothing is made of.
    Directive,
    /// A backslash before a character it does not go with.
    NoEscape(char),
    /// `"`, or the end of the line.
    End,
}

impl Lexer<'_> {
    /// A string whose first quote is read.
    pub(super) fn quoted(&mut self, begin: Place) -> Kind {
        let mut pieces = Pieces::default();
        loop {
            let place = self.place();
            let Ok((after, part)) = part(self.rest()) else {
                self.wrong(begin, "a string is not closed on its line; write \" where it ends");
                return Kind::Bad;
            };
            let is_end = matches!(part, Part::End);
            self.at = self.text.len() - after.len();
            if is_end {
                return self.close(begin, pieces);
            }
            self.add(&mut pieces, place, part);
        }
    }

    /// A here document whose lines are found.
    pub(super) fn document(&mut self, begin: Place, lines: Lines<'_>) -> Kind {
        let end = self.at + lines.bytes;
        let mut pieces = Pieces::default();
        for line in lines.lines {
            let next = self.at + line.len();
            self.at += lines.indent.min(line.len() - line.trim_start_matches([' ', '\t']).len());
            let body = next - (line.len() - line.trim_end_matches(['\n', '\r']).len());
            while self.at < body {
                let place = self.place();
                let rest = self.text.get(self.at..body).unwrap_or_default();
                let Ok((after, part)) = raw_part(rest) else { break };
                self.at = body - after.len();
                self.add(&mut pieces, place, part);
            }
            if line.ends_with('\n') {
                pieces.push_char('\n');
            }
            self.at = next;
        }
        self.at = end;
        self.close(begin, pieces)
    }

    fn close(&mut self, begin: Place, pieces: Pieces) -> Kind {
        let bytes = pieces.bytes;
        if bytes > STRING_BYTES_MAX {
            let text = format!("the string has {bytes} bytes; the most is {STRING_BYTES_MAX}");
            self.wrong(begin, text);
            return Kind::Bad;
        }
        Kind::Text(pieces.pieces)
    }

    fn add(&mut self, pieces: &mut Pieces, place: Place, part: Part<'_>) {
        match part {
            Part::Plain(text) => match text.chars().find(|c| is_unseen(*c)) {
                Some(c) => self.bad(pieces, place, cannot_stand(c)),
                None => pieces.push(text),
            },
            Part::Char(c) if is_unseen(c) => self.bad(pieces, place, cannot_stand(c)),
            Part::Char(c) => pieces.push_char(c),
            Part::Reference(text) => match all_consuming(reference).parse(text) {
                Ok((_, Known::Secret(name))) => {
                    pieces.add(Piece::Secret { name: name.to_owned(), place });
                }
                Ok((_, Known::Address(service))) => {
                    pieces.add(Piece::Address { service: service.to_owned(), place });
                }
                Err(_) => self.bad(pieces, place, unknown(text)),
            },
            Part::OpenReference => {
                let text = "${ is not closed; write } behind it, or $${ for the characters ${";
                self.bad(pieces, place, text.to_owned());
            }
            Part::Directive => {
                let text = "%{ is not supported; write %%{ for the characters %{";
                self.bad(pieces, place, text.to_owned());
            }
            Part::NoEscape(c) => {
                let c = quoted(&c.to_string());
                let known = "\\n, \\t, \\\", \\\\ or \\uXXXX";
                let text = format!("\\ before {c} means nothing; write {known}");
                self.bad(pieces, place, text);
            }
            Part::End => {}
        }
    }

    fn bad(&mut self, pieces: &mut Pieces, place: Place, text: String) {
        self.wrong(place, text);
        pieces.add(Piece::Bad);
    }
}

/// What a string consists of so far.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
    bytes: usize,
}

impl Pieces {
    fn push(&mut self, text: &str) {
        self.bytes += text.len();
        match self.pieces.last_mut() {
            Some(Piece::Plain(last)) => last.push_str(text),
            Some(_) | None => self.pieces.push(Piece::Plain(text.to_owned())),
        }
    }

    fn push_char(&mut self, c: char) {
        self.push(c.encode_utf8(&mut [0; 4]));
    }

    fn add(&mut self, piece: Piece) {
        self.bytes += REFERENCE_BYTES_MAX;
        self.pieces.push(piece);
    }
}

/// Control characters that no value may have, because no line of the flat language has them.
fn is_unseen(c: char) -> bool {
    c.is_control() && c != '\t' && c != '\n'
}

/// Why that is no reference.
fn unknown(text: &str) -> String {
    let usage = "${secret(NAME)} and ${service.NAME.address} are known";
    let instead = "write $${ for the characters ${ themselves";
    format!("{} cannot stand between ${{ and }}: {usage}; {instead}", quoted(text))
}

/// A part of a quoted string; an error at the end of its line.
fn part(input: &str) -> IResult<&str, Part<'_>> {
    alt((
        map(is_not("\"\\$%\r\n"), Part::Plain),
        value(Part::End, char('"')),
        preceded(char('\\'), alt((escape, map(none_of_line_end, Part::NoEscape)))),
        template,
    ))
    .parse(input)
}

/// A part of a line of a here document, where a backslash is one.
fn raw_part(input: &str) -> IResult<&str, Part<'_>> {
    alt((map(is_not("$%"), Part::Plain), template)).parse(input)
}

fn template(input: &str) -> IResult<&str, Part<'_>> {
    alt((
        value(Part::Plain("${"), tag("$${")),
        value(Part::Plain("%{"), tag("%%{")),
        map(between, Part::Reference),
        value(Part::OpenReference, tag("${")),
        value(Part::Directive, tag("%{")),
        map(one_of("$%"), Part::Char),
    ))
    .parse(input)
}

/// What stands between `${` and the next `}` of the line. A quote that is not closed in there is
/// the string's end.
fn between(input: &str) -> IResult<&str, &str> {
    let inside = take_while_m_n(0, REFERENCE_BYTES_MAX, |c: char| c != '}' && c != '\n');
    let closed = |text: &str| text.matches('"').count().is_multiple_of(2);
    verify(delimited(tag("${"), inside, char('}')), closed).parse(input)
}

fn none_of_line_end(input: &str) -> IResult<&str, char> {
    map_opt(anychar, |c| (c != '\n' && c != '\r').then_some(c)).parse(input)
}

fn escape(input: &str) -> IResult<&str, Part<'_>> {
    let simple = alt((
        value('\n', char('n')),
        value('\r', char('r')),
        value('\t', char('t')),
        value('"', char('"')),
        value('\\', char('\\')),
    ));
    let digits = |count| take_while_m_n(count, count, |c: char| c.is_ascii_hexdigit());
    let short = preceded(char('u'), digits(4));
    let long = preceded(char('U'), digits(8));
    let code = map_opt(alt((short, long)), |digits| {
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
    });
    map(alt((simple, code)), Part::Char).parse(input)
}

/// What can be referred to.
enum Known<'a> {
    Secret(&'a str),
    Address(&'a str),
}

fn reference(input: &str) -> IResult<&str, Known<'_>> {
    let blanks = |input| multispace0(input);
    delimited(blanks, alt((secret, address)), blanks).parse(input)
}

fn secret(input: &str) -> IResult<&str, Known<'_>> {
    let plain = || take_while1(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
    let name = alt((delimited(char('"'), plain(), char('"')), plain()));
    let (open, close) = ((multispace0, char('('), multispace0), (multispace0, char(')')));
    preceded(tag("secret"), delimited(open, name, close)).map(Known::Secret).parse(input)
}

fn address(input: &str) -> IResult<&str, Known<'_>> {
    let name = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    delimited(tag("service."), name, tag(".address")).map(Known::Address).parse(input)
}

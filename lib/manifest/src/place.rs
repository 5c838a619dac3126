//! Where something stands in a text.

use crate::problem::Problem;

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    /// Where every text begins.
    pub(crate) const START: Place = Place { line: 1, column: 1 };

    pub(crate) fn problem(self, text: String) -> Problem {
        Problem { line: self.line, column: self.column, text }
    }
}

/// Turns bytes of a text into places, forwards only, so that all places of a text together cost
/// one walk over it.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    byte: usize,
    place: Place,
}

impl<'a> Cursor<'a> {
    /// Of a text whose first character stands at `place`.
    pub(crate) fn new(text: &'a str, place: Place) -> Cursor<'a> {
        Cursor { text, byte: 0, place }
    }

    /// The place of a byte that begins a character and is not before the one asked for last.
    pub(crate) fn at(&mut self, byte: usize) -> Place {
        for c in self.text.get(self.byte..byte).unwrap_or_default().chars() {
            match c {
                '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                _ => self.place.column += 1,
            }
        }
        self.byte = self.byte.max(byte);
        self.place
    }
}

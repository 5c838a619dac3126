//! The part of a terminal that is drawn again and again below what stays.

use std::io::{IsTerminal as _, Write as _};

/// Width when the terminal does not say, in characters.
const WIDTH_CHARS: usize = 80;

/// Height when the terminal does not say, in lines.
const HEIGHT_LINES: usize = 24;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_DOWN: &str = "\x1b[J";

/// What is drawn at the cursor on standard error.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    drawn: usize,
    hidden: bool,
}

/// Whether standard error is a terminal that can be drawn on.
pub(crate) fn is_able() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    std::io::stderr().is_terminal() && !dumb
}

/// Whether colours are wanted (no-color.org).
pub(crate) fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns and lines of the terminal at this moment.
pub(crate) fn size() -> (usize, usize) {
    let found = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    let or = |n: Option<u16>, default| n.filter(|n| *n > 0).map_or(default, usize::from);
    (or(found.map(|s| s.ws_col), WIDTH_CHARS), or(found.map(|s| s.ws_row), HEIGHT_LINES))
}

impl Screen {
    /// Writes `lasting` where the drawn part stood, and draws `lines` below.
    pub(crate) fn draw(&mut self, lasting: &[String], lines: &[String]) {
        let text = frame(self.drawn, self.hidden, lasting, lines);
        self.drawn = lines.len();
        self.hidden = !lines.is_empty();
        // A terminal that is gone is no reason to stop.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// Leaves what is drawn where it is, and gives the cursor back.
    pub(crate) fn leave(&mut self) {
        if std::mem::take(&mut self.hidden) {
            // The terminal has shown the ^C that ended it.
            let text = format!("\r{CLEAR_DOWN}{SHOW_CURSOR}");
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
        self.drawn = 0;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One write: so many drawn lines away, then what stays, then what is drawn now.
fn frame(drawn: usize, hidden: bool, lasting: &[String], lines: &[String]) -> String {
    let mut text = String::new();
    if !hidden && !lines.is_empty() {
        text.push_str(HIDE_CURSOR);
    }
    if drawn > 0 {
        text.push_str(&format!("\r\x1b[{drawn}A{CLEAR_DOWN}"));
    }
    for line in lasting.iter().chain(lines) {
        text.push_str(line);
        text.push('\n');
    }
    if hidden && lines.is_empty() {
        text.push_str(SHOW_CURSOR);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_frame_takes_the_last_one_away_and_stands_below_what_stays() {
        let first = frame(0, false, &text(&["web: v1"]), &text(&["a", "b"]));
        assert_eq!(first, "\x1b[?25lweb: v1\na\nb\n");
        let second = frame(2, true, &[], &text(&["c"]));
        assert_eq!(second, "\r\x1b[2A\x1b[Jc\n");
    }

    #[test]
    fn the_cursor_comes_back_when_nothing_is_drawn_any_more() {
        assert_eq!(frame(1, true, &text(&["done"]), &[]), "\r\x1b[1A\x1b[Jdone\n\x1b[?25h");
        assert_eq!(frame(0, false, &text(&["done"]), &[]), "done\n");
    }
}

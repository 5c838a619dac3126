//! A deploy as it stands, for a terminal: a bar an instance. Pure: instances in, lines out.

use crate::row::Row;

/// Cells of a bar.
const BAR_CELLS: usize = 12;

/// How far an instance is on its way to serve, and what to think of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stage {
    /// Out of [`BAR_CELLS`].
    cells: usize,
    colour: Colour,
}

/// What a terminal is told for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Good,
    Moving,
    Bad,
    Leaving,
}

/// The lines of one service's instances, at most `height` of them, each at most `width`
/// characters. `target` is the version gone to, so that new ones can be told from old ones.
pub(crate) fn lines(
    service: &str,
    rows: &[Row],
    target: &str,
    (width, height): (usize, usize),
    colours: bool,
) -> Vec<String> {
    let shown = if rows.len() > height { height.saturating_sub(1) } else { rows.len() };
    let names: Vec<String> = rows.iter().map(|row| format!("{service}/{}", row.number)).collect();
    let column = names.iter().take(shown).map(|name| name.chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> = rows
        .iter()
        .zip(&names)
        .take(shown)
        .map(|(row, name)| line(row, &format!("{name:<column$}"), target, width, colours))
        .collect();
    if shown < rows.len() {
        lines.push(cut(&format!("  … and {} more", rows.len() - shown), width));
    }
    lines
}

fn line(row: &Row, name: &str, target: &str, width: usize, colours: bool) -> String {
    let stage = stage(row);
    let full = "━".repeat(stage.cells);
    let empty = "┄".repeat(BAR_CELLS - stage.cells);
    let age = match (row.version.as_str(), target) {
        (_, "") | ("", _) => "",
        (version, target) if version == target => "new",
        _ => "old",
    };
    let why = if row.reason.is_empty() { &row.node } else { &row.reason };
    let head = format!("  {name}  ");
    let tail = format!("  {:<9} {age:<3}  {why}", row.state);
    // Colour is added after the cut, so that it is never cut in two and counts no width.
    let whole = cut(format!("{head}{full}{empty}{tail}").trim_end(), width);
    let (from, to) = (head.len(), head.len() + full.len());
    match (whole.get(..from), whole.get(from..to), whole.get(to..)) {
        (Some(head), Some(bar), Some(rest)) if colours && !bar.is_empty() => {
            format!("{head}\x1b[{}m{bar}\x1b[0m{rest}", stage.colour.code())
        }
        _ => whole,
    }
}

fn stage(row: &Row) -> Stage {
    let (cells, colour) = match row.state.as_str() {
        "waiting" => (0, Colour::Moving),
        "scheduled" => (2, Colour::Moving),
        "pulling" => (4, Colour::Moving),
        "starting" => (6, Colour::Moving),
        "checking" => (8, Colour::Moving),
        "healthy" => (10, Colour::Good),
        "serving" if row.health == "unhealthy" => (BAR_CELLS, Colour::Bad),
        "serving" => (BAR_CELLS, Colour::Good),
        "draining" => (8, Colour::Leaving),
        "stopping" => (4, Colour::Leaving),
        "exited" if row.reason.is_empty() => (0, Colour::Leaving),
        "exited" | "failed" => (1, Colour::Bad),
        // A state that this version does not know.
        _ => (1, Colour::Moving),
    };
    Stage { cells, colour }
}

impl Colour {
    /// The SGR parameter (ECMA-48, 8.3.117): the eight old colours, which every theme sets.
    fn code(self) -> u8 {
        match self {
            Colour::Good => 32,
            Colour::Moving => 33,
            Colour::Bad => 31,
            Colour::Leaving => 2,
        }
    }
}

/// A text in at most `width` characters, without control characters that would move the cursor.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let all: Vec<char> = clean.collect();
    match all.len() > width {
        true => all[..width.saturating_sub(1)].iter().chain(&['…']).collect(),
        false => all.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> Vec<Row> {
        let row = |number, version: &str, state: &str| Row {
            number,
            version: version.to_string(),
            state: state.to_string(),
            node: "node-1".to_string(),
            ..Row::default()
        };
        let failed = Row { reason: "exited with code 1".to_string(), ..row(11, "b", "exited") };
        vec![row(0, "a", "serving"), row(1, "a", "draining"), row(10, "b", "checking"), failed]
    }

    #[track_caller]
    fn check(size: (usize, usize), want: &[&str]) {
        assert_eq!(lines("web", &world(), "b", size, false), want);
    }

    #[test]
    fn every_instance_has_a_bar_its_state_and_whether_it_is_new() {
        check(
            (80, 10),
            &[
                "  web/0   ━━━━━━━━━━━━  serving   old  node-1",
                "  web/1   ━━━━━━━━┄┄┄┄  draining  old  node-1",
                "  web/10  ━━━━━━━━┄┄┄┄  checking  new  node-1",
                "  web/11  ━┄┄┄┄┄┄┄┄┄┄┄  exited    new  exited with code 1",
            ],
        );
    }

    #[test]
    fn a_small_terminal_gets_fewer_and_shorter_lines() {
        check((20, 3), &["  web/0  ━━━━━━━━━━…", "  web/1  ━━━━━━━━┄┄…", "  … and 2 more"]);
        check((1, 4), &["…", "…", "…", "…"]);
    }

    #[test]
    fn colour_takes_no_width() {
        let plain = lines("web", &world(), "b", (40, 10), false);
        let bright = lines("web", &world(), "b", (40, 10), true);
        for (plain, bright) in plain.iter().zip(&bright) {
            let mut bare = bright.replace("\x1b[0m", "");
            for code in ["32", "33", "31", "2"] {
                bare = bare.replace(&format!("\x1b[{code}m"), "");
            }
            assert_eq!(&bare, plain);
            assert!(bright.contains("\x1b["), "{bright:?}");
        }
    }

    #[test]
    fn what_an_instance_says_cannot_move_the_cursor() {
        assert_eq!(cut("a\x1b[2Jb\nc", 80), "a [2Jb c");
    }
}

//! Shows what followers report, in one of three ways, and nothing else.

use crate::bars;
use crate::error::Result;
use crate::exit::Exit;
use crate::json::Json;
use crate::news::{News, Report, Say};
use crate::out::Out;
use crate::plain::Plain;
use crate::row::Row;
use crate::screen::{self, Screen};
use crate::total::Total;
use std::collections::BTreeMap;
use std::time::Instant;

/// Lines of a terminal that bars leave free, for what stays above them.
const FREE_LINES: usize = 4;

/// One way of showing.
#[derive(Debug)]
pub(crate) struct Show {
    out: Out,
    began: Instant,
    how: How,
}

#[derive(Debug)]
enum How {
    Json(Json),
    Plain(Plain),
    Bars(Bars),
}

/// What a terminal shows: lines that stay, and a bar an instance.
#[derive(Debug)]
struct Bars {
    plain: Plain,
    screen: Screen,
    services: BTreeMap<String, Drawn>,
}

/// What is drawn of one service.
#[derive(Debug, Default)]
struct Drawn {
    rows: Vec<Row>,
    /// The versions that were there at first: every other one is new.
    old: Option<Vec<String>>,
}

impl Show {
    /// As the user wants it and standard error can.
    pub(crate) fn new(out: Out, several: bool, together: bool) -> Show {
        let plain = |lasting_only| {
            let plain = Plain::new(several, lasting_only);
            if together { plain.together() } else { plain }
        };
        let how = if out.json {
            How::Json(Json::default())
        } else if screen::is_able() && !out.quiet {
            let plain = plain(true);
            How::Bars(Bars { plain, screen: Screen::default(), services: BTreeMap::new() })
        } else {
            How::Plain(plain(false))
        };
        Show { out, began: Instant::now(), how }
    }

    /// Whether the instances are wanted after every event.
    pub(crate) fn wants_rows(&self) -> bool {
        matches!(self.how, How::Bars(_))
    }

    /// Shows a report.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub(crate) fn take(&mut self, report: &Report) -> Result<()> {
        let now_ms = self.now_ms();
        match &mut self.how {
            How::Json(json) => {
                json.take(report).iter().try_for_each(|object| self.out.object(object))?;
            }
            How::Plain(plain) => say(self.out, plain.take(now_ms, report)),
            How::Bars(bars) => bars.take(now_ms, report),
        }
        Ok(())
    }

    /// When it has to be called again though nothing was reported, in milliseconds from now.
    pub(crate) fn due_in_ms(&self) -> Option<u64> {
        let plain = match &self.how {
            How::Json(_) => return None,
            How::Plain(plain) => plain,
            How::Bars(bars) => &bars.plain,
        };
        plain.due_ms().map(|due| due.saturating_sub(self.now_ms()))
    }

    /// Shows what is due.
    pub(crate) fn lapse(&mut self) {
        let now_ms = self.now_ms();
        match &mut self.how {
            How::Json(_) => {}
            How::Plain(plain) => say(self.out, plain.lapse(now_ms)),
            How::Bars(bars) => {
                let lasting = bars.plain.lapse(now_ms);
                bars.draw(lasting);
            }
        }
    }

    /// Shows what all came to together.
    ///
    /// # Errors
    /// When nobody reads standard output.
    pub(crate) fn total(&mut self, total: &Total, exit: Exit) -> Result<()> {
        match &self.how {
            How::Json(_) => self.out.object(&total.json(exit))?,
            How::Plain(_) | How::Bars(_) => say(self.out, vec![total.line(exit)]),
        }
        Ok(())
    }

    /// Leaves the terminal as it was found.
    pub(crate) fn leave(&mut self) {
        match &mut self.how {
            How::Json(_) | How::Plain(_) => {}
            How::Bars(bars) => bars.screen.leave(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn say(out: Out, lines: Vec<Say>) {
    for say in lines {
        if say.trouble {
            out.trouble(&say.text);
        } else {
            out.message(&say.text);
        }
    }
}

impl Bars {
    fn take(&mut self, now_ms: u64, report: &Report) {
        let lasting = self.plain.take(now_ms, report);
        match &report.news {
            News::Rows(rows) => {
                let drawn = self.services.entry(report.service.clone()).or_default();
                // One that ended long ago, whose log is kept, is neither old nor new.
                let runs = |row: &&Row| !matches!(row.state.as_str(), "exited" | "failed");
                let versions = || rows.iter().filter(runs).map(|row| row.version.clone()).collect();
                drawn.old.get_or_insert_with(versions);
                drawn.rows.clone_from(rows);
            }
            News::Ended(..) | News::Broken { .. } => {
                // What it came to stays; the bars of others go on below.
                let last = self.service_lines(&report.service, usize::MAX);
                self.services.remove(&report.service);
                let above = last.into_iter().map(Say::plain);
                return self.draw(above.chain(lasting).collect());
            }
            News::Accepted | News::Going { .. } | News::Told { .. } => {}
        }
        self.draw(lasting);
    }

    fn draw(&mut self, lasting: Vec<Say>) {
        let lasting: Vec<String> = lasting.into_iter().map(|say| say.text).collect();
        let (_, height) = screen::size();
        let each = height.saturating_sub(FREE_LINES) / self.services.len().max(1);
        let names: Vec<String> = self.services.keys().cloned().collect();
        let lines = names.iter().flat_map(|name| self.service_lines(name, each.max(1)));
        let lines: Vec<String> = lines.take(height.saturating_sub(1)).collect();
        self.screen.draw(&lasting, &lines);
    }

    fn service_lines(&self, name: &str, height: usize) -> Vec<String> {
        let Some(drawn) = self.services.get(name) else { return Vec::new() };
        let old = drawn.old.as_deref().unwrap_or_default();
        let new = drawn.rows.iter().find(|row| !old.contains(&row.version));
        let target = new.map(|row| row.version.as_str()).unwrap_or_default();
        let (width, _) = screen::size();
        bars::lines(name, &drawn.rows, target, (width, height), screen::wants_colours())
    }
}

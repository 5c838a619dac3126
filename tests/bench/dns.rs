//! Our DNS beside Debian's dnsmasq, each on one core, dnsperf on the other: answers a second and
//! processor time an answer. Names that exist (a thousand, two addresses each) and names that do
//! not, with the whole core and with a quarter of it; and names of others, which both ask of a
//! third server once and then keep. By UDP: over TCP dnsmasq answers with a process a connection,
//! and loses questions.

use crate::dnsperf::dnsperf;
use crate::edge::edge_by;
use crate::figure::Figure;
use crate::names::{self, Question, dnsmasq, upstream};
use crate::program::{Program, free_port};
use crate::quota::Quota;
use crate::server::{place, programs};
use crate::table;
use crate::turns::turns;
use std::path::{Path, PathBuf};

/// Turns of both servers.
const ROUNDS: usize = 5;
/// How long dnsperf asks in one.
const SECONDS: u32 = 1;
/// The share of the core, in hundredths, with which dnsperf is faster than both.
const SHARE_PERCENT: u64 = 25;

/// A server and what was measured of it.
struct Server {
    program: Program,
    port: u16,
    figures: Vec<[Figure; 2]>,
}

/// A way to ask.
struct Case {
    what: String,
    share: Option<u64>,
    question: Question,
    file: PathBuf,
}

/// Measures both.
///
/// # Errors
/// dnsperf is not there, or a server does not answer as it is to.
pub(crate) fn measure() -> Result<(), String> {
    let (bin, place) = (programs()?, place()?);
    let dir = place.path();
    let Some(_upstream) = upstream(&dir.join("upstream"))? else {
        println!("dnsmasq is not installed; apt-get install dnsmasq-base");
        return Ok(());
    };
    let cases = cases(dir)?;
    let mut servers = Vec::new();
    for name in ["edge", "dnsmasq"] {
        let (port, dir) = (free_port()?, dir.join(name));
        let program = match name {
            "edge" => own(&bin, &dir, port)?,
            _ => dnsmasq(&dir, port)?.ok_or("dnsmasq is not installed")?,
        };
        let figures = cases.iter().map(|case| figures(name, case)).collect();
        names::answers(port)?;
        servers.push(Server { program, port, figures });
    }
    for (number, case) in cases.iter().enumerate() {
        // What comes from others is kept from then on.
        for server in servers.iter().filter(|_| case.question == Question::Others) {
            dnsperf(server.port, &case.file, 1, case.question.code())?;
        }
        turns(ROUNDS, &mut servers, |server| server.round(number, case))?;
        print(&servers, number, case.question);
    }
    Ok(())
}

fn cases(dir: &Path) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for question in [Question::There, Question::Missing, Question::Others] {
        let file = question.file(dir)?;
        for (share, how) in [(None, ""), (Some(SHARE_PERCENT), ", a quarter of a core")] {
            let what = format!("{}{how}", question.name());
            cases.push(Case { what, share, question, file: file.clone() });
        }
    }
    Ok(cases)
}

fn figures(name: &str, case: &Case) -> [Figure; 2] {
    let what = format!("dns, {name}, {}", case.what);
    [
        Figure::new(format!("{what}, answers a second"), ""),
        Figure::new(format!("{what}, processor time"), "us"),
    ]
}

impl Server {
    fn round(&mut self, number: usize, case: &Case) -> Result<(), String> {
        let _quota = match case.share {
            Some(percent) => Some(Quota::set(&self.program, percent)?),
            None => None,
        };
        let before = self.program.cpu_us();
        let answers = dnsperf(self.port, &case.file, SECONDS, case.question.code())?;
        let [rate, cpu] = &mut self.figures[number];
        rate.add(answers.per_second);
        cpu.add((self.program.cpu_us() - before) / answers.count);
        Ok(())
    }
}

/// The figures of one case, ours beside the other's of the same round.
fn print(servers: &[Server], number: usize, question: Question) {
    let [own, other] = servers else { return };
    let target = match question {
        Question::There | Question::Missing => "(target at least 1)",
        Question::Others => "",
    };
    let both = own.figures[number].iter().zip(&other.figures[number]);
    for ((own, other), target) in both.zip([target, ""]) {
        own.print(&format!("{:.2} of dnsmasq {target}", own.ratio(other, "").median()));
        other.print("");
    }
}

/// The edge, which asks the third server what it does not know itself.
fn own(bin: &Path, dir: &Path, port: u16) -> Result<Program, String> {
    let at = format!("127.0.0.1:{port}");
    edge_by(names::UPSTREAM, dir, bin, &table::services(names::NAMES), &[("--dns", &at)])
}

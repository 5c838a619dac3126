//! The edge, started by itself with a table as the last one it had.

use crate::program::{MEASURED_CORE, Program, put};
use std::path::Path;

/// Gives the machine's resolvers another file, for one process and what it starts, and becomes
/// the program that follows.
const RESOLVERS: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

/// Starts one in `dir`; `words` say where it listens. It follows nobody unless they say whom.
///
/// # Errors
/// It cannot be started.
pub(crate) fn edge(
    dir: &Path,
    bin: &Path,
    table: &str,
    words: &[(&str, &str)],
) -> Result<Program, String> {
    let words = prepare(dir, table, words)?;
    let program = bin.join("deployfs").display().to_string();
    started(Program::start(MEASURED_CORE, &program, words, dir)?)
}

/// The same, for which the machine's resolver is the one at that address.
///
/// # Errors
/// It cannot be started.
pub(crate) fn edge_by(
    resolver: &str,
    dir: &Path,
    bin: &Path,
    table: &str,
    words: &[(&str, &str)],
) -> Result<Program, String> {
    let file = put(dir, "resolv.conf", &format!("nameserver {resolver}\n"))?;
    let program = bin.join("deployfs").display().to_string();
    let mut all: Vec<String> = ["-m", "sh", "-c", RESOLVERS].map(str::to_owned).to_vec();
    all.extend([file.display().to_string(), program]);
    all.extend(prepare(dir, table, words)?);
    started(Program::start(MEASURED_CORE, "unshare", all, dir)?)
}

fn prepare(dir: &Path, table: &str, words: &[(&str, &str)]) -> Result<Vec<String>, String> {
    put(&dir.join("edge"), "routes", table)?;
    let (place, nobody) = (dir.display().to_string(), format!("unix!{}/none", dir.display()));
    // As for its peers: a log is a matter of its own.
    let mut all = vec!["edge", "-r", &place, "--access-log", "none"];
    if !words.iter().any(|(flag, _)| *flag == "-s") {
        all.extend(["-s", &nobody]);
    }
    all.extend(words.iter().flat_map(|(flag, word)| [flag, word]));
    Ok(all.into_iter().map(str::to_owned).collect())
}

fn started(program: Option<Program>) -> Result<Program, String> {
    program.ok_or_else(|| "deployfs is not built, or there is no unshare".to_owned())
}

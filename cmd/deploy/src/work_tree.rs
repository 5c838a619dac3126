//! The git work tree that a manifest's `source` names: clean or not, and which commit it is.

use crate::error::{Error, Result};
use ninep::words;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Changed files that are told by name.
const TOLD_MAX: usize = 20;

/// A clean work tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WorkTree {
    /// The commit it is, in full.
    pub(crate) hash: String,
    /// The first line of its message.
    pub(crate) subject: String,
    /// The branch; none where no branch is checked out.
    pub(crate) branch: Option<String>,
}

/// Where a source is: paths are relative to the manifest's file.
pub(crate) fn place(file: &str, source: Option<&str>) -> PathBuf {
    let beside = Path::new(file).parent().filter(|parent| !parent.as_os_str().is_empty());
    match (beside, source) {
        (Some(beside), Some(source)) => beside.join(source),
        (Some(beside), None) => beside.to_path_buf(),
        (None, source) => PathBuf::from(source.unwrap_or(".")),
    }
}

impl WorkTree {
    /// Looks at it.
    ///
    /// # Errors
    /// It is none, it has no commit, or it is not clean: then with what is not, a line each.
    pub(crate) async fn look(place: &Path) -> Result<WorkTree> {
        let inside = ask(place, &["rev-parse", "--is-inside-work-tree"]).await?;
        if inside != "true" {
            return Err(wrong(place, "is no work tree of git"));
        }
        let branch = ask(place, &["symbolic-ref", "-q", "--short", "HEAD"]).await.ok();
        let told = ask(place, &["log", "-1", "--format=%H %s"]).await?;
        let (hash, subject) = told.split_once(' ').unwrap_or((&told, ""));
        let tree = WorkTree { hash: hash.to_string(), subject: subject.to_string(), branch };
        let (changed, more) = changes(place).await?;
        match changed.is_empty() {
            true => Ok(tree),
            false => Err(wrong(place, &unclean(&changed, more, tree.branch.as_deref()))),
        }
    }

    /// As the history keeps it.
    pub(crate) fn commit(&self) -> String {
        format!("{} {}", self.hash, self.subject)
    }
}

fn unclean(changed: &[String], more: usize, branch: Option<&str>) -> String {
    let on = branch.map_or("no branch".to_string(), |branch| format!("branch {branch}"));
    let mut text = format!("is not clean, on {on}; commit this first, or put it away:");
    changed.iter().for_each(|line| text += &format!("\n  {line}"));
    if more > 0 {
        text += &format!("\n  and {more} more");
    }
    text
}

fn wrong(place: &Path, what: &str) -> Error {
    Error::Other(format!("source {}: {what}", place.display()))
}

fn git(place: &Path, words: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(place).args(words);
    // Looking must not change anything, and its words are read here.
    git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    git
}

fn no_git(place: &Path, why: &std::io::Error) -> Error {
    wrong(place, &format!("cannot run git: {}", words(why)))
}

/// The first line of what git says.
async fn ask(place: &Path, words: &[&str]) -> Result<String> {
    let output = git(place, words).output().await.map_err(|why| no_git(place, &why))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().next().unwrap_or("git says nothing");
        return Err(wrong(place, line.trim_start_matches("fatal: ")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_string())
}

/// The first lines of `git status --porcelain`, and how many follow them.
async fn changes(place: &Path) -> Result<(Vec<String>, usize)> {
    let started = git(place, &["status", "--porcelain"]).stderr(Stdio::null()).spawn();
    let mut child = started.map_err(|why| no_git(place, &why))?;
    let (mut first, mut more) = (Vec::new(), 0);
    if let Some(output) = child.stdout.take() {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Some(line) = lines.next_segment().await.map_err(|why| no_git(place, &why))? {
            match first.len() < TOLD_MAX {
                true => first.push(String::from_utf8_lossy(&line).into_owned()),
                false => more += 1,
            }
        }
    }
    let status = child.wait().await.map_err(|why| no_git(place, &why))?;
    match status.success() {
        true => Ok((first, more)),
        false => Err(wrong(place, "git status fails there; run it to see why")),
    }
}

#[cfg(test)]
#[path = "work_tree_test.rs"]
mod tests;

//! Work trees by a real git.

use super::{TOLD_MAX, WorkTree, place};
use std::path::Path;
use std::process::Command;

/// Runs git there, as somebody who may commit.
fn git(place: &Path, words: &[&str]) {
    let mut git = Command::new("git");
    git.arg("-C").arg(place).args(["-c", "user.name=ann", "-c", "user.email=ann@example.com"]);
    let output = git.args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A work tree with one commit.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "main"]);
    std::fs::write(dir.path().join("a"), "a").unwrap();
    git(dir.path(), &["add", "a"]);
    git(dir.path(), &["commit", "-q", "-m", "mend the door\n\nIt was open."]);
    dir
}

async fn refused(place: &Path) -> String {
    WorkTree::look(place).await.unwrap_err().to_string()
}

#[test]
fn a_source_is_relative_to_the_manifests_file() {
    let check = |file: &str, source: Option<&str>, want: &str| {
        assert_eq!(place(file, source), Path::new(want), "{file} {source:?}");
    };
    check("deploy/web", Some("../app"), "deploy/../app");
    check("web", Some("app"), "app");
    check("web", Some("../app"), "../app");
    check("web", None, ".");
    check("/srv/web", None, "/srv");
    check("/srv/web", Some("/app"), "/app");
    check("standard input", Some("app"), "app");
}

#[tokio::test]
async fn a_clean_tree_gives_its_commit_and_its_branch() {
    let dir = tree();
    let found = WorkTree::look(dir.path()).await.unwrap();
    assert_eq!((found.subject.as_str(), found.branch.as_deref()), ("mend the door", Some("main")));
    assert_eq!(found.hash.len(), 40);
    assert_eq!(found.commit(), format!("{} mend the door", found.hash));
    git(dir.path(), &["checkout", "-q", "--detach"]);
    assert_eq!(WorkTree::look(dir.path()).await.unwrap(), WorkTree { branch: None, ..found });
}

#[tokio::test]
async fn a_tree_that_is_not_clean_is_refused_with_what_is_not_and_no_more_than_fits() {
    let dir = tree();
    std::fs::write(dir.path().join("a"), "b").unwrap();
    std::fs::write(dir.path().join("new"), "").unwrap();
    let text = refused(dir.path()).await;
    let (head, list) = text.split_once('\n').unwrap();
    assert!(head.contains("is not clean, on branch main"), "{head}");
    assert_eq!(list, "   M a\n  ?? new");
    for n in 0..1_000 {
        std::fs::write(dir.path().join(format!("f{n}")), "").unwrap();
    }
    let text = refused(dir.path()).await;
    assert_eq!(text.lines().count(), 1 + TOLD_MAX + 1);
    assert!(text.ends_with(&format!("  and {} more", 1_002 - TOLD_MAX)), "{text}");
}

#[tokio::test]
async fn what_is_no_work_tree_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let text = refused(dir.path()).await;
    assert!(text.contains(": not a git repository") && text.lines().count() == 1, "{text}");
    let text = refused(&dir.path().join("none")).await;
    assert!(text.contains("cannot change to") && text.lines().count() == 1, "{text}");
    git(dir.path(), &["init", "-q", "-b", "main"]);
    let text = refused(dir.path()).await;
    assert!(text.contains("does not have any commits yet"), "{text}");
    let text = refused(&dir.path().join(".git")).await;
    assert!(text.contains("is no work tree of git"), "{text}");
}

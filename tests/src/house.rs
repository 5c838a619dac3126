//! The rules of the house, for the text of the code itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines a file may have.
const LINES_MAX: usize = 500;
/// Columns a line may have.
const COLUMNS_MAX: usize = 100;
/// Lines a function may have.
const FUNCTION_LINES_MAX: usize = 70;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the top").to_path_buf()
}

/// Every file that git keeps.
fn kept() -> Vec<String> {
    let told = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files"])
        .current_dir(top())
        .output()
        .expect("git");
    assert!(told.status.success(), "git ls-files: {}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8_lossy(&told.stdout).lines().map(String::from).collect()
}

fn sources() -> Vec<(String, String)> {
    let rust = kept().into_iter().filter(|path| path.ends_with(".rs"));
    let read = |path: String| fs::read_to_string(top().join(&path)).ok().map(|text| (path, text));
    rust.filter_map(read).collect()
}

#[test]
fn nothing_stands_at_the_top_but_what_belongs_there() {
    let allowed =
        ["Cargo.toml", "Cargo.lock", "LICENSE", "README", "mkfile", "cmd", "lib", "srv", "tests"];
    for path in kept() {
        let first = path.split('/').next().unwrap_or_default();
        assert!(first.starts_with('.') || allowed.contains(&first), "{path}");
    }
}

#[test]
fn every_file_says_first_what_it_is_for_and_stays_small() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{path} does not begin with //!");
        assert!(text.lines().count() <= LINES_MAX, "{path} has more than {LINES_MAX} lines");
        for (at, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            assert!(columns <= COLUMNS_MAX, "{path}:{} has {columns} columns", at + 1);
        }
    }
}

#[test]
fn no_function_is_longer_than_a_page() {
    for (path, text) in sources() {
        let mut began: Option<(usize, usize, &str)> = None;
        for (at, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_fn = head.split('(').next().is_some_and(|h| h.split(' ').any(|w| w == "fn"));
            if began.is_none() && is_fn && !head.starts_with("//") && !line.ends_with(';') {
                began = Some((at, indent, line));
            }
            if let Some((from, depth, name)) = began
                && indent == depth
                && head.starts_with('}')
            {
                let lines = at + 1 - from;
                assert!(lines <= FUNCTION_LINES_MAX, "{path}:{}: {lines} lines: {name}", from + 1);
                began = None;
            }
        }
    }
}

#[test]
fn no_module_is_a_drawer_for_odds_and_ends() {
    for (path, _) in sources() {
        let name = Path::new(&path).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        for drawer in ["util", "utils", "common", "helper", "helpers", "manager", "misc"] {
            assert_ne!(name, drawer, "{path}");
        }
    }
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let unwanted =
        [["#[ig", "nore"].concat(), ["to", "do!("].concat(), ["unimpl", "emented!("].concat()];
    for (path, text) in sources() {
        for word in &unwanted {
            assert!(!text.contains(word.as_str()), "{path} has {word}");
        }
    }
}

/// Which crates of ours each of ours may use; what is not named uses none.
const MAY_USE: &[(&str, &[&str])] = &[
    ("deploy", &["ninep", "manifest"]),
    ("demo", &[]),
    (
        "deployfs",
        &[
            "ninep", "manifest", "rollout", "place", "store", "secret", "node", "edge", "web",
            "shim",
        ],
    ),
    ("node", &["ninep", "image", "network", "health"]),
    ("shim", &["container"]),
    ("edge", &["ninep"]),
    ("web", &["ninep", "manifest"]),
    ("rollout", &["manifest"]),
    ("place", &["manifest"]),
];

#[test]
fn crates_use_each_other_only_in_the_directions_of_the_house() {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(top())
        .output()
        .expect("cargo metadata");
    let all: serde_json::Value = serde_json::from_slice(&told.stdout).expect("metadata");
    let packages = all["packages"].as_array().expect("packages");
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    for package in packages.iter().filter(|package| package["name"] != "tests") {
        let name = package["name"].as_str().unwrap_or_default();
        let may = MAY_USE.iter().find(|(who, _)| *who == name).map_or(&[][..], |(_, may)| *may);
        for used in package["dependencies"].as_array().expect("dependencies") {
            let ours = used["path"].is_string();
            let word = used["name"].as_str().unwrap_or_default();
            let for_tests = used["kind"] == "dev";
            let fine = !ours || for_tests || may.contains(&word) || !names.contains(&word);
            assert!(fine, "{name} uses {word}");
        }
    }
}

#[test]
fn mk_knows_every_line_that_readme_names() {
    let mk = "/usr/lib/plan9/bin/mk";
    for target in ["all", "test", "check", "demo", "man", "install", "nuke"] {
        let told = Command::new(mk).args(["-n", target]).current_dir(top()).output();
        let told = told.unwrap_or_else(|error| panic!("{mk} of the package 9base: {error}"));
        let text = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "mk -n {target}: {text}");
        let readme = include_str!("../../README");
        assert!(readme.contains(&format!("# mk {target}")), "README does not name mk {target}");
    }
}

//! Cases of the language, a page an area, each through one `check`.

mod diff;
mod edit;
mod hcl;
mod hcl_errors;
mod hcl_random;
mod hold;
mod image;
mod lines;
mod random;
mod table;
mod together;
mod units;
mod values;
mod version;

use crate::manifest::Manifest;
use crate::parse::{Parsed, parse, parse_whole};

/// A digest, where it does not matter which.
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The manifest of a text without errors, whose file is `web`.
#[track_caller]
fn manifest(text: &str) -> Manifest {
    let parsed = parse("web", text);
    assert_eq!(parsed.errors, [], "{text}");
    parsed.manifest.unwrap()
}

/// As [`manifest`], with keys that do not take effect yet.
#[track_caller]
fn whole_manifest(text: &str) -> Manifest {
    let parsed = parse_whole("web", text);
    assert_eq!(parsed.errors, [], "{text}");
    parsed.manifest.unwrap()
}

/// What came of a text: its problems, a line each, then the canonical form without the image.
fn outcome(parsed: &Parsed) -> String {
    let errors = parsed.errors.iter().map(|problem| format!("{problem}\n"));
    let warnings = parsed.warnings.iter().map(|problem| format!("warning: {problem}\n"));
    let canonical = parsed.manifest.iter().map(|manifest| {
        let canonical = manifest.canonical("");
        canonical.replacen("image \n", "", 1)
    });
    errors.chain(warnings).chain(canonical).collect()
}

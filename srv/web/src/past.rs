//! The history of a service: the versions that are kept.

use crate::refusal::Result;
use crate::tree::Tree;
use serde_json::{Map, Value, json};

/// Lines of a version's head; the last of them says how many lines follow of what became of it.
const HEAD_LINES: usize = 8;

/// All, newest first.
pub(crate) async fn all(tree: &Tree, name: &str) -> Result<Value> {
    let directory = format!("active/{name}/history");
    let names = tree.of_service(name, tree.names(&directory).await).await?;
    let mut versions = Vec::new();
    for version in names {
        // One that went meanwhile is not kept any more.
        if let Some(text) = tree.find(&format!("{directory}/{version}")).await? {
            versions.push(read(&text));
        }
    }
    versions.sort_by_key(|version| std::cmp::Reverse(count(version)));
    Ok(json!({ "history": versions }))
}

fn count(version: &Value) -> u64 {
    let number = version["number"].as_str().unwrap_or_default();
    number.trim_start_matches('v').parse().unwrap_or_default()
}

/// Reads a version's file: lines of facts behind `#`, then the manifest.
fn read(text: &str) -> Value {
    let mut version = Map::new();
    let (mut ends, mut log, mut validated) = (Vec::new(), Vec::new(), false);
    let mut failure = Map::new();
    let mut left = HEAD_LINES;
    let mut rest = text;
    while let Some(line) = rest.strip_prefix("# ").filter(|_| left > 0) {
        let (line, after) = line.split_once('\n').unwrap_or((line, ""));
        (rest, left) = (after, left - 1);
        let (word, said) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "version" => {
                let (name, number) = said.split_once(' ').unwrap_or((said, ""));
                version.insert("number".to_string(), json!(number));
                version.insert("version".to_string(), json!(name));
            }
            "image" | "by" | "at" | "ended" | "commit" | "message" => {
                version.insert(word.to_string(), json!(said));
            }
            "story" => left = said.parse().unwrap_or(0),
            "then" => ends.push(said),
            "validated" => validated = true,
            "failed" => drop(failure.insert("reason".to_string(), json!(said))),
            "exit" | "probe" => drop(failure.insert(word.to_string(), json!(said))),
            "log" => log.push(said),
            _ => {}
        }
    }
    version.insert("ends".to_string(), json!(ends));
    version.insert("validated".to_string(), json!(validated));
    let failed = !failure.is_empty();
    failure.insert("log".to_string(), json!(log));
    version.insert("failure".to_string(), if failed { json!(failure) } else { Value::Null });
    version.insert("manifest".to_string(), json!(rest));
    Value::Object(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = "2026-11-20T12:34:06Z by root (uid 0): done update v6→v7 (0.9s)";

    #[test]
    fn a_version_says_who_when_how_it_ended_and_what_failed() {
        let text = "# version ab12cd34ef56 v7\n# image sha256:ab\n# by root (uid 0)\n\
                    # at 2026-11-20T12:34:05Z\n# ended done update v6→v7 (0.9s)\n\
                    # commit ab12 mend\n# message for good\n# story 4\n\
                    # then 2026-11-20T12:34:06Z by root (uid 0): done update v6→v7 (0.9s)\n\
                    # validated\n\
                    # failed 2026-11-20T13:00:00Z 2: killed\n# log last words\n\
                    # a comment of the manifest's own\nimage app:1\nreplicas 3\n";
        let version = read(text);
        assert_eq!(
            (&version["number"], &version["version"]),
            (&json!("v7"), &json!("ab12cd34ef56"))
        );
        assert_eq!(version["ends"], json!([END]));
        assert_eq!(version["failure"]["reason"], "2026-11-20T13:00:00Z 2: killed");
        assert_eq!(version["failure"]["log"], json!(["last words"]));
        assert_eq!(version["validated"], true);
        let manifest = "# a comment of the manifest's own\nimage app:1\nreplicas 3\n";
        assert_eq!(version["manifest"], manifest);
        let bare = read(
            "# version ab v1\n# image x\n# by a\n# at b\n# ended not yet\n\
             # commit \n# message \n# story 0\nimage a\n",
        );
        assert_eq!((&bare["failure"], &bare["manifest"]), (&Value::Null, &json!("image a\n")));
    }
}

//! What is wrong with edges, for whoever looks at the services they serve.

use crate::error::Result;
use crate::link::Link;

/// A line for everything that is wrong with an edge; a server without edges has none.
pub(crate) async fn troubles(link: &Link) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for edge in link.names("edges").await.unwrap_or_default() {
        let status = link.find(&format!("edges/{edge}/status")).await?.unwrap_or_default();
        found.extend(of(&edge, &status));
    }
    Ok(found)
}

/// What one edge's status says that it should not.
fn of(edge: &str, status: &str) -> Vec<String> {
    let pairs = status.lines().filter_map(|line| line.split_once('='));
    let tell = |(key, value): (&str, &str)| match (key, value) {
        (_, "") => None,
        ("state", "away") => Some("is not connected".to_string()),
        ("state", "written-off") => Some("does not answer: nothing waits for it".to_string()),
        ("missing", what) => Some(format!("does without {what}")),
        ("warning", what) => Some(what.to_string()),
        ("last_error", what) => Some(format!("could not take the newest routes: {what}")),
        (_, _) => None,
    };
    pairs.filter_map(tell).map(|what| format!("edge {edge} {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_is_told() {
        let check = |status: &str, want: &[&str]| assert_eq!(of("main", status), want);
        check("name=main\nstate=serving\nserves=7\nhttp=127.0.0.1:80\nlast_error=\n", &[]);
        check(
            "state=written-off\nmissing=https :443: address in use\nlast_error=line 2: x\n",
            &[
                "edge main does not answer: nothing waits for it",
                "edge main does without https :443: address in use",
                "edge main could not take the newest routes: line 2: x",
            ],
        );
        check("state=away\n", &["edge main is not connected"]);
    }
}

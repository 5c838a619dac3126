//! What of a table's text concerns the processes around it: which instances it names, and which
//! ports are to be listened on.

use std::collections::BTreeSet;

/// Words of a line before its backends: host, path, service, options.
const WORDS_BEFORE: usize = 4;

/// The generation that the first line says.
pub(crate) fn generation(text: &str) -> Option<u64> {
    text.lines().next()?.strip_prefix("generation ")?.parse().ok()
}

/// The names of all instances.
pub(crate) fn ids(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().skip(1);
    let backends = lines.flat_map(|line| line.split_ascii_whitespace().skip(WORDS_BEFORE));
    backends.filter_map(|backend| backend.split('/').nth(1)).collect()
}

/// The ports of routes for plain streams.
pub(crate) fn ports(text: &str) -> BTreeSet<u16> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("tcp "));
    lines.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_and_ports_are_found() {
        let text = "generation 17\n\
            shop.example.com / web - 0/web-1/ab=10.0.0.1:80 1/web-2/ab=10.0.0.2:80\n\
            shop.example.com /api web drain=5 0/web-1/ab=10.0.0.1:80\n\
            tcp 5432 db - 0/db-3/cd=10.0.0.3:5432\n\
            - - idle -\n";
        assert_eq!(generation(text), Some(17));
        assert_eq!(ids(text), BTreeSet::from(["web-1", "web-2", "db-3"]));
        assert_eq!(ports(text), BTreeSet::from([5432]));
        assert_eq!(generation(""), None);
        assert!(ids("").is_empty() && ports("").is_empty());
    }
}

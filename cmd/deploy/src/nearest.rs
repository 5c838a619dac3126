//! Which known word a mistyped one was meant to be.

/// Longest word that is compared, in letters; longer ones are no slip of a verb.
const LETTERS_MAX: usize = 24;

/// The nearest known word, when at most every third letter is wrong, or it is the beginning of
/// exactly one.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LETTERS_MAX + 1).flat_map(char::to_lowercase).collect();
    if word.is_empty() || word.len() > LETTERS_MAX {
        return None;
    }
    let typed: String = word.iter().collect();
    let known: Vec<&str> = known.collect();
    let begun: Vec<&str> = known.iter().copied().filter(|k| k.starts_with(&typed)).collect();
    if let [one] = begun[..] {
        return Some(one);
    }
    let near = known.into_iter().filter_map(|candidate| {
        let letters: Vec<char> = candidate.chars().collect();
        let wrong = distance(&word, &letters);
        (wrong <= (letters.len().max(word.len()) / 3).max(1)).then_some((wrong, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

/// Letters to insert, leave out, change, or swap with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            rows[i][j] = match (i, j) {
                (i, 0) => i,
                (0, j) => j,
                (i, j) => {
                    let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                    let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[track_caller]
    fn check(word: &str, want: Option<&str>) {
        let known = ["apply", "status", "rollback", "restart", "resume", "stop", "ls", "logs"];
        assert_eq!(nearest(word, known.into_iter()), want, "of {word:?}");
    }

    #[test]
    fn a_slip_of_a_verb_finds_it() {
        check("aply", Some("apply"));
        check("staus", Some("status"));
        check("sotp", Some("stop"));
        check("rolback", Some("rollback"));
        check("Status", Some("status"));
    }

    #[test]
    fn the_beginning_of_one_verb_finds_it() {
        check("roll", Some("rollback"));
        check("resu", Some("resume"));
    }

    #[test]
    fn what_is_no_slip_finds_nothing() {
        check("kubernetes", None);
        check("", None);
        check(&"x".repeat(1000), None);
    }
}

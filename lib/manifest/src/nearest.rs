//! Which known word a mistyped one was meant to be.

/// Longest word that is compared, in characters; longer ones are no slip of a key.
const WORD_CHARS_MAX: usize = 40;

/// The nearest of the known words, when a third of the letters or fewer are wrong.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Who thinks of another language writes `key: word` or `key=word`.
    let word = word.split([':', '=']).next().unwrap_or_default();
    let word = letters(word);
    if word.is_empty() || word.len() > WORD_CHARS_MAX {
        return None;
    }
    known
        .map(|candidate| (distance(&word, &letters(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().min(word.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The letters that are compared: case, and which of the two dashes it is, make no difference.
fn letters(word: &str) -> Vec<char> {
    let small = word.chars().take(WORD_CHARS_MAX + 1).flat_map(char::to_lowercase);
    small.map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Letters to insert, leave out, change or swap with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

//! Words of a line, quoted as in rc: `'it''s'` is one word; and values of `key=value` lines.

use std::borrow::Cow;

/// The words of a line; blanks separate, quotes keep together, `''` inside quotes is a quote.
/// The error says what is wrong.
pub(crate) fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        if c != '\'' {
            word.push(c);
            continue;
        }
        loop {
            match chars.next() {
                Some('\'') if chars.peek() == Some(&'\'') => {
                    chars.next();
                    word.push('\'');
                }
                Some('\'') => break,
                Some(c) => word.push(c),
                None => return Err("a quote is not closed"),
            }
        }
    }
    words.extend(word);
    Ok(words)
}

/// The text as one word that [`words`] gives back, but for control characters: a line stays one
/// line, so they become blanks.
pub(crate) fn quote(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if !flat.is_empty() && !flat.contains(|c: char| c.is_whitespace() || c == '\'') {
        return flat;
    }
    format!("'{}'", flat.replace('\'', "''"))
}

/// A value for a `key=value` line: newlines are written `\n`.
pub(crate) fn value(text: &str) -> Cow<'_, str> {
    if text.contains('\n') { text.replace('\n', "\\n").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        assert_eq!(words(line).unwrap(), expected, "{line:?}");
    }

    #[test]
    fn words_are_those_of_rc() {
        check("  stop  TERM 5 \n", &["stop", "TERM", "5"]);
        check("a 'b c' ''", &["a", "b c", ""]);
        check("it''s 'it''s' a'b 'c", &["its", "it's", "ab c"]);
        check("", &[]);
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn a_quoted_text_is_one_word_again() {
        for text in ["", "plain", "two words", "it's", "'", "a=b c", "ü ö"] {
            check(&quote(text), &[text]);
        }
        check(&quote("two\nlines"), &["two lines"]);
        assert_eq!(quote("plain"), "plain");
    }

    #[test]
    fn a_value_never_has_a_newline() {
        assert_eq!(value("a\nb"), "a\\nb");
    }
}

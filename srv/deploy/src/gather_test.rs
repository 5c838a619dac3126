//! Which lines of a log are known already, and how they are marked.

use super::*;

/// Each letter a line.
fn lines(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}

#[test]
fn a_log_that_is_found_again_goes_on_behind_the_last_line_that_was_read() {
    let check = |last: &str, found: &str, new: &str| {
        let (last, found) = (VecDeque::from(lines(last)), lines(found));
        assert_eq!(found[known(&last, &found)..].concat(), new, "{last:?} {found:?}");
    };
    check("", "abc", "abc");
    check("abc", "abcde", "de");
    check("abc", "abc", "");
    // Its begin was let go of, of one of them or of both.
    check("bc", "abcd", "d");
    check("abc", "cd", "d");
    check("abc", "xyz", "xyz");
    // The same line twice is two lines.
    check("abb", "abbb", "b");
    check("abb", "bb", "");
    check("ab", "abcab", "cab");
    check("abc", "", "");
}

#[test]
fn only_the_last_lines_are_remembered() {
    let mut last = VecDeque::new();
    remember(&mut last, &lines("ab"));
    assert_eq!(last, lines("ab"));
    remember(&mut last, &vec!["x".to_string(); LAST_LINES - 1]);
    assert_eq!((last.len(), last[0].as_str()), (LAST_LINES, "b"));
    remember(&mut last, &vec!["y".to_string(); 2 * LAST_LINES]);
    assert_eq!(last, vec!["y"; LAST_LINES]);
}

#[test]
fn lines_of_several_instances_are_marked_after_their_time() {
    let line = "2026-11-20T12:34:05.123Z stdout hello there";
    let want = "2026-11-20T12:34:05.123Z web-3 stdout hello there\n";
    assert_eq!(marked(line, Some("web-3")), want);
    assert_eq!(marked(line, None), format!("{line}\n"));
}

#[test]
fn what_is_too_long_begins_with_a_whole_line() {
    assert_eq!(newest("ab\ncd\nef\n", 9), "ab\ncd\nef\n");
    assert_eq!(newest("ab\ncd\nef\n", 8), "cd\nef\n");
    assert_eq!(newest("ab\ncd\nef\n", 6), "cd\nef\n");
    assert_eq!(newest("ab\ncd\nef\n", 1), "");
    assert_eq!(newest("äb\näd\n", 7), "äd\n");
}

//! How lines are marked, and which of too many stay.

use super::*;

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

#[test]
fn of_a_log_s_share_the_last_line_is_there_however_long_it_is() {
    let lines = ["aaa", "bb", "c"].map(String::from);
    let check = |bytes_max, want: &[&str]| assert_eq!(end(&lines, bytes_max), want, "{bytes_max}");
    check(6, &["aaa", "bb", "c"]);
    check(5, &["bb", "c"]);
    check(0, &["c"]);
    assert!(end(&[], 9).is_empty());
}

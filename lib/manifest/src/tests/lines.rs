//! Lines, words, quotes, comments, limits: what is told of a whole text.

use super::outcome;
use crate::limits::{LINE_BYTES_MAX, PROBLEMS_MAX, TEXT_BYTES_MAX};
use crate::parse::parse;

/// A case is a text whose file is `web`; behind `> ` stands what must come of it.
#[track_caller]
fn check(case: &str) {
    let (mut text, mut wanted) = (String::new(), String::new());
    for line in case.trim_start_matches('\n').split_inclusive('\n') {
        match line.trim_start().strip_prefix("> ") {
            // A second > goes on with the line before.
            Some(want) => match want.strip_prefix("> ") {
                Some(more) => wanted = format!("{} {more}", wanted.trim_end()),
                None => wanted += want,
            },
            None => text += line,
        }
    }
    assert_eq!(outcome(&parse("web", text.trim_end_matches(' '))), wanted, "{text}");
}

#[test]
fn a_manifest_is_a_directive_a_line_in_any_order() {
    check(
        "
# the shop's front
port 8080

   replicas 3   # three of them
\timage app:1.9
name web
> port 8080
> replicas 3
",
    );
}

#[test]
fn all_errors_are_told_at_once_each_where_it_is() {
    check(
        r#"
image App:1.9
replicas three
memory 64M 2
cpu
restart sometimes
> line 1, column 7: image: "App:1.9" is not an image; write registry/repo:tag in lower case, or
> > oci:DIR, oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], dir:ROOTFS
> line 2, column 10: replicas: "three" is not a number; write 0 to 1000 instances
> line 3, column 12: memory: "2" is a word too many; write memory SIZE
> line 4, column 1: cpu: a word is missing; write cpu CORES
> line 5, column 9: restart: "sometimes" is not known; write always, on-failure, never
> warning: line 1, column 1: health: there is neither health nor port, so that an instance
> > counts as healthy when it has run for 1 s without an exit; add a line such as health exec
> > WORD…
"#,
    );
}

#[test]
fn an_unknown_key_is_ignored_with_a_warning_that_names_the_nearest() {
    check(
        r#"
image app
port 80
replica 3
health-interval 5
memroy: 64M
shoe_size 44
> warning: line 3, column 1: "replica" is no key and is ignored; did you mean replicas?
> warning: line 4, column 1: "health-interval" is no key and is ignored; did you mean
> > health_interval?
> warning: line 5, column 1: "memroy:" is no key and is ignored; did you mean memory?
> warning: line 6, column 1: "shoe_size" is no key and is ignored; deploy help manifest lists
> > them
> port 80
"#,
    );
}

#[test]
fn a_key_that_may_stand_once_cannot_stand_twice() {
    check(
        "
image app
port 80
replicas 3
replicas 3
replicas 4
> line 4, column 1: replicas: stands twice, first on line 3; remove one
> line 5, column 1: replicas: stands twice, first on line 3; remove one
",
    );
}

#[test]
fn quotes_are_those_of_rc() {
    check(
        r#"
image 'app'
port 80
command sh -c 'echo ''hello world''' '' a'b c'd
env MOTD='a # b'
env URL=http://host/#part
> command sh -c 'echo ''hello world''' '' 'ab cd'
> env 'MOTD=a # b'
> env URL=http://host/#part
> port 80
"#,
    );
}

#[test]
fn a_quote_must_be_closed_on_its_line() {
    check(
        "
image app
port 80
command sh 'echo
env A=b'
> line 3, column 12: a quote ' is not closed on its line; close it, or write '' for a quote
> line 4, column 5: a quote ' is not closed on its line; close it, or write '' for a quote
",
    );
}

#[test]
fn quotes_of_another_language_are_warned_of() {
    check(
        r#"
image app
port 80
env A="b"
> warning: line 3, column 5: env: the quotes " are part of the value; quote with ' instead
> env A="b"
> port 80
"#,
    );
}

#[test]
fn columns_count_characters() {
    check(
        r#"
image app
port 80
command é 'ü ö' x 'y
> line 3, column 19: a quote ' is not closed on its line; close it, or write '' for a quote
"#,
    );
}

#[test]
fn line_ends_of_other_systems_and_a_byte_order_mark_are_tolerated() {
    let text = "\u{feff}image app\r\nport 80\r\nreplicas 2\r\n";
    assert_eq!(outcome(&parse("web", text)), "port 80\nreplicas 2\n");
}

#[test]
fn what_no_editor_shows_is_told_by_its_number() {
    let told = |text: &str| {
        let errors = parse("web", &format!("image app\nport 80\n{text}")).errors;
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let text = "cannot stand here; use a space or remove it";
    assert_eq!(told("replicas\u{a0}3"), format!("line 3, column 9: the character U+00A0 {text}"));
    assert_eq!(told("env A='\u{7}'"), format!("line 3, column 8: the character U+0007 {text}"));
    assert_eq!(told("cpu 1\r2"), format!("line 3, column 6: the character U+000D {text}"));
    assert_eq!(told("env A='\u{a0}\t'"), "");
}

#[test]
fn an_empty_text_lacks_an_image() {
    let wanted = "line 1, column 1: image: is missing; add a line such as image \
                  registry.example.com/app:1.0";
    assert_eq!(parse("web", "").errors[0].to_string(), wanted);
}

#[test]
fn the_file_must_have_a_services_name_and_name_must_be_it() {
    let first = |name: &str, text: &str| parse(name, text).errors[0].to_string();
    assert_eq!(
        first("Web", "image app\nport 80"),
        "line 1, column 1: the file's name \"Web\" is not a name; use 1 to 40 of a-z, \
             0-9 and, inside, -"
    );
    assert_eq!(
        first("web", "image app\nport 80\nname api"),
        "line 3, column 6: name: \"api\" is not the manifest's file name \"web\"; \
             rename one of them, or remove the line"
    );
    for name in ["", "-a", "a-", "a.b", "a/b", "ä", &"a".repeat(41)] {
        assert!(!parse(name, "image app\nport 80").errors.is_empty(), "{name}");
    }
    for name in ["a", "0", "a-b", &"a".repeat(40)] {
        assert!(parse(name, "image app\nport 80").errors.is_empty(), "{name}");
    }
}

#[test]
fn limits_are_told_with_their_unit() {
    let first = |text: &str| parse("web", text).errors[0].to_string();
    assert_eq!(
        first(&"#".repeat(TEXT_BYTES_MAX + 1)),
        "line 1, column 1: the manifest has 65537 bytes; the most is 65536"
    );
    assert_eq!(
        first(&format!("#\n#{}", " ".repeat(LINE_BYTES_MAX))),
        "line 1, column 1: image: is missing; add a line such as image \
         registry.example.com/app:1.0"
    );
    let long = format!("image app\nport 80\n#{}", " ".repeat(LINE_BYTES_MAX));
    assert_eq!(first(&long), "line 3, column 1: the line has 8193 bytes; the most is 8192");
    let wide = format!("image app\nport 80\ncommand {}", "a ".repeat(256));
    assert_eq!(first(&wide), "line 3, column 519: the line has 257 words; the most is 256");
    let many: String = (0..258).map(|number| format!("env A{number}=1\n")).collect();
    let many = parse("web", &format!("image app\nport 80\n{many}")).errors;
    assert_eq!(many.len(), 1);
    assert_eq!(
        many[0].to_string(),
        "line 259, column 1: env: stands more than 256 times; remove some"
    );
}

#[test]
fn a_flood_of_problems_is_cut_and_counted() {
    let parsed = parse("web", &"cpu\nx\n".repeat(1000));
    assert_eq!(parsed.errors.len(), PROBLEMS_MAX + 1);
    assert_eq!(parsed.warnings.len(), PROBLEMS_MAX + 1);
    let last = &parsed.errors[PROBLEMS_MAX];
    assert!(last.text.ends_with("more from here on; mend the others first"), "{last}");
}

#[test]
fn a_long_hostile_word_does_not_fill_the_terminal() {
    let errors = parse("web", "image app\nreplicas x\u{1b}").errors;
    assert!(errors.iter().all(|error| !error.text.contains('\u{1b}')));
    let errors = parse("web", &format!("image app\nreplicas {}", "x".repeat(5000))).errors;
    assert!(errors[0].text.len() < 200, "{}", errors[0]);
}

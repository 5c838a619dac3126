//! What holds for every text of the HCL language, and for every service in it.

use proptest::prelude::*;

use super::hcl::FIRST;
use crate::excerpt::excerpt;
use crate::hcl::parse_app;
use crate::limits::{APP_BYTES_MAX, TEXT_BYTES_MAX};
use crate::parse::{parse_whole, parse_whole_task};
use crate::print::print;

/// A text with everything in it.
const WHOLE: &str = r#"app = "shop" # a comment
service "web" {
  image = "app:1"; port = 80; cpu = 0.5 // another
  env { A = "${service.api.address}"; B = "${secret(db.url)}" }
  command = ["sh", "-c", <<-END
    echo "$${A}" 'it''s' \ end
    END
  , "é"]
  config = { "a.ini" : <<END
[main]
END
  }
  health { path = "/h?a=b"; interval = "5s"; failure_threshold = 2 }
  update = { strategy = "replace", batch = "25%" }
  route "a.example" { path = "/"; websocket = true }
  volume "data" { path = "/data"; size = "1G" } /* a third */
}
service "api" { image = "app:1"; port = 8080; constraint = ["a=b", "spread c"] }
task "job" { image = "app:1"; timeout = "1m30s" }
"#;

/// The longest that any text may take to read, unoptimised, in nanoseconds on the processor: one
/// that is read over and over for each of its bytes takes minutes.
const LONGEST_NS: u64 = 10_000_000_000;

/// What this thread has been on a processor, in nanoseconds: a busy machine does not count.
fn spent_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}

/// Reads a text and holds it to what every text is held to.
#[track_caller]
fn hold(text: &str) {
    let parsed = parse_app("shop", text);
    assert_eq!(parsed.app.is_some(), parsed.errors.is_empty(), "{text:?}");
    for problem in parsed.errors.iter().chain(&parsed.warnings).chain(&parsed.later) {
        assert!(problem.line >= 1 && problem.column >= 1, "{problem} in {text:?}");
        assert!(!problem.text.contains(char::is_control), "{problem:?} in {text:?}");
        let lines = u32::try_from(text.split('\n').count()).unwrap();
        assert!(problem.line <= lines, "{problem} in {text:?}");
        assert_eq!(excerpt("f", text, problem).lines().count(), 3, "{problem} in {text:?}");
    }
    let Some(app) = parsed.app else { return };
    for service in &app.services {
        let flat = parse_whole(&service.name, &print(service));
        assert_eq!(flat.errors, [], "{text:?}");
        assert_eq!(flat.manifest.as_ref(), Some(service), "{text:?}");
    }
    for task in &app.tasks {
        let flat = parse_whole_task(&task.name, &print(task));
        assert_eq!((flat.errors, flat.manifest.as_ref()), (Vec::new(), Some(task)), "{text:?}");
    }
}

#[test]
fn no_text_that_ends_early_panics_or_is_taken_for_whole() {
    for text in [FIRST, WHOLE] {
        hold(text);
        assert!(parse_app("shop", text).app.is_some(), "{:?}", parse_app("shop", text).errors);
        for (end, _) in text.char_indices() {
            hold(&text[..end]);
            hold(&text[end..]);
        }
    }
}

#[test]
fn no_text_with_one_character_changed_panics() {
    for text in [FIRST, WHOLE] {
        for (at, c) in text.char_indices() {
            for other in ["", "\"", "{", "}", "\n", "$", "\\", "\u{0}", "'", "<<A\n", "é"] {
                hold(&format!("{}{other}{}", &text[..at], &text[at + c.len_utf8()..]));
            }
        }
    }
}

#[test]
fn a_hostile_text_takes_no_longer_than_a_plain_one() {
    for part in [
        "{",
        "[",
        "}",
        "]",
        "\"",
        "\\",
        "${",
        "${\"",
        "\"${x",
        "<<A\n",
        "<<-A\nA\n",
        "/*",
        "#",
        "a=",
        "a{",
        "a=[",
        "a={",
        "a=\"${",
        "x \"y\" {",
        "service \"a\" {",
        "a=1\n",
        "é\n",
        "=",
        ",",
        ";",
        "\"\" ",
        "a \"b\" ",
        "%{",
        "-1",
        "\r",
        "a=<<A\n$\nA\n",
        "[\n{\n",
        "{a=[\n",
        "x\n{",
        "'",
        "service \"a\" { image = \"x\"\nenv {",
        "secret = \"a\"\n",
        "\u{feff}",
    ] {
        for head in ["", "service \"a\" { env {\n"] {
            let room = (APP_BYTES_MAX - head.len()) / part.len();
            let text = format!("{head}{}", part.repeat(room));
            let begin = spent_ns();
            let parsed = parse_app("shop", &text);
            let took = spent_ns() - begin;
            assert!(took < LONGEST_NS, "{took} ns for {head:?} {part:?}");
            assert!(parsed.app.is_none() || part == "#", "{head:?} {part:?}");
        }
    }
}

#[test]
fn a_flat_text_of_lines_that_go_on_takes_no_longer_than_a_plain_one() {
    for part in ["+ ''\n", "env A=\n+ a\n", "command a\n+ b c\n", "+\n", "config a=b\n+ c\n"] {
        let begin = spent_ns();
        parse_whole("web", &part.repeat(TEXT_BYTES_MAX / part.len()));
        assert!(spent_ns() - begin < LONGEST_NS, "{part:?}");
    }
}

/// Pieces that texts are made of, so that many are nearly right.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "service \"a\" { image = \"app\"\n",
        "task \"t\" { image = \"app\"\n",
        "}\n",
        "{",
        "}",
        "[",
        "]",
        "=",
        ",",
        ";",
        "\n",
        "port = 80\n",
        "env {",
        "env = {",
        "A = \"b\"\n",
        "B = \"${secret(x)}\"\n",
        "\"",
        "${",
        "C = \"${service.a.address}\"\n",
        "<<E\n",
        "<<-E\n",
        "E\n",
        "  x\n",
        "cpu = 2\n",
        "command = [",
        "\"x y\",",
        "\"l\\nm\",",
        "health {",
        "path = \"/\"\n",
        "route \"h\" {",
        "volume \"v\" {",
        "config {",
        "\"f.ini\" = <<E\nq\n\nE\n",
        "/*",
        "*/",
        "# c\n",
        "// c\n",
        "5s",
        "512Mi",
        "true",
        "constraint = ",
        "\"spread z\"",
        "app = \"n\"\n",
        "\\",
        "%{",
        "timeout = 5\n",
        "update { batch = 2 }\n",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => any::<String>()]
}

/// A string of HCL that says this.
fn written(text: &str) -> String {
    let mut all = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => all.extend(['\\', c]),
            '\n' => all.push_str("\\n"),
            '$' | '%' => all.extend(['\\', 'u', '0', '0', '2', if c == '$' { '4' } else { '5' }]),
            c => all.push(c),
        }
    }
    all + "\""
}

/// What an environment or a command may have in it.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z'\"#=+$% {}\\\\\n\t]{0,12}", "\\PC{0,12}", Just("+".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_panics_and_what_is_read_is_said_in_the_flat_language(
        pieces in prop::collection::vec(piece(), 0..24),
    ) {
        hold(&pieces.concat());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        hold(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn every_text_in_a_value_comes_out_as_it_went_in(
        first in value(), second in value(), third in value(),
    ) {
        let (a, b, c) = (written(&first), written(&second), written(&third));
        let text = format!(
            "service \"web\" {{\nimage = \"app\"\nenv {{ A = {a} }}\nconfig {{ f = {b} }}\n\
             command = [\"x\", {c}, {a}]\n}}\n"
        );
        hold(&text);
        let parsed = parse_app("shop", &text);
        prop_assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
        let service = &parsed.app.unwrap().services[0];
        prop_assert_eq!(&service.env["A"], &first);
        prop_assert_eq!(&service.config["f"], &second);
        prop_assert_eq!(&service.command[1..], [third, first]);
    }
}

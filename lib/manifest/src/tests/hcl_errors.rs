//! The HCL language: all errors at once, each where it is, with what to do.

use super::hcl::FIRST;
use crate::excerpt::excerpt;
use crate::hcl::parse_app;
use crate::limits::{APP_BYTES_MAX, APP_SERVICES_MAX, DEPTH_MAX, PROBLEMS_MAX, STRING_BYTES_MAX};

/// The errors of a text, a line each as `line:column text`.
fn errors(text: &str) -> Vec<String> {
    let parsed = parse_app("shop", text);
    assert_eq!(parsed.app.is_some(), parsed.errors.is_empty());
    parsed.errors.iter().map(|it| format!("{}:{} {}", it.line, it.column, it.text)).collect()
}

/// The errors of the items of a service with an image, on its second line.
#[track_caller]
fn check(items: &str, wanted: &[&str]) {
    let got = errors(&format!("service \"web\" {{ image = \"app\"\n{items}\n}}\n"));
    assert_eq!(got, wanted, "{items}");
}

#[test]
fn all_errors_are_told_at_once_and_an_error_ends_its_item_alone() {
    let text = r#"
servce "x" { image = "app" }
service "Web" { image = "app" }
service "web" {
  image = "App:1"
  replica = 3
  replicas = "many"
  cpu 2
  memory = 12Q
  port = 80 pids = 5
  restart = always
  health { path = "/"; intervall = "5s" }
  update { batch = 0 }
  env { A = "${env.HOME}"; PORT = "1"; B = "\q" }
  route { path = "/" }
  timeout = 5
  drain = 1 + 2
  command = ["a",
    b]
  user = "1"
}
service "web" {}
"#;
    let wanted = [
        r#"2:1 "servce" is nothing that stands outside a block; did you mean service?"#,
        r#"3:9 "Web" is not a name; use 1 to 40 of a-z, 0-9 and, inside, -"#,
        "5:11 image: \"App:1\" is not an image; write registry/repo:tag in lower case, or oci:DIR, \
         oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], dir:ROOTFS",
        r#"6:3 "replica" is no key; did you mean replicas?"#,
        r#"7:14 replicas: "many" is not a number; write 0 to 1000 instances"#,
        r#"8:7 "2" cannot stand behind "cpu"; write NAME = VALUE, or NAME { … }"#,
        r#"9:12 memory: "12Q" is not a size; write 64K, 64M, 1.5G, 512Ki, 512Mi or bytes"#,
        r#"10:13 "pids" cannot stand here; end the line, or write ;"#,
        r#"11:13 a word is no value; write "always""#,
        r#"12:24 "intervall" is nothing that health has; did you mean interval?"#,
        r#"13:20 update_batch: "0" is not a batch; write 1 to 1000 instances, or 1% to 100%"#,
        "14:14 \"env.HOME\" cannot stand between ${ and }: ${secret(NAME)} and \
         ${service.NAME.address} are known; write $${ for the characters ${ themselves",
        "14:28 env: PORT is given by deploy itself; write port = NUMBER instead; remove the line",
        "14:45 \\ before \"q\" means nothing; write \\n, \\t, \\\", \\\\ or \\uXXXX",
        "15:3 route: needs a label; write route \"HOST\" { path = \"PATH\" } with websocket; \
         route \"tcp\" { port = PORT }",
        "16:3 timeout: is a key of tasks, which a service does not have; remove it",
        "17:13 + cannot stand here: values are not reckoned; write the value",
        r#"19:5 a word is no value; write "b""#,
        "22:1 service \"web\" stands twice, first on line 4; rename one",
        "22:1 image: is missing; add a line such as image = \"registry.example.com/app:1.0\"",
    ];
    let got = errors(text);
    assert_eq!(got, wanted);
}

#[test]
fn an_error_is_shown_with_its_line_and_a_caret() {
    let text = "service \"web\" {\n\timage = \"ü:1\" # é\n}\n";
    let problem = &parse_app("shop", text).errors[0];
    let shown = excerpt("shop.hcl", text, problem);
    let (first, rest) = shown.split_once('\n').unwrap();
    assert!(first.starts_with("shop.hcl:2:10: image: \"ü:1\" is not an image"), "{first}");
    assert_eq!(rest, " 2 |  image = \"ü:1\" # é\n   |          ^\n");
    let long = format!("{}=", " ".repeat(500));
    let problem = &parse_app("shop", &long).errors[0];
    let shown = excerpt("shop.hcl", &long, problem);
    let [_, line, caret] = &shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    assert_eq!(line.find('='), caret.find('^'), "{shown}");
    assert!(line.len() < 100);
}

#[test]
fn what_is_not_closed_is_told_where_it_opened_or_where_it_must_end() {
    let port = "3:1 \"port\" cannot stand here; [ of line 2 is not closed: write ]";
    check("command = [\"a\"\nport = 80", &[port]);
    check("user = \"a", &["2:8 a string is not closed on its line; write \" where it ends"]);
    let end = "4:1 the end of the file cannot stand here; { of line 1 is not closed: write }";
    check("health { path = \"/\"", &[end]);
    check("env { A = <<END\nx", &["2:11 <<END is not closed; write END alone on a line"]);
    check("env { /* x", &["2:7 a comment /* is not closed; write */ where it ends"]);
    check("}", &["3:1 } closes nothing; remove it"]);
}

#[test]
fn a_secret_is_nowhere_but_in_a_variable_of_its_own() {
    let refused = "a secret is the whole value of a variable, and nothing else has one";
    for items in [
        "env { A = \"x${secret(a)}\" }",
        "command = [\"${secret(a)}\"]",
        "config { A = \"${secret(a)}\" }",
        "user = \"${secret(a)}\"",
    ] {
        let got = errors(&format!("service \"web\" {{ image = \"app\"\n{items}\n}}\n"));
        assert!(got.len() == 1 && got[0].contains(refused), "{items}: {got:?}");
    }
    check(
        "env { A = \"${secret(a)}\" }\nsecret = \"b env A\"",
        &["3:10 secret: \"A\" stands twice, first on line 2; remove one"],
    );
    check(
        "env { A = \"${secret(a)}\"; A = \"b\" }",
        &["2:27 env: \"A\" stands twice, first on line 2; remove one"],
    );
}

#[test]
fn an_address_needs_a_service_of_the_file_with_a_port() {
    let text = "service \"api\" { image = \"app\" }\nservice \"web\" {\nimage = \"app\"\n\
                env { A = \"${service.api.address}\"\nB = \"${service.ap.address}\"\n\
                C = \"${service.db.address}\"\nD = \"${service.api.port}\" }\n}\n";
    assert_eq!(
        errors(text),
        [
            "4:12 env: service api has no port; add port = NUMBER to it",
            "5:6 env: \"ap\" is no service of this file; did you mean api?",
            "6:6 env: \"db\" is no service of this file",
            "7:6 \"service.api.port\" cannot stand between ${ and }: ${secret(NAME)} and \
         ${service.NAME.address} are known; write $${ for the characters ${ themselves",
        ]
    );
}

#[test]
fn keys_and_members_stand_once_and_probes_are_one() {
    check("cpu = 1\ncpu = 2", &["3:1 cpu: stands twice, first on line 2; remove one"]);
    check(
        "health { interval = 5; interval = 6 }",
        &["2:24 health_interval: stands twice, first on line 2; remove one"],
    );
    check(
        "port = 80\nhealth { path = \"/\"; path = \"/\" }",
        &["3:22 health: path stands twice; remove one"],
    );
    check(
        "health { path = \"/\"; tcp = true }",
        &["2:28 health: path and tcp are different probes; remove all but one"],
    );
    check(
        "health { exec = [\"a\"]; port = 80 }",
        &["2:31 health: exec is probed without a port; remove it"],
    );
    check(
        "health { path = \"/\" }",
        &["2:1 health: needs a port; add port = NUMBER to the service, or to its health block"],
    );
    check("cpu { x = 1 }", &["2:1 cpu: is no block; write cpu = CORES"]);
    check("app = \"x\"", &["2:1 app: stands before all blocks, once for the whole file"]);
    check("user = [\"a\"]", &["2:8 user: a list cannot stand here; write user = \"USER\""]);
    check("workdir = \"/a\\nb\"", &["2:11 workdir: a line end cannot stand in it"]);
}

#[test]
fn two_services_have_no_route_in_common() {
    let text = "service \"a\" { image = \"app\"; port = 80\nroute \"x.example\" {} }\n\
                service \"b\" { image = \"app\"; port = 80\nroute \"x.example\" {} }\n";
    assert_eq!(errors(text), ["4:1 route: x.example / is also of service a; change one"]);
}

#[test]
fn an_app_has_a_name_and_something_in_it() {
    let first = |name: &str, text: &str| parse_app(name, text).errors[0].to_string();
    assert!(first("shop", "# nothing\n").contains("no service is in the file"));
    assert!(first("My Shop", FIRST).contains("the file's name \"My Shop\" is not a name"));
    assert!(first("shop", "app = 5\n").starts_with("line 1, column 7: app: "));
    assert!(parse_app("My Shop", &format!("app = \"shop\"\n{FIRST}")).errors.is_empty());
}

#[test]
fn limits_are_told_with_their_number() {
    let first = |text: &str| errors(text).remove(0);
    let most = APP_BYTES_MAX + 1;
    assert!(first(&" ".repeat(most)).contains(&format!("{most} bytes; the most is")));
    let many: String = (0..=APP_SERVICES_MAX)
        .map(|n| format!("service \"s{n}\" {{ image = \"app\" }}\n"))
        .collect();
    assert_eq!(errors(&many), ["257:1 service: the most is 256 in a file"]);
    let deep = format!("service \"a\" {{ image = {} }}", "[".repeat(DEPTH_MAX));
    assert!(first(&deep).contains("as deep as they may be"), "{:?}", errors(&deep));
    let long = "x".repeat(STRING_BYTES_MAX + 1);
    let text = format!("service \"a\" {{ image = \"app\"\nenv {{ A = \"{long}\" }} }}");
    assert_eq!(first(&text), "2:11 the string has 49153 bytes; the most is 49152");
    let text = format!("service \"a\" {{ image = \"app\"\nenv {{ A = \"{}\" }} }}", &long[..9000]);
    assert_eq!(first(&text), "1:1 a: a line has 9006 bytes; the most is 8192");
    let words = "\"x\",".repeat(256);
    let text = format!("service \"a\" {{ image = \"app\"\ncommand = [{words}] }}");
    assert!(first(&text).ends_with("command: 256 words are too many; the most is 255"));
    assert_eq!(errors(&"x\n".repeat(2000)).len(), PROBLEMS_MAX + 1);
}

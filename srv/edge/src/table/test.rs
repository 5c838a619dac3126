//! Tables as they are written, and what is made of them.

use super::*;

/// Each line of the cases: what is wrong, then the whole second line of a table.
fn refused(cases: &str) {
    for case in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
        let (line, why) = case.split_once(" > ").expect("a line and why");
        let told = Table::parse(&format!("generation 1\n{line}\n")).expect_err(line).to_string();
        assert_eq!(told, format!("table line 2: {why}"), "{line}");
    }
}

#[test]
fn a_table_is_what_its_lines_say() {
    let text = "generation 17\n\
        Shop.Example.com /api/ web websocket,drain=15000 \
        0/web-17/ab12cd34ef56=10.89.0.5:8080 1/web-18/ab12cd34ef56=[fd00::1]:80\n\
        *.example.com / web - 0/web-17/ab12cd34ef56=10.89.0.5:8080\n\
        * /x web hold,h2\n\
        tcp 5432 db -\n\
        - - worker -\n";
    let table = Table::parse(text).expect("a table");
    assert_eq!(table.generation, 17);
    let of: Vec<(&Place, &str, usize)> = table
        .routes
        .iter()
        .map(|route| (&route.place, &*route.service, route.backends.len()))
        .collect();
    let http = |host, path: &str| Place::Http { host, path: path.into() };
    assert_eq!(
        of,
        [
            (&http(Host::Exact("shop.example.com".into()), "/api"), "web", 2),
            (&http(Host::Suffix("example.com".into()), "/"), "web", 1),
            (&http(Host::Any, "/x"), "web", 0),
            (&Place::Tcp { port: 5432 }, "db", 0),
            (&Place::Nowhere, "worker", 0),
        ]
    );
    let first = &table.routes[0].options;
    assert_eq!((first.websocket, first.hold, first.drain), (true, None, Duration::from_secs(15)));
    assert_eq!(table.routes[1].options, Options::default());
    assert!(table.routes[2].options.hold.is_some() && table.routes[2].options.h2);
    let backend = &table.backends["web-18"];
    assert_eq!((backend.number, &*backend.version), (1, "ab12cd34ef56"));
    assert_eq!(backend.address.to_string(), "[fd00::1]:80");
    assert_eq!(table.backends.len(), 2, "routes of one service share their backends");
}

#[test]
fn a_broken_line_spoils_the_table_and_is_named() {
    refused(
        "shop / web > options is missing
         shop x web - > `x` is no path: begins with `/`, without query
         shop /?a web - > `/?a` is no path: begins with `/`, without query
         sh*p / web - > `sh*p` is no host: a name, `*.` and a name, or `*`
         a..b / web - > `a..b` is no host: a name, `*.` and a name, or `*`
         tcp 0 db - > `0` is no port: 1 to 65535
         tcp 65536 db - > `65536` is no port: 1 to 65535
         shop / we/b - > `we/b` is no name
         shop / web FAST > `FAST` is no option: KEY or KEY=VALUE
         shop / web hold=x > `hold=x`: milliseconds, at most 86400000
         shop / web drain=x > `drain=x`: milliseconds, at most 86400000
         shop / web drain=86400001 > `drain=86400001`: milliseconds, at most 86400000
         s / w - 0/a=1.2.3.4:5 > `0/a=1.2.3.4:5` is no backend: NUMBER/ID/VERSION=ADDRESS:PORT
         s / w - 0/a/v=host:5 > `0/a/v=host:5` is no backend: NUMBER/ID/VERSION=ADDRESS:PORT
         s / w - 0/a/v=1.2.3.4:5 1/a/v=1.2.3.4:6 > instance a is there twice",
    );
}

#[test]
fn an_instance_is_the_same_in_every_line() {
    let text = "generation 1\na / w - 0/i/v=1.2.3.4:5\nb / w - 0/i/v=1.2.3.4:6\n";
    let told = Table::parse(text).expect_err("two addresses").to_string();
    assert_eq!(told, "table line 3: instance i was another one in a line before");
}

#[test]
fn a_place_has_one_line() {
    for (first, second) in [("a /x", "A /x/"), ("tcp 80", "tcp 80"), ("- -", "- -")] {
        let text = format!("generation 1\n{first} w -\n{second} w -\n");
        let told = Table::parse(&text).expect_err(first).to_string();
        assert_eq!(told, "table line 3: this host and path had a line before");
    }
    assert!(Table::parse("generation 1\n- - v -\n- - w -\n").is_ok());
}

#[test]
fn a_table_says_its_generation_first() {
    for text in ["", "\n", "generation\n", "generation x\n", "a / w -\ngeneration 1\n"] {
        let told = Table::parse(text).expect_err(text).to_string();
        assert!(told.starts_with("table line 1: "), "{told}");
    }
    assert_eq!(Table::parse("generation 3").expect("no routes").routes, []);
}

/// The options of a line.
fn options(words: &str) -> Options {
    let text = format!("generation 1\nshop / web {words}\n");
    Table::parse(&text).expect("a table").routes.remove(0).options
}

#[test]
fn a_line_says_how_long_requests_are_held_and_else_it_is_as_long_as_the_drain() {
    let held = |words: &str| options(words).hold.map(|hold| hold.as_millis());
    assert_eq!(held("drain=20,hold=65000"), Some(65_000));
    assert_eq!(held("hold=65000,hold,drain=20"), Some(65_000));
    assert_eq!(held("hold,drain=20"), Some(20));
    assert_eq!(held("hold"), Some(DRAIN_DEFAULT.as_millis()));
    assert_eq!(held("drain=20"), None);
}

#[test]
fn an_option_of_a_newer_server_is_left_alone_and_the_table_is_served() {
    let newer = options("websocket,drain=20,sticky=cookie_1,fast");
    let drain = Duration::from_millis(20);
    assert_eq!(newer, Options { websocket: true, drain, ..Options::default() });
}

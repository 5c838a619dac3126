//! The HCL language: what its blocks come to.

use super::whole_manifest;
use crate::app::App;
use crate::excerpt::excerpt;
use crate::hcl::parse_app;
use crate::kinds::{Constraint, Health, Route, Secret, VolumeSource};
use crate::manifest::Manifest;
use crate::print::print;

/// The first deploy of the seeds.
pub(super) const FIRST: &str = r#"
service "web" {
  image = "127.0.0.1:5000/web:v1"
  port = 3000; replicas = 2; cpu = 0.5; memory = "512M"
  health { path = "/health"; interval = "5s" }
  route "app.example.com" { path = "/" }
}

service "api" {
  image = "127.0.0.1:5000/api:v1"
  port = 8080; cpu = 1; memory = "1G"
  env { DATABASE_URL = "${secret(db.url)}" }
  health { path = "/healthz"; interval = "10s" }
}
"#;

/// The app of a text without errors.
#[track_caller]
pub(super) fn app(text: &str) -> App {
    let parsed = parse_app("shop", text);
    let told: Vec<String> =
        parsed.errors.iter().map(|problem| excerpt("shop.hcl", text, problem)).collect();
    assert!(told.is_empty(), "{}", told.concat());
    parsed.app.unwrap()
}

/// The one service of a text, as the flat language says it, without its first lines.
#[track_caller]
fn flat(body: &str) -> String {
    let app = app(&format!("service \"web\" {{\nimage = \"app\"\n{body}\n}}\n"));
    print(&app.services[0]).replacen("name web\napp shop\nimage app\n", "", 1)
}

#[track_caller]
fn check(body: &str, wanted: &str) {
    assert_eq!(flat(body).trim_end(), wanted, "{body}");
}

#[test]
fn the_seeds_config_is_an_app_of_two_services() {
    let app = app(FIRST);
    let [web, api] = &app.services[..] else { panic!("{app:?}") };
    assert_eq!((app.name.as_str(), web.name.as_str(), api.name.as_str()), ("shop", "web", "api"));
    assert_eq!(
        print(web),
        "name web\napp shop\nimage 127.0.0.1:5000/web:v1\nreplicas 2\nport 3000\ncpu 0.5\n\
         memory 512M\nhealth http /health\nhealth_interval 5\nroute app.example.com /\n"
    );
    assert_eq!(
        api.secrets,
        [Secret { name: "db.url".into(), env: Some("DATABASE_URL".into()), version: 0 }]
    );
    assert_eq!((api.env.len(), api.cpu_milli, api.memory_bytes), (0, 1000, 1_000_000_000));
    assert_eq!(api.health, Health::Http { path: "/healthz".into(), port: None });
    assert_eq!(app.secrets().into_iter().collect::<Vec<_>>(), ["db.url"]);
    assert!(parse_app("shop", FIRST).later.is_empty());
}

/// Items of a service and the lines that say the same.
const PAIRS: &[(&str, &str)] = &[
    ("port = 80", "port 80"),
    ("port = 80; health_interval = \"1m30s\"", "port 80\nhealth_interval 90"),
    ("port = 80\nhealth { path = \"/h\" }", "port 80\nhealth http /h"),
    ("health { path = \"/h\"; port = 81 }", "health http /h 81"),
    ("health { port = 81 }", "health tcp 81"),
    ("port = 80\nhealth { tcp = true }", "port 80\nhealth tcp"),
    ("health { exec = [\"a\", \"b c\"]; retries = 5 }", "health exec a 'b c'\nhealth_retries 5"),
    ("health = \"exec a 'b c'\"", "health exec a 'b c'"),
    ("health { file = \"/up\" }", "health file /up"),
    (
        "port = 80\nhealth { interval = \"2s\"; timeout = \"1s\"; deadline = 60 }",
        "port 80\nhealth_interval 2\nhealth_timeout 1\nhealth_deadline 60",
    ),
    (
        "update { strategy = \"replace\"; batch = \"25%\"; pause = 5s }\n\
             update_failure = \"rollback\"",
        "update replace\nupdate_batch 25%\nupdate_pause 5\nupdate_failure rollback",
    ),
    ("update = { validate = 0, min_healthy_time = \"5s\" }", "validate 0\nmin_healthy_time 5"),
    ("command = [\"sh\", \"-c\", \"a b\"]", "command sh -c 'a b'"),
    ("command = \"sh -c 'a b'\"", "command sh -c 'a b'"),
    ("cpu = 2; memory = 512Mi; pids = 64", "cpu 2\nmemory 512Mi\npids 64"),
    ("env { A = \"b c\"; N = 3; T = true }", "env 'A=b c'\nenv N=3\nenv T=true"),
    ("env = { A: \"b\", \"C\" = \"d\" }", "env A=b\nenv C=d"),
    ("port = 80\nroute \"a.example\" {}", "port 80\nroute a.example /"),
    (
        "port = 80\nroute \"a.example\" { path = \"/x\"; websocket = true }\n\
             route \"tcp\" { port = 90 }",
        "port 80\nroute a.example /x websocket\nroute tcp 90",
    ),
    (
        "port = 80\nroute = [\"a.example /\", \"tcp 90\"]",
        "port 80\nroute a.example /\nroute tcp 90",
    ),
    (
        "volume \"data\" { path = \"/data\"; size = \"1G\"; ephemeral = true; shared = true }",
        "volume data /data ephemeral shared 1G",
    ),
    ("volume \"host:/srv\" { path = \"/srv\"; ro = true }", "volume host:/srv /srv ro"),
    ("volume = \"data /data\"", "volume data /data"),
    ("secret = [\"a\", \"b env B\"]", "secret a\nsecret b env B"),
    ("secret \"a\" {}\nsecret \"b\" { env = \"B\" }", "secret a\nsecret b env B"),
    ("env { A = \"${secret(a)}\"; B = \"${ secret(\"a\") }\" }", "secret a env A\nsecret a env B"),
    ("config { \"a.ini\" = \"b\" }", "config a.ini=b"),
    (
        "constraint = [\"zone=a\", \"spread rack\", \"anti-affinity db\"]",
        "constraint zone=a\nconstraint spread rack\nconstraint anti-affinity db",
    ),
    ("network = \"host\"; read_only = true", "network host\nread_only"),
    ("cap_add = [\"CHOWN\"]; cap_drop = \"ALL\"", "cap_add CHOWN\ncap_drop ALL"),
    ("log_size = \"1M 3\"; log_lines = 10", "log_size 1M 3\nlog_lines 10"),
    ("source = \".\"\nbuild = [\"make\", \"it\"]", "source .\nbuild make it"),
    ("restart = \"on-failure\"; max_restarts = 3", "restart on-failure\nmax_restarts 3"),
    (
        "stop_signal = \"INT\"; stop_timeout = \"1m\"; drain = 0.5",
        "stop_signal INT\nstop_timeout 60\ndrain 500ms",
    ),
    ("user = \"1000:1000\"; workdir = \"/app\"; name = \"web\"", "user 1000:1000\nworkdir /app"),
];

#[test]
fn a_service_of_the_flat_language_can_be_written_in_blocks_and_has_the_same_version() {
    for (body, text) in PAIRS {
        let hcl = app(&format!("service \"web\" {{\nimage = \"app:1\"\n{body}\n}}\n"));
        let flat = whole_manifest(&format!("image app:1\n{text}\n"));
        let digest = super::DIGEST;
        assert_eq!(hcl.services[0].version(digest), flat.version(digest), "{body}");
        let flat = Manifest { app: Some("shop".to_owned()), ..flat };
        assert_eq!(hcl.services[0], flat, "{body}");
    }
}

#[test]
fn strings_have_escapes_and_here_documents_lines() {
    check(
        r#"env { A = "\"a\\b\" \u00fc \U0001F980 $${x} %%{y} $5 5%" }"#,
        "env 'A=\"a\\b\" ü 🦀 ${x} %{y} $5 5%'",
    );
    check("env { A = \"a\\nb\" }", "env A=a\n+ b");
    check("env { A = \"\\n\" }", "env A=\n+ ''");
    check(
        "config {\n\"a.ini\" = <<END\n[main]\n  k = \\n\nEND\n}",
        "config a.ini=[main]\n+ '  k = \\n'\n+ ''",
    );
    check("env {\nA = <<-END\n    a\n\n      b\n    END\n}", "env A=a\n+ ''\n+ '  b'\n+ ''");
    check(
        "command = [\"sh\", \"-c\", <<-END\n  echo a\n  echo b\n  END\n, \"x\"]",
        "command sh -c 'echo a'\n+ 'echo b'\n+ '' x",
    );
    check("env { A = \"a\\tb\" }\r\ncpu = 1\r\n", "env 'A=a\tb'\ncpu 1");
}

#[test]
fn comments_of_all_three_kinds_are_passed_over() {
    check(
        "# a\n// b\n/* c\n} */ cpu = 1 # d\nenv { /* e */ A = \"# f\" } // g",
        "env 'A=# f'\ncpu 1",
    );
}

#[test]
fn an_address_is_the_name_and_port_of_a_service_of_the_file_wherever_it_stands() {
    let text = r#"
service "web" {
  image = "app"
  port = 80
  env { API = "http://${service.api.address}/v1"; SELF = "${service.web.address}" }
  command = ["serve", "--peer=${service.api.address}"]
}
service "api" {
  image = "app"
  port = "8080"
  env { WEB = "${service.web.address}" }
}
"#;
    let app = app(text);
    assert_eq!(app.services[0].env["API"], "http://api.deploy:8080/v1");
    assert_eq!(app.services[0].env["SELF"], "web.deploy:80");
    assert_eq!(app.services[0].command, ["serve", "--peer=api.deploy:8080"]);
    assert_eq!(app.services[1].env["WEB"], "web.deploy:80");
}

#[test]
fn a_task_runs_once_and_has_the_keys_that_it_needs() {
    let app = app(r#"
app = "other"
task "migrate" {
  image = "app:1"; cpu = 0.5; memory = "64M"; timeout = "5m"
  env { DB = "${secret(db.url)}" }
  command = ["migrate", "up"]
}
task "plain" { image = "app:1" }
"#);
    assert_eq!((app.name.as_str(), app.services.len()), ("other", 0));
    let [migrate, plain] = &app.tasks[..] else { panic!("{app:?}") };
    assert_eq!((migrate.timeout_ms, plain.timeout_ms), (Some(300_000), Some(3_600_000)));
    assert!(migrate.is_task());
    assert_eq!(
        print(migrate),
        "name migrate\napp other\nimage app:1\ncommand migrate up\ncpu 0.5\nmemory 64M\n\
         secret db.url env DB\ntimeout 300\n"
    );
    let again = crate::parse::parse_whole_task("migrate", &print(migrate));
    assert_eq!(again.manifest.as_ref(), Some(migrate));
}

#[test]
fn every_kind_of_value_reaches_its_field() {
    let app = app(r#"
service "db" {
  image = "app"; port = 5432
  volume "data" { path = "/data" }
  constraint = "disk=ssd"
  route "tcp" { port = 5432 }
}
service "web" { image = "app"; volume "data" { path = "/d"; shared = true } }
"#);
    let db = &app.services[0];
    assert!(matches!(&db.constraints[..], [Constraint::Equal { label, .. }] if label == "disk"));
    assert_eq!(db.routes, [Route::Tcp { port: 5432 }]);
    let named = |service: &Manifest| match &service.volumes[0].source {
        VolumeSource::Named { shared, .. } => *shared,
        VolumeSource::Host { .. } => panic!("{service:?}"),
    };
    assert_eq!((named(db), named(&app.services[1])), (false, true));
    let users: Vec<&str> = app.volumes()["data"].iter().map(|it| it.name.as_str()).collect();
    assert_eq!(users, ["db", "web"]);
}

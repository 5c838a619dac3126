//! Several services of one file: deployed together, changed, gone, all or none.

use crate::registry::Registry;
use crate::rig::{Rig, Told};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Services of the largest app here.
const MANY: usize = 50;

/// The first deploy of the sources, with another registry's name.
const FIRST: &str = r#"service "web" {
  image = "REGISTRY/web:v1"
  port = 3000; replicas = 2; cpu = 0.5; memory = "512M"
  health { path = "/health"; interval = "5s" }
  route "app.example.com" { path = "/" }
}

service "api" {
  image = "REGISTRY/api:v1"
  port = 8080; cpu = 1; memory = "1G"
  env { DATABASE_URL = "${secret(db.url)}" }
  health { path = "/healthz"; interval = "10s" }
}
"#;

/// A block of one service of the small web server, which takes little.
fn service(name: &str, image: &str, more: &str) -> String {
    format!(
        "service \"{name}\" {{\n  image = \"{image}\"; port = 8080\n  \
         cpu = 0.1; memory = \"64M\"; stop_timeout = \"2s\"\n  \
         health {{ path = \"/health\"; deadline = \"3s\" }}\n  {more}\n}}\n"
    )
}

/// Says it of a file of that name in the server's place.
async fn of_file(rig: &Rig, words: &[&str], name: &str, text: &str) -> Told {
    let path = rig.state().join(name);
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("UTF-8");
    rig.deploy(&[words, &["-f", path]].concat()).await
}

/// The ids of all instances of a service.
async fn ids(rig: &Rig, service: &str) -> BTreeSet<String> {
    let directory = format!("active/{service}/instances");
    let mut ids = BTreeSet::new();
    for stat in rig.client().await.list(&directory).await.expect("listed") {
        let name = String::from_utf8_lossy(&stat.name).into_owned();
        ids.insert(rig.of_instance(&format!("{directory}/{name}"), "id").await);
    }
    ids
}

/// The image that runs.
async fn image(rig: &Rig, service: &str) -> String {
    let manifest = rig.cat(&format!("active/{service}/manifest")).await;
    let line = manifest.lines().find_map(|line| line.strip_prefix("image "));
    line.unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_deploy_of_the_sources_goes_as_it_is_told_there() {
    let rig = Rig::start().await;
    let registry = Registry::start(rig.state()).await;
    for name in ["web", "api"] {
        registry.push(&rig, name, "v1").await;
        registry.push(&rig, name, "v2").await;
    }
    let text = FIRST.replace("REGISTRY", &format!("127.0.0.1:{}", registry.port));

    // The secret it names has to be there, and to be its own.
    let told = of_file(&rig, &["apply"], "app.mill", &text).await;
    told.refused(65, "api: secret db.url does not exist, secret db.url is not granted to api");
    assert_eq!(rig.cat("active/web/version").await, "", "nothing was begun");
    rig.client().await.put_sealed("secrets/db.url", b"postgres://db").await.expect("set");
    rig.deploy(&["secret", "grant", "db.url", "api"]).await.fine();
    let plan = of_file(&rig, &["plan"], "app.mill", &text).await.fine();
    assert!(plan.contains("web: new  first deploy, 2 instances"), "{plan}");
    assert!(plan.ends_with("app app: 2 added, 0 changed, 0 unchanged, 0 gone\n"), "{plan}");
    let told = of_file(&rig, &["apply"], "app.mill", &text).await;
    let lines: Vec<&str> = told.err.lines().collect();
    assert_eq!((told.code, lines[0]), (0, "  pulling images..."), "{told:#?}");
    assert_eq!(told.err.matches("  web: scheduled on ").count(), 2, "{}", told.err);
    assert_eq!(told.err.matches("  api: scheduled on ").count(), 1, "{}", told.err);
    assert_eq!(told.err.matches("  web: healthy (").count(), 2, "{}", told.err);
    assert!(lines.last().is_some_and(|line| line.starts_with("  deployed (")), "{}", told.err);
    assert_eq!(rig.cat("active/web/replicas").await, "2/2");
    let env = rig.cat("active/api/manifest").await;
    assert!(env.ends_with("secret db.url env DATABASE_URL"), "{env}");
    let pid = rig.of_instance("active/api/instances/0", "pid").await;
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("its variables");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("DATABASE_URL=postgres://db\0"), "{environment}");
    let apps = rig.cat("apps/app").await;
    assert!(apps.starts_with("api ") && apps.contains("\nweb "), "{apps}");

    // Nothing changed, then one image: the other service is not touched.
    let plan = of_file(&rig, &["plan", "--exit-code"], "app.mill", &text).await.fine();
    assert!(plan.ends_with("app app: 0 added, 0 changed, 2 unchanged, 0 gone\n"), "{plan}");
    let (web, api) = (ids(&rig, "web").await, ids(&rig, "api").await);
    let text = text.replace("web:v1", "web:v2");
    let told = of_file(&rig, &["apply"], "app.mill", &text).await;
    assert!(told.code == 0 && told.err.contains("), 1 unchanged\n"), "{told:#?}");
    assert!(ids(&rig, "web").await.is_disjoint(&web));
    assert_eq!(ids(&rig, "api").await, api);
    registry.end().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_from_the_file_runs_on_until_it_is_pruned() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    let (a, b) = (service("a", "web:v1", ""), service("b", "web:v1", ""));
    of_file(&rig, &["apply"], "shop.hcl", &(a.clone() + &b)).await.fine();
    // One of another app, and one of none, are nobody's to remove.
    of_file(&rig, &["apply"], "other.hcl", &service("c", "web:v1", "")).await.fine();

    let plan = of_file(&rig, &["plan"], "shop.hcl", &a).await.fine();
    assert!(plan.contains("b: gone from ") && plan.contains("--prune removes it"), "{plan}");
    assert!(plan.ends_with("app shop: 0 added, 0 changed, 1 unchanged, 1 gone\n"), "{plan}");
    let told = of_file(&rig, &["apply"], "shop.hcl", &a).await;
    assert!(told.err.contains("  b: gone from ") && told.code == 0, "{told:#?}");
    assert_eq!(rig.cat("active/b/replicas").await, "1/1");

    let told = of_file(&rig, &["--json", "apply", "--prune"], "shop.hcl", &a).await;
    let objects: Vec<Value> =
        told.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects[0]["phase"], "started");
    assert_eq!(objects[0]["apps"][0], "shop");
    let end = objects.iter().find(|object| object["phase"] == "done" && object["unchanged"] == 1);
    assert!(end.is_some_and(|end| end["exit"] == 0), "{}", told.out);
    let status = rig.cat("status").await;
    assert!(!status.lines().any(|line| line.starts_with("b ")), "{status}");
    assert_eq!(rig.cat("active/c/replicas").await, "1/1");
    assert_eq!(rig.cat("apps/shop").await.lines().count(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_atomic_every_service_goes_back_when_one_fails() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2", "v3"]).await;
    let both = |a: &str, b: &str| service("a", a, "") + &service("b", b, "replicas = 2");
    of_file(&rig, &["apply", "--atomic"], "shop.hcl", &both("web:v1", "web:v1")).await.fine();
    let versions = [rig.cat("active/a/version").await, rig.cat("active/b/version").await];

    // v3 is never healthy: a, which has come to v2 by then, goes back, and n was not there.
    let three = both("web:v2", "web:v3") + &service("n", "web:v1", "");
    let told = of_file(&rig, &["apply", "--atomic"], "shop.hcl", &three).await;
    told.refused(3, "  b: failed: health check timeout after 3");
    told.refused(3, "a: all or none, and b: health check timeout after 3");
    told.refused(3, "  deploy failed, all rolled back (");
    let now = [rig.cat("active/a/version").await, rig.cat("active/b/version").await];
    assert_eq!(now, versions);
    assert_eq!(
        (image(&rig, "a").await, image(&rig, "b").await),
        ("web:v1".into(), "web:v1".into())
    );
    assert_eq!(rig.cat("active/a/replicas").await, "1/1");
    assert_eq!(rig.cat("active/b/replicas").await, "2/2");
    assert_eq!(rig.cat("active/n/replicas").await, "0/0");
    assert!(rig.cat("active/a/wait").await.starts_with("rolled back"));

    // An image that is missing: nothing is begun at all.
    let a = ids(&rig, "a").await;
    let none = both("web:v2", "web:none");
    of_file(&rig, &["apply", "--atomic"], "shop.hcl", &none).await.refused(3, "web:none");
    assert_eq!((ids(&rig, "a").await, image(&rig, "a").await), (a, "web:v1".to_string()));

    // Without it services are independent.
    of_file(&rig, &["apply"], "shop.hcl", &none).await.refused(4, "web:none");
    assert_eq!(
        (image(&rig, "a").await, image(&rig, "b").await),
        ("web:v2".into(), "web:v1".into())
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_a_file_are_told_with_their_lines_and_nothing_is_written() {
    let rig = Rig::start().await;
    let text = "service \"web\" {\n  image = \"Web:1\"\n  replica = 3\n  cpu 2\n  \
                env { A = \"${b}\" }\n}\n\
                service \"web\" {\n  image = \"web:1\"\n  volume \"data\" { path = \"/data\" }\n}\n\
                \n  task \"job\" { image = \"web:1\" }\n";
    let told = of_file(&rig, &["apply"], "shop.hcl", text).await;
    assert_eq!(told.code, 65, "{told:#?}");
    for place in ["2:11", "3:3", "4:7", "5:14", "7:1"] {
        assert!(told.err.contains(&format!("shop.hcl:{place}: ")), "{place}: {}", told.err);
    }
    assert!(told.err.contains("\n 3 |   replica = 3\n   |   ^\n"), "{}", told.err);
    assert!(told.err.contains("did you mean replicas?"), "{}", told.err);
    assert!(rig.client().await.list("manifests").await.expect("listed").is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_services_of_one_file_are_deployed_together() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    let mut text = String::new();
    for n in 0..MANY {
        let next = (n + 1) % MANY;
        let more = format!("env {{ NEXT = \"${{service.s{next}.address}}\" }}");
        let one = service(&format!("s{n}"), "web:v1", &more);
        let one = one.replace("cpu = 0.1; memory = \"64M\"", "cpu = 0.04; memory = \"16M\"");
        let _ = write!(text, "{}", one.replace("deadline = \"3s\"", "deadline = \"30s\""));
    }
    let told = of_file(&rig, &["apply"], "shop.hcl", &text).await;
    assert_eq!(told.code, 0, "{told:#?}");
    assert_eq!(told.err.matches(": healthy (").count(), MANY, "{}", told.err);
    let status = rig.cat("status").await;
    let healthy = status.lines().filter(|line| line.contains("  1/1 ") && line.contains("healthy"));
    assert_eq!(healthy.count(), MANY, "{status}");
    let plan = of_file(&rig, &["plan"], "shop.hcl", &text).await.fine();
    assert!(plan.ends_with("app shop: 0 added, 0 changed, 50 unchanged, 0 gone\n"), "{plan}");
    rig.end().await;
}

//! The streams of the workflows that this was made after, field by field, as `curl -N` gets them.

use super::{ALONE, opened};
use crate::registry::Registry;
use crate::rig::{PATIENCE, Rig};
use std::process::Stdio;
use tokio::process::Command;
use tokio::time::timeout;

/// The first deploy, with another registry's name; secrets are tried where there are some.
const FIRST: &str = r#"service "web" {
  image = "REGISTRY/web:v1"
  port = 3000; replicas = 2; cpu = 0.5; memory = "512M"
  health { path = "/health"; interval = "5s" }
  route "app.example.com" { path = "/" }
}

service "api" {
  image = "REGISTRY/api:v1"
  port = 8080; cpu = 1; memory = "1G"
  env { DATABASE_URL = "postgres://db.example.com/${service.web.address}" }
  health { path = "/healthz"; interval = "10s" }
}
"#;

/// The service of the other two; its images are there, so that none takes long enough to be told.
fn office(tag: &str) -> String {
    format!(
        "service \"office\" {{\n  image = \"web:{tag}\"\n  port = 3000\n  \
         cpu = 0.1; memory = \"64M\"; stop_timeout = \"2s\"\n  \
         health {{ path = \"/health\"; deadline = \"3s\" }}\n}}\n"
    )
}

/// A stream as people have it on their screen: what an id is, and how long something took, is
/// known to nobody beforehand.
async fn curl(rig: &Rig, at: &str, text: &str) -> String {
    let path = rig.state().join("app.mill");
    std::fs::write(&path, text).expect("written");
    let mut command = Command::new("curl");
    command.args(["-sS", "-N", "--data-binary", &format!("@{}", path.display())]);
    command.arg(format!("http://{at}/v1/deploy")).stdin(Stdio::null()).kill_on_drop(true);
    let said = timeout(PATIENCE, command.output()).await.expect("it ends").expect("curl");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut shown = String::new();
    for block in text.split_terminator("\n\n") {
        let (id, rest) = block.split_once('\n').unwrap_or_else(|| panic!("{text}"));
        assert!(id.strip_prefix("id: ").is_some_and(|id| id.len() > 3), "no id: {block}");
        shown.push_str(&match rest.split_once("\"seconds\": ") {
            Some((before, after)) => {
                let number = after.split('}').next().unwrap_or_default();
                assert!(number.parse::<f64>().is_ok(), "{block}");
                format!("{before}\"seconds\": N}}\n\n")
            }
            None => format!("{rest}\n\n"),
        });
    }
    shown
}

/// The blocks of a stream in the order of their letters: services go side by side.
fn sorted(blocks: &[&str]) -> Vec<String> {
    let mut blocks: Vec<String> = blocks.iter().map(ToString::to_string).collect();
    blocks.sort_unstable();
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_the_workflows_come_through_curl_field_by_field() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    let registry = Registry::start(rig.state()).await;
    for name in ["web", "api"] {
        registry.push(&rig, name, "v1").await;
    }
    rig.push(&["v1", "v2", "v3"]).await;
    let deploy = async |text: &str| {
        let text = text.replace("REGISTRY", &format!("127.0.0.1:{}", registry.port));
        curl(&rig, &at, &text).await
    };
    let node = super::get(&at, "/v1/nodes").await["nodes"][0]["node"].clone();
    let node = node.as_str().expect("a name");
    let progress =
        |data: &str| format!("event: progress\ndata: {{{data}}}\n\n").replace("NODE", node);
    let of = |service: &str| {
        [
            format!("\"service\": \"{service}\", \"phase\": \"scheduled\", \"node\": \"NODE\""),
            format!("\"service\": \"{service}\", \"phase\": \"starting\""),
            format!("\"service\": \"{service}\", \"phase\": \"healthy\", \"seconds\": N"),
            format!("\"service\": \"{service}\", \"phase\": \"stopped\""),
        ]
        .map(|data| progress(&data))
    };
    let started = progress("\"phase\": \"started\"");
    let done = "event: done\ndata: {\"seconds\": N}\n\n";

    let told = deploy(FIRST).await;
    let begins = started.clone() + &progress("\"phase\": \"pulling\"");
    let middle = told.strip_prefix(&begins).and_then(|rest| rest.strip_suffix(done));
    let middle = middle.unwrap_or_else(|| panic!("{told}"));
    let (web, api) = (of("web"), of("api"));
    let want = [&web[0], &web[0], &web[1], &web[1], &web[2], &web[2], &api[0], &api[1], &api[2]];
    let want: Vec<&str> = want.iter().map(|block| block.trim_end()).collect();
    let blocks: Vec<&str> = middle.split_terminator("\n\n").collect();
    assert_eq!(sorted(&blocks), sorted(&want), "{told}");

    // The machine may have no room for more.
    for service in ["web", "api"] {
        rig.deploy(&["remove", service]).await.fine();
    }
    let told = deploy(&office("v1")).await;
    assert!(told.starts_with(&begins) && told.ends_with(done), "{told}");
    let [scheduled, starting, healthy, stopped] = of("office");
    let told = deploy(&office("v2")).await;
    let coming = started + &scheduled + &starting;
    assert_eq!(told, coming.clone() + &healthy + &stopped + done);

    // A bad version: nothing is told to be healthy or stopped, and the end is that it failed.
    let told = deploy(&office("v3")).await;
    let data = "{\"service\": \"office\", \"reason\": \"health check timeout after 3s\"}";
    assert_eq!(told, coming + &format!("event: failed\ndata: {data}\n\n"));
    assert_eq!(rig.cat("active/office/replicas").await, "1/1");
    registry.end().await;
    rig.end().await;
}

//! The HTTP door tried by its own description: requests that fit it and requests that do not, made
//! up by schemathesis, and each answer held against what was said of it.

use super::{ALONE, deploy, opened};
use crate::rig::{PATIENCE, Rig, web};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;
use tokio::time::timeout;

/// Streams have no end of their own, and are tried elsewhere.
const STREAMS: [&str; 2] = ["/v1/events", "/v1/services/{name}/log"];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_every_kind_of_request_is_as_it_is_described() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = here.with_file_name("target/schemathesis/bin/schemathesis");
    assert!(program.exists(), "{} is not there: tests/run installs it", program.display());
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1"]).await;
    let told = deploy(&at, "web", &web("web:v1")).await;
    assert_eq!(told.last().expect("an end").name, "done", "{told:?}");

    let mut command = Command::new(program);
    command.arg("--config-file").arg(here.join("schemathesis.toml")).arg("run");
    command.args(["--seed", "1", "--max-examples", "10", "--request-timeout", "20", "--no-color"]);
    command.args(STREAMS.iter().flat_map(|path| ["--exclude-path", path]));
    command.arg(format!("http://{at}/v1/openapi.json")).current_dir(rig.state());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let said = timeout(3 * PATIENCE, command.output()).await.expect("it ends").expect("it starts");
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && text.contains("16 passed"), "{text}");
    rig.end().await;
}

//! How long a whole rolling update takes, as its user sees it.

use crate::figure::Figure;
use crate::server::Server;

/// Updates that are measured.
const ROUNDS: usize = 10;

/// Four replicas of a server that is up after 50 ms, one at a time, there and back again: from
/// the start of `deploy apply` to its exit.
pub(crate) fn measure(server: &Server) -> Result<(), String> {
    server.push_web()?;
    let v1 = server.write("web", &manifest("v1"))?;
    server.deploy(&["apply", "-f", &v1])?;
    let mut figure = Figure::new("update, 4 replicas up in 50 ms, batch 1", "s");
    for version in ["v2", "v1"].into_iter().cycle().take(ROUNDS) {
        let file = server.write("web", &manifest(version))?;
        figure.add(server.deploy(&["apply", "-f", &file])?.as_secs_f64());
    }
    figure.print("(target under 1.0 s)");
    Ok(())
}

fn manifest(version: &str) -> String {
    format!(
        "image web:{version}\nreplicas 4\nport 8080\ncommand /web --up-after-ms 50\n\
         health http /health\nupdate rolling\nupdate_batch 1\nupdate_pause 0\ncpu 0.1\nmemory 64M\n"
    )
}

//! How fast the state is read: by the command, and over one connection.

use crate::figure::Figure;
use crate::server::Server;
use std::time::Instant;

/// Runs of the command.
const COMMAND_ROUNDS: usize = 30;
/// Reads of a file, one after the other.
const READ_ROUNDS: usize = 2000;

/// `deploy status` and `deploy plan` as processes; a small file read whole over 9P.
pub(crate) async fn measure(server: &Server) -> Result<(), String> {
    server.push_web()?;
    let manifest = |version| format!("image web:{version}\nreplicas 3\nport 8080\nmemory 64M\n");
    let file = server.write("web", &manifest("v1"))?;
    server.deploy(&["apply", "-f", &file])?;
    let file = server.write("web", &manifest("v2"))?;
    for (what, words) in
        [("deploy status", &["status"][..]), ("deploy plan, a new image", &["plan", "-f", &file])]
    {
        let mut figure = Figure::new(what, "ms");
        for _ in 0..COMMAND_ROUNDS {
            figure.add(server.deploy(words)?.as_secs_f64() * 1e3);
        }
        figure.print("");
    }

    let client = server.client().await?;
    let mut figure = Figure::new("9P, walk, open, read and clunk of one file", "us");
    for _ in 0..READ_ROUNDS {
        let began = Instant::now();
        let read = client.read("active/web/state").await;
        figure.add(began.elapsed().as_secs_f64() * 1e6);
        read.map_err(|error| error.to_string())?;
    }
    figure.print("");
    Ok(())
}

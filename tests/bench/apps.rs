//! How long it takes to deploy many services of one file, and to plan it, as their user sees it.

use std::fmt::Write as _;

use crate::figure::Figure;
use crate::server::Server;

/// Services of the file.
const SERVICES: usize = 50;

/// Deploys that are measured.
const ROUNDS: usize = 5;

/// Fifty services of one instance each, none of which is there, with their image in the store:
/// from the start of `deploy apply` to its exit, every one healthy; then `deploy plan` of the same
/// file, and an apply that changes nothing.
pub(crate) fn measure(server: &Server) -> Result<(), String> {
    server.push_web()?;
    let file = server.write("shop.hcl", &app())?;
    let names: Vec<String> = (0..SERVICES).map(name).collect();
    let mut remove = vec!["remove"];
    remove.extend(names.iter().map(String::as_str));
    let mut first = Figure::new("50 services of one file, first deploy", "s");
    let mut plan = Figure::new("plan of the same file", "ms");
    let mut again = Figure::new("apply of the same file, unchanged", "ms");
    for _ in 0..ROUNDS {
        first.add(server.deploy(&["apply", "-f", &file])?.as_secs_f64());
        plan.add(server.deploy(&["plan", "-f", &file])?.as_secs_f64() * 1e3);
        again.add(server.deploy(&["apply", "-f", &file])?.as_secs_f64() * 1e3);
        server.deploy(&remove)?;
    }
    first.print("(target under 5.0 s)");
    plan.print("(target under 100 ms)");
    again.print("");
    Ok(())
}

fn name(n: usize) -> String {
    format!("s{n}")
}

fn app() -> String {
    let mut text = String::new();
    for n in 0..SERVICES {
        let (name, next) = (name(n), name((n + 1) % SERVICES));
        let _ = write!(
            text,
            "service \"{name}\" {{\n  image = \"web:v1\"\n  port = 8080; cpu = 0.04; \
             memory = \"16M\"\n  health {{ path = \"/health\" }}\n  \
             env {{ NEXT = \"http://${{service.{next}.address}}/\" }}\n}}\n"
        );
    }
    text
}

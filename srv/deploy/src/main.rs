//! `deployfs`: one binary, its programs chosen by the first word.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

const HELP: &str = "\
usage: deployfs [flags]          serve the deployment file tree
       deployfs down [flags]     end every instance, the node and the server
       deployfs node -r DIR      run the instances of this machine (started by the server)
       deployfs edge -r DIR      hold the sockets of users (started by the server)
       deployfs shim DIR         be the parent of one instance (started by the node)
       deployfs web -r DIR       be the HTTP door (started by the server where --web is given)
       deployfs help | --version

down takes -r and -s, to find the server.  deploy help manifest says what a service is,
and deploy cat help what the files are.

flags, each also as the variable named:
";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    let first = words.peek().and_then(|word| word.to_str()).unwrap_or_default().to_string();
    let code = match first.as_str() {
        "edge" => edge::run(words.skip(1)),
        "node" => node::run(words.skip(1)),
        "shim" => shim::run(words.skip(1)),
        "web" => web::run(words.skip(1)),
        "down" => deployfs::server::down(words.skip(1)),
        "help" | "-h" | "--help" => tell(&format!("{HELP}{}", flags())),
        "-V" | "--version" => tell(concat!("deployfs ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => deployfs::server::run(words.collect::<Vec<OsString>>()),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Prints what was asked for; whoever reads no more, `deployfs help | head`, has what he wanted.
fn tell(text: &str) -> i32 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => 1,
        Ok(()) | Err(_) => 0,
    }
}

fn flags() -> String {
    let rows = deployfs::config::FLAGS.iter().map(|(short, long, word, variable, meaning)| {
        let flag = format!("{short}{long} {word}");
        format!("  {:<14} {variable:<20} {meaning}\n", flag.trim())
    });
    rows.collect()
}

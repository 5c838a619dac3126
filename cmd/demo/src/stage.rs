//! Where the demonstration plays: a temporary place with a private server, and a narrator.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A private server and what is said about it.
pub(crate) struct Stage {
    bin: PathBuf,
    dir: TempDir,
    server: Child,
    colour: bool,
    closed: bool,
}

impl Drop for Stage {
    /// Also when there is nobody to read what is said any more, everything is ended.
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.down().status();
            let _ = self.server.wait();
        }
    }
}

impl Stage {
    /// Starts the server and waits until it says that it serves.
    pub(crate) fn open(bin: PathBuf) -> Result<Stage, String> {
        let dir = tempfile::Builder::new().prefix("deploy-demo-").tempdir();
        let dir = dir.map_err(|error| format!("no temporary directory: {error}"))?;
        let mut server = Command::new(bin.join("deployfs"))
            .arg("-r")
            .arg(dir.path())
            .arg("-s")
            .arg(format!("unix!{}/deploy.sock", dir.path().display()))
            .arg("--no-edge")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            // ^C is for the demonstration, which then ends the server in good order.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start deployfs: {error}"))?;
        let mut said = String::new();
        if let Some(stderr) = server.stderr.take() {
            let mut lines = BufReader::new(stderr).lines();
            for line in lines.by_ref().map_while(Result::ok) {
                said = format!("{said}{line}\n");
                if line.contains("serving, state in") {
                    // Goes on reading, so that the server never waits for a reader.
                    std::thread::spawn(move || lines.for_each(drop));
                    let colour =
                        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                    return Ok(Stage { bin, dir, server, colour, closed: false });
                }
            }
        }
        let _ = server.wait();
        Err(format!("deployfs did not start:\n{said}"))
    }

    /// Says what comes next.
    pub(crate) fn say(&self, text: &str) {
        if self.colour { println!("\n\x1b[1m{text}\x1b[0m") } else { println!("\n{text}") }
    }

    /// Says what came of something.
    pub(crate) fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// A program of this demonstration.
    pub(crate) fn program(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }

    /// Writes a file into the place of the demonstration.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), String> {
        println!("$ cat {name}");
        text.lines().for_each(|line| println!("{line}"));
        std::fs::write(self.dir.path().join(name), text).map_err(|error| format!("{name}: {error}"))
    }

    /// A `deploy` with those words, speaking to the private server.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join("deploy"));
        let address = format!("unix!{}/deploy.sock", self.dir.path().display());
        command.args(words).env("DEPLOY_ADDR", address).current_dir(self.dir.path());
        command
    }

    /// Runs `deploy` as it would be typed; it has to end with that status.
    pub(crate) fn deploy(&self, words: &[&str], wanted: i32) -> Result<(), String> {
        let typed: Vec<&str> =
            words.iter().map(|w| w.rsplit("/debug/").next().unwrap_or(w)).collect();
        println!("$ deploy {}", typed.join(" "));
        let _ = std::io::stdout().flush();
        let status = self.command(words).status().map_err(|e| format!("cannot run deploy: {e}"))?;
        match status.code() {
            Some(code) if code == wanted => Ok(()),
            other => Err(format!("deploy {} ended with {other:?}, not {wanted}", typed.join(" "))),
        }
    }

    /// The directory all of it is in.
    pub(crate) fn place(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    /// The command that ends everything.
    pub(crate) fn down(&self) -> Command {
        let mut command = Command::new(self.bin.join("deployfs"));
        let address = format!("unix!{}/deploy.sock", self.dir.path().display());
        command.args(["down", "-s", &address, "-r"]).arg(self.dir.path());
        command
    }

    /// Ends the server and everything it runs, and looks that nothing is left.
    pub(crate) fn close(mut self) -> Result<(), String> {
        self.say("The end: every container, link, mount and file of this goes.");
        println!("$ deployfs down");
        let ended =
            self.down().status().map_err(|error| format!("cannot run deployfs: {error}"))?;
        let _ = self.server.wait();
        self.closed = true;
        self.say("Nothing is left of it.");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let place = self.dir.path().display().to_string();
        if !ended.success() || mounts.contains(&place) {
            return Err(format!("something is left in {place}"));
        }
        std::fs::remove_dir_all(self.dir.path()).map_err(|error| format!("{place}: {error}"))
    }
}

//! The first run: builds everything, starts a private server in a temporary place, deploys three
//! replicas of a small web server, updates them under load, fails a bad version, rolls back, and
//! leaves nothing behind. It uses `deploy` and `deployfs` as anybody would.

mod build;
mod interrupt;
mod load;
mod machine;
mod stage;

use stage::Stage;
use std::process::ExitCode;

fn main() -> ExitCode {
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<(), String> {
    machine::check()?;
    let interrupts = interrupt::block()?;
    let bin = build::programs()?;
    let mut stage = Stage::open(bin)?;
    interrupt::end_by(interrupts, stage.down(), stage.place());
    let shown = play(&mut stage);
    // Also after a failure: the machine is left as it was found.
    let closed = stage.close();
    shown.and(closed)
}

/// The manifest of the small web server.
fn manifest(version: &str) -> String {
    format!(
        "image web:{version}\nreplicas 3\nport 8080\nhealth http /health\nhealth_deadline 3\n\
         cpu 0.1\nmemory 64M\n"
    )
}

fn play(stage: &mut Stage) -> Result<(), String> {
    stage.say("Three versions of a small web server become images, without Docker.");
    for version in ["v1", "v2", "v3"] {
        let program = stage.program(&format!("web-{version}"));
        stage.deploy(&["push", &format!("web:{version}"), &program], 0)?;
    }

    stage.say("A manifest says what should be.");
    stage.write("web", &manifest("v1"))?;
    stage.say("Deploy it: three instances, each in a container of its own.");
    stage.deploy(&["apply", "-f", "web"], 0)?;
    stage.deploy(&["status"], 0)?;

    stage.say("A new version, while requests go to the instances all the time.");
    stage.write("web", &manifest("v2"))?;
    let load = load::Load::start(stage.command(&["cat", "active/web/endpoints"]))?;
    stage.deploy(&["apply", "-f", "web"], 0)?;
    stage.note(&load.end()?);

    stage.say("A bad version: it starts, and never gets healthy. Exit status 4 is wanted here.");
    stage.write("web", &manifest("v3"))?;
    stage.deploy(&["apply", "-f", "web"], 4)?;
    stage.say("What ran was not touched; the tree says what happened.");
    for file in ["update_status", "version", "previous_version", "target_version", "replicas"] {
        stage.deploy(&["cat", &format!("active/web/{file}")], 0)?;
    }

    stage.say("Back from the failed update, and then back to v1, by a verb in a file.");
    stage.deploy(&["rollback", "web"], 0)?;
    stage.deploy(&["write", "active/web/ctl", "rollback"], 0)?;
    stage.deploy(&["cat", "active/web/wait"], 0)?;
    stage.deploy(&["cat", "active/web/events"], 0)?;
    stage.deploy(&["status"], 0)?;
    Ok(())
}

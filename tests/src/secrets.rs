//! Secrets end to end: given to who may have them, changed, rolled back, and seen by nobody else.

use crate::rig::{PATIENCE, Rig, Told, bin};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// The image, with a shell.
const SHELL: &str = "/bin/busybox";

/// A value that stands nowhere by chance: random digits, which differ in each half.
fn random() -> String {
    let mut bytes = [0; 24];
    let mut source = fs::File::open("/dev/urandom").expect("random bytes");
    std::io::Read::read_exact(&mut source, &mut bytes).expect("random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs `deploy` with that on standard input.
async fn given(rig: &Rig, words: &[&str], input: &[u8]) -> Told {
    let mut command = tokio::process::Command::new(bin("deploy"));
    command.args(words).env("DEPLOY_ADDR", rig.address().to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().expect("deploy starts");
    let mut stdin = child.stdin.take().expect("piped");
    // One that is refused by its words alone takes nothing.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("deploy ends").expect("waited");
    Told {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A root file system with a shell, below the server's place.
fn image(rig: &Rig) -> PathBuf {
    let root = rig.state().join("image");
    fs::create_dir_all(root.join("bin")).expect("a directory");
    fs::copy(SHELL, root.join("bin/busybox")).expect("busybox-static is there");
    root
}

/// A manifest of a program that waits, and does that first.
fn manifest(image: &Path, script: &str, more: &str) -> String {
    format!(
        "image dir:{}\ncommand {SHELL} sh -c '{script}; exec {SHELL} sleep 1000'\ncpu 0.1\n\
         memory 32M\nstop_timeout 1\nhealth file /ready\n{more}",
        image.display()
    )
}

async fn apply(rig: &Rig, name: &str, text: &str) -> Told {
    let path = rig.state().join(name);
    fs::write(&path, text).expect("written");
    rig.deploy(&["apply", "-f", path.to_str().expect("UTF-8")]).await
}

/// What an instance's first process sees: its file of a secret, and a variable.
async fn seen(rig: &Rig, file: &str, variable: &str) -> (String, String) {
    let pid = rig.of_instance("active/app/instances/0", "pid").await;
    let text = fs::read(format!("/proc/{pid}/root/secret/{file}")).unwrap_or_default();
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("its variables");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let mut variables = environment.split('\0').filter_map(|entry| entry.split_once('='));
    let value = variables.find(|(key, _)| *key == variable).map(|(_, value)| value.to_string());
    (String::from_utf8_lossy(&text).into_owned(), value.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_gets_the_secrets_it_names_and_was_granted_and_a_rollback_gives_them_back() {
    let mut rig = Rig::start().await;
    let image = image(&rig);
    let text = manifest(&image, "echo up >/ready", "secret db.url\nsecret token env TOKEN\n");

    // Missing and ungranted ones are told all at once, and nothing has happened.
    let told = apply(&rig, "app", &text).await;
    told.refused(65, "secret db.url does not exist, secret db.url is not granted to app");
    told.refused(65, "deploy secret set token; deploy secret grant token app");
    assert_eq!(rig.cat("active/app/version").await, "");
    rig.deploy(&["secret", "grant", "db.url", "app"]).await.refused(1, "does not exist");

    given(&rig, &["secret", "set", "db.url"], b"postgres://one").await.fine();
    let told = given(&rig, &["secret", "set", "token"], b"first\n").await;
    assert!(told.code == 0 && told.err.contains("its last byte is a line's end"), "{told:#?}");
    given(&rig, &["secret", "set", "token"], b"first").await.fine();
    apply(&rig, "app", &text).await.refused(65, "secret token is not granted to app");
    for name in ["db.url", "token"] {
        rig.deploy(&["secret", "grant", name, "app"]).await.fine();
    }
    let plan = rig.deploy(&["plan", "app"]).await.fine();
    assert!(plan.starts_with("app: new") && !plan.contains("refused"), "{plan}");
    apply(&rig, "app", &text).await.fine();
    assert_eq!(seen(&rig, "db.url", "TOKEN").await, ("postgres://one".into(), "first".into()));
    assert_eq!(seen(&rig, "token", "db.url").await, (String::new(), String::new()));

    // The list tells versions and who has them; unchanged is unchanged.
    let list = rig.deploy(&["secret", "list"]).await.fine();
    let row = |name: &str| list.lines().find(|line| line.starts_with(name)).map(str::to_string);
    assert!(
        row("token ").is_some_and(|row| row.ends_with("app") && row.contains("  3  ")),
        "{list}"
    );
    let plan = rig.deploy(&["plan", "--exit-code", "app"]).await;
    assert!(plan.code == 0 && plan.out.contains("unchanged"), "{plan:#?}");

    // Another value is another version of what means it, and the plan says of which secret.
    given(&rig, &["secret", "set", "token"], b"second").await.fine();
    let plan = rig.deploy(&["plan", "app"]).await.fine();
    assert!(plan.contains("~ secret token env TOKEN version=3 → version=4"), "{plan}");
    let before = rig.cat("active/app/version").await;
    rig.deploy(&["restart", "app"]).await.fine();
    assert_eq!(seen(&rig, "db.url", "TOKEN").await.1, "first", "a restart is the same version");
    rig.deploy(&["apply", "app"]).await.fine();
    assert_ne!(rig.cat("active/app/version").await, before);
    assert_eq!(seen(&rig, "db.url", "TOKEN").await.1, "second");

    // Whatever dies meanwhile: what is started anew has the values of its version.
    rig.kill_server().await;
    rig.serve().await;
    rig.deploy(&["secret", "rotate-key"]).await.fine();
    rig.deploy(&["rollback", "app"]).await.fine();
    assert_eq!(rig.cat("active/app/version").await, before);
    assert_eq!(seen(&rig, "db.url", "TOKEN").await, ("postgres://one".into(), "first".into()));

    // What is in use is not deleted, and what was revoked is not given to another version.
    rig.deploy(&["secret", "delete", "token"]).await.refused(1, "in use by app (deployed)");
    rig.deploy(&["secret", "revoke", "token", "app"]).await.fine();
    rig.deploy(&["rollback", "app", "v2"]).await.refused(1, "secret token is not granted to app");
    rig.deploy(&["restart", "app"]).await.fine();
    apply(&rig, "app", &text).await.refused(65, "is not granted to app");
    rig.deploy(&["remove", "app"]).await.fine();
    rig.deploy(&["secret", "delete", "token"]).await.fine();
    assert_eq!(rig.deploy(&["--json", "secret", "list"]).await.fine().lines().count(), 1);
    rig.end().await;
}

/// The halves of values: a part of one would be as bad.
fn halves<'a>(values: impl Iterator<Item = &'a String>) -> Vec<Vec<u8>> {
    let halves = values.flat_map(|value| [&value.as_bytes()[..24], &value.as_bytes()[24..48]]);
    halves.map(<[u8]>::to_vec).collect()
}

/// Every file of a directory that has one of the texts in it.
fn holders(dir: &Path, wanted: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(holders(&path, wanted)),
            Ok(kind) if kind.is_file() && holds(&fs::read(&path).unwrap_or_default(), wanted) => {
                found.push(path.display().to_string());
            }
            Ok(_) | Err(_) => {}
        }
    }
    found
}

fn holds(bytes: &[u8], wanted: &[&[u8]]) -> bool {
    wanted.iter().any(|text| bytes.windows(text.len()).any(|part| part == *text))
}

/// Which processes have a text in their words or variables.
fn tellers(wanted: &[&[u8]]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let files = ["cmdline", "environ"].map(|name| entry.path().join(name));
        let all = files.map(|file| fs::read(file).unwrap_or_default()).concat();
        if pid.bytes().all(|byte| byte.is_ascii_digit()) && holds(&all, wanted) {
            found.insert(pid);
        }
    }
    found
}

/// The memory of a process, as gcore(1) of gdb writes it.
fn core(pid: nix::unistd::Pid, dir: &Path) -> Vec<u8> {
    let path = dir.join("core");
    let told = Command::new("gcore").arg("-o").arg(&path).arg(pid.to_string()).output();
    let told = told.expect("gcore of the package gdb");
    let file = dir.join(format!("core.{pid}"));
    let bytes = fs::read(&file);
    let bytes = bytes.unwrap_or_else(|error| panic!("{error}: {told:?}"));
    fs::remove_file(file).expect("removed");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_secret_are_found_nowhere_but_in_the_container_that_has_it() {
    let rig = Rig::with(&["--no-edge", "-D"]).await;
    let image = image(&rig);
    let cores = tempfile::tempdir().expect("a directory");
    let values: Vec<String> = (0..3).map(|_| random()).collect();
    let set = async |value: &String| {
        for name in ["file", "variable"] {
            given(&rig, &["secret", "set", name], value.as_bytes()).await.fine();
        }
    };
    set(&values[0]).await;
    for name in ["file", "variable"] {
        rig.deploy(&["secret", "grant", name, "app"]).await.fine();
    }
    let secrets = "secret file\nsecret variable env VARIABLE\n";
    let good = manifest(&image, "echo up >/ready", secrets);
    let mut said = Vec::new();
    let mut says = |told: Told| said.push(format!("{}{}", told.out, told.err));
    says(apply(&rig, "app", &good).await);
    assert_eq!(seen(&rig, "file", "VARIABLE").await, (values[0].clone(), values[0].clone()));
    set(&values[1]).await;
    says(rig.deploy(&["plan", "app"]).await);
    says(rig.deploy(&["--json", "plan", "app"]).await);
    says(rig.deploy(&["--json", "apply", "app"]).await);
    assert_eq!(seen(&rig, "file", "VARIABLE").await.0, values[1]);
    says(rig.deploy(&["rollback", "app"]).await);
    assert_eq!(seen(&rig, "file", "VARIABLE").await.1, values[0]);
    set(&values[2]).await;
    let bad = good.replace("echo up >/ready", "exit 3");
    says(apply(&rig, "app", &bad).await);
    says(rig.deploy(&["--json", "secret", "list"]).await);
    rig.deploy(&["secret", "rotate-key"]).await.fine();
    // One that is refused has been at the server, too.
    let refused = random().repeat(2_000);
    given(&rig, &["secret", "set", "../no"], refused.as_bytes()).await.refused(64, "no");
    given(&rig, &["secret", "set", ".no"], &refused.as_bytes()[..60_000]).await.refused(1, "");
    for words in [
        &["history", "app"][..],
        &["history", "app", "v2"],
        &["--json", "history", "app"],
        &["status", "app"],
        &["--json", "status", "app"],
        &["events"],
        &["logs", "app"],
        &["cat", "audit", "status", "metrics", "active/app/state"],
        &["tree"],
        &["diff", "app"],
    ] {
        says(rig.deploy(words).await);
    }

    let halves = halves(values.iter().chain([&refused]));
    let wanted: Vec<&[u8]> = halves.iter().map(Vec::as_slice).collect();
    assert!(!said.is_empty() && said.iter().any(|text| text.contains("version=")));
    assert!(!holds(said.join("\n").as_bytes(), &wanted), "in what was told: {said:#?}");
    assert_eq!(holders(rig.state(), &wanted), Vec::<String>::new());
    let pid = rig.of_instance("active/app/instances/0", "pid").await;
    assert_eq!(tellers(&wanted), BTreeSet::from([pid]), "the program alone");
    for (who, pid) in [("deployfs", rig.server_pid()), ("the node", rig.node_pid())] {
        let core = core(pid, cores.path());
        assert!(holds(&core, &[b"variable"]), "the core of {who} is not what it should be");
        assert!(!holds(&core, &wanted), "in the memory of {who}");
    }
    let transcript = rig.told();
    assert!(transcript.contains(" hidden"), "no transcript was written");
    assert!(!holds(transcript.as_bytes(), &wanted), "in the transcript");
    rig.end().await;
}

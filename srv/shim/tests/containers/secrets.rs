//! Cases of secrets: what the program gets of them, and what nobody else does.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::trial::{Trial, with_open};

/// A value that stands nowhere by chance.
const VALUE: &str = "xyzzy-4711-plugh";

/// A script in an instance that is given those bytes as secrets.
fn with(given: &str, script: &str, spec: Value) -> Trial {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(given.as_bytes()).expect("written");
    with_open(&file, 4, script, json!({"secrets_fd": 4, "spec": spec}))
}

fn entry(what: &str, name: &str) -> String {
    format!("{what} {name} {}\n{VALUE}", VALUE.len())
}

/// The files below a directory that have the value in them.
fn holders(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(holders(&path)),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                let holds = bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes());
                found.extend(holds.then(|| path.display().to_string()));
            }
            Ok(_) | Err(_) => {}
        }
    }
    found
}

pub(crate) fn files() {
    let script = "cat /secret/db.url; echo; ls -ln /secret/db.url | cut -d' ' -f1-4; \
                  ls -nd /secret | cut -d' ' -f1; \
                  grep ' /secret ' /proc/mounts; \
                  echo x 2>/dev/null >/secret/new || echo closed; \
                  rm -f /secret/db.url 2>/dev/null || echo kept; env | grep -c plugh";
    let given = entry("file", "db.url") + "file empty 0\n";
    let ended = with(&given, script, json!({"user": "1000:1000", "read_only": true})).end();
    ended.said(&format!("stdout {VALUE}"));
    let line = |part: &str| ended.log.iter().any(|line| line.contains(part));
    assert!(line("-r--------") && line("dr-x------"), "{:?}", ended.log);
    assert!(line("1000"), "{:?}", ended.log);
    for word in ["ro", "nosuid", "nodev", "noexec", "size=128k", "mode=500"] {
        assert!(line(word), "{word}: {:?}", ended.log);
    }
    ended.said("stdout closed").said("stdout kept").said("stdout 0");
}

pub(crate) fn variables() {
    let given = entry("env", "TOKEN") + &entry("env", "PATHS") + &entry("file", "key");
    let script = "echo $TOKEN; env | grep -c ^PATH=; ls /secret; exec sleep 100";
    let trial = with(&given, script, json!({"env": {"TOKEN": "not this"}}));
    let (mut talk, news) = trial.running();
    let wrote = talk.exec(&["sh", "-c", "cat /secret/key; echo; env | grep -c plugh"], 5000).1;
    assert_eq!(wrote, format!("{VALUE}\n0\n"));
    let environment = fs::read(format!("/proc/{}/environ", news["pid"])).expect("its variables");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains(&format!("TOKEN={VALUE}\0")), "{environment}");
    assert!(!environment.contains("not this"), "{environment}");
    // The instance's directory, with the runtime's files as the shim sees them, and the shim.
    let pids = fs::read(trial.dir.path().join("pid")).expect("the pid file");
    let pids: Value = serde_json::from_slice(&pids).expect("JSON in it");
    let shim = pids["shim"]["pid"].as_i64().expect("a number");
    let seen = format!("/proc/{shim}/root{}", trial.dir.path().display());
    fs::remove_file(trial.dir.path().join("log")).expect("what the program itself wrote");
    assert!(Path::new(&seen).join("run/process.json").exists(), "{seen} is not what the shim sees");
    assert_eq!(holders(Path::new(&seen)), Vec::<String>::new());
    let open = fs::read_dir(format!("/proc/{shim}/fd")).expect("a shim").flatten();
    let open = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    let open: Vec<String> = open.map(|path| path.display().to_string()).collect();
    // The log is gone by now, and so is the name of what was given.
    let gone = |path: &&String| path.ends_with(" (deleted)") && !path.contains("/log ");
    assert!(open.len() > 3 && open.iter().find(gone).is_none(), "{open:?}");
    talk.say(&json!({"kill": true}));
    trial.end();
}

pub(crate) fn refused() {
    let check = |given: &str, why: &str| {
        let mut trial = with(given, "true", json!({}));
        let exit = trial.exit();
        let reason = exit["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(why) && !reason.contains("plugh"), "{exit}");
        assert_eq!((&exit["code"], &exit["permanent"]), (&json!(125), &json!(true)), "{exit}");
        assert_eq!(holders(trial.dir.path()), Vec::<String>::new());
    };
    check(&entry("file", "../passwd"), "not in the form");
    check(&entry("file", "a")[..20], "not in the form");
    check(&format!("env A {}\n{VALUE}\0", VALUE.len() + 1), "variable A contains a zero byte");
    let mut trial = Trial::script("true", json!({"secrets_fd": 77}));
    let exit = trial.exit();
    assert!(exit["reason"].as_str().is_some_and(|why| why.contains("find secrets")), "{exit}");
}

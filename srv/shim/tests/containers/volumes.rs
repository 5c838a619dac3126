//! What is bound into a container: volumes, directories of the machine, configuration.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cases::Case;
use crate::trial::Trial;

pub(crate) const ALL: &[Case] = &[
    ("configuration is there to be read and not to be changed", configuration),
    ("a named volume is the user's and what is in it outlives the instance", named),
    ("a volume of the instance's own is new and lies in its directory", own),
    ("a directory of the machine is there below what is allowed and no other", host),
    ("what is bound in is left alone when the instance is removed", left_alone),
];

fn with(volumes: Value, change: Value) -> Value {
    let mut spec = json!({ "volumes": volumes });
    for (key, value) in change.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "spec": spec })
}

/// `NAME` of the volumes in a directory, made as the node makes it.
fn volume(dir: &Path, name: &str, path: &str, change: Value) -> Value {
    fs::create_dir_all(dir.join(name)).expect("the volume's directory");
    let mut all = with(json!([{"kind": "named", "name": name, "path": path}]), change);
    all["volumes_dir"] = json!(dir);
    all
}

fn ran(script: &str, change: Value, lines: &[&str]) {
    let ended = Trial::script(script, change).end();
    ended.was(&json!({"code": 0}));
    for line in lines {
        ended.said(line);
    }
}

fn configuration() {
    let config = json!({"app.ini": "[main]\nk = v\n", "b": ""});
    let spec = json!({ "spec": {"config": config, "user": "web"} });
    let script = "cat /config/app.ini; ls -l /config/b; touch /config/c || echo shut; \
                  echo x >/config/b || echo kept; grep ' /config ' /proc/mounts";
    let ended = Trial::script(script, spec).end();
    for line in ["stdout [main]", "stdout k = v", "stdout shut", "stdout kept"] {
        ended.said(line);
    }
    let mode = |line: &String| line.contains("-r--r--r--") && line.contains("/config/b");
    assert!(ended.log.iter().any(mode), "{:?}", ended.log);
    let options = ["ro,", "nosuid", "nodev", "noexec"];
    let mounted = |line: &String| options.iter().all(|word| line.contains(word));
    assert!(ended.log.iter().any(mounted), "{:?}", ended.log);
}

fn named() {
    let dir = TempDir::new().expect("a directory for volumes");
    let web = |script, lines: &[&str]| {
        ran(script, volume(dir.path(), "data", "/srv/data", json!({"user": "web"})), lines);
    };
    web("id -u; echo one >/srv/data/file && cat /srv/data/file", &["stdout 1000", "stdout one"]);
    let owner = fs::metadata(dir.path().join("data")).expect("the volume");
    assert_eq!((owner.uid(), owner.gid()), (1000, 1001));
    web("cat /srv/data/file; echo two >/srv/data/file", &["stdout one"]);
    // Whoever comes later finds it as it was left.
    let root = volume(dir.path(), "data", "/srv/data", json!({"read_only": true}));
    let script = "cat /srv/data/file; echo x >/srv/data/b && echo written; echo x >/c || echo shut";
    ran(script, root, &["stdout two", "stdout written", "stdout shut"]);
    let owner = fs::metadata(dir.path().join("data")).expect("the volume");
    assert_eq!((owner.uid(), owner.gid()), (1000, 1001));
    let options = volume(dir.path(), "data", "/d", json!({}));
    ran(
        "grep ' /d ' /proc/mounts | grep nosuid | grep -q nodev && echo safe",
        options,
        &["stdout safe"],
    );
}

fn own() {
    let volumes = json!([
        {"kind": "own", "name": "a", "path": "/a/b"}, {"kind": "own", "name": "b", "path": "/a"},
    ]);
    let change = || with(volumes.clone(), json!({"user": "web"}));
    let script = "ls -A /a /a/b; echo x >/a/f && echo x >/a/b/g && echo written";
    for _ in 0..2 {
        let trial = Trial::script(script, change());
        let kept = trial.dir.path().join("volumes/a/g");
        let (mut talk, _) = trial.running();
        talk.until("state", "exited");
        assert!(kept.exists(), "it lies in the instance's directory");
        let ended = trial.end();
        ended.said("stdout written");
        let found = |line: &String| line.ends_with(" g") || line.ends_with(" f");
        assert!(!ended.log.iter().any(found), "it was new: {:?}", ended.log);
    }
}

fn host() {
    let dir = TempDir::new().expect("a directory of the machine");
    let allowed = dir.path().join("allowed");
    fs::create_dir_all(allowed.join("www")).expect("directories");
    fs::create_dir(dir.path().join("other")).expect("a directory");
    fs::write(allowed.join("www/page"), "hello\n").expect("a file");
    fs::write(dir.path().join("other/secret"), "no\n").expect("a file");
    symlink(dir.path().join("other"), allowed.join("out")).expect("a link");
    let of = |below: Option<&Path>, at: &Path, read_only: bool| {
        let volume = json!({
            "kind": "host", "dir": at, "below": below, "path": "/m", "read_only": read_only,
        });
        with(json!([volume]), json!({}))
    };
    let www = allowed.join("www");
    let ro = "cat /m/page; echo x >/m/page || echo shut";
    ran(ro, of(Some(&allowed), &www, true), &["stdout hello", "stdout shut"]);
    ran("echo x >/m/new; cat /m/new", of(Some(&allowed), &www, false), &["stdout x"]);
    assert!(www.join("new").exists());
    let refused = |below: Option<&Path>, at: &Path, why: &str| {
        let ended = Trial::script("cat /m/secret", of(below, at, true)).end();
        ended.was(&json!({"code": 125, "failed": true, "permanent": true}));
        let reason = ended.exit["reason"].as_str().unwrap_or_default().to_owned();
        assert!(reason.contains(why) && reason.starts_with("host:"), "{reason}");
    };
    refused(Some(&allowed), &allowed.join("out"), "a link is on the way");
    refused(Some(&allowed), &dir.path().join("other"), "not below what is allowed");
    refused(Some(&allowed), &allowed.join("none"), "make it first");
    refused(None, &www, "does not allow it");
}

fn left_alone() {
    let dir = TempDir::new().expect("directories of the machine");
    let (volumes, machine) = (dir.path().join("volumes"), dir.path().join("machine"));
    fs::create_dir_all(machine.join("deep")).expect("a directory");
    fs::write(machine.join("deep/file"), "mine").expect("a file");
    let mut change = volume(&volumes, "data", "/d", json!({}));
    fs::write(volumes.join("data/file"), "ours").expect("a file");
    fs::set_permissions(volumes.join("data/file"), fs::Permissions::from_mode(0o600))
        .expect("a mode");
    let host = json!({
        "kind": "host", "dir": machine, "below": machine, "path": "/m", "read_only": false,
    });
    change["spec"]["volumes"].as_array_mut().expect("a list").push(host);
    for kills in [false, true] {
        let trial = Trial::script("sleep 100", change.clone());
        let (mut talk, _) = trial.running();
        if kills {
            trial.die_and_reap();
        } else {
            talk.say(&json!({"kill": true}));
            trial.end();
        }
        let read = |path: &Path| fs::read_to_string(path).expect("the file is there");
        assert_eq!(read(&volumes.join("data/file")), "ours");
        assert_eq!(read(&machine.join("deep/file")), "mine");
    }
}

//! The cases: a name that states a fact, and the trial of it.

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use crate::trial::{Ended, Talk, Trial, WAIT_MAX, cgroups, log, root, until_ended};

pub(crate) type Case = (&'static str, fn());

pub(crate) const ALL: &[Case] = &[
    ("the exit code and the output are kept", output),
    ("a signal is told by name and as 128 and its number", by_signal),
    ("a program killed for memory is told from one that was only killed", memory),
    ("a stop gives the program its time and then kills it", stops),
    ("a program that cannot run says why and how to be told from others", cannot_run),
    ("the user is found in the image and further commands are the same one", users),
    ("environment, directory and files are as asked for", surroundings),
    ("limits stand in the cgroup files", limits),
    ("the first process and further ones are confined alike", confined),
    ("mounts, devices and kernel files are out of reach", out_of_reach),
    ("a read-only root takes no files and an image directory none either", read_only),
    ("a further command has a time, an output and an exit code of its own", commands),
    ("what outlives a killed shim is reaped", reaped),
    ("a shim killed at any moment of the start leaves nothing", killed_while_starting),
    ("the log is rotated and keeps the newest", rotation),
    ("an image of many layers is mounted whole", many_layers),
    ("signals other than the program's reach nobody", sigpipe),
    ("a connection hears the end and lines nobody understands are refused", talk),
    ("a program of the image's configuration runs as it says", image_config),
    ("cgroups nobody keeps are swept and kept ones stay", swept),
    ("a network of its own has every port free", own_network),
    ("an end is recorded on a full disk", crate::scarce::full_disk),
    ("what fills the disk goes before an end is given up", crate::scarce::full_disk_without_room),
    ("a shim keeps nothing open that it was not given by name", crate::scarce::descriptors),
    ("a shim with too few descriptors leaves no cgroup", crate::scarce::few_descriptors),
    ("a directory that is no instance's is refused and left alone", no_instance),
    ("the least limits are enough to start", crate::scarce::least_limits),
    ("a cgroup has the program from the first and nothing of the runtime", alone_in_its_cgroup),
    (
        "secrets are files of the program's user on a file system of their own",
        crate::secrets::files,
    ),
    ("a secret is a variable of the program alone and lies in no file", crate::secrets::variables),
    ("secrets that cannot be given are refused without a word of them", crate::secrets::refused),
];

fn none() -> Value {
    json!({})
}

fn spec(change: Value) -> Value {
    json!({ "spec": change })
}

fn check(script: &str, change: Value, exit: Value, lines: &[&str]) -> Ended {
    let ended = Trial::script(script, change).end();
    ended.was(&exit);
    for line in lines {
        ended.said(line);
    }
    ended
}

fn output() {
    let nothing = json!({"code": 0, "signal": null, "oom": false, "reason": null});
    check("echo out; echo err >&2", none(), nothing, &["stdout out", "stderr err"]);
    check("exit 7", none(), json!({"code": 7, "signal": null}), &[]);
    check("printf 'no end'", none(), json!({"code": 0}), &["stdout no end"]);
    // What a child still holds when the program ends is read, and its end not waited for.
    check("(sleep 100 & ) ; echo last", none(), json!({"code": 0}), &["stdout last"]);
}

fn by_signal() {
    // As the first process a shell can only be ended from outside or by what it has a trap for.
    let trial = Trial::script("sleep 100", none());
    let (mut talk, _) = trial.running();
    talk.say(&json!({"kill": true}));
    let news = talk.until("state", "exited");
    assert_eq!((&news["code"], &news["signal"]), (&json!(137), &json!("KILL")), "{news}");
    let reason = "killed on request";
    trial.end().was(&json!({"code": 137, "signal": "KILL", "oom": false, "reason": reason}));

    let trial =
        Trial::script("trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done", none());
    let (mut talk, _) = trial.running();
    line_of(&mut talk, &trial, "stdout ready");
    talk.say(&json!({"signal": "USR1"}));
    trial.end().was(&json!({"code": 9, "signal": null}));
}

/// Waits for a line of the log: the shim's loop has written it before it takes the next command.
fn line_of(talk: &mut Talk, trial: &Trial, line: &str) {
    let until = Instant::now() + WAIT_MAX;
    while !log(trial.dir.path(), "log").iter().any(|have| have == line) {
        assert!(Instant::now() < until, "{line:?} did not come");
        talk.exec(&["true"], 5000);
    }
}

fn memory() {
    let limit = spec(json!({"memory_bytes": 16 << 20}));
    let hog = "x=x; while :; do x=$x$x; done";
    let reason = "out of memory: the limit is 16777216 bytes";
    let exit = json!({"code": 137, "signal": "KILL", "oom": true, "reason": reason});
    check(hog, limit.clone(), exit, &[]);
    // A child of it is killed, and the program itself says so by its code.
    let child = format!("sh -c '{hog}' || exit 5");
    check(&child, limit, json!({"code": 5, "oom": true}), &[]);
    let least = spec(json!({"memory_bytes": 1 << 20}));
    check("true", least, json!({"code": 125, "failed": true, "permanent": true}), &[]);
}

fn stops() {
    let trial =
        Trial::script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", none());
    let (mut talk, _) = trial.running();
    line_of(&mut talk, &trial, "stdout ready");
    talk.say(&json!({"stop": {}}));
    trial.end().was(&json!({"code": 3, "signal": null, "reason": null}));

    let trial = Trial::script("sleep 100", none());
    let (mut talk, _) = trial.running();
    let began = Instant::now();
    talk.say(&json!({"stop": {"signal": "TERM", "timeout_ms": 300}}));
    let reason = "did not end within 300 ms after TERM";
    trial.end().was(&json!({"code": 137, "signal": "KILL", "oom": false, "reason": reason}));
    assert!(began.elapsed().as_millis() >= 300, "killed too early");

    // A stop that comes first is kept until the program runs.
    let trial = Trial::script("sleep 100", none());
    trial.connect().say(&json!({"stop": {"timeout_ms": 10}}));
    trial.end().was(&json!({"code": 137, "signal": "KILL"}));
}

fn cannot_run() {
    let fails = |argv: &[&str], change: Value, code: i32, permanent: bool, reason: &str| {
        let trial = Trial::command(argv, change);
        let ended = trial.end();
        ended.was(&json!({"code": code, "failed": true}));
        assert_eq!(ended.exit["permanent"].as_bool().unwrap_or(false), permanent, "{argv:?}");
        let said = ended.exit["reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason), "{said:?} does not say {reason:?}");
    };
    fails(&["nope"], none(), 127, true, "command not found in the image: \"nope\"");
    fails(&["/no/such"], none(), 127, true, "command not found in the image: \"/no/such\"");
    fails(&["text"], none(), 126, true, "mode 644");
    fails(&["/bin"], none(), 126, true, "is a directory");
    fails(&["foreign"], none(), 126, true, "not a program for this machine");
    fails(&["true"], spec(json!({"user": "nobody"})), 125, true, "not found in the image's");
    fails(&["true"], spec(json!({"workdir": "/proc/self"})), 125, true, "/proc");
    fails(&["true"], spec(json!({"cap_add": ["NOPE"]})), 125, true, "no such capability");
    fails(&["true"], json!({"layers": ["/no/such/layer"]}), 125, false, "/no/such/layer");
    fails(&["true"], json!({"netns_fd": 99}), 125, false, "join network namespace");
    fails(&["true"], json!({"cgroup_parent": "../x"}), 125, true, "must be absolute");
}

fn users() {
    let script = "id -u; id -g; id -G; echo $HOME; sleep 100";
    let trial = Trial::script(script, spec(json!({"user": "web"})));
    let (mut talk, _) = trial.running();
    assert_eq!(
        talk.exec(&["sh", "-c", "id -u; id -g; id -G"], 5000),
        (0, "1000\n1001\n1001 50\n".into())
    );
    talk.say(&json!({"kill": true}));
    let ended = trial.end();
    ended.said("stdout 1000").said("stdout 1001").said("stdout 1001 50").said("stdout /srv/web");
    check("id -u; id -g", spec(json!({"user": "7:staff"})), none(), &["stdout 7", "stdout 50"]);
    check("id -u; echo $HOME", none(), none(), &["stdout 0", "stdout /root"]);
}

fn surroundings() {
    let change = spec(json!({
        "env": {"A": "b c", "SERVICE": "lies"}, "workdir": "/made/here", "port": 8080,
    }));
    let script = "pwd; hostname; env; cat /etc/hosts /etc/hostname /etc/resolv.conf; \
                  touch /etc/hosts || echo ro; ls /proc/self/fd | wc -l";
    let lines = [
        "stdout /made/here",
        "stdout trial-0",
        "stdout A=b c",
        "stdout SERVICE=trial",
        "stdout PORT=8080",
        "stdout HOME=/root",
        "stdout PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "stdout 127.0.0.1 localhost",
        "stdout nameserver 127.0.0.1",
        "stdout ro",
        // 0, 1, 2 and the one `ls` reads with.
        "stdout 4",
    ];
    let ended = check(script, change, json!({"code": 0}), &lines);
    let id = ended.log.iter().filter(|line| line.starts_with("stdout INSTANCE_ID=t-")).count();
    assert_eq!(id, 1);
    assert!(!ended.log.iter().any(|line| line.contains("lies")));
}

fn limits() {
    let trial = Trial::script(
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
        /sys/fs/cgroup/memory.max; sleep 100",
        none(),
    );
    let (mut talk, news) = trial.running();
    assert_eq!(news["warnings"], json!([]), "this machine gives everything");
    let mut seen = Vec::new();
    for dir in cgroups(&trial.id) {
        for (file, limit) in [
            ("memory.limit_in_bytes", "67108864"),
            ("memory.max", "67108864"),
            ("memory.memsw.limit_in_bytes", "67108864"),
            ("memory.swap.max", "0"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpu.max", "50000 100000"),
            ("pids.max", "64"),
        ] {
            if let Ok(text) = fs::read_to_string(dir.join(file)) {
                assert_eq!(text.trim(), limit, "{file}");
                seen.push(file.split('.').next());
            }
        }
    }
    for controller in ["cpu", "memory", "pids"] {
        assert!(seen.contains(&Some(controller)), "{controller}: {seen:?}");
    }
    // Further commands are counted with the program.
    let (code, own) = talk.exec(&["sh", "-c", "cat /proc/self/cgroup"], 5000);
    assert_eq!(code, 0);
    let outside: Vec<&str> = own.lines().filter(|line| !line.ends_with(":/")).collect();
    let joined = |line: &&str| line.contains(":memory:") || line.contains(":pids:");
    assert!(!outside.iter().any(joined), "not in the container's cgroup: {own}");
    talk.say(&json!({"kill": true}));
    trial.end().said("stdout 67108864");
    // More than the limit of processes cannot be.
    let forks = "for i in $(seq 30); do sleep 1 & done; echo all";
    let ended = Trial::script(forks, spec(json!({"pids": 8}))).end();
    assert!(ended.log.iter().any(|line| line.contains("fork")), "{:?}", ended.log);
}

fn confined() {
    // Not by a shell, which has signals of its own to ignore.
    const STATUS: [&str; 2] = ["cat", "/proc/self/status"];
    let trial = Trial::script("sleep 100", none());
    let (mut talk, _) = trial.running();
    let short = "00000000000405fb";
    let facts = [
        ("Seccomp:", "2"),
        ("NoNewPrivs:", "1"),
        ("SigIgn:", "0000000000000000"),
        ("SigBlk:", "0000000000000000"),
        ("CapInh:", "0000000000000000"),
        ("CapPrm:", short),
        ("CapEff:", short),
        ("CapBnd:", short),
        ("CapAmb:", "0000000000000000"),
    ];
    let (code, beside) = talk.exec(&["tail", "-n", "30", "/proc/self/status"], 5000);
    talk.say(&json!({"kill": true}));
    trial.end();
    let ended = Trial::command(&STATUS, none()).end();
    for (name, value) in facts {
        let line = format!("{name}\t{value}");
        assert!(code == 0 && beside.lines().any(|have| have == line), "{line}? {beside}");
        ended.said(&format!("stdout {line}"));
    }
    let core = "stdout Max core file size 0 0 bytes";
    check("echo $(grep core /proc/self/limits)", none(), none(), &[core]);
    let none_left = "stdout CapBnd:\t0000000000000001";
    let dropped = spec(json!({"cap_drop": ["ALL"], "cap_add": ["CHOWN"]}));
    Trial::command(&STATUS, dropped).end().said(none_left);
    let user = spec(json!({"user": "1000"}));
    Trial::command(&STATUS, user).end().said("stdout CapEff:\t0000000000000000");
    // What the server does not have itself it cannot give, and says so.
    let trial = Trial::script("sleep 100", spec(json!({"cap_add": ["ALL"]})));
    let (mut talk, news) = trial.running();
    let held = fs::read_to_string("/proc/self/status").expect("our status");
    let held = held.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).expect("a set");
    let held = u64::from_str_radix(held, 16).expect("a number");
    let missing = (0..41).filter(|cap| held & (1 << cap) == 0).count();
    let warnings = news["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let about = warnings.filter(|text| text.starts_with("capability"));
    assert_eq!(about.count(), missing, "{news}");
    talk.say(&json!({"kill": true}));
    trial.end();
}

fn out_of_reach() {
    let lines = [
        "stderr mount: permission denied (are you root?)",
        "stdout sysrq",
        "stdout proc",
        "stdout sys",
        "stdout cgroup",
        "stdout kcore 0",
    ];
    let script = "mount -t tmpfs none /tmp; \
                  touch /proc/sysrq-trigger || echo sysrq; \
                  echo 1 >/proc/sys/kernel/panic || echo proc; \
                  mkdir /sys/x || echo sys; \
                  mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x || echo cgroup; \
                  echo kcore $(head -c 4 /proc/kcore | wc -c)";
    check(script, none(), json!({"code": 0}), &lines);
    // A granted capability opens its calls.
    let admin = spec(json!({"cap_add": ["SYS_ADMIN"]}));
    check("mount -t tmpfs none /tmp && echo mounted", admin, none(), &["stdout mounted"]);
}

fn read_only() {
    let script = "touch /x || echo kept; touch /dev/shm/x && echo shm";
    check(script, spec(json!({"read_only": true})), none(), &["stdout kept", "stdout shm"]);
    let bare = json!({"rootfs": root(), "layers": []});
    check("touch /new && echo made", bare, none(), &["stdout made"]);
    assert!(!root().join("new").exists(), "the image's directory was written to");
    check("touch /etc/passwd && mkdir /bin/x && echo made", none(), none(), &["stdout made"]);
    assert!(!root().join("bin/x").exists(), "a layer was written to");
}

fn commands() {
    let trial = Trial::script("sleep 100", none());
    let (mut talk, _) = trial.running();
    let told = |text: &str| text.to_owned();
    assert_eq!(talk.exec(&["sh", "-c", "echo a; echo b >&2; exit 4"], 5000).0, 4);
    assert_eq!(talk.exec(&["echo", "a b"], 5000), (0, told("a b\n")));
    let (code, output) = talk.exec(&["nope"], 5000);
    assert_eq!((code, output), (127, told("command not found in the image: \"nope\"")));
    let (code, output) = talk.exec(&["sh", "-c", "yes | head -c 100000; echo"], 5000);
    assert_eq!((code, output.len()), (0, 1024));
    let began = Instant::now();
    let (code, output) = talk.exec(&["sh", "-c", "sleep 50; true"], 200);
    assert_eq!((code, output), (137, told("did not end within 200 ms")));
    assert!(began.elapsed().as_secs() < 10);
    // What it left in the background is nobody's reason to wait.
    let (code, _) = talk.exec(&["sh", "-c", "sleep 50 & exit 6"], 5000);
    assert_eq!(code, 6);
    talk.say(&json!({"kill": true}));
    trial.end().was(&json!({"code": 137}));
}

fn reaped() {
    let trial = Trial::script("sleep 100 & sleep 100", none());
    let (mut talk, _) = trial.running();
    let ended = trial.die_and_reap();
    ended.was(&json!({"code": 137, "signal": "KILL", "oom": false, "reason": "shim died"}));
    assert_eq!(talk.hear(), Value::Null, "the connection must end with the shim");
    // Where there is an exit file it is believed.
    let trial = Trial::script("exit 4", none());
    let dir = trial.dir.path().to_str().expect("a plain path").to_owned();
    let (mut talk, _) = trial.running();
    talk.until("state", "exited");
    while !talk.hear().is_null() {}
    let again = crate::trial::shim(&["--reap", &dir]).status().expect("the reaper");
    assert!(again.success());
    let again = crate::trial::shim(&[&dir]).status().expect("a second shim");
    assert!(again.success());
    trial.end().was(&json!({"code": 4, "reason": null}));
}

fn killed_while_starting() {
    for delay_us in (0..30_000).step_by(1500) {
        let trial = Trial::script("sleep 100", none());
        let began = Instant::now();
        while began.elapsed().as_micros() < delay_us {
            std::hint::spin_loop();
        }
        trial.die_and_reap().was(&json!({"code": 137}));
    }
}

fn rotation() {
    let change = spec(json!({"log_size_bytes": 4096, "log_files": 3}));
    let trial = Trial::script("seq 100000 100999; sleep 100", change);
    let (mut talk, _) = trial.running();
    line_of(&mut talk, &trial, "stdout 100999");
    let kept: Vec<String> =
        ["log.2", "log.1", "log"].iter().flat_map(|name| log(trial.dir.path(), name)).collect();
    let first: usize = kept[0]["stdout ".len()..].parse().expect("a number");
    assert_eq!(kept.len(), 101_000 - first, "a line is missing");
    let names = fs::read_dir(trial.dir.path()).expect("a directory").flatten();
    let logs = names.filter(|entry| entry.file_name().to_string_lossy().starts_with("log"));
    assert_eq!(logs.count(), 3);
    talk.say(&json!({"kill": true}));
    trial.end();
}

fn many_layers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut layers = vec![root().to_owned()];
    for number in 0..126 {
        let layer = dir.path().join(format!("{number:0>64}/fs, strange: name"));
        fs::create_dir_all(layer.join("layers")).expect("a layer");
        fs::write(layer.join(format!("layers/{number}")), "").expect("a file");
        fs::write(layer.join("top"), format!("{number}\n")).expect("a file");
        layers.push(layer);
    }
    let lines = ["stdout 126", "stdout 125"];
    check("ls /layers | wc -l; cat /top", json!({"layers": layers}), none(), &lines);
}

fn sigpipe() {
    check("yes | head -n 1", none(), json!({"code": 0}), &["stdout y"]);
}

fn talk() {
    let trial = Trial::script("sleep 100", none());
    let (mut one, _) = trial.running();
    let (mut two, news) = trial.running();
    assert!(news["pid"].as_i64() > Some(1) && news["started_ms"].as_u64() > Some(0), "{news}");
    for line in [json!({"nope": 1}), json!({"signal": "NOPE"}), json!({"kill": false}), json!([])] {
        one.say(&line);
        let answer = one.hear();
        assert!(answer["error"].is_string(), "{line} was answered {answer}");
    }
    one.say(&json!({"n": 5, "exec": {"argv": [], "timeout_ms": 1}}));
    let answer = one.hear();
    assert_eq!((&answer["n"], &answer["error"]), (&json!(5), &json!("exec needs a command")));
    one.say(&json!({"kill": true}));
    two.until("state", "exited");
    one.until("state", "exited");
    assert_eq!((one.hear(), two.hear()), (Value::Null, Value::Null));
    assert!(cgroups(&trial.id).is_empty(), "told before all was gone");
    trial.end();

    let trial = Trial::command(&["nope"], none());
    let news = trial.connect().hear();
    let states = [json!("starting"), json!("failed")];
    assert!(states.contains(&news["state"]), "{news}");
    trial.end();
}

fn image_config() {
    let image = json!({"config": {
        "Entrypoint": ["sh", "-c"], "Cmd": ["echo $FROM; pwd; id -u; sleep 100"],
        "Env": ["FROM=image"], "WorkingDir": "/srv", "User": "web", "StopSignal": "SIGKILL",
        "ExposedPorts": {"80/tcp": {}},
    }});
    let change = json!({"image_config": image, "spec": {"command": null}});
    let trial = Trial::script("", change);
    let (mut talk, _) = trial.running();
    line_of(&mut talk, &trial, "stdout 1000");
    talk.say(&json!({"stop": {}}));
    let ended = trial.end();
    ended.said("stdout image").said("stdout /srv").was(&json!({"signal": "KILL"}));
}

fn swept() {
    let (keep, lose) = (Trial::script("sleep 100", none()), Trial::script("sleep 100", none()));
    let (mut talk, _) = keep.running();
    let (mut lost, _) = lose.running();
    let parent = crate::trial::cgroup_parent();
    let output = crate::trial::shim(&["--sweep", &parent, &keep.id]).output().expect("the sweeper");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{}\n", lose.id));
    lost.until("state", "exited");
    assert_eq!(talk.exec(&["true"], 5000).0, 0);
    talk.say(&json!({"kill": true}));
    keep.end();
    lose.end().was(&json!({"code": 137, "oom": false}));
}

fn own_network() {
    let script = "cat /proc/net/dev /proc/sys/net/ipv4/ip_unprivileged_port_start";
    let ended = crate::trial::in_new_network(script).end();
    let devices = ended.log.iter().filter(|line| line.contains(':')).count();
    assert_eq!(devices, 1, "only lo: {:?}", ended.log);
    ended.said("stdout 0").was(&json!({"code": 0}));
}

fn no_instance() {
    let parent = tempfile::tempdir().expect("a directory");
    let absent = parent.path().join("absent");
    for (dir, what) in [(&absent, "absent"), (&parent.path().to_owned(), "shim.json")] {
        let path = dir.to_str().expect("a plain path");
        for words in [&[path][..], &["--reap", path]] {
            let output = crate::trial::shim(words).output().expect("the shim");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
            assert!(said.contains(&format!("{what}\" is not there: ")), "{said}");
        }
    }
    let made: Vec<_> = fs::read_dir(parent.path()).expect("the directory").flatten().collect();
    assert!(made.is_empty(), "{made:?}");
}

fn alone_in_its_cgroup() {
    let trial = Trial::command(&["sleep", "100"], none());
    let (mut talk, news) = trial.running();
    let dirs = cgroups(&trial.id);
    assert!(!dirs.is_empty());
    for dir in dirs {
        // The maker goes out of version 1 before the program runs, and ends with the news of it.
        let pids = || fs::read_to_string(dir.join("cgroup.procs")).expect("its processes");
        let own = news["pid"].to_string();
        pids().lines().filter(|pid| *pid != own).for_each(until_ended);
        assert_eq!(pids(), format!("{own}\n"), "{}", dir.display());
    }
    talk.say(&json!({"kill": true}));
    trial.end();
}

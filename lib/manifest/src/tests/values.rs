//! One directive a case: what its words come to.

use super::{manifest, outcome};
use crate::kinds::Update;
use crate::parse::{parse, parse_whole};
use crate::print::print;

/// A manifest with an image, a port and this line: the canonical lines it adds, or its problems
/// without `line 3, `.
#[track_caller]
fn check(line: &str, wanted: &str) {
    check_of(&parse("web", &format!("image app\nport 80\n{line}\n")), line, wanted);
}

/// As [`check`], with keys that do not take effect yet.
#[track_caller]
fn check_later(line: &str, wanted: &str) {
    check_of(&parse_whole("web", &format!("image app\nport 80\n{line}\n")), line, wanted);
}

#[track_caller]
fn check_of(parsed: &crate::Parsed, line: &str, wanted: &str) {
    let got = outcome(parsed).replace("line 3, ", "").replacen("port 80\n", "", 1);
    assert_eq!(got.trim_end(), wanted, "{line}");
}

#[test]
fn numbers_have_ranges() {
    check("replicas 0", "replicas 0");
    check("replicas 1", "");
    check("replicas 003", "replicas 3");
    check(
        "replicas 1001",
        r#"column 10: replicas: "1001" is out of range; write 0 to 1000 instances"#,
    );
    check("replicas -1", r#"column 10: replicas: "-1" is not a number; write 0 to 1000 instances"#);
    check("replicas +1", r#"column 10: replicas: "+1" is not a number; write 0 to 1000 instances"#);
    check("pids 0", r#"column 6: pids: "0" is out of range; write 1 to 4194304 processes"#);
    check("pids 64", "pids 64");
    check("health_retries 5", "health_retries 5");
    check("log_lines 0", "log_lines 0");
}

#[test]
fn a_port_is_of_tcp() {
    let parsed = parse("web", "image app\nport 65536");
    let wanted =
        r#"line 2, column 6: port: "65536" is out of range; write 1 to 65535 (a TCP port)"#;
    assert_eq!(outcome(&parsed).trim_end(), wanted);
}

#[test]
fn restarts_are_as_many_as_fit_into_their_window() {
    check("max_restarts 9", "max_restarts 9");
    check("max_restarts 0", "max_restarts 0");
    check(
        "max_restarts 10",
        "column 14: max_restarts: \"10\" is out of range; write 0 to 9 restarts (the \
             waits before more of them do not fit into 60 s)",
    );
}

#[test]
fn cores_and_memory_have_floors() {
    check("cpu 0.5", "cpu 0.5");
    check("cpu 0.250", "");
    check("cpu 0.001", "column 5: cpu: 0.001 cores are too few; write at least 0.01");
    check("cpu 250m", r#"column 5: cpu: "250m" is not a number of cores; write 0.25 or 2"#);
    check("memory 512Mi", "memory 512Mi");
    check("memory 256000K", "");
    check("memory 6M", "memory 6M");
    check(
        "memory 256",
        "column 8: memory: a size of 256 is out of range; write 6M to 1024Ti (bytes)",
    );
    check(
        "memory 512MB",
        r#"column 8: memory: "512MB" is not a size; write 64K, 64M, 1.5G, 512Ki, 512Mi or bytes"#,
    );
}

#[test]
fn times_are_seconds_or_have_units() {
    check("stop_timeout 1m30s", "stop_timeout 90");
    check("stop_timeout 10s", "");
    check("update_pause 500ms", "update_pause 500ms");
    check("update_pause 0", "");
    check(
        "health_deadline 0.5",
        "column 17: health_deadline: a time of 500ms is out of range; write 1 to 86400 (seconds)",
    );
    check("stop_timeout 25h", r#"column 14: stop_timeout: "25h" is too large; the most is a day"#);
}

#[test]
fn a_command_is_words() {
    check("command /bin/app -v", "command /bin/app -v");
    check("command ''", "column 9: command: the first word is empty; name a program");
    check("command", "column 1: command: a word is missing; write command PROGRAM [WORD…]");
}

#[test]
fn users_and_directories_are_checked() {
    check("user 1000", "user 1000");
    check("user app:staff", "user app:staff");
    check(
        "user 4294967295",
        r#"column 6: user: "4294967295" is not a user; write NAME, NUMBER or USER:GROUP"#,
    );
    check("user a:", r#"column 6: user: "a:" is not a user; write NAME, NUMBER or USER:GROUP"#);
    check("workdir /srv", "workdir /srv");
    check(
        "workdir srv",
        r#"column 9: workdir: "srv" is not an absolute path; begin it with / and leave .. out"#,
    );
}

#[test]
fn variables_have_names_stand_once_and_are_not_deploys_own() {
    check("env A=", "env A=");
    check("env A=b=c", "env A=b=c");
    check(
        "env A=1\nenv A=2",
        r#"line 4, column 5: env: "A" stands twice, first on line 3; remove one"#,
    );
    check("env A", r#"column 5: env: "A" has no =; write KEY=VALUE"#);
    check("env A =b", r#"column 5: env: "A" has no =; write KEY=VALUE"#);
    check(
        "env 1A=b",
        "column 5: env: \"1A\" is not a variable's name; use A-Z, a-z, 0-9 and _, not \
             beginning with a digit",
    );
    check(
        "env PORT=1",
        "column 5: env: PORT is given by deploy itself; write port NUMBER instead; remove the line",
    );
}

#[test]
fn health_has_four_kinds() {
    check("health http /ready", "health http /ready");
    check("health http /ready 80", "health http /ready");
    check("health http /ready 81", "health http /ready 81");
    check("health tcp", "");
    check("health tcp 81", "health tcp 81");
    check("health exec pg_isready -q", "health exec pg_isready -q");
    check(
        "health exec",
        "column 8: health: a word is missing; write health http PATH [PORT] | tcp \
             [PORT] | exec WORD… | file PATH",
    );
    check("health htpp /", r#"column 8: health: "htpp" is not known; did you mean http?"#);
    check(
        "health http ready",
        "column 13: health: \"ready\" is not a request's path; begin it with / and \
             write blanks and the like as %20",
    );
}

#[test]
fn a_bare_path_of_health_is_a_file() {
    let warning = "warning: column 1: health: /ready is a file in the instance; for a request \
                   write health http /ready\n";
    check("health /ready", &format!("{warning}health file /ready"));
    check("health file /ready", &format!("{warning}health file /ready"));
    check(
        "health /a/../b",
        r#"column 8: health: "/a/../b" is not an absolute path; begin it with / and leave .. out"#,
    );
}

#[test]
fn restart_update_and_network_are_words() {
    check("restart on-failure", "restart on-failure");
    check(
        "restart on_failure",
        r#"column 9: restart: "on_failure" is not known; did you mean on-failure?"#,
    );
    check("update replace", "update replace");
    check("update_failure rollback", "update_failure rollback");
    check("update_failure pause", "update_failure pause");
    check("validate 5m", "validate 300");
    check("validate 0", "validate 0");
    check(
        "validate 0.5",
        "column 10: validate: a time of 500ms is out of range; write 0, or 1 to 86400 (seconds)",
    );
    check("network host", "network host");
    check("read_only", "read_only on");
    check("read_only off", "");
}

#[test]
fn a_batch_is_a_number_or_a_part() {
    check("update_batch 25%", "update_batch 25%");
    check("update_batch 2", "update_batch 2");
    for wrong in ["0", "0%", "101%", "1001", "%", "+1", "x"] {
        check(
            &format!("update_batch {wrong}"),
            &format!(
                "column 14: update_batch: \"{wrong}\" is not a batch; write 1 to 1000 \
                     instances, or 1% to 100%"
            ),
        );
    }
}

#[test]
fn signals_and_capabilities_are_the_kernels() {
    check("stop_signal SIGQUIT", "stop_signal QUIT");
    check("stop_signal int", "stop_signal INT");
    check(
        "stop_signal STOP",
        "column 13: stop_signal: \"STOP\" is not a signal; write one of TERM, INT, \
             QUIT, HUP, KILL, USR1, USR2, ABRT, ALRM, CONT, WINCH, PIPE, IO, PWR",
    );
    check("cap_add cap_net_raw CHOWN\ncap_add CHOWN", "cap_add CHOWN NET_RAW");
    check("cap_drop ALL", "cap_drop ALL");
    check(
        "cap_add FLY",
        "column 9: cap_add: \"FLY\" is not a capability; write a name of \
             capabilities(7) such as NET_BIND_SERVICE, or ALL",
    );
}

#[test]
fn a_log_has_a_size_and_a_number_of_files() {
    check("log_size 1M", "log_size 1M 5");
    check("log_size 10M 5", "");
    check("log_size 20M 2", "log_size 20M 2");
    check(
        "log_size 1K",
        "column 10: log_size: a size of 1K is out of range; write 64K to 1024Ti (bytes)",
    );
}

#[test]
fn what_is_not_supported_yet_says_so_and_is_checked_all_the_same() {
    let text = "not yet supported by this version of deploy";
    check(
        "update canary 2",
        &format!("column 8: update: canary is {text}; write rolling or replace"),
    );
    check(
        "update blue-green",
        &format!("column 8: update: blue-green is {text}; write rolling or replace"),
    );
}

#[test]
fn routes_are_hosts_and_paths_or_ports() {
    check("route App.Example.com / websocket", "route app.example.com / websocket");
    check("route *.example.com /api", "route *.example.com /api");
    check("route * /api/", "route * /api");
    for (path, what, is) in [
        ("//", "an empty segment", "/"),
        ("/a//b", "an empty segment", "/a//b"),
        ("/a/../b", "..", "/a/../b"),
        ("/./a", ".", "/./a"),
        ("/a/..", "..", "/a/.."),
    ] {
        let warning = format!(
            "warning: column 9: route: \"{path}\" has {what}, and only requests that say it so are \
             served by it; leave it out\n"
        );
        check(&format!("route * {path}"), &format!("{warning}route * {is}"));
    }
    check("route * /...a/.b/", "route * /...a/.b");
    check("route tcp 5432", "route tcp 5432");
    check(
        "route a_b /",
        "column 7: route: \"a_b\" is not a host; write a name such as app.example.com, \
             *.example.com or *",
    );
    check("route * api", r#"column 9: route: "api" is not a path prefix; begin it with /"#);
    check(
        "route * /\nroute * /",
        r#"line 4, column 9: route: "* /" stands twice, first on line 3; remove one"#,
    );
}

#[test]
fn volumes_are_named_or_of_the_machine() {
    check("volume data //data/./a/", "volume data /data/a");
    check(
        "volume data /a\nvolume data /b",
        r#"line 4, column 13: volume: "data" stands twice, first on line 3; remove one"#,
    );
    for path in ["/", "/etc/", "/proc/x", "/dev/shm", "/config", "/secret/a"] {
        let parsed = parse("web", &format!("image app\nport 80\nvolume data {path}\n"));
        let told = outcome(&parsed);
        assert!(told.contains("choose another path"), "{path}: {told}");
    }
    check(
        "volume data /etc/app\nvolume b /development",
        "volume b /development\nvolume data /etc/app",
    );
    check("volume data /data ephemeral 1Gi", "volume data /data ephemeral 1Gi");
    check("volume host:/srv /srv ro", "volume host:/srv /srv ro");
    check("volume host:/ /m", "volume host:/ /m");
    check(
        "volume data /data ro",
        r#"column 19: volume: "ro" is not a size; write 64K, 64M, 1.5G, 512Ki, 512Mi or bytes"#,
    );
    check(
        "volume a /d\nvolume b /d",
        r#"line 4, column 10: volume: "/d" stands twice, first on line 3; remove one"#,
    );
}

#[test]
fn a_volume_that_is_not_shared_has_one_writer_and_is_updated_by_replacing() {
    check(
        "volume data /d\nreplicas 2",
        "column 1: volume: data has one writer, and replicas is 2; write replicas 1, or, if the \
         program can share it, the word shared behind its path",
    );
    check("volume data /d shared\nreplicas 2", "replicas 2\nvolume data /d shared");
    check("volume data /d ephemeral\nreplicas 2", "replicas 2\nvolume data /d ephemeral");
    let strategy = |line: &str| {
        let manifest = manifest(&format!("image app\nport 80\n{line}\n"));
        (manifest.strategy(), manifest.strategy_note())
    };
    let why = Some("volume data has one writer and is not shared".to_owned());
    assert_eq!(strategy("volume data /d"), (Update::Replace, why));
    assert_eq!(strategy("volume data /d\nupdate replace"), (Update::Replace, None));
    for line in ["volume data /d shared", "volume data /d ephemeral", "volume host:/d /d"] {
        assert_eq!(strategy(line), (Update::Rolling, None), "{line}");
    }
}

#[test]
fn secrets_configs_and_constraints_are_checked() {
    check_later("secret db.url env DB_URL", "secret db.url env DB_URL");
    check_later(
        "secret ../x",
        "column 8: secret: \"../x\" is not a file's name; use 1 to 63 of A-Z, a-z, \
             0-9, ., _ and -, not beginning with .",
    );
    check("config a.toml='x = 1'", "config 'a.toml=x = 1'");
    check_later("constraint disk!=hdd", "constraint disk!=hdd");
    check_later("constraint spread zone", "constraint spread zone");
    check_later("constraint anti-affinity db", "constraint anti-affinity db");
    check_later(
        "constraint 'a b=c'",
        "column 12: constraint: \"a b=c\" is not of labels and values; use 1 to 63 of \
             A-Z, a-z, 0-9, ., _, / and -",
    );
}

#[test]
fn where_an_image_is_made_and_how_is_any_directory_and_a_command_in_it() {
    for line in ["source ../app", "source .", "source '/srv/my app'", "build sh -c 'make x'"] {
        let printed = print(&manifest(&format!("image app:1\n{line}\n")));
        assert_eq!(printed, format!("name web\nimage app:1\n{line}\n"));
    }
    check("source ''", "column 8: source: \"\" is no path; write a directory, as . or ../app");
    check("build", "column 1: build: a word is missing; write build PROGRAM [WORD…]");
}

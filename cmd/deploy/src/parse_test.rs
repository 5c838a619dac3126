//! Command lines, and what is made of them.

use super::parse;

#[track_caller]
fn check(line: &str, want: &str) {
    let words = line.split_whitespace().map(std::ffi::OsString::from);
    let got = match parse(words) {
        Err(why) => why.to_string(),
        Ok(c) => {
            let mut said = vec![c.verb.map_or("-", |verb| verb.name).to_string()];
            said.extend(c.words.iter().cloned());
            said.extend(c.address.iter().map(|a| format!("at={a}")));
            said.extend(c.files.iter().map(|f| format!("file={}", f.display())));
            said.extend(c.timeout.iter().map(|t| format!("timeout={t:?}")));
            said.extend(c.since.iter().map(|t| format!("since={t:?}")));
            said.extend(c.wait_lock.iter().map(|t| format!("wait-lock={t:?}")));
            said.extend(c.message.iter().map(|m| format!("message={m}")));
            let switches = [
                ("json", c.json),
                ("quiet", c.quiet),
                ("help", c.help),
                ("version", c.version),
                ("detach", c.detach),
                ("exit-code", c.exit_code),
                ("force", c.force),
                ("supersede", c.supersede),
                ("follow", c.follow),
                ("long", c.long),
            ];
            said.extend(switches.iter().filter(|(_, on)| *on).map(|(word, _)| word.to_string()));
            said.join(" ")
        }
    };
    assert_eq!(got, want, "of {line:?}");
}

#[test]
fn flags_stand_before_or_after_the_verb() {
    check("-a unix!/x --json status", "status at=unix!/x json");
    check("status -a unix!/x web", "status web at=unix!/x");
    check("-q apply web api", "apply web api quiet");
}

#[test]
fn f_is_a_file_of_apply_and_follows_events() {
    check("apply -f a -f b", "apply file=a file=b");
    check("plan -fweb --exit-code", "plan file=web exit-code");
    check("events -f web", "events web follow");
    check("logs -f --since 5m web/0", "logs web/0 since=300s follow");
}

#[test]
fn times_are_read_with_their_unit() {
    check("wait web --timeout 30s", "wait web timeout=30s");
    check("wait web --timeout=1m30s", "wait web timeout=90s");
    check(
        "wait web --timeout soon",
        "\"soon\" is not a time; write seconds (10, 0.5), 500ms, 1m30s or 2h",
    );
}

#[test]
fn a_lock_is_waited_for_with_a_time_or_without() {
    check("apply -f a --wait-lock web", "apply web file=a wait-lock=None");
    check("apply -f a --wait-lock=5m", "apply file=a wait-lock=Some(300s)");
    check(
        "apply --wait-lock=soon",
        "\"soon\" is not a time; write seconds (10, 0.5), 500ms, 1m30s or 2h",
    );
    check("apply -f a -m why --force --supersede", "apply file=a message=why force supersede");
    let usages = crate::flag::WAIT_LOCK.usage();
    assert_eq!(usages, "--wait-lock[=TIME]");
}

#[test]
fn an_unknown_verb_or_flag_names_the_nearest() {
    check("aply web", "unknown verb \"aply\", did you mean apply?; deploy help shows them all");
    check("down", "unknown verb \"down\", did you mean deployfs down?; deploy help shows them all");
    check("exec web", "unknown verb \"exec\"; deploy help shows them all");
    check(
        "apply --detatch",
        "unknown flag --detatch, did you mean --detach?; see: deploy help apply",
    );
    check("status -x", "unknown flag -x; see: deploy help status");
    check("--verison", "unknown flag --verison, did you mean --version?; see: deploy help");
}

#[test]
fn words_are_counted() {
    check("", "no verb: say what to do; deploy help shows the verbs");
    check("pause", "too few words; say: deploy pause SERVICE…");
    check("scale web", "too few words; say: deploy scale SERVICE N");
    check("rollback web v1 v2", "too many words; say: deploy rollback SERVICE [VERSION]");
    check("images web", "too many words; say: deploy images");
}

#[test]
fn a_name_that_no_service_can_have_is_refused_here() {
    check("stop ../x", "\"../x\" is not a name; use 1 to 40 of a-z, 0-9 and, inside, -");
    check("scale web many", "\"many\" is not a number of instances: 0 to 1000");
    check("scale web -17", "-1… is no flag, and no number here is below 0");
    check("scale web 1000", "scale web 1000");
    check("scale web 1001", "\"1001\" is not a number of instances: 0 to 1000");
}

#[test]
fn what_is_repeated_of_a_word_has_an_end() {
    let long = "x".repeat(10_000);
    for line in [long.clone(), format!("--{long}"), format!("scale web {long}")] {
        let why = parse(line.split(' ').map(std::ffi::OsString::from)).unwrap_err().to_string();
        assert!(why.len() < 200 && why.contains("xxx…"), "{why}");
    }
}

#[test]
fn help_and_version_ask_for_no_words() {
    check("--version", "- version");
    check("-V", "- version");
    check("scale --version", "scale version");
    check("--help", "- help");
    check("scale --help", "scale help");
    check("write ctl gc -- -x", "write ctl gc -x");
}

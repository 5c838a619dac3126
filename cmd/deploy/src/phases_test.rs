//! What a deploy prints: scripts of what the server tells, and what must come of each line.
//!
//! `web: TEXT` is an event of web, `web = LINE` its outcome, `web accepted` the taken verb, and
//! `+ MS` lets time pass; a `> ` line is what is printed for it.

use crate::fact::Fact;
use crate::going::Going;
use crate::json::Json;
use crate::news::{News, Report};
use crate::outcome::Outcome;
use crate::past::Past;
use crate::plain::Plain;
use crate::verb::Is;

const TIME: &str = "2026-11-20T12:34:05Z";

fn report(asked: Is, line: &str) -> Report {
    let (service, news) = match line.split_once([':', ' ']) {
        Some((service, "accepted")) => (service, News::Accepted),
        Some((service, rest)) => match rest.trim().strip_prefix("= ") {
            Some(outcome) => (service, News::Ended(Outcome::read(outcome).unwrap(), None)),
            None => (service, told(rest.trim())),
        },
        None => panic!("{line:?} is no line of a script"),
    };
    Report { service: service.to_string(), asked, news }
}

fn told(text: &str) -> News {
    let time = TIME.to_string();
    let fact = Fact::read(text);
    let Fact::Began(began) = fact else { return News::Told { time, fact } };
    let digest = format!("sha256:ab12{}", "0".repeat(60));
    let head = format!("# version ab12cd34ef56 {}\n# image {digest}\n", began.to);
    let past = Past::read(format!("{head}image app:1.9\nreplicas 4\n"));
    let before = began.from.as_ref().and_then(|_| past.manifest("web"));
    News::Going { time, going: Going::new("web", began, Some(&past), before.as_ref(), None) }
}

/// Runs a script and writes down what was printed after each line.
fn run(script: &str, mut take: impl FnMut(&str) -> Vec<String>) -> String {
    let mut got = String::new();
    for line in script.lines().filter(|line| !line.starts_with('>')) {
        got.push_str(&format!("{line}\n"));
        take(line).iter().for_each(|said| got.push_str(&format!("> {said}\n")));
    }
    got
}

#[track_caller]
fn check_plain(asked: Is, several: bool, script: &str) {
    check_lines(Plain::new(several, false), asked, script);
}

#[track_caller]
fn check_lines(mut plain: Plain, asked: Is, script: &str) {
    let mut now_ms = 0;
    let got = run(script, |line| {
        let says = match line.strip_prefix("+ ") {
            Some(ms) => {
                now_ms += ms.parse::<u64>().unwrap();
                plain.lapse(now_ms)
            }
            None => plain.take(now_ms, &report(asked, line)),
        };
        says.into_iter().map(|say| say.text).collect()
    });
    assert_eq!(got, script);
}

#[track_caller]
fn check_json(asked: Is, script: &str) {
    let mut json = Json::default();
    let got = run(script, |line| {
        let value = json.take(&report(asked, line));
        value
            .iter()
            .map(|value| value.to_string().replace(&format!("\"time\":\"{TIME}\","), ""))
            .collect()
    });
    assert_eq!(got, script);
}

#[test]
fn a_rolling_update_is_a_header_a_line_a_fact_and_how_to_undo_it() {
    check_plain(
        Is::Apply,
        false,
        "\
web accepted
web: pulling app:1.9
web: rolling update started v7→v8
> web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 1, never fewer than 4
web: pulling image of v8 sha256:ab12
web: 4: scheduled on node-2
>   web: scheduled on node-2
web: 4: starting
web: 4: healthy (0.2s)
>   web: healthy (0.2s)
web: 0: old instance stopped
>   web: old instance stopped
web = done update v7→v8 (0.9s)
>   deployed (0.9s)            undo: deploy rollback web
",
    );
}

#[test]
fn a_failed_deploy_shows_why_and_what_the_instance_wrote() {
    check_plain(
        Is::Apply,
        false,
        "\
web: rolling update started v7→v8
> web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 1, never fewer than 4
web: 4: scheduled on node-2
>   web: scheduled on node-2
web: 4: starting
+ 1000
>   web: starting...
web: 4: failed: health check timeout after 30s
>   web: failed: health check timeout after 30s
web: 4: last probe: connection refused
>   web/4: last probe: connection refused
web: 4: log: 2026-11-20T12:34:05.123Z stderr no config
>     2026-11-20T12:34:05.123Z stderr no config
web: 4: stopped
web = failed update v7→v8 (30.1s): health check timeout after 30s
>   deploy failed
",
    );
}

#[test]
fn a_deploy_that_was_rolled_back_has_its_own_last_line() {
    check_plain(
        Is::Apply,
        false,
        "\
web: rolling update started v7→v8
> web: v7 → v8  image app@sha256:ab12… (app:1.9)  rolling, batch 1, never fewer than 4
web: 5: failed: exited with code 1
>   web: failed: exited with code 1
web: rollback started v8→v7: exited with code 1
>   web: v8 → v7  image app@sha256:ab12… (app:1.9)  rollback, batch 1, never fewer than 4: \
exited with code 1
web: 6: healthy (0.2s)
>   web: healthy (0.2s)
web = rolled back v8→v7 (3.1s): exited with code 1
>   deploy failed, rolled back to v7 (3.1s)
",
    );
}

#[test]
fn a_pull_and_a_start_are_only_told_when_they_last() {
    check_plain(
        Is::Apply,
        false,
        "\
web: pulling app:1.9
+ 999
+ 1
>   web: pulling app:1.9
+ 5000
web: first deploy started v1
> web: v1  image app@sha256:ab12… (app:1.9)  first deploy, 4 instances
web: 0: starting
web: 1: starting
web: 0: healthy (0.3s)
>   web: healthy (0.3s)
+ 1000
>   web: starting...
",
    );
}

#[test]
fn an_image_that_is_not_there_fails_before_anything_begins() {
    check_plain(
        Is::Apply,
        false,
        "\
web: pulling app:2
web = failed: app:2: no such image
>   web: failed: app:2: no such image
>   web: deploy failed
",
    );
}

#[test]
fn services_side_by_side_each_have_their_own_last_line() {
    check_plain(
        Is::Apply,
        true,
        "\
web: 0: scheduled on node-1
>   web: scheduled on node-1
api: 0: scheduled on node-1
>   api: scheduled on node-1
web = done update v1 (1.2s)
>   web: deployed (1.2s)
api = unchanged v4
>   api: unchanged (v4)
",
    );
}

#[test]
fn services_that_are_deployed_together_are_told_as_one() {
    check_lines(
        Plain::new(false, false).together(),
        Is::Apply,
        "\
web: pulling app:1.9
>   pulling images...
api: pulling app:1.8
web: 0: scheduled on node-1
>   web: scheduled on node-1
api: 0: scheduled on node-1
>   api: scheduled on node-1
web: 0: healthy (2.0s)
>   web: healthy (2.0s)
web = done update v1 (2.0s)
api = rolled back v2→v1 (1.2s): all or none, and db: no such image
>   api: all or none, and db: no such image
>   api: deploy failed, rolled back to v1 (1.2s)
",
    );
}

#[test]
fn a_pause_by_a_failure_says_why_and_how_to_go_on() {
    check_plain(
        Is::Apply,
        false,
        "\
web: 4: failed: exited with code 1
>   web: failed: exited with code 1
web: update paused: exited with code 1
web = paused update v7→v8 (3.1s): exited with code 1
>   web: paused                     go on: deploy resume web   back: deploy rollback web
",
    );
}

#[test]
fn json_has_the_phases_and_one_end() {
    check_json(
        Is::Apply,
        "\
web accepted
> {\"service\":\"web\",\"phase\":\"started\"}
web: pulling app:1.9
> {\"service\":\"web\",\"phase\":\"pulling\",\"image\":\"app:1.9\"}
web: 3: scheduled on node-1
> {\"service\":\"web\",\"phase\":\"scheduled\",\"instance\":3,\"node\":\"node-1\"}
web: 3: starting
> {\"service\":\"web\",\"phase\":\"starting\",\"instance\":3,\"node\":\"node-1\"}
web: 3: healthy (0.2s)
> {\"service\":\"web\",\"phase\":\"healthy\",\"instance\":3,\"node\":\"node-1\",\"seconds\":0.2}
web: 0: old instance stopped
> {\"service\":\"web\",\"phase\":\"stopped\",\"instance\":0,\"old\":true}
web = done update v7→v8 (0.9s)
> {\"service\":\"web\",\"phase\":\"done\",\"outcome\":\"done\",\"what\":\"update\",\
\"from\":\"v7\",\"to\":\"v8\",\"seconds\":0.9,\"exit\":0}
",
    );
}

#[test]
fn json_says_failed_only_at_the_end_and_why() {
    check_json(
        Is::Apply,
        "\
web: 3: failed: exited with code 1
> {\"service\":\"web\",\"phase\":\"instance-failed\",\"instance\":3,\
\"reason\":\"exited with code 1\"}
web: 3: log: bad
> {\"service\":\"web\",\"phase\":\"log\",\"instance\":3,\"text\":\"bad\"}
web = rolled back v8→v7 (3.1s): exited with code 1
> {\"service\":\"web\",\"phase\":\"failed\",\"outcome\":\"rolled back\",\"from\":\"v8\",\
\"to\":\"v7\",\"seconds\":3.1,\"reason\":\"exited with code 1\",\"exit\":3}
",
    );
}

//! Keys that depend on each other, and the defaults they imply.

use super::{manifest, outcome};
use crate::kinds::{Batch, Health};
use crate::parse::parse;

/// The problems of a text with an image on its first line.
#[track_caller]
fn check(text: &str, wanted: &str) {
    let mut parsed = parse("web", &format!("image app\n{text}\n"));
    parsed.manifest = None;
    assert_eq!(outcome(&parsed).trim_end(), wanted, "{text}");
}

#[test]
fn health_over_the_network_needs_a_port() {
    let text = "health: needs a port; add the line port NUMBER, or name one after health";
    check("health http /", &format!("line 2, column 1: {text}"));
    check("health tcp", &format!("line 2, column 1: {text}"));
    check("health tcp 80", "");
    check("health http /\nport 80", "");
    check(
        "health http /\nport http",
        r#"line 3, column 6: port: "http" is not a number; write 1 to 65535 (a TCP port)"#,
    );
}

#[test]
fn without_port_and_health_it_is_said_what_healthy_means() {
    check(
        "",
        "warning: line 1, column 1: health: there is neither health nor port, so that an instance \
         counts as healthy when it has run for 1 s without an exit; add a line such as health exec \
         WORD…",
    );
    assert_eq!(manifest("image app").health, Health::Running);
    assert_eq!(manifest("image app\nport 80").health, Health::Tcp { port: None });
    assert_eq!(manifest("image app\nport 80").health_port(), Some(80));
    assert_eq!(manifest("image app\nport 80\nhealth tcp 81").health_port(), Some(81));
    assert_eq!(manifest("image app\nport 80\nhealth exec true").health_port(), None);
}

#[test]
fn probes_of_one_instance_never_overlap() {
    check(
        "port 80\nhealth_timeout 11",
        "line 3, column 1: health_timeout: 11 is longer than health_interval 10; probes would \
         overlap: write 10 or less",
    );
    check("port 80\nhealth_timeout 2\nhealth_interval 2", "");
    assert_eq!(manifest("image app\nhealth_interval 2").health_timeout_ms, 2000);
    assert_eq!(manifest("image app\nhealth_interval 20").health_timeout_ms, 5000);
}

#[test]
fn an_update_is_not_given_up_before_its_instances_can_be_healthy() {
    check(
        "port 80\nhealth_deadline 900",
        "line 3, column 1: progress_deadline: 600 is shorter than health_deadline and \
         min_healthy_time together: write 900 or more",
    );
    check("port 80\nhealth_deadline 900\nprogress_deadline 900", "");
    check(
        "port 80\nmin_healthy_time 10\nprogress_deadline 39",
        "line 4, column 1: progress_deadline: 39 is shorter than health_deadline and \
         min_healthy_time together: write 40 or more",
    );
}

#[test]
fn a_capability_is_not_both_given_and_taken() {
    check(
        "port 80\ncap_drop KILL CHOWN\ncap_add CHOWN",
        "line 3, column 1: cap_drop: CHOWN is also under cap_add; remove it from one of them",
    );
    check("port 80\ncap_drop ALL\ncap_add CHOWN", "");
}

#[test]
fn a_batch_of_percent_is_rounded_up_and_never_nothing() {
    let cases = [(25, 4, 1), (25, 5, 2), (25, 0, 1), (100, 7, 7), (1, 1000, 10)];
    for (percent, replicas, batch) in cases {
        assert_eq!(Batch::Percent(percent).of(replicas), batch, "{percent}% of {replicas}");
    }
    assert_eq!(manifest("image app\nreplicas 8\nupdate_batch 25%").batch(), 2);
}

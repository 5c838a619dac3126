//! Users who end their side of the connection when they have asked for all they want.

use std::time::Duration;

use super::rig::{Instance, Rig, soon};
use crate::access::Access;
use crate::limits::Limits;

/// Plain ones, and one that is not.
const PLAIN: &str = "GET /1 HTTP/1.1\nHost: a\n\n";
const OTHER: &str = "POST /echo HTTP/1.1\nHost: a\nContent-Length: 4\n\necho";
const WAIT: &str = "GET /wait HTTP/1.1\nHost: a\n\n";
const WAIT_LONG_WAY: &str = "GET /wait HTTP/1.1\nHost: a\nKeep-Alive: 1\n\n";

#[tokio::test]
async fn who_ends_his_side_gets_an_answer_to_all_he_has_asked_for() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for (what, requests) in [
        ("plain ones", vec![PLAIN; 5]),
        ("others", vec![OTHER; 5]),
        ("one", vec![PLAIN]),
        ("one other", vec![OTHER]),
        ("both", vec![PLAIN, OTHER, PLAIN, WAIT, OTHER]),
        ("slow ones", vec![WAIT, WAIT]),
        ("slow ones of the long way", vec![WAIT_LONG_WAY, PLAIN, WAIT_LONG_WAY]),
        ("many", vec![PLAIN; 500]),
        ("many others", vec![OTHER; 500]),
    ] {
        let mut user = rig.user().await;
        user.send(&requests.concat()).await;
        user.ends_half().await;
        for request in requests {
            let wanted = match request {
                WAIT | WAIT_LONG_WAY => {
                    soon("the request", a.came.notified()).await;
                    a.go.add_permits(1);
                    "waited at a"
                }
                OTHER => "echo",
                _ => "hello from a",
            };
            assert_eq!(user.answer().await.body, wanted, "{what}");
        }
        assert_eq!(user.rest().await, "", "{what}: the connection ends");
    }
}

#[tokio::test]
async fn who_ends_his_side_gets_the_whole_of_a_long_answer() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for way in ["", "Keep-Alive: 1\n"] {
        let mut user = rig.user().await;
        user.send(&format!("GET /chunks HTTP/1.1\nHost: a\n{way}\n")).await;
        user.ends_half().await;
        user.until("\r\n\r\n").await;
        for count in 0..3 {
            a.go.add_permits(1);
            user.until(&format!("chunk {count}\n")).await;
        }
        assert!(user.rest().await.ends_with("0\r\n\r\n"));
    }
}

#[tokio::test]
async fn who_ends_his_side_and_is_told_nothing_is_taken_for_gone_in_the_end() {
    let half_time = Duration::from_millis(300);
    let limits = Limits { workers: 1, half_time, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for request in [WAIT, WAIT_LONG_WAY] {
        let mut user = rig.user().await;
        user.send(request).await;
        user.ends_half().await;
        soon(&format!("the end of {request}"), a.given_up.notified()).await;
        assert_eq!(user.rest().await, "");
    }
    let text = crate::metrics::text(&rig.shared);
    assert!(text.contains("deploy_requests_cut_total{reason=\"stall\"} 0\n"), "{text}");
    assert!(text.contains("class=\"gone\"} 2\n"), "{text}");
}

//! Requests that wait for an instance: for how long, for whom, and what they are told.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::rig::{Instance, Rig, User, soon};
use crate::access::Access;
use crate::limits::Limits;
use crate::metrics::text;

const GET: &str = "GET / HTTP/1.1\nHost: a\n\n";

/// Users who have asked, and wait.
async fn waiting(rig: &Rig, count: usize, request: &str) -> Vec<User> {
    let mut users = Vec::new();
    for _ in 0..count {
        let mut user = rig.user().await;
        user.send(request).await;
        users.push(user);
    }
    soon("them to wait", async {
        while rig.shared.held.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
    users
}

fn refused(rig: &Rig, reason: &str) -> bool {
    let line = format!("deploy_requests_refused_total{{reason=\"{reason}\"}} 1\n");
    text(&rig.shared).contains(&line)
}

#[tokio::test]
async fn held_requests_wait_for_an_instance() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table("* / w hold=60000");
    let post = "POST /echo HTTP/1.1\nHost: a\nContent-Length: 2\n\nok";
    let mut users = waiting(&rig, 5, post).await;
    rig.table(&format!("* / w hold=60000 {}", a.line()));
    for user in &mut users {
        assert_eq!(user.answer().await.body, "ok");
    }
    assert_eq!(rig.shared.held.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_request_waits_as_long_as_the_table_says_whatever_the_drain_is() {
    let mut rig = Rig::new().await;
    for (options, held) in [("drain=1,hold=300", 300), ("hold,drain=20", 20)] {
        rig.table(&format!("* / web {options}"));
        let began = Instant::now();
        let mut users = waiting(&rig, 1, GET).await;
        // Another table that holds does not begin the wait anew.
        rig.table(&format!("* / web {options}\nb / b -"));
        let answer = users[0].answer().await;
        assert!(began.elapsed() >= Duration::from_millis(held), "{:?}", began.elapsed());
        let seconds = Duration::from_millis(held).as_secs_f64();
        let told = format!("503 waited {seconds} s for a new instance of web\n");
        assert_eq!((answer.status, answer.body), (503, told));
    }
    assert!(text(&rig.shared).contains("_refused_total{reason=\"held_too_long\"} 2\n"));
}

#[tokio::test]
async fn who_waits_for_what_does_not_come_any_more_is_told_so_at_once() {
    for table in ["* / web drain=60000", "b / b -"] {
        let mut rig = Rig::new().await;
        rig.table("* / web drain=60000,hold=60000");
        let mut users = waiting(&rig, 1, GET).await;
        rig.table(table);
        let answer = users[0].answer().await;
        let told = "503 no healthy instance of web\n";
        assert_eq!((answer.status, &*answer.body), (503, told), "{table}");
        assert!(refused(&rig, "no_instance") && !refused(&rig, "held_too_long"));
    }
}

#[tokio::test]
async fn one_more_than_may_wait_is_told_so_and_counted() {
    let limits = Limits { workers: 2, held: 1, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table("* / web hold=60000");
    let mut users = waiting(&rig, 1, GET).await;
    let answer = rig.ask(GET).await;
    let told = "503 too many wait for a new instance of web\n";
    assert_eq!((answer.status, &*answer.body), (503, told));
    assert!(refused(&rig, "too_many_held"));
    rig.table(&format!("* / web - {}", a.line()));
    assert_eq!(users[0].answer().await.status, 200);
}

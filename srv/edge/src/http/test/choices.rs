//! Which of several instances a request goes to.

use super::rig::{Instance, Rig, soon};
use crate::access::Access;
use crate::limits::Limits;

/// An edge with one worker: each has turns of its own.
async fn rig(instances: &[&Instance]) -> Rig {
    let mut rig = Rig::with(Limits { workers: 1, ..Limits::default() }, Access::none()).await;
    let lines: String = instances.iter().map(|it| format!(" {}", it.line())).collect();
    rig.table(&format!("* / w -{lines}"));
    rig
}

#[tokio::test]
async fn a_request_goes_to_who_has_the_fewest() {
    let (a, b) = (Instance::new("a").await, Instance::new("b").await);
    let rig = rig(&[&a, &b]).await;
    let mut waits = rig.user().await;
    waits.send("GET /wait HTTP/1.1\nHost: w\n\n").await;
    let (busy, free) = tokio::select! {
        () = a.has_seen(1) => (&a, &b),
        () = b.has_seen(1) => (&b, &a),
    };
    for _ in 0..4 {
        let answer = rig.ask("GET / HTTP/1.1\nHost: w\n\n").await;
        assert_eq!(answer.body, format!("hello from {}", free.id));
    }
    busy.go.add_permits(1);
    let answer = soon("the answer", waits.answer()).await;
    assert_eq!(answer.body, format!("waited at {}", busy.id));
}

#[tokio::test]
async fn among_equals_each_has_its_turn() {
    let all = [Instance::new("a").await, Instance::new("b").await, Instance::new("c").await];
    let rig = rig(&[&all[0], &all[1], &all[2]]).await;
    for round in 1..=4 {
        for _ in &all {
            assert_eq!(rig.ask("GET / HTTP/1.1\nHost: w\n\n").await.status, 200);
        }
        assert_eq!(all.each_ref().map(Instance::count), [round; 3]);
    }
}

//! Any script of calls comes to the same on the file as in memory.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;

use futures_util::FutureExt;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use store::{Condition, HandClock, Memory, Op, Redb, Store};

/// Scripts tried and their longest; each needs a file of its own.
const SCRIPTS: u32 = 40;
const STEPS_MAX: usize = 40;
const LEASES: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    Transact(Vec<Condition>, Vec<Op>),
    Grant(u32),
    Keepalive(u64),
    Revoke(u64),
    Compact(u64),
    Pass(u64),
    Watch(u64),
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("b/1"), Just("b/2"), Just("")].prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        key().prop_map(Condition::Absent),
        (key(), 0..20u64).prop_map(|(key, revision)| Condition::Modified(key, revision)),
        (key(), 0..20u64).prop_map(|(key, revision)| Condition::Created(key, revision)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let lease = prop_oneof![Just(None), (1..LEASES).prop_map(Some)];
    let put = (key(), vec(any::<u8>(), 0..4), lease);
    prop_oneof![
        3 => put.prop_map(|(key, value, lease)| Op::Put { key, value, lease }),
        1 => key().prop_map(|key| Op::Delete { key }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (vec(condition(), 0..2), vec(op(), 0..4)).prop_map(|(c, o)| Step::Transact(c, o)),
        2 => (1..6u32).prop_map(Step::Grant),
        1 => (0..LEASES).prop_map(Step::Keepalive),
        1 => (0..LEASES).prop_map(Step::Revoke),
        1 => (0..20u64).prop_map(Step::Compact),
        2 => (0..4_000u64).prop_map(Step::Pass),
        1 => (0..20u64).prop_map(Step::Watch),
    ]
}

/// One step's answer as text, time apart.
async fn answer(store: &dyn Store, step: &Step) -> String {
    match step.clone() {
        Step::Transact(conditions, ops) => format!("{:?}", store.transact(conditions, ops).await),
        Step::Grant(ttl_s) => format!("{:?}", store.grant(ttl_s).await),
        Step::Keepalive(lease) => format!("{:?}", store.keepalive(lease).await),
        Step::Revoke(lease) => format!("{:?}", store.revoke(lease).await),
        Step::Compact(revision) => format!("{:?}", store.compact(revision).await),
        Step::Pass(_) => String::new(),
        Step::Watch(from) => {
            let mut watch = store.watch("b", from).await.unwrap();
            let mut told = Vec::new();
            while let Some(batch) = watch.next().now_or_never() {
                let ended = batch.is_err();
                told.push(batch);
                if ended {
                    break;
                }
            }
            format!("{told:?}")
        }
    }
}

async fn check(script: Vec<Step>) {
    let (clock, directory) = (Arc::new(HandClock::default()), tempfile::tempdir().unwrap());
    let path = directory.path().join("s");
    let mut file = Redb::with_clock(&path, Arc::clone(&clock) as _).unwrap();
    let memory = Memory::new();
    for step in &script {
        assert_eq!(answer(&file, step).await, answer(&memory, step).await, "{step:?}");
        if let Step::Pass(ms) = step {
            clock.pass(*ms);
            file.tick().await.unwrap();
            memory.pass(*ms);
        }
        assert_eq!(file.list("").await, memory.list("").await, "after {step:?}");
    }
    drop(file);
    file = Redb::with_clock(&path, clock).unwrap();
    assert_eq!(file.list("").await, memory.list("").await, "opened again");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: SCRIPTS,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_file_answers_as_memory_does(script in vec(step(), 1..STEPS_MAX)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(check(script));
    }
}

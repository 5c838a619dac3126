//! What every store must do, one clause a function. `store::conformance!(bench)` makes a test of
//! each; a store passes all of them or is none.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};

use crate::{Batch, Change, Condition, Error, KEY_BYTES_MAX, Kv, LEASE_TTL_S_MIN, OPS_MAX, Op};
use crate::{Outcome, Revision, Store, VALUE_BYTES_MAX, Watch, campaign};

/// The longest a batch that is there may take to arrive.
const WATCH_S_MAX: u64 = 10;
/// Writers and rounds of the race.
const RACERS: usize = 10;
const ROUNDS: usize = 10;

/// A new, empty store and its time.
pub trait Bench: Send + Sync {
    /// The store.
    fn store(&self) -> &dyn Store;
    /// Lets time pass for leases.
    fn pass(&self, ms: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What a clause comes to; a broken clause panics with what it saw.
pub type Done = Result<(), Error>;

/// Makes a test of every clause. The expression makes a new [`Bench`] for each.
#[macro_export]
macro_rules! conformance {
    ($bench:expr) => {
        $crate::conformance!($bench;
            an_empty_store_is_at_revision_0
            a_key_knows_what_made_it_and_what_wrote_it_last
            an_equal_value_is_a_new_revision
            deleting_what_is_not_there_changes_nothing
            a_list_is_sorted_and_holds_only_its_prefix
            a_transaction_happens_only_if_all_conditions_hold
            a_transaction_happens_whole_or_not_at_all
            what_is_too_large_or_senseless_is_refused
            the_largest_transaction_is_taken
            of_racing_writers_one_wins_a_round
            a_watch_tells_every_revision_in_order
            a_watch_tells_only_its_prefix
            a_watch_waits_for_what_comes
            a_watch_resumes_without_a_gap
            a_watch_of_what_was_compacted_ends
            a_compaction_keeps_every_key
            only_what_is_there_can_be_compacted
            the_end_of_a_lease_deletes_its_keys_in_one_revision
            a_keepalive_renews_a_lease_in_full
            a_revoked_lease_is_gone_at_once
            a_key_written_without_its_lease_outlives_it
            a_put_under_a_gone_lease_is_refused
            one_of_the_candidates_leads_and_its_token_fences
        );
    };
    ($bench:expr; $($clause:ident)*) => {
        $(
            #[::tokio::test]
            async fn $clause() -> $crate::conformance::Done {
                let bench = $bench;
                $crate::conformance::$clause(&bench).await
            }
        )*
    };
}

async fn put(store: &dyn Store, key: &str, value: &str) -> Result<Revision, Error> {
    done(store.transact(vec![], vec![Op::put(key, value)]).await?)
}

fn done(outcome: Outcome) -> Result<Revision, Error> {
    match outcome {
        Outcome::Done(revision) => Ok(revision),
        Outcome::Conflict(revision) => panic!("a conflict at revision {revision}"),
    }
}

async fn value(store: &dyn Store, key: &str) -> Result<Option<String>, Error> {
    let text = |kv: Kv| String::from_utf8_lossy(&kv.value).into_owned();
    Ok(store.get(key).await?.0.map(text))
}

async fn keys(store: &dyn Store, prefix: &str) -> Result<Vec<String>, Error> {
    Ok(store.list(prefix).await?.0.into_iter().map(|kv| kv.key).collect())
}

async fn next(watch: &mut dyn Watch) -> Result<Batch, Error> {
    let limit = Duration::from_secs(WATCH_S_MAX);
    match tokio::time::timeout(limit, watch.next()).await {
        Ok(batch) => batch,
        Err(_) => panic!("no batch within {WATCH_S_MAX} s"),
    }
}

/// A batch as `3 +a=1 -b`.
async fn told(watch: &mut dyn Watch) -> Result<String, Error> {
    let batch = next(watch).await?;
    let mut text = batch.revision.to_string();
    for change in &batch.changes {
        text += &match change {
            Change::Put(kv) => format!(" +{}={}", kv.key, String::from_utf8_lossy(&kv.value)),
            Change::Deleted(key) => format!(" -{key}"),
        };
        if let Change::Put(kv) = change {
            assert_eq!(kv.modified, batch.revision);
        }
    }
    Ok(text)
}

/// An empty store is at revision 0 and its first change is 1.
pub async fn an_empty_store_is_at_revision_0(bench: &dyn Bench) -> Done {
    let store = bench.store();
    assert_eq!(store.get("a").await?, (None, 0));
    assert_eq!(store.list("").await?, (vec![], 0));
    assert_eq!(put(store, "a", "1").await?, 1);
    Ok(())
}

/// `created` stays over rewrites and begins anew after a deletion.
pub async fn a_key_knows_what_made_it_and_what_wrote_it_last(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let kv = |value: &str, created, modified| {
        let (key, value, lease) = ("a".to_owned(), value.into(), None);
        (Some(Kv { key, value, created, modified, lease }), modified)
    };
    put(store, "a", "one").await?;
    assert_eq!(store.get("a").await?, kv("one", 1, 1));
    put(store, "a", "two").await?;
    assert_eq!(store.get("a").await?, kv("two", 1, 2));
    done(store.transact(vec![], vec![Op::delete("a")]).await?)?;
    assert_eq!(store.get("a").await?, (None, 3));
    put(store, "a", "three").await?;
    assert_eq!(store.get("a").await?, kv("three", 4, 4));
    Ok(())
}

/// A put of an equal value counts.
pub async fn an_equal_value_is_a_new_revision(bench: &dyn Bench) -> Done {
    let store = bench.store();
    assert_eq!(put(store, "a", "1").await?, 1);
    assert_eq!(put(store, "a", "1").await?, 2);
    Ok(())
}

/// A transaction without a change has no revision of its own.
pub async fn deleting_what_is_not_there_changes_nothing(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "a", "1").await?;
    let nothing = store.transact(vec![], vec![Op::delete("b")]).await?;
    assert_eq!(nothing, Outcome::Done(1));
    assert_eq!(store.transact(vec![], vec![]).await?, Outcome::Done(1));
    let both = store.transact(vec![], vec![Op::delete("b"), Op::delete("a")]).await?;
    assert_eq!(both, Outcome::Done(2));
    Ok(())
}

/// Keys sort by their bytes.
pub async fn a_list_is_sorted_and_holds_only_its_prefix(bench: &dyn Bench) -> Done {
    let store = bench.store();
    for key in ["b/2", "b/10", "a", "b", "b/", "c", "bb", "b/\u{e9}", "b/1"] {
        put(store, key, "x").await?;
    }
    assert_eq!(keys(store, "b/").await?, ["b/", "b/1", "b/10", "b/2", "b/\u{e9}"]);
    assert_eq!(keys(store, "").await?.len(), 9);
    assert_eq!(keys(store, "d").await?, [""; 0]);
    Ok(())
}

/// Each condition, alone and together.
pub async fn a_transaction_happens_only_if_all_conditions_hold(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "a", "1").await?;
    put(store, "a", "2").await?;
    let absent = |key: &str| Condition::Absent(key.to_owned());
    let modified = |key: &str, revision| Condition::Modified(key.to_owned(), revision);
    let created = |key: &str, revision| Condition::Created(key.to_owned(), revision);
    for (conditions, holds) in [
        (vec![absent("a")], false),
        (vec![absent("b")], true),
        (vec![modified("a", 1)], false),
        (vec![modified("a", 2)], true),
        (vec![modified("b", 0)], false),
        (vec![created("a", 1)], true),
        (vec![created("a", 2)], false),
        (vec![created("b", 0)], false),
        (vec![created("a", 1), modified("a", 2), absent("b")], true),
        (vec![created("a", 1), modified("a", 2), absent("a")], false),
    ] {
        let (_, before) = store.get("a").await?;
        let outcome = store.transact(conditions.clone(), vec![Op::put("c", "x")]).await?;
        let wanted = if holds { Outcome::Done(before + 1) } else { Outcome::Conflict(before) };
        assert_eq!(outcome, wanted, "{conditions:?}");
    }
    Ok(())
}

/// One revision for all changes, none after a conflict.
pub async fn a_transaction_happens_whole_or_not_at_all(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "old", "x").await?;
    let ops = || vec![Op::put("a", "1"), Op::put("b", "2"), Op::delete("old")];
    assert_eq!(store.transact(vec![], ops()).await?, Outcome::Done(2));
    let revisions: Vec<u64> = store.list("").await?.0.iter().map(|kv| kv.modified).collect();
    assert_eq!((keys(store, "").await?.join(" "), revisions), ("a b".to_owned(), vec![2, 2]));
    let stale = vec![Condition::Modified("a".to_owned(), 1)];
    let outcome = store.transact(stale, vec![Op::put("a", "9"), Op::delete("b")]).await?;
    assert_eq!(outcome, Outcome::Conflict(2));
    assert_eq!(value(store, "a").await?.as_deref(), Some("1"));
    assert_eq!(value(store, "b").await?.as_deref(), Some("2"));
    Ok(())
}

/// Limits are errors that say so, and nothing happens.
pub async fn what_is_too_large_or_senseless_is_refused(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let many = |count: usize| (0..count).map(|n| Op::put(n.to_string(), "x")).collect::<Vec<_>>();
    for (ops, text) in [
        (vec![Op::put("", "x")], "a key must not be empty"),
        (vec![Op::put("a", "1"), Op::delete("a")], "key `a` is named twice in one transaction"),
        (vec![Op::delete("k".repeat(KEY_BYTES_MAX + 1))], "key of 1025 is over the limit of 1024"),
        (
            vec![Op::put("a", vec![0; VALUE_BYTES_MAX + 1])],
            "value of 1048577 is over the limit of 1048576",
        ),
        (many(OPS_MAX + 1), "transaction of 129 is over the limit of 128"),
    ] {
        let refused = store.transact(vec![], ops).await.map_err(|error| error.to_string());
        assert_eq!(refused, Err(text.to_owned()));
    }
    let short = store.grant(LEASE_TTL_S_MIN - 1).await.map_err(|error| error.to_string());
    assert_eq!(short, Err("a lease of 1 s is too short: at least 2 s".to_owned()));
    assert_eq!(store.list("").await?, (vec![], 0));
    Ok(())
}

/// At the limits everything works.
pub async fn the_largest_transaction_is_taken(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let key = "k".repeat(KEY_BYTES_MAX);
    let value = vec![7; VALUE_BYTES_MAX];
    done(store.transact(vec![], vec![Op::put(key.clone(), value.clone())]).await?)?;
    assert_eq!(store.get(&key).await?.0.map(|kv| kv.value), Some(value));
    let many = (0..OPS_MAX).map(|n| Op::put(format!("many/{n}"), "x")).collect();
    done(store.transact(vec![], many).await?)?;
    assert_eq!(keys(store, "many/").await?.len(), OPS_MAX);
    Ok(())
}

/// No increment is lost and none counts twice.
pub async fn of_racing_writers_one_wins_a_round(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "count", "0").await?;
    let racer = async || -> Done {
        let mut won = 0;
        while won < ROUNDS {
            let (found, _) = store.get("count").await?;
            let Some(kv) = found else { panic!("the counter is gone") };
            let count: usize = String::from_utf8_lossy(&kv.value).parse().unwrap_or(usize::MAX);
            let same = vec![Condition::Modified("count".to_owned(), kv.modified)];
            let more = vec![Op::put("count", (count + 1).to_string())];
            if let Outcome::Done(_) = store.transact(same, more).await? {
                won += 1;
            }
        }
        Ok(())
    };
    for raced in join_all((0..RACERS).map(|_| racer())).await {
        raced?;
    }
    let total = (RACERS * ROUNDS).to_string();
    assert_eq!(value(store, "count").await?, Some(total));
    Ok(())
}

/// From the first revision on, a batch a revision.
pub async fn a_watch_tells_every_revision_in_order(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "a", "1").await?;
    store.transact(vec![], vec![Op::put("b", "2"), Op::delete("a")]).await?;
    put(store, "b", "3").await?;
    let mut watch = store.watch("", 1).await?;
    for wanted in ["1 +a=1", "2 +b=2 -a", "3 +b=3"] {
        assert_eq!(told(&mut *watch).await?, wanted);
    }
    Ok(())
}

/// Other keys' changes are passed over.
pub async fn a_watch_tells_only_its_prefix(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let mut watch = store.watch("b/", 1).await?;
    put(store, "a", "1").await?;
    store.transact(vec![], vec![Op::put("b/x", "2"), Op::put("c", "2")]).await?;
    put(store, "b", "3").await?;
    put(store, "b/y", "4").await?;
    assert_eq!(told(&mut *watch).await?, "2 +b/x=2");
    assert_eq!(told(&mut *watch).await?, "4 +b/y=4");
    Ok(())
}

/// A watch from the future waits; a dropped wait loses nothing.
pub async fn a_watch_waits_for_what_comes(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "a", "1").await?;
    let mut watch = store.watch("", 2).await?;
    assert!(watch.next().now_or_never().is_none());
    let (batch, written) = tokio::join!(told(&mut *watch), put(store, "a", "2"));
    assert_eq!((batch?.as_str(), written?), ("2 +a=2", 2));
    assert!(watch.next().now_or_never().is_none());
    put(store, "a", "3").await?;
    assert_eq!(told(&mut *watch).await?, "3 +a=3");
    let mut late = store.watch("", 5).await?;
    put(store, "a", "4").await?;
    put(store, "a", "5").await?;
    assert_eq!(told(&mut *late).await?, "5 +a=5");
    Ok(())
}

/// A new watch goes on behind the last batch of the old one.
pub async fn a_watch_resumes_without_a_gap(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let (_, listed) = store.list("").await?;
    let mut from = listed + 1;
    for round in 0..5u64 {
        put(store, "a", &format!("{round}.1")).await?;
        put(store, "a", &format!("{round}.2")).await?;
        let mut watch = store.watch("a", from).await?;
        let batch = next(&mut *watch).await?;
        assert_eq!(batch.revision, from);
        from = batch.revision + 1;
    }
    Ok(())
}

/// A watch that is too late is told so, new or old.
pub async fn a_watch_of_what_was_compacted_ends(bench: &dyn Bench) -> Done {
    let store = bench.store();
    for number in 1..=5 {
        put(store, "a", &number.to_string()).await?;
    }
    let mut old = store.watch("", 1).await?;
    assert_eq!(told(&mut *old).await?, "1 +a=1");
    store.compact(4).await?;
    assert_eq!(next(&mut *old).await, Err(Error::Compacted(4)));
    let late = match store.watch("", 3).await {
        Ok(mut watch) => next(&mut *watch).await.map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(late, Err(Error::Compacted(4)));
    let mut behind = store.watch("", 5).await?;
    assert_eq!(told(&mut *behind).await?, "5 +a=5");
    Ok(())
}

/// Only the log is forgotten.
pub async fn a_compaction_keeps_every_key(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "a", "1").await?;
    put(store, "b", "2").await?;
    let before = store.list("").await?;
    store.compact(2).await?;
    assert_eq!(store.list("").await?, before);
    assert_eq!(put(store, "a", "3").await?, 3);
    Ok(())
}

/// Neither the future nor what is gone.
pub async fn only_what_is_there_can_be_compacted(bench: &dyn Bench) -> Done {
    let store = bench.store();
    put(store, "a", "1").await?;
    put(store, "a", "2").await?;
    assert_eq!(store.compact(3).await, Err(Error::Future { asked: 3, current: 2 }));
    store.compact(2).await?;
    assert_eq!(store.compact(2).await, Err(Error::Compacted(2)));
    assert_eq!(store.compact(1).await, Err(Error::Compacted(2)));
    Ok(())
}

fn leased(key: &str, lease: u64) -> Op {
    Op::Put { key: key.to_owned(), value: b"x".to_vec(), lease: Some(lease) }
}

/// Not before its time, and not other keys.
pub async fn the_end_of_a_lease_deletes_its_keys_in_one_revision(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let lease = store.grant(10).await?;
    let other = store.grant(60).await?;
    let ops = vec![leased("a", lease), leased("b", lease), leased("c", other)];
    let written = done(store.transact(vec![], ops).await?)?;
    assert_eq!(store.get("a").await?.0.and_then(|kv| kv.lease), Some(lease));
    let mut watch = store.watch("", written + 1).await?;
    bench.pass(9_000).await;
    assert_eq!(keys(store, "").await?, ["a", "b", "c"]);
    bench.pass(2_000).await;
    assert_eq!(told(&mut *watch).await?, format!("{} -a -b", written + 1));
    assert_eq!(keys(store, "").await?, ["c"]);
    assert!(!store.keepalive(lease).await?);
    Ok(())
}

/// Every renewal counts from its own moment.
pub async fn a_keepalive_renews_a_lease_in_full(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let lease = store.grant(10).await?;
    store.transact(vec![], vec![leased("a", lease)]).await?;
    for _ in 0..3 {
        bench.pass(8_000).await;
        assert!(store.keepalive(lease).await?);
    }
    bench.pass(8_000).await;
    assert_eq!(keys(store, "").await?, ["a"]);
    bench.pass(3_000).await;
    assert_eq!(keys(store, "").await?, [""; 0]);
    assert!(!store.keepalive(lease).await?);
    assert!(!store.keepalive(12_345).await?);
    Ok(())
}

/// With its keys; twice is fine.
pub async fn a_revoked_lease_is_gone_at_once(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let lease = store.grant(10).await?;
    store.transact(vec![], vec![leased("a", lease), leased("b", lease)]).await?;
    store.revoke(lease).await?;
    assert_eq!(store.list("").await?, (vec![], 2));
    assert!(!store.keepalive(lease).await?);
    store.revoke(lease).await?;
    assert_ne!(store.grant(10).await?, lease);
    Ok(())
}

/// The last put decides what a key is bound to.
pub async fn a_key_written_without_its_lease_outlives_it(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let (first, second) = (store.grant(10).await?, store.grant(10).await?);
    store.transact(vec![], vec![leased("a", first), leased("b", first)]).await?;
    put(store, "a", "free").await?;
    store.transact(vec![], vec![leased("b", second)]).await?;
    store.revoke(first).await?;
    assert_eq!(keys(store, "").await?, ["a", "b"]);
    store.revoke(second).await?;
    assert_eq!(keys(store, "").await?, ["a"]);
    Ok(())
}

/// And nothing of its transaction happens.
pub async fn a_put_under_a_gone_lease_is_refused(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let lease = store.grant(10).await?;
    bench.pass(11_000).await;
    let late = store.transact(vec![], vec![Op::put("a", "1"), leased("b", lease)]).await;
    assert_eq!(late, Err(Error::NoLease(lease)));
    assert_eq!(store.list("").await?, (vec![], 0));
    Ok(())
}

/// A leader that lost its lease cannot write.
pub async fn one_of_the_candidates_leads_and_its_token_fences(bench: &dyn Bench) -> Done {
    let store = bench.store();
    let (a, b) = (store.grant(10).await?, store.grant(60).await?);
    let Some(token) = campaign(store, "leader", "a", a).await? else { panic!("nobody leads") };
    assert_eq!(campaign(store, "leader", "a", a).await?, Some(token));
    assert_eq!(campaign(store, "leader", "b", b).await?, None);
    let fenced = |token| vec![Condition::Created("leader".to_owned(), token)];
    done(store.transact(fenced(token), vec![Op::put("x", "a")]).await?)?;
    bench.pass(11_000).await;
    let Some(newer) = campaign(store, "leader", "b", b).await? else { panic!("nobody leads") };
    assert!(newer > token);
    let late = store.transact(fenced(token), vec![Op::put("x", "late")]).await?;
    assert!(matches!(late, Outcome::Conflict(_)), "{late:?}");
    done(store.transact(fenced(newer), vec![Op::put("x", "b")]).await?)?;
    assert_eq!(value(store, "x").await?.as_deref(), Some("b"));
    Ok(())
}

//! Leading, written once over any store: who makes the key leads as long as its lease lives.

use crate::{Condition, Error, Lease, Op, Outcome, Revision, Store};

/// Tries to lead: makes `key` with the value `me`, bound to `lease`, if nobody has it. Answers
/// the token, or `None` while another leads (watch the key, then try again).
///
/// Law: every write of a leader carries `Condition::Created(key, token)`, so a leader that lost
/// its lease cannot write, whatever it believes.
///
/// After an error with an unknown outcome call it again: it finds its own key.
pub async fn campaign(
    store: &dyn Store,
    key: &str,
    me: &str,
    lease: Lease,
) -> Result<Option<Revision>, Error> {
    let mine = Op::Put { key: key.to_owned(), value: me.into(), lease: Some(lease) };
    let absent = vec![Condition::Absent(key.to_owned())];
    if let Outcome::Done(token) = store.transact(absent, vec![mine]).await? {
        return Ok(Some(token));
    }
    let (held, _) = store.get(key).await?;
    let ours = held.filter(|kv| kv.value == me.as_bytes() && kv.lease == Some(lease));
    Ok(ours.map(|kv| kv.created))
}

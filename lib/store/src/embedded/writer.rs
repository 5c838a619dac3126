//! The one thread that writes. What waits when it is free becomes one group: one commit, two
//! syncs, and then every answer; a group's requests see each other in the order they came.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::open::{State, begin, refused};
use super::tables::{COMPACTED, REVISION, Tables};
use super::{LOG_BYTES_MAX, LOG_REVISIONS_MAX, Shared};
use crate::plan::{self, Plan, View};
use crate::{Change, Clock, Condition, Error, Kv, Lease, Op, Outcome, Revision};

/// The most requests in a group; more would only make the first wait longer.
const GROUP_MAX: usize = 256;
/// The longest sleep while leases run: the clock is whoever's who opened the store, and one that
/// is moved on (a simulation's) wakes nobody. The machine's own, which is monotonic and stands
/// still while the machine sleeps, would need no limit.
const SLEEP_MS_MAX: u64 = 1_000;
/// The log is cut when it is longer by this than it may be, not at every commit.
const LOG_SLACK: u64 = 1_000;

/// What waits for the writer. The queue has no limit of its own: each caller waits for its answer.
pub(super) enum Ask {
    Transact {
        conditions: Vec<Condition>,
        ops: Vec<Op>,
        reply: oneshot::Sender<Result<Outcome, Error>>,
    },
    Write {
        parts: Vec<Vec<Op>>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Grant {
        ttl_s: u32,
        reply: oneshot::Sender<Lease>,
    },
    Keepalive {
        lease: Lease,
        reply: oneshot::Sender<bool>,
    },
    Revoke {
        lease: Lease,
        reply: oneshot::Sender<()>,
    },
    Compact {
        revision: Revision,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Tick(oneshot::Sender<()>),
}

/// An answer to give once the group is durable; dropped when it is not, after the store has
/// said why it stopped.
type Reply = Box<dyn FnOnce() + Send>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    queue: Receiver<Ask>,
    state: State,
    /// When each lease ends, by the clock, and its time to live. In memory alone: a renewal is
    /// not worth a sync.
    leases: HashMap<Lease, (u64, u32)>,
    /// The revisions since the store was opened that the log holds, and their bytes.
    written: VecDeque<(Revision, u64)>,
    written_bytes: u64,
}

/// What a decision sees: the tables with the group's earlier changes, and the leases.
struct Look<'a, 't> {
    tables: &'a Tables<'t>,
    leases: &'a HashMap<Lease, (u64, u32)>,
}

impl View for Look<'_, '_> {
    type Error = ::redb::Error;

    fn kv(&self, key: &str) -> Result<Option<Kv>, ::redb::Error> {
        self.tables.kv(key)
    }

    fn alive(&self, lease: Lease) -> bool {
        self.leases.contains_key(&lease)
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        state: State,
        queue: Receiver<Ask>,
    ) -> Writer {
        let now_ms = clock.now_ms();
        let full = |&(lease, ttl_s): &(Lease, u32)| (lease, (end_ms(now_ms, ttl_s), ttl_s));
        let leases = state.leases.iter().map(full).collect();
        let (written, written_bytes) = (VecDeque::new(), 0);
        Writer { shared, clock, queue, state, leases, written, written_bytes }
    }

    /// Writes until nobody can ask any more or something breaks.
    pub(super) fn run(mut self) {
        while let Some(mut group) = self.wait() {
            let mut replies = Vec::with_capacity(group.len());
            if let Err(why) = self.perform(&mut group, &mut replies) {
                self.shared.stop(refused(&self.shared.path, why));
                break;
            }
            replies.into_iter().for_each(|reply| reply());
        }
        // Wakes the watches, which find out why.
        self.shared.revision.send_modify(|_| {});
    }

    /// The next group; an empty one when a lease may have ended.
    fn wait(&self) -> Option<VecDeque<Ask>> {
        let nearest = self.leases.values().map(|(end_ms, _)| *end_ms).min();
        let first = match nearest {
            None => self.queue.recv().ok()?,
            Some(end_ms) => {
                let left_ms = end_ms.saturating_sub(self.clock.now_ms()).min(SLEEP_MS_MAX);
                match self.queue.recv_timeout(Duration::from_millis(left_ms)) {
                    Ok(first) => first,
                    Err(RecvTimeoutError::Timeout) => return Some(VecDeque::new()),
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            }
        };
        let mut group = VecDeque::from([first]);
        group.extend(self.queue.try_iter().take(GROUP_MAX - 1));
        Some(group)
    }

    /// Decides and writes one group. An error stops the store; what was not answered stays in
    /// `group` or `replies`.
    fn perform(
        &mut self,
        group: &mut VecDeque<Ask>,
        replies: &mut Vec<Reply>,
    ) -> Result<(), ::redb::Error> {
        let now_ms = self.clock.now_ms();
        let mut due: Vec<Lease> = self.leases.keys().copied().collect();
        due.retain(|lease| self.leases.get(lease).is_some_and(|(end_ms, _)| *end_ms <= now_ms));
        due.sort_unstable();
        if due.is_empty() && group.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let transaction = begin(&shared.database)?;
        let before = self.state.clone();
        let mut tables = Tables::new(&transaction)?;
        for lease in due {
            self.end(&mut tables, lease)?;
        }
        while let Some(ask) = group.pop_front() {
            self.serve(&mut tables, ask, now_ms, replies)?;
        }
        if self.state.revision - self.state.compacted > LOG_REVISIONS_MAX + LOG_SLACK {
            self.cut(&mut tables, self.state.revision - LOG_REVISIONS_MAX)?;
        }
        if self.written_bytes > LOG_BYTES_MAX
            && let Some(first) = self.newest_half()
        {
            self.cut(&mut tables, first)?;
        }
        drop(tables);
        if self.state == before {
            transaction.abort()?;
        } else {
            transaction.commit()?;
            shared.revision.send_replace(self.state.revision);
        }
        Ok(())
    }

    fn serve(
        &mut self,
        tables: &mut Tables<'_>,
        ask: Ask,
        now_ms: u64,
        replies: &mut Vec<Reply>,
    ) -> Result<(), ::redb::Error> {
        match ask {
            Ask::Transact { conditions, ops, reply } => {
                keep(replies, reply, self.transact(tables, &conditions, ops))
            }
            Ask::Write { parts, reply } => keep(replies, reply, self.write_all(tables, parts)),
            Ask::Grant { ttl_s, reply } => keep(replies, reply, self.grant(tables, ttl_s, now_ms)),
            Ask::Keepalive { lease, reply } => keep(replies, reply, Ok(self.renew(lease, now_ms))),
            Ask::Revoke { lease, reply } => keep(replies, reply, self.end(tables, lease)),
            Ask::Compact { revision, reply } => {
                keep(replies, reply, self.compact(tables, revision))
            }
            Ask::Tick(reply) => keep(replies, reply, Ok(())),
        }
    }

    fn grant(
        &mut self,
        tables: &mut Tables<'_>,
        ttl_s: u32,
        now_ms: u64,
    ) -> Result<Lease, ::redb::Error> {
        let lease = self.state.last_lease + 1;
        tables.add_lease(lease, ttl_s)?;
        self.state.last_lease = lease;
        self.state.leases.push((lease, ttl_s));
        self.leases.insert(lease, (end_ms(now_ms, ttl_s), ttl_s));
        Ok(lease)
    }

    fn compact(
        &mut self,
        tables: &mut Tables<'_>,
        before: Revision,
    ) -> Result<Result<(), Error>, ::redb::Error> {
        let (compacted, current) = (self.state.compacted, self.state.revision);
        let admitted = plan::admit_compaction(before, compacted, current);
        if admitted.is_ok() {
            self.cut(tables, before)?;
        }
        Ok(admitted)
    }

    /// Renews a lease. One that is due was ended before, so a late renewal finds nothing.
    fn renew(&mut self, lease: Lease, now_ms: u64) -> bool {
        let known = self.leases.get_mut(&lease);
        known.map(|(end, ttl_s)| *end = end_ms(now_ms, *ttl_s)).is_some()
    }

    fn transact(
        &mut self,
        tables: &mut Tables<'_>,
        conditions: &[Condition],
        ops: Vec<Op>,
    ) -> Result<Result<Outcome, Error>, ::redb::Error> {
        let look = Look { tables, leases: &self.leases };
        let revision = self.state.revision;
        Ok(match plan::plan(&look, conditions, ops, revision + 1)? {
            Plan::Refused(why) => Err(why),
            Plan::Conflict => Ok(Outcome::Conflict(revision)),
            Plan::Nothing => Ok(Outcome::Done(revision)),
            Plan::Changes(changes) => {
                self.write(tables, &changes)?;
                Ok(Outcome::Done(self.state.revision))
            }
        })
    }

    /// All parts in one commit, up to one that is refused.
    fn write_all(
        &mut self,
        tables: &mut Tables<'_>,
        parts: Vec<Vec<Op>>,
    ) -> Result<Result<(), Error>, ::redb::Error> {
        for part in parts {
            if let Err(why) = self.transact(tables, &[], part)? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    /// Writes the changes of one new revision.
    fn write(&mut self, tables: &mut Tables<'_>, changes: &[Change]) -> Result<(), ::redb::Error> {
        self.state.revision += 1;
        let mut bytes = 0;
        for (place, change) in (0u32..).zip(changes) {
            tables.write(self.state.revision, place, change)?;
            bytes += match change {
                Change::Put(kv) => kv.key.len() + kv.value.len(),
                Change::Deleted(key) => key.len(),
            } as u64;
        }
        self.written.push_back((self.state.revision, bytes));
        self.written_bytes += bytes;
        tables.set(REVISION, self.state.revision)
    }

    /// Ends a lease and deletes its keys in one revision.
    fn end(&mut self, tables: &mut Tables<'_>, lease: Lease) -> Result<(), ::redb::Error> {
        if self.leases.remove(&lease).is_none() {
            return Ok(());
        }
        self.state.leases.retain(|(other, _)| *other != lease);
        tables.remove_lease(lease)?;
        let bound: Vec<Change> = tables.bound(lease)?.into_iter().map(Change::Deleted).collect();
        if bound.is_empty() { Ok(()) } else { self.write(tables, &bound) }
    }

    /// The first of the newest revisions that have half of the bytes which the log may hold.
    fn newest_half(&self) -> Option<Revision> {
        let mut bytes = 0;
        let newest = self.written.iter().rev().take_while(|(_, its)| {
            bytes += its;
            bytes <= LOG_BYTES_MAX / 2
        });
        // One that is longer by itself stays as well.
        newest.last().or(self.written.back()).map(|(revision, _)| *revision)
    }

    fn cut(&mut self, tables: &mut Tables<'_>, before: u64) -> Result<(), ::redb::Error> {
        tables.cut(before)?;
        while let Some((_, bytes)) = self.written.pop_front_if(|(revision, _)| *revision < before) {
            self.written_bytes -= bytes;
        }
        self.state.compacted = before;
        tables.set(COMPACTED, before)
    }
}

/// Keeps an answer until its group is durable, and the caller waiting when it will not be.
fn keep<T: Send + 'static>(
    replies: &mut Vec<Reply>,
    reply: oneshot::Sender<T>,
    answer: Result<T, ::redb::Error>,
) -> Result<(), ::redb::Error> {
    match answer {
        Ok(answer) => {
            // A caller that went away needs no answer.
            replies.push(Box::new(move || drop(reply.send(answer))));
            Ok(())
        }
        Err(why) => {
            replies.push(Box::new(move || drop(reply)));
            Err(why)
        }
    }
}

fn end_ms(now_ms: u64, ttl_s: u32) -> u64 {
    now_ms + u64::from(ttl_s) * 1_000
}

//! What the user database says about a uid: its name and groups, remembered for a short while.
//!
//! The database may be a file or a server far away (nsswitch.conf(5)), so a look-up runs on a
//! thread of its own, is waited for only so long, and its answer is kept.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, User, getgrouplist};
use tokio::time::timeout;

/// How long an answer is believed: a user who is put into a group, or out of it, sees it on a
/// connection made this much later.
const KEPT: Duration = Duration::from_secs(10);

/// How many uids are remembered; one more and all are forgotten.
const UIDS_MAX: usize = 256;

/// The longest wait for the database; after it the uid counts as unknown to it.
const LOOKUP_MAX: Duration = Duration::from_secs(2);

/// Name and groups of a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) groups: Vec<u32>,
}

/// The answers that are still believed.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    known: Mutex<HashMap<(u32, u32), (Instant, Known)>>,
}

impl Groups {
    /// What is known of `uid`, whose process has the group `gid`.
    pub(crate) async fn of(&self, uid: u32, gid: u32) -> Known {
        if let Some(known) = self.fresh(uid, gid) {
            return known;
        }
        let asked = tokio::task::spawn_blocking(move || look_up(uid, gid));
        let known = match timeout(LOOKUP_MAX, asked).await {
            Ok(Ok(known)) => known,
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(uid, "the user database does not answer: groups are unknown");
                stranger(uid, gid)
            }
        };
        self.keep(uid, gid, known.clone());
        known
    }

    fn fresh(&self, uid: u32, gid: u32) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, answer) = known.get(&(uid, gid))?;
        (at.elapsed() < KEPT).then(|| answer.clone())
    }

    fn keep(&self, uid: u32, gid: u32, answer: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= UIDS_MAX {
            known.clear();
        }
        known.insert((uid, gid), (Instant::now(), answer));
    }
}

/// Asks the database; may block.
fn look_up(uid: u32, gid: u32) -> Known {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
        return stranger(uid, gid);
    };
    let listed = CString::new(user.name.as_str()).ok().and_then(|name| {
        let groups = getgrouplist(&name, user.gid).ok()?;
        Some(groups.into_iter().map(Gid::as_raw).collect::<Vec<u32>>())
    });
    let mut groups = listed.unwrap_or_default();
    if !groups.contains(&gid) {
        groups.push(gid);
    }
    Known { name: user.name, groups }
}

fn stranger(uid: u32, gid: u32) -> Known {
    Known { name: uid.to_string(), groups: vec![gid] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn root_has_its_name_and_a_stranger_only_the_group_of_its_process() {
        let groups = Groups::default();
        let root = groups.of(0, 0).await;
        assert_eq!(root.name, "root");
        assert!(root.groups.contains(&0));
        let nobody_knows = groups.of(3_999_999_999, 7).await;
        assert_eq!(nobody_knows, Known { name: "3999999999".into(), groups: vec![7] });
    }

    #[tokio::test]
    async fn the_memory_of_uids_is_bounded() {
        let groups = Groups::default();
        for uid in 0..2 * UIDS_MAX as u32 {
            groups.keep(uid, uid, stranger(uid, uid));
        }
        assert!(groups.known.lock().unwrap().len() <= UIDS_MAX);
    }
}

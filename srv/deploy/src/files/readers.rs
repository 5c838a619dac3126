//! Over which connections the tables of each edge are read: whoever does so is that edge, and what
//! somebody else says in its name is not believed. An edge that comes back reads before it speaks,
//! so it is heard while the connection it had is still being lost.

use crate::edges::Word;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Who reads which tables.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<BTreeMap<(String, u64), usize>>);

/// One who reads the tables of an edge, for as long as it lives.
#[derive(Debug)]
pub(super) struct Reader {
    readers: Arc<Readers>,
    key: (String, u64),
}

/// One who would speak for an edge over its connection.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) readers: Arc<Readers>,
    pub(super) edge: String,
    pub(super) connection: u64,
}

impl Readers {
    /// The tables of that edge are read over that connection.
    pub(super) fn begin(self: &Arc<Readers>, edge: &str, connection: u64) -> Reader {
        let key = (edge.to_string(), connection);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(key.clone()).or_default() += 1;
        Reader { readers: Arc::clone(self), key }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut all = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

impl Speaker {
    /// Why these words are not taken, if they are not; `newest` is the newest table there is, 0
    /// for none.
    pub(super) fn refused(&self, words: &[Word], newest: u64) -> Option<String> {
        let edge = &self.edge;
        let all = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(&(edge.clone(), self.connection)) {
            // One that has a table of another server is given the newest.
            return None;
        }
        if all.keys().any(|(whose, _)| whose == edge) {
            return Some(format!(
                "edges/{edge}/ack: edge {edge} is another connection, the one that reads \
                 edges/{edge}/routes: only what it writes is taken"
            ));
        }
        let table =
            words.iter().filter_map(Word::table).find(|table| newest != 0 && *table > newest);
        table.map(|table| {
            format!("edges/{edge}/ack: there was no table {table}: the newest is {newest}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_the_tables_speaks_and_nobody_else_meanwhile() {
        let readers = Arc::new(Readers::default());
        let speaker = |edge: &str, connection| Speaker {
            readers: Arc::clone(&readers),
            edge: edge.to_string(),
            connection,
        };
        let check = |edge: &str, connection, table, why: &str| {
            let refused = speaker(edge, connection).refused(&[Word::Serves(table)], 7);
            assert_eq!(refused.is_some(), !why.is_empty(), "{edge} {connection}: {refused:?}");
            assert!(refused.unwrap_or_default().contains(why), "{edge} {connection}: {why}");
        };
        // Nobody reads.
        check("main", 1, 7, "");
        check("main", 1, 8, "there was no table 8: the newest is 7");
        let first = readers.begin("main", 1);
        check("main", 1, 8, "");
        check("main", 2, 7, "edge main is another connection");
        check("other", 2, 7, "");
        // It comes back before the connection it had is lost.
        let (second, once_more) = (readers.begin("main", 2), readers.begin("main", 2));
        check("main", 2, 7, "");
        drop((first, once_more));
        check("main", 1, 7, "edge main is another connection");
        check("main", 2, 7, "");
        drop(second);
        check("main", 1, 7, "");
    }
}

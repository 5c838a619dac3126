//! The files of an edge: its stream of tables, its `ack` and its `ctl`.

use super::open::{over, taken};
use super::readers::{Reader, Speaker};
use super::{Files, Place};
use crate::arrival::{Arrival, Request};
use crate::edge::EdgeLink;
use crate::edges::{Deed, LINE_BYTES_MAX, Word};
use crate::lock::Hand;
use crate::routes::Table;
use bytes::Bytes;
use ninep::{Answer, Error, Open, User};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Mutex, mpsc, watch};

/// Lines of an `ack` that may wait for the loop.
const LINES_MAX: usize = 4_096;

/// `routes` of an edge: the newest table at once, then a new one at every change, each followed by
/// a line that says it is whole. Tables that a slow reader has missed are left out.
#[derive(Debug)]
pub(super) struct Tables {
    cursor: Arc<Mutex<Cursor>>,
    /// Says who reads, for as long as this is open.
    _reader: Reader,
}

/// Where a reader is.
#[derive(Debug)]
struct Cursor {
    tables: watch::Receiver<Table>,
    /// The last table it was given.
    given: u64,
    text: Bytes,
    end: Bytes,
}

impl Tables {
    pub(super) fn new(tables: watch::Receiver<Table>, reader: Reader) -> Tables {
        let cursor = Cursor { tables, given: 0, text: Bytes::new(), end: Bytes::new() };
        Tables { cursor: Arc::new(Mutex::new(cursor)), _reader: reader }
    }
}

impl Cursor {
    /// Waits for the next bytes of a table.
    async fn next(&mut self, count: usize) -> Bytes {
        loop {
            for part in [&mut self.text, &mut self.end] {
                if !part.is_empty() {
                    return part.split_to(part.len().min(count));
                }
            }
            let table = self.tables.borrow_and_update().clone();
            if table.generation > self.given {
                self.given = table.generation;
                self.end = Bytes::from(format!("end {}\n", table.generation));
                self.text = table.text;
            } else if self.tables.changed().await.is_err() {
                return Bytes::new();
            }
        }
    }
}

impl Open for Tables {
    fn read(&mut self, _offset: u64, count: u32) -> Answer<Bytes> {
        let cursor = Arc::clone(&self.cursor);
        Answer::later(async move { Ok(cursor.lock().await.next(count as usize).await) })
    }

    fn stream(&self) -> bool {
        true
    }
}

/// `ack` of an edge, open: while it is, the edge is connected.
#[derive(Debug)]
pub(super) struct Ack {
    /// A line that has not ended.
    rest: Vec<u8>,
    speaker: Speaker,
    tables: watch::Receiver<Table>,
    deeds: mpsc::Sender<Deed>,
}

impl Ack {
    /// Opens the `ack` of that edge; `open` is this open's own number.
    pub(super) fn new(
        speaker: Speaker,
        tables: watch::Receiver<Table>,
        open: u64,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Ack {
        let (deeds, said) = mpsc::channel(LINES_MAX);
        tokio::spawn(carry(speaker.edge.clone(), open, said, arrivals));
        Ack { rest: Vec::new(), speaker, tables, deeds }
    }

    fn deed(&self, word: Word) -> Deed {
        if word == Word::Began(0) {
            return Deed::Began(self.tables.borrow().generation);
        }
        Deed::Said(word)
    }
}

/// Carries what an edge says to the loop, in its order, from the open to the close.
async fn carry(
    edge: String,
    open: u64,
    mut said: mpsc::Receiver<Deed>,
    arrivals: mpsc::Sender<Arrival>,
) {
    let tell = |deed| arrivals.send(Arrival::Edge { edge: edge.clone(), deed });
    let mut told = tell(Deed::Opened(open)).await;
    while let (Ok(()), Some(deed)) = (&told, said.recv().await) {
        told = tell(deed).await;
    }
    // Without the loop nobody is there to be told.
    let _ = tell(Deed::Closed(open)).await;
}

impl Open for Ack {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let mut text = std::mem::take(&mut self.rest);
        text.extend_from_slice(data);
        let end = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let rest = text.split_off(end);
        if rest.len() > LINE_BYTES_MAX {
            let text = format!("invalid argument: a line of more than {LINE_BYTES_MAX} bytes");
            return Answer::Now(Err(Error::invalid(text)));
        }
        let text = String::from_utf8_lossy(&text);
        let words: Result<Vec<Word>, _> = text.lines().map(Word::parse).collect();
        let words = match words {
            Ok(words) => words,
            Err(strange) => return Answer::Now(Err(Error::invalid(strange.to_string()))),
        };
        if let Some(why) = self.speaker.refused(&words, self.tables.borrow().generation) {
            return Answer::Now(Err(Error::with(nix::errno::Errno::EPERM as u32, why)));
        }
        if words.len() > self.deeds.capacity() {
            return Answer::Now(Err(Error::TooMany("lines of an ack wait")));
        }
        self.rest = rest;
        for word in words {
            // There is room for all; a loop that is gone has nobody to tell.
            let _ = self.deeds.try_send(self.deed(word));
        }
        Answer::Now(u32::try_from(data.len()).map_err(|_| Error::Length))
    }
}

impl Files {
    pub(super) fn open_ack(&self, at: &Place, user: &User) -> Answer<Box<dyn Open>> {
        let Some(name) = at.item.as_deref() else { return Answer::Now(Err(Error::NotFound)) };
        let (readers, edge) = (Arc::clone(&self.readers), name.to_string());
        let speaker = Speaker { readers, edge, connection: user.connection };
        let tables = self.world.lock().routes.follow();
        let open = self.opens.fetch_add(1, Ordering::Relaxed);
        Answer::Now(Ok(Box::new(Ack::new(speaker, tables, open, self.arrivals.clone()))))
    }

    pub(super) fn open_tables(&self, at: &Place, user: &User) -> Answer<Box<dyn Open>> {
        let Some(name) = at.item.as_deref() else { return Answer::Now(Err(Error::NotFound)) };
        let reader = self.readers.begin(name, user.connection);
        Answer::Now(Ok(Box::new(Tables::new(self.world.lock().routes.follow(), reader))))
    }
}

/// `ctl` of an edge.
#[derive(Debug)]
pub(super) struct EdgeCtl {
    pub(super) hand: Hand,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) link: EdgeLink,
    pub(super) name: String,
}

impl Open for EdgeCtl {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let what = String::from_utf8_lossy(data).trim().to_string();
        let (arrivals, link, written) = (self.arrivals.clone(), self.link.clone(), data.len());
        let (hand, edge) = (self.hand, self.name.clone());
        Answer::later(async move {
            let file = format!("edges/{edge}/ctl");
            let strange =
                |what: String, why| over(hand, Request::Strange { service: None, file, what, why });
            if what != "restart" {
                let why = format!("invalid argument: \"{what}\": say: restart");
                return taken(&arrivals, strange(what, why), 0).await;
            }
            taken(&arrivals, over(hand, Request::Renew { edge }), 0).await?;
            match link.restart().await {
                Ok(()) => u32::try_from(written).map_err(|_| Error::Length),
                Err(error) => {
                    // It was accepted, and came to nothing: both are in the audit log.
                    taken(&arrivals, strange(what, format!("edge: {error}")), 0).await
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(tables: &mut Tables, count: u32) -> String {
        let Answer::Later(read) = tables.read(0, count) else { panic!("reads take time") };
        String::from_utf8(read.await.unwrap().to_vec()).unwrap()
    }

    fn table(generation: u64) -> Table {
        Table { generation, text: Bytes::from(format!("generation {generation}\n")) }
    }

    #[tokio::test]
    async fn a_reader_gets_whole_tables_each_with_its_end_and_never_an_old_one() {
        let sender = watch::Sender::new(table(7));
        let readers = Arc::<crate::files::readers::Readers>::default();
        let mut tables = Tables::new(sender.subscribe(), readers.begin("main", 1));
        assert_eq!(read(&mut tables, 8).await, "generati");
        sender.send_replace(table(8));
        sender.send_replace(table(9));
        assert_eq!(read(&mut tables, 100).await, "on 7\n", "what was begun is given to its end");
        assert_eq!(read(&mut tables, 100).await, "end 7\n");
        assert_eq!(read(&mut tables, 100).await, "generation 9\n");
        assert_eq!(read(&mut tables, 100).await, "end 9\n");
        let next = async { sender.send_replace(table(10)) };
        let (got, _) = tokio::join!(read(&mut tables, 100), next);
        assert_eq!(got, "generation 10\n");
    }

    /// What was asked of the loop for a write, each answered like that, and what the writer got.
    async fn asked(what: &str, answer: Result<(), String>) -> (Vec<(String, String)>, String) {
        let (sender, mut arrivals) = mpsc::channel(1);
        let hand = Hand { uid: 7, connection: 3, open: None };
        let (link, name) = (EdgeLink::none(), "main".to_string());
        let mut ctl = EdgeCtl { hand, arrivals: sender, link, name };
        let Answer::Later(written) = ctl.write(0, what.as_bytes()) else { panic!("at once") };
        drop(ctl);
        let loops = async {
            let mut lines = Vec::new();
            while let Some(Arrival::Asked(request, back)) = arrivals.recv().await {
                lines.extend(crate::audit::asked(&request));
                let Request::Over { request, .. } = request else { panic!("nobody's") };
                let strange =
                    if let Request::Strange { why, .. } = *request { Some(why) } else { None };
                let refused = strange.map_or(answer.clone(), Err);
                back.send(refused).unwrap();
            }
            lines
        };
        let (got, lines) = tokio::join!(written, loops);
        (lines, got.unwrap_err().to_string())
    }

    #[tokio::test]
    async fn what_is_written_to_the_ctl_of_an_edge_is_in_the_audit_log_before_it_is_done() {
        let line = |what: &str| ("edges/main/ctl".to_string(), what.to_string());
        let (lines, told) = asked("dance\n", Ok(())).await;
        assert_eq!((lines, told.contains("say: restart")), (vec![line("dance")], true), "{told}");
        // What cannot be written down is not done.
        let (lines, told) = asked("restart\n", Err("disk full".to_string())).await;
        assert_eq!((lines, told.contains("disk full")), (vec![line("restart")], true), "{told}");
        // Here is no edge to be restarted.
        let (lines, told) = asked("restart\n", Ok(())).await;
        assert_eq!(lines, [line("restart"), line("restart")]);
        assert!(told.contains("--no-edge"), "{told}");
    }

    #[tokio::test]
    async fn an_ack_is_carried_in_order_from_its_open_to_its_close() {
        let (sender, mut arrivals) = mpsc::channel(1);
        let (edge, readers) = ("main".to_string(), Arc::default());
        let speaker = Speaker { readers, edge, connection: 1 };
        let tables = watch::Sender::new(table(9));
        let mut ack = Ack::new(speaker, tables.subscribe(), 3, sender);
        for part in [&b"began 0\nserves 7\ndrai"[..], b"ned web-1\n", b"serves 8\n"] {
            assert!(matches!(ack.write(0, part), Answer::Now(Ok(n)) if n as usize == part.len()));
        }
        let Answer::Now(Err(refused)) = ack.write(0, b"danced\n") else { panic!("not refused") };
        assert!(refused.to_string().contains("danced"), "{refused}");
        drop(ack);
        let mut got = Vec::new();
        while let Some(Arrival::Edge { edge, deed }) = arrivals.recv().await {
            assert_eq!(edge, "main");
            got.push(deed);
        }
        let drained = Word::Drained("web-1".to_string());
        let said = [Word::Serves(7), drained, Word::Serves(8)].map(Deed::Said);
        let [first, second, third] = said;
        let want = [Deed::Opened(3), Deed::Began(9), first, second, third, Deed::Closed(3)];
        assert_eq!(got, want);
    }
}

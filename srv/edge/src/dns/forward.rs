//! Questions that only others can answer: asked of the machine's resolvers, a bounded number at a
//! time, altogether and for each who asks; what they answered is kept for as long as they said.
//!
//! Signatures are not asked for: answers come without, and never claim to be checked (the bit AD
//! is not set). Whoever checks signatures himself must ask a resolver himself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{
    BinDecodable as _, BinDecoder, BinEncodable as _, BinEncoder,
};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use tokio::sync::Semaphore;

use super::crowd::Crowd;
use super::figures::{Figures, Forwarded};
use super::query::Query;
use super::rcode::Rcode;
use super::record::Kind;
use super::reply::Reply;
use super::resolvers::{Known, Resolvers};

/// Questions under way. Each costs a socket for every resolver that is asked.
const OPEN_MAX: usize = 256;
/// Questions under way for one who asks: names that nobody answers are not to hold up the others.
const OPEN_EACH_MAX: usize = 64;
/// Questions under way or waiting to be.
const TAKEN_MAX: usize = 4096;
/// The same for one who asks.
const TAKEN_EACH_MAX: usize = 1024;
/// How long an answer may take: the C library's first try ends after 5 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(4500);
/// Bytes of the longest answer that is kept, so that what is kept has a bound.
const KEPT_BYTES_MAX: usize = 4096;

/// What an answer is made of: who answered said this, or that there is nothing.
type Told = Result<Message, NetError>;

/// The way to others.
#[derive(Debug)]
pub(crate) struct Forward {
    resolvers: Resolvers,
    taken: Crowd<Lane>,
    open: Semaphore,
    figures: Arc<Figures>,
}

/// The places of one who asks.
#[derive(Debug)]
struct Lane(Semaphore);

impl Default for Lane {
    fn default() -> Lane {
        Lane(Semaphore::new(OPEN_EACH_MAX))
    }
}

impl Forward {
    /// To `resolvers`.
    pub(crate) fn new(resolvers: Resolvers, figures: Arc<Figures>) -> Forward {
        let taken = Crowd::new(TAKEN_MAX, TAKEN_EACH_MAX);
        Forward { resolvers, taken, open: Semaphore::new(OPEN_MAX), figures }
    }

    /// Answer `query`, whose name in small letters is `key`, at once where nobody need be asked;
    /// `None`: somebody has to be.
    pub(crate) fn at_once(
        &self,
        query: &Query<'_>,
        key: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Rcode> {
        let mut say = |rcode| {
            Reply::to(query, limit, out).end(query, rcode);
            Some(rcode)
        };
        if !query.recurses() {
            return say(Rcode::Refused);
        }
        if is_short(query, key) {
            return say(Rcode::NxDomain);
        }
        if self.resolvers.came_back(key) {
            self.figures.forwarded(Forwarded::Loop);
            return say(Rcode::Refused);
        }
        let (known, name, now) = (self.resolvers.lately(), asked(query)?, Instant::now());
        let asked = known.asked()?;
        if asked.failed.get(&name, now).is_some() {
            self.figures.forwarded(Forwarded::Failed);
            return say(Rcode::ServFail);
        }
        let told = asked.kept.get(&name, now)?;
        self.figures.forwarded(Forwarded::Kept);
        Some(write(query, &told, limit, out))
    }

    /// Ask others what `query` asks for `from`.
    pub(crate) async fn ask(
        &self,
        query: &Query<'_>,
        from: IpAddr,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Rcode {
        let Some(lane) = self.taken.enter(from) else {
            self.figures.forwarded(Forwarded::Busy);
            Reply::to(query, limit, out).end(query, Rcode::ServFail);
            return Rcode::ServFail;
        };
        let known = self.resolvers.now();
        let told = tokio::time::timeout(ANSWER_WITHIN, async {
            // The semaphores are never closed.
            let _own = lane.0.acquire().await;
            let _one = self.open.acquire().await;
            look_up(&known, query).await
        });
        let told = told.await.unwrap_or(Err(NetError::Timeout));
        let rcode = write(query, &told, limit, out);
        let failed = !matches!(rcode, Rcode::NoError | Rcode::NxDomain);
        self.figures.forwarded(if failed { Forwarded::Failed } else { Forwarded::Answered });
        if let Some((name, asked)) = asked(query).zip(known.asked()) {
            if failed {
                let nothing = Message::response(0, OpCode::Query);
                asked.failed.insert(name, Ok(nothing), Instant::now());
            } else if out.len() <= KEPT_BYTES_MAX {
                asked.kept.insert(name, told, Instant::now());
            }
        }
        rcode
    }
}

/// Whether the name is of one label and its address is asked for. No such name has one (RFC 7085);
/// it is a short name of some search list, and nobody outside is told of those.
fn is_short(query: &Query<'_>, key: &[u8]) -> bool {
    let address = matches!(Kind::of(query.kind), Kind::A | Kind::Aaaa);
    // This host is the exception (RFC 6761, 6.3).
    address && query.last_label == 0 && key.len() > 1 && key != b"\x09localhost\x00"
}

/// The question as the resolver knows it.
fn asked(query: &Query<'_>) -> Option<hickory_proto::op::Query> {
    let mut name = Name::read(&mut BinDecoder::new(query.name())).ok()?;
    name.set_fqdn(true);
    Some(hickory_proto::op::Query::query(name, RecordType::from(query.kind)))
}

async fn look_up(known: &Known, query: &Query<'_>) -> Told {
    let asked = known.asked().ok_or(NetError::NoConnections)?;
    let question = self::asked(query).ok_or(NetError::NoConnections)?;
    let found = asked.resolver.lookup(question.name, question.query_type).await?;
    Ok(found.into())
}

/// Write what was `told` as the answer to `query`.
fn write(query: &Query<'_>, told: &Told, limit: usize, out: &mut Vec<u8>) -> Rcode {
    let mut message = Message::response(query.id, OpCode::Query);
    let rcode = match told {
        Ok(found) => {
            message.answers = found.answers.clone();
            message.authorities = found.authorities.clone();
            message.additionals = found.additionals.clone();
            Rcode::NoError
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            message.authorities = authority(none);
            // The type has many more values, and no end of them.
            if none.response_code == ResponseCode::NXDomain {
                Rcode::NxDomain
            } else if none.response_code == ResponseCode::NoError {
                Rcode::NoError
            } else {
                Rcode::ServFail
            }
        }
        Err(_) => Rcode::ServFail,
    };
    if let Some(name) = asked(query) {
        message.add_query(name);
    }
    let room = Reply::room(query, limit);
    if encode(&message, room, out).is_err() {
        Reply::to(query, limit, out).end(query, Rcode::ServFail);
        return Rcode::ServFail;
    }
    Reply::over(query, limit, out).end(query, rcode);
    rcode
}

/// Who says that there is nothing; without it nobody may keep that.
fn authority(none: &NoRecords) -> Vec<Record> {
    if let Some(all) = &none.authorities {
        return all.to_vec();
    }
    none.soa.iter().map(|soa| soa.as_ref().clone().into_record_of_rdata()).collect()
}

/// Write `message` to `out`, in at most `room` bytes; what does not fit is left, which is said.
fn encode(message: &Message, room: usize, out: &mut Vec<u8>) -> Result<(), ProtoError> {
    out.clear();
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(u16::try_from(room).unwrap_or(u16::MAX));
    message.emit(&mut encoder)?;
    // A record that did not fit has left its beginning.
    encoder.trim();
    Ok(())
}

#[cfg(test)]
#[path = "forward_test.rs"]
pub(crate) mod tests;

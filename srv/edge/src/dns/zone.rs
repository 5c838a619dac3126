//! What is answered from the names alone, without asking anybody.
//!
//! Laws: whoever gets an answer about `deploy.` gets it from one generation of the table. A name
//! that has another type of record, or names below it, is never said not to exist: a client that
//! asks for AAAA would stop looking for A.

use super::label::ZONE;
use super::names::{Found, Names, Node};
use super::query::{HEADER_BYTES, Query};
use super::rcode::Rcode;
use super::record::{self, A_BYTES, AAAA_BYTES, CLASS_IN, Kind};
use super::reply::{Reply, Section};

/// Answer `query`, whose name in small letters is `key`, from `names` in `out`, in at most `limit`
/// bytes; `None`: another has to be asked.
/// `chance` is any number, by which lists of records are turned.
pub(crate) fn answer(
    query: &Query<'_>,
    key: &[u8],
    names: &Names,
    limit: usize,
    chance: u32,
    out: &mut Vec<u8>,
) -> Option<Rcode> {
    let kind = Kind::of(query.kind);
    if let Some(rcode) = refused(query, kind) {
        Reply::to(query, limit, out).end(query, rcode);
        return Some(rcode);
    }
    let mut reply = Reply::to(query, limit, out);
    let rcode = if key[query.last_label..] == *ZONE {
        reply.own();
        owned(&mut reply, query, kind, names, names.find(key), chance)
    } else if kind == Kind::Any {
        reply.put(Section::Answer, &record::anything());
        Rcode::NoError
    } else if let Some(pointer) = names.pointed(key).filter(|_| kind == Kind::Ptr) {
        reply.own();
        reply.put(Section::Answer, pointer);
        Rcode::NoError
    } else {
        return None;
    };
    reply.end(query, rcode);
    Some(rcode)
}

/// Why nothing is looked up, if so.
fn refused(query: &Query<'_>, kind: Kind) -> Option<Rcode> {
    match query.edns {
        Some(edns) if edns.version != 0 => Some(Rcode::BadVers),
        Some(_) | None if query.class != CLASS_IN || kind == Kind::Meta => Some(Rcode::Refused),
        Some(_) | None => None,
    }
}

/// The answer about a name of the zone.
fn owned(
    reply: &mut Reply<'_>,
    query: &Query<'_>,
    kind: Kind,
    names: &Names,
    found: Found<'_>,
    chance: u32,
) -> Rcode {
    let zone = (HEADER_BYTES + query.last_label) as u16;
    let soa = record::soa(zone, names.generation() as u32);
    let rcode = match found {
        Found::Nothing => Rcode::NxDomain,
        Found::Node(node) => {
            let apex = query.last_label == 0;
            if match kind {
                Kind::A | Kind::Aaaa | Kind::Srv => records(reply, node, kind, chance),
                Kind::Soa => apex && reply.put(Section::Answer, &soa),
                Kind::Any => reply.put(Section::Answer, &record::anything()),
                Kind::Ptr | Kind::Meta | Kind::Other => false,
            } {
                return Rcode::NoError;
            }
            Rcode::NoError
        }
    };
    if !reply.put(Section::Authority, &soa) {
        reply.truncate();
    }
    rcode
}

/// Put the node's records of `kind`; `false` when it has none.
fn records(reply: &mut Reply<'_>, node: &Node, kind: Kind, chance: u32) -> bool {
    let first = |count: usize| ((u64::from(chance) * count as u64) >> 32) as usize;
    match kind {
        Kind::A => reply.turned(&node.a, A_BYTES, first(node.a.len() / A_BYTES)),
        Kind::Aaaa => reply.turned(&node.aaaa, AAAA_BYTES, first(node.aaaa.len() / AAAA_BYTES)),
        Kind::Srv => ports(reply, node, first(node.srv.len())),
        Kind::Ptr | Kind::Soa | Kind::Any | Kind::Meta | Kind::Other => {}
    }
    node.has(kind)
}

/// Put the ports, and of the addresses what fits: one who misses them asks for them.
fn ports(reply: &mut Reply<'_>, node: &Node, first: usize) {
    let (before, from) = node.srv.split_at(first);
    if !from.iter().chain(before).all(|record| reply.put(Section::Answer, record)) {
        reply.truncate();
        return;
    }
    let mut fits = node.extra.iter().map(|record| reply.put(Section::Extra, record));
    fits.all(|put| put);
}

#[cfg(test)]
#[path = "zone_test.rs"]
mod tests;

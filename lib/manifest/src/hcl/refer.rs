//! What `${service.NAME.address}` means: the name that DNS answers with the healthy instances of
//! a service, and its port. Names need no order: a service may be deployed before one it names,
//! and two may name each other.

use std::collections::BTreeMap;

use super::syntax::{Content, Item};
use super::token::Piece;
use crate::error::quoted;
use crate::nearest::nearest;

/// The zone of all services; the edge's DNS answers for it.
const ZONE: &str = "deploy";

/// The port of a service, as far as it can be told before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    None,
    Of(u16),
    /// It is wrong, which is told where it stands.
    Wrong,
}

/// The services of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    ports: BTreeMap<String, Port>,
}

impl Services {
    /// Adds one. A second one of a name is an error that is told where it stands.
    pub(super) fn add(&mut self, name: &str, body: &[Item]) {
        let port = body.iter().find_map(port).unwrap_or(Port::None);
        self.ports.entry(name.to_owned()).or_insert(port);
    }

    /// `NAME.deploy:PORT`, or why there is none.
    pub(super) fn address(&self, name: &str) -> Result<String, String> {
        match self.ports.get(name) {
            Some(Port::Of(port)) => Ok(format!("{name}.{ZONE}:{port}")),
            Some(Port::Wrong) => Ok(format!("{name}.{ZONE}")),
            Some(Port::None) => Err(format!("service {name} has no port; add port = NUMBER to it")),
            None => {
                let near = nearest(name, self.ports.keys().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                Err(format!("{} is no service of this file{hint}", quoted(name)))
            }
        }
    }
}

fn port(item: &Item) -> Option<Port> {
    let Item::Attribute { name, value } = item else { return None };
    if name.text != "port" {
        return None;
    }
    let text = match &value.content {
        Content::Plain(text) => text.as_str(),
        Content::Text(pieces) => match &pieces[..] {
            [Piece::Plain(text)] => text,
            _ => "",
        },
        Content::List(_) | Content::Map(_) | Content::Bad => "",
    };
    Some(text.parse().ok().filter(|port| *port > 0).map_or(Port::Wrong, Port::Of))
}

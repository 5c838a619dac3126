//! What a worker is given at its start.

use std::os::fd::OwnedFd;

use crate::error::Error;
use crate::process::crew::told;
use crate::process::sockets::Sockets;
use crate::process::talk::{Said, Talk};

/// What the supervisor gives it first.
#[derive(Default)]
pub(super) struct Given {
    pub(super) sockets: Sockets,
    /// Where to write how many requests are on their way.
    pub(super) flights: Option<OwnedFd>,
    /// The talk with an edge that is to be taken over from.
    pub(super) from: Option<Talk>,
}

impl Given {
    /// Hears it to its end.
    pub(super) async fn hear(talk: &Talk) -> Result<Given, Error> {
        let mut given = Given::default();
        loop {
            let said = talk.hear().await.map_err(Error::io("hear the supervisor"))?;
            let said = said.ok_or_else(|| Error::Process("the supervisor ended".to_owned()))?;
            let Some(Said { line, with }) = told(&mut given.sockets, said) else { continue };
            match (line.as_str(), with) {
                ("flights", file) => given.flights = file,
                ("begin", _) => return Ok(given),
                ("take", Some(from)) => {
                    given.from = Some(Talk::over(from).map_err(Error::io("take over"))?);
                    return Ok(given);
                }
                _ => return Err(Error::Process(format!("the supervisor said `{line}`"))),
            }
        }
    }
}

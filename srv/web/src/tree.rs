//! The tree: one connection for one request, and its files as text.

use crate::refusal::{Refusal, Result};
use ninep::client::{Client, ClientError};
use ninep::dial::Address;
use std::collections::BTreeMap;

/// A connection to the tree.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) client: Client,
    /// Where it is.
    pub(crate) server: Address,
}

impl Tree {
    /// Dials.
    ///
    /// # Errors
    /// 503, when nobody answers.
    pub(crate) async fn dial(server: &Address) -> Result<Tree> {
        let client = Client::dial(server, "").await;
        let tree = |client| Tree { client, server: server.clone() };
        client.map(tree).map_err(|error| Refusal::of_tree(&error))
    }

    /// A file as text.
    pub(crate) async fn read(&self, path: &str) -> Result<String> {
        let bytes = self.client.read(path).await.map_err(|error| Refusal::of_tree(&error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file as text without its last newline; none when it is not there.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<String>> {
        match self.client.read(path).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_string())),
            Err(ClientError::Refused(_)) => Ok(None),
            Err(error) => Err(Refusal::of_tree(&error)),
        }
    }

    /// The names in a directory.
    pub(crate) async fn names(&self, path: &str) -> Result<Vec<String>> {
        let entries = self.client.list(path).await.map_err(|error| Refusal::of_tree(&error))?;
        Ok(entries.iter().map(|stat| String::from_utf8_lossy(&stat.name).into_owned()).collect())
    }

    /// Writes a line in one message, as `echo` does.
    pub(crate) async fn write(&self, path: &str, line: &str) -> Result<()> {
        let written = self.client.write(path, line.as_bytes()).await;
        written.map_err(|error| Refusal::of_tree(&error))
    }

    /// What was done to a service; in other words, where there is none of that name.
    pub(crate) async fn of_service<T>(&self, name: &str, done: Result<T>) -> Result<T> {
        let Err(refusal) = done else { return done };
        match self.client.stat(&format!("active/{name}")).await {
            Err(ClientError::Refused(_)) => Err(Refusal::no_service(name)),
            _ => Err(refusal),
        }
    }
}

/// The lines of a `key=value` file; of a key that repeats, the last.
pub(crate) fn values(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once('=')).collect()
}

/// `2/3` as two numbers.
pub(crate) fn pair(text: &str) -> (u64, u64) {
    let (have, want) = text.split_once('/').unwrap_or_default();
    (have.trim().parse().unwrap_or_default(), want.trim().parse().unwrap_or_default())
}

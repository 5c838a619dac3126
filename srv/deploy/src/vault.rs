//! Where values are sealed, and opened at the last moment: when an instance is started.
//!
//! Law: no value is in the world, in an order, in an event or in what is saved; only here, and
//! only for as long as it takes.

use crate::arrival::{Arrival, Request};
use crate::files::send;
use crate::lock::Hand;
use crate::secrets::{Handover, Wish};
use crate::world::Shared;
use secret::{Keys, Sealed, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{RwLock, mpsc};

/// Values sealed anew that are saved together.
const RESEALED_MAX: usize = 64;

/// The keys, and whose world it is; clones share them. The default one has no keys and opens
/// nothing.
#[derive(Debug, Clone, Default)]
pub struct Vault {
    world: Shared,
    keys: Option<Arc<Keys>>,
    /// The last number a value was given.
    last: Arc<AtomicU32>,
    /// Held for reading from a value's sealing until it is saved, and for writing while a key
    /// goes: nothing is left under it.
    gate: Arc<RwLock<()>>,
}

impl Vault {
    /// The vault of a loaded world.
    #[must_use]
    pub fn new(world: Shared, keys: Keys) -> Vault {
        let last = Arc::new(AtomicU32::new(world.lock().secrets.last));
        Vault { world, keys: Some(Arc::new(keys)), last, gate: Arc::default() }
    }

    /// Seals a value and has it saved as the newest of its secret.
    ///
    /// # Errors
    /// It was refused; nothing has changed then.
    pub async fn set(
        &self,
        arrivals: &mpsc::Sender<Arrival>,
        hand: Hand,
        name: String,
        value: Value,
    ) -> Result<(), String> {
        let _open = self.gate.read().await;
        let version = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        let sealed = self.keys()?.seal(&name, version, value);
        let sealed = sealed.map_err(|error| error.to_string())?;
        let wish = Wish::Set { name, version, sealed };
        let request = Box::new(Request::Secrets(wish));
        send(arrivals, Request::Over { hand, request }).await
    }

    /// The values for an instance, as the shim reads them: see `lib/container`.
    ///
    /// # Errors
    /// One is not there, or cannot be opened.
    pub fn parcel(&self, wanted: &[Handover]) -> Result<Value, String> {
        let mut values = Vec::with_capacity(wanted.len());
        for Handover { name, version, env } in wanted {
            let sealed = self.world.lock().secrets.value(name, *version);
            let missing = || format!("secret {name} version {version} is not kept");
            let value = self.open(name, *version, &*sealed.ok_or_else(missing)?)?;
            let (what, name) = env.as_ref().map_or(("file", name), |key| ("env", key));
            values.push((format!("{what} {name} {}\n", value.len()), value));
        }
        let room = values.iter().map(|(line, value)| line.len() + value.len()).sum();
        let mut parcel = Value::with_room(room);
        for (line, value) in values {
            parcel.push(line.as_bytes());
            parcel.push(value.bytes());
        }
        Ok(parcel)
    }

    /// Puts a new key in the old one's place, and seals everything anew.
    ///
    /// # Errors
    /// What stands in the way; the old key is kept then, and the next time goes on.
    pub async fn rotate(&self, arrivals: &mpsc::Sender<Arrival>) -> Result<(), String> {
        let _shut = self.gate.write().await;
        self.keys()?.renew().map_err(|error| error.to_string())?;
        self.reseal(arrivals).await
    }

    /// Ends a change of keys that a crash interrupted.
    pub async fn go_on(&self, arrivals: &mpsc::Sender<Arrival>) {
        if !self.keys.as_ref().is_some_and(|keys| keys.has_old()) {
            return;
        }
        let _shut = self.gate.write().await;
        match self.reseal(arrivals).await {
            Ok(()) => tracing::info!("secrets: everything is sealed under the new key"),
            Err(error) => tracing::warn!("secrets: the old key is kept: {error}"),
        }
    }

    async fn reseal(&self, arrivals: &mpsc::Sender<Arrival>) -> Result<(), String> {
        let keys = self.keys()?;
        let newest = keys.newest().ok_or_else(none)?;
        loop {
            let old = self.world.lock().secrets.not_under(newest, RESEALED_MAX);
            if old.is_empty() {
                return keys.forget_old().map_err(|error| error.to_string());
            }
            let mut values = Vec::with_capacity(old.len());
            for (name, version, sealed) in old {
                let value = self.open(&name, version, &sealed)?;
                let sealed = keys.seal(&name, version, value).map_err(|e| e.to_string())?;
                values.push((name, version, sealed));
            }
            send(arrivals, Request::Secrets(Wish::Reseal { values })).await?;
        }
    }

    fn open(&self, name: &str, version: u32, sealed: &Sealed) -> Result<Value, String> {
        let value = self.keys()?.open_sealed(name, version, sealed);
        value.map_err(|error| format!("secret {error}"))
    }

    fn keys(&self) -> Result<&Arc<Keys>, String> {
        self.keys.as_ref().ok_or_else(none)
    }
}

fn none() -> String {
    "this server has no key for secrets".to_string()
}

//! What is answered to an authority that looks whether a host is served here (RFC 8555, 8.3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Proofs by host and token; those of orders that are under way.
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<HashMap<(String, String), String>>);

/// A proof that is offered for as long as this is kept.
#[derive(Debug)]
pub(super) struct Offered {
    proofs: Arc<Proofs>,
    key: (String, String),
}

impl Proofs {
    fn all(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is answered for that token of that host, if it was asked for.
    pub(crate) fn find(&self, host: &str, token: &str) -> Option<String> {
        self.all().get(&(host.to_owned(), token.to_owned())).cloned()
    }

    /// A token that is offered, and its proof.
    #[cfg(test)]
    pub(super) fn any(&self) -> Option<(String, String)> {
        let all = self.all();
        all.iter().next().map(|((_, token), proof)| (token.clone(), proof.clone()))
    }

    /// Offers one.
    pub(super) fn offer(self: &Arc<Self>, host: &str, token: &str, proof: &str) -> Offered {
        let key = (host.to_owned(), token.to_owned());
        self.all().insert(key.clone(), proof.to_owned());
        Offered { proofs: Arc::clone(self), key }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.proofs.all().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_there_for_its_host_and_token_while_its_order_is_under_way() {
        let proofs = Arc::new(Proofs::default());
        let offered = proofs.offer("shop.example", "t", "t.key");
        assert_eq!(proofs.find("shop.example", "t").as_deref(), Some("t.key"));
        assert_eq!(proofs.find("other.example", "t"), None);
        assert_eq!(proofs.find("shop.example", "u"), None);
        drop(offered);
        assert_eq!(proofs.find("shop.example", "t"), None);
    }
}

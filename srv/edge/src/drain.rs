//! The way of an instance out: nobody comes in, the last one leaves or the limit passes, the
//! connections close, and only then it is told that the instance may be stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::backend::Backend;
use crate::gate::Gated;
use crate::metrics::Reason;
use crate::swap::{Note, Shared};
use crate::worker::Order;

/// Drains `gone`, whose gate lets nobody in any more.
pub(crate) async fn run(shared: Arc<Shared>, gone: Arc<Backend>, limit: Duration) {
    let id = Arc::clone(&gone.is.id);
    if timeout(limit, gone.gate().drained()).await.is_err() {
        gone.cut();
        let count = gone.gate().count();
        shared.cuts.add(Reason::Drain, count);
        shared.order(|| Order::Cut(Arc::clone(&gone)));
        let why = format!("still on the way {} ms after it left the table", limit.as_millis());
        shared.note(Note::Cut { id: Arc::clone(&id), count, why });
    }
    // From here no worker makes a connection; those that have some close them.
    gone.connections.gate().drain();
    shared.order(|| Order::Close(Arc::clone(&gone)));
    gone.connections.gate().drained().await;
    shared.forget(&gone);
    shared.note(Note::Drained { id });
}

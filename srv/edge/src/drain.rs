//! The way of an instance out: nobody comes in, the last one leaves or the limit passes, the
//! connections close, and only then it is told that the instance may be stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::backend::Backend;
use crate::gate::Gated;
use crate::metrics::Reason;
use crate::swap::{Note, Shared};
use crate::worker::Order;

/// Why the oldest process ends before what it has does.
const TOO_MANY: &str = "its process of the edge was the oldest of too many";

/// Drains `gone`, whose gate lets nobody in any more.
pub(crate) async fn run(shared: Arc<Shared>, gone: Arc<Backend>, limit: Duration) {
    let id = Arc::clone(&gone.is.id);
    let mut hurry = shared.hurry.subscribe();
    let late = tokio::select! {
        biased;
        () = gone.gate().drained() => None,
        _ = hurry.wait_for(|hurry| *hurry) => Some((Reason::Older, TOO_MANY.to_owned())),
        () = sleep(limit) => {
            let ms = limit.as_millis();
            Some((Reason::Drain, format!("still on the way {ms} ms after it left the table")))
        }
    };
    if let Some((reason, why)) = late {
        gone.cut(reason);
        let count = gone.gate().count();
        shared.cuts.add(reason, count);
        shared.order(|| Order::Cut(Arc::clone(&gone)));
        shared.note(Note::Cut { id: Arc::clone(&id), count, why });
    }
    // From here no worker makes a connection; those that have some close them.
    gone.connections.gate().drain();
    shared.order(|| Order::Close(Arc::clone(&gone)));
    gone.connections.gate().drained().await;
    shared.forget(&gone);
    shared.note(Note::Drained { id });
}

//! How long a connection may rest.

use std::time::Duration;

use super::rig::Rig;
use crate::access::Access;
use crate::limits::Limits;

#[tokio::test]
async fn a_connection_that_was_only_refused_rests_as_long_as_any() {
    let head_time = Duration::from_millis(400);
    let limits = Limits { workers: 1, head_time, ..Limits::default() };
    let rig = Rig::with(limits, Access::none()).await;
    let mut refused = rig.user().await;
    refused.send("GET / HTTP/1.1\nHost: nobody\n\n").await;
    assert_eq!(refused.answer().await.status, 404);
    // One that came later and asks for nothing is closed, and by then that one would be, too.
    let mut silent = rig.user().await;
    assert_eq!(silent.rest().await, "");
    refused.send("GET / HTTP/1.1\nHost: nobody\n\n").await;
    assert_eq!(refused.answer().await.status, 404);
}

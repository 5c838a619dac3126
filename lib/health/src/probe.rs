//! One probe: the right question within the time allowed.

use std::time::Duration;

use crate::{Answer, Check, Exec, Target};

/// Asks once and answers within `timeout` (and a little), whatever the instance does.
pub async fn probe(check: &Check, target: &Target, timeout: Duration, exec: &dyn Exec) -> Answer {
    let _ = (check, target, timeout, exec);
    todo!()
}

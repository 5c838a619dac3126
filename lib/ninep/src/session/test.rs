//! The rules of a session, as scripts: a line is what is sent or happens, the `>` lines after it
//! are all that comes of it. Both dialects speak where the rule is the same.

mod attach;
mod change;
mod dir;
mod flush;
mod hostile;
mod open;
mod order;
mod script;
mod sealed;
mod walk;
mod watch;

use crate::wire::Dialect;

use script::check;

const P9: Dialect = Dialect::P9;
const LINUX: Dialect = Dialect::Linux;

/// A user like others.
const BOB: u32 = 1000;

/// A user who is in group 7.
const ANN: u32 = 1001;

const ROOT: u32 = 0;

/// Checks a script whose messages both dialects have and answer alike.
#[track_caller]
fn both(uid: u32, script: &str) {
    check(P9, uid, script);
    check(LINUX, uid, script);
}

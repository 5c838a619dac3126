//! Every number that bounds something, with its unit.

use std::time::Duration;

/// Connections, all together; the next is told so and closed.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Streams of events and logs, all together, and as many of deploys.
pub(crate) const STREAMS_MAX: usize = 64;
/// Bytes of a request's head.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request's head.
pub(crate) const HEAD_FIELDS_MAX: usize = 64;
/// How long a head may take, and a connection may rest until the next one.
pub(crate) const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// Bytes of a request's body: an app has no more.
pub(crate) const BODY_BYTES_MAX: usize = manifest::limits::APP_BYTES_MAX;
/// Manifests that are written at once: a server has few at a time that are not closed yet.
pub(crate) const WRITES_MAX: usize = 32;
/// How long a body may take.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(15);
/// How long whoever is written to may take nothing before he is cut off.
pub(crate) const STALL_TIME_MAX: Duration = Duration::from_secs(20);
/// Pieces of a stream that wait for a reader; then what makes them waits, and reads no more.
pub(crate) const PIECES_MAX: usize = 16;
/// How often a stream without news says that it is there.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long an answer may take that no update is waited for: the tree answers in milliseconds.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Lines of a log in one answer, unless less is asked for.
pub(crate) const LOG_LINES_MAX: u64 = 10_000;
/// Lines of events that a stream may begin with.
pub(crate) const EVENT_LINES_MAX: u64 = 1_000;
/// How long the end of the process waits for answers that are being written.
pub(crate) const LEAVE_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of a token, at least: one that can be guessed is none.
pub(crate) const TOKEN_BYTES_MIN: usize = 16;
/// Bytes of it, at most.
pub(crate) const TOKEN_BYTES_MAX: usize = 4096;

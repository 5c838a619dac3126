//! Every limit of a manifest, with its unit, and where its number comes from.

/// Bytes of a manifest's text.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one line.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Words of one line: long commands fit, an endless one does not.
pub const LINE_WORDS_MAX: usize = 256;
/// Errors, and warnings, told of one text; who made more mends these first.
pub const PROBLEMS_MAX: usize = 100;
/// Uses of one repeatable key in a manifest.
pub const REPEATS_MAX: usize = 256;
/// Characters of a service's name: with `-` and a number it stays an instance id of 63.
pub const NAME_CHARS_MAX: usize = 40;
/// Instances of one service.
pub const REPLICAS_MAX: u32 = 1000;
/// Least cores an instance can be given, in thousandths: the kernel's smallest quota is 1 ms
/// of a period of 100 ms.
pub const CPU_MILLI_MIN: u32 = 10;
/// Most cores an instance can be given, in thousandths.
pub const CPU_MILLI_MAX: u32 = 1_024_000;
/// Least memory of an instance in bytes: below it a container is killed while it starts.
pub const MEMORY_BYTES_MIN: u64 = 6_000_000;
/// Largest size anything may have, in bytes (1 Pi).
pub const SIZE_BYTES_MAX: u64 = 1 << 50;
/// Most processes of an instance: the kernel's own limit of process ids.
pub const PIDS_MAX: u32 = 4_194_304;
/// Longest time any key may say, in milliseconds (a day).
pub const TIME_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// Longest time that a request waits for an update that replaces, in milliseconds: most users have
/// gone by then, and each that waits costs the edge memory.
pub const HOLD_MS_MAX: u64 = 120_000;
/// Shortest time between two probes, in milliseconds.
pub const HEALTH_INTERVAL_MS_MIN: u64 = 100;
/// Shortest time a probe may be given, in milliseconds.
pub const HEALTH_TIMEOUT_MS_MIN: u64 = 10;
/// Shortest deadline that bounds a start or an update, in milliseconds.
pub const DEADLINE_MS_MIN: u64 = 1000;
/// Failed probes in a row before an instance is unhealthy.
pub const HEALTH_RETRIES_MAX: u32 = 100;
/// Window in which restarts are counted, in milliseconds.
pub const RESTART_WINDOW_MS: u64 = 60_000;
/// First wait before a restart, in milliseconds; it doubles with each.
pub const RESTART_BACKOFF_MS: u64 = 100;
/// Most restarts before giving up: the waits before 9 of them add up to 51 s of the window of
/// 60 s, those before 10 to 102 s, so that a larger number would never be reached.
pub const MAX_RESTARTS_MAX: u32 = 9;
/// Shortest watch after an update, in milliseconds: it must span the waits between three exits,
/// and leave the program some time to exit in. An exit in it prolongs it.
pub const VALIDATE_MS_MIN: u64 = 1000;
const _: () = assert!(VALIDATE_MS_MIN >= 2 * (RESTART_BACKOFF_MS + 2 * RESTART_BACKOFF_MS));
/// Lines of output kept in memory for an instance.
pub const LOG_LINES_MAX: u32 = 100_000;
/// Smallest log file in bytes.
pub const LOG_SIZE_BYTES_MIN: u64 = 64_000;
/// Log files kept for an instance.
pub const LOG_FILES_MAX: u32 = 100;
/// Characters of a host name (RFC 1035, 2.3.4).
pub const HOST_CHARS_MAX: usize = 253;
/// Characters of a label or of the name of a secret or a config file.
pub const LABEL_CHARS_MAX: usize = 63;
/// Bytes of a path (the kernel's PATH_MAX less its end).
pub const PATH_BYTES_MAX: usize = 4095;
/// Bytes of a route's path: what an edge keeps of one.
pub const ROUTE_BYTES_MAX: usize = 1024;
/// Characters of a repository with its registry (OCI distribution specification, pulling).
pub const REPOSITORY_CHARS_MAX: usize = 255;
/// Characters of a tag (OCI distribution specification, pulling).
pub const TAG_CHARS_MAX: usize = 128;
/// Bytes of an app's text: a kilobyte for each of its services. A text that is wrong in every
/// byte costs some hundred bytes of memory for each.
pub const APP_BYTES_MAX: usize = 256 * 1024;
/// Services of one app, and tasks of one app.
pub const APP_SERVICES_MAX: usize = 256;
/// Blocks, lists and objects inside each other; a manifest needs three.
pub const DEPTH_MAX: usize = 8;
/// Labels of one block; every known block has one or none.
pub const LABELS_MAX: usize = 8;
/// Bytes of one string or here document of an app's text.
pub const STRING_BYTES_MAX: usize = 48 * 1024;
/// Bytes between `${` and its `}`: the longest name and what stands around it.
pub const REFERENCE_BYTES_MAX: usize = 256;

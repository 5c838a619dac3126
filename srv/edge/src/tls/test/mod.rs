//! HTTPS from outside: users with a client of TLS, certificates made by `openssl`.

mod folders;
mod handshakes;
mod names;
mod reloads;
pub(crate) mod rig;

//! A client of file servers.

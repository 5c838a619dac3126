//! The first run, and the small web server that it deploys.

pub mod web;

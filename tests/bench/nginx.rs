//! Debian's nginx, with one worker.

use crate::program::{Program, put};
use std::path::Path;

/// The name of its configuration.
const CONFIG: &str = "nginx.conf";

/// Starts it with these servers; none when it is not installed.
///
/// # Errors
/// It cannot be started.
pub(crate) fn start(dir: &Path, servers: &str, core: u32) -> Result<Option<Program>, String> {
    let config = configure(dir, servers)?;
    Program::start(core, "nginx", ["-c", &config], dir)
}

/// Writes the configuration that it begins with, or is told to read again; gives where it is.
///
/// # Errors
/// It cannot be written.
pub(crate) fn configure(dir: &Path, servers: &str) -> Result<String, String> {
    let text = format!(
        "daemon off; worker_processes 1; worker_shutdown_timeout 1s; pid {0}/pid; \
         error_log stderr crit;\n\
         events {{ worker_connections 9000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; \
         client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n{servers}}}\n",
        dir.display()
    );
    put(dir, CONFIG, &text).map(|path| path.display().to_string())
}

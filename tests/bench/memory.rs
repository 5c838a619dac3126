//! How much memory the programs hold.

use crate::figure::Figure;
use crate::machine::processes;
use crate::server::Server;
use std::fs;

/// Services that are deployed, of one instance each.
const SERVICES: usize = 10;

/// The two servers' resident memory with ten services, and the private memory of each shim.
pub(crate) fn measure(server: &Server) -> Result<(), String> {
    server.push_web()?;
    let mut files = Vec::new();
    for n in 0..SERVICES {
        files.push(server.write(&format!("web{n}"), MANIFEST)?);
    }
    let words = files.iter().flat_map(|file| ["-f", file]);
    server.deploy(&[&["apply"][..], &words.collect::<Vec<_>>()].concat())?;

    let place = server.dir().display().to_string();
    let node = processes("node", &place);
    let node = node.first().ok_or("no node runs")?;
    let mut deployfs = Figure::new("memory, deployfs, 10 services, resident", "MB");
    deployfs.add(megabytes(server.pid(), "status", "VmRSS:")?);
    deployfs.print("(target under 30 MB)");
    let mut resident = Figure::new("memory, node, 10 instances, resident", "MB");
    resident.add(megabytes(*node, "status", "VmRSS:")?);
    resident.print("");

    let mut shims = Figure::new("memory, a shim, private and written to", "MB");
    for shim in processes("shim", &place) {
        shims.add(megabytes(shim, "smaps_rollup", "Private_Dirty:")?);
    }
    shims.print("(target under 1 MB)");
    Ok(())
}

const MANIFEST: &str = "image web:v1\nport 8080\nhealth http /health\ncpu 0.1\nmemory 64M\n";

/// What this process has in memory, in bytes.
pub(crate) fn resident_bytes() -> Result<u64, String> {
    Ok((megabytes(std::process::id(), "status", "VmRSS:")? * 1e6) as u64)
}

/// A size that the kernel tells of a process, in MB (10^6 bytes; it tells KiB).
pub(crate) fn megabytes(pid: u32, file: &str, key: &str) -> Result<f64, String> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim().split(' ').next());
    let kib: Option<f64> = value.and_then(|value| value.parse().ok());
    kib.map(|kib| kib * 1024.0 / 1e6).ok_or(format!("{path} has no {key}"))
}

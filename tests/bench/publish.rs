//! How long the edge takes from a table that is published to its word that it serves it, which is
//! after the table is on disk; and the memory of an edge that has it.

use crate::edge::edge;
use crate::figure::Figure;
use crate::publisher::Publisher;
use crate::table;
use std::path::Path;

/// Tables that are published, the first of which is not counted.
const TABLES: u64 = 21;

/// With so many routes: each table has one of its instances elsewhere than the one before.
///
/// # Errors
/// The edge does not take a table.
pub(crate) async fn measure(bin: &Path, dir: &Path, routes: usize) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut publisher = Publisher::start(dir).await?;
    let at = |generation: u64| {
        let port = 1000 + u16::try_from(generation).unwrap_or_default();
        table::many(generation, routes, [port, 2])
    };
    let words = [("--http", "127.0.0.1:0"), ("-s", &publisher.address)];
    publisher.publish(1, &at(1));
    let edge = edge(dir, bin, &at(0), &words)?;
    publisher.hears("serves 1").await?;
    let mut took = Figure::new(format!("routes, {routes}, published to acknowledged"), "ms");
    for generation in 2..=TABLES {
        let began = publisher.publish(generation, &at(generation));
        let heard = publisher.hears(&format!("serves {generation}")).await?;
        took.add((heard - began).as_secs_f64() * 1e3);
    }
    took.print("");
    let mut memory = Figure::new(format!("routes, {routes}, the edge's private memory"), "MB");
    memory.add(edge.memory() as f64 / 1e6);
    memory.print("");
    Ok(())
}

//! Tables as `deployfs` writes them.

use std::fmt::Write as _;

/// The host of the route that is asked for.
pub(crate) const HOST: &str = "shop.test";

/// One route, to two instances.
pub(crate) fn one(host: &str, options: &str, ports: [u16; 2]) -> String {
    format!("generation 1\n{}", line(host, options, ports))
}

/// That route, and others before it, each to an instance of its own.
pub(crate) fn many(generation: u64, routes: usize, ports: [u16; 2]) -> String {
    let mut text = format!("generation {generation}\n");
    for n in 1..routes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} / other{n} - 0/other{n}-0/000000000000=127.0.0.1:1", other(n));
    }
    text + &line(HOST, "-", ports)
}

/// So many routes, all to the same two instances.
pub(crate) fn shared(routes: usize, ports: [u16; 2]) -> String {
    let lines = (1..=routes).map(|n| line(&other(n), "-", ports));
    std::iter::once("generation 1\n".to_owned()).chain(lines).collect()
}

/// So many services without routes, each with two addresses of its own.
pub(crate) fn services(count: usize) -> String {
    let mut text = String::from("generation 1\n");
    for n in 0..count {
        let [a, b] = addresses(n);
        let _ = writeln!(text, "- - {} - 0/n{n}-0/0={a}:80 1/n{n}-1/0={b}:80", service(n));
    }
    text
}

/// The name of one of many services.
pub(crate) fn service(n: usize) -> String {
    format!("n{n}")
}

/// Its addresses.
pub(crate) fn addresses(n: usize) -> [String; 2] {
    ["1", "2"].map(|last| format!("10.{}.{}.{last}", n / 250, n % 250))
}

/// The host of another route, always of the same length.
pub(crate) fn other(n: usize) -> String {
    format!("host{n:05}.test")
}

fn line(host: &str, options: &str, [a, b]: [u16; 2]) -> String {
    format!(
        "{host} / shop {options} 0/shop-0/000000000000=127.0.0.1:{a} \
         1/shop-1/000000000000=127.0.0.1:{b}\n"
    )
}

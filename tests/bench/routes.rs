//! What ten thousand routes cost, beside one: requests a second, the 99th percentile and processor
//! time a request, for one of the routes and for all of them in turn, where the two edges take
//! turns; and a change of such a table.

use crate::backend::{Backend, answers};
use crate::edge::edge;
use crate::figure::Figure;
use crate::program::{free_port, put};
use crate::proxies::{Peer, Proxy};
use crate::proxy::{Load, SHOP};
use crate::publish;
use crate::server::{place, programs};
use crate::table;
use crate::turns::turns;

/// Routes of the large table.
pub(crate) const ROUTES: usize = 10_000;
/// Turns of both: more than elsewhere, since a hundredth is to be seen.
const ROUNDS: usize = 12;
/// How long wrk asks in one.
const SECONDS: u32 = 1;

/// Measures both.
///
/// # Errors
/// An edge does not serve, or wrk is not there.
pub(crate) async fn measure() -> Result<(), String> {
    let (bin, place) = (programs()?, place()?);
    let backend = Backend::start(&place.path().join("backend"), false)?;
    let start = |name: &str, text: &str, ready: bool| -> Result<Proxy, String> {
        let port = free_port()?;
        let at = format!("127.0.0.1:{port}");
        let program = edge(&place.path().join(name), &bin, text, &[("--http", &at)])?;
        if ready {
            answers(port)?;
        }
        Ok(Proxy { peer: Peer::Edge, program, port })
    };
    let one = start("one", &table::one(table::HOST, "-", backend.ports), true)?;
    let many = start("many", &table::many(1, ROUTES, backend.ports), true)?;
    compare("one of 10,000 routes", [one, many], &["-H", SHOP])?;
    let script = put(place.path(), "hosts.lua", &script())?.display().to_string();
    let any = start("any", &table::one("*", "-", backend.ports), true)?;
    let all = start("all", &table::shared(ROUTES, backend.ports), false)?;
    compare("each of 10,000 routes", [any, all], &["-s", &script])?;
    for routes in [1, ROUTES] {
        publish::measure(&bin, &place.path().join(format!("publish{routes}")), routes).await?;
    }
    Ok(())
}

/// Asks both in turn; prints the second beside the first.
fn compare(what: &str, [one, many]: [Proxy; 2], words: &[&str]) -> Result<(), String> {
    let mut both = [
        (Load::new(&format!("routes, one, as {what}")), one),
        (Load::new(&format!("routes, {what}")), many),
    ];
    turns(ROUNDS, &mut both, |(load, proxy)| {
        load.wrk(proxy, &format!("http://127.0.0.1:{}/", proxy.port), SECONDS, words)
    })?;
    let [(one, _), (many, _)] = both;
    for (many, one) in many.figures().into_iter().zip(one.figures()) {
        one.print("");
        many.print(&format!("{} of one", spread(&many.ratio(one, ""))));
    }
    Ok(())
}

/// A ratio, and between what half of its rounds are.
fn spread(ratio: &Figure) -> String {
    let [low, high] = [25, 75].map(|share| three(ratio.percentile(share)));
    format!("{} ({low}..{high})", three(ratio.median()))
}

/// Three digits behind the point: a hundredth is the target.
fn three(value: f64) -> String {
    format!("{value:.3}")
}

/// For wrk: each host in its turn, with requests that are made before.
fn script() -> String {
    let (first, last) = (table::other(1), table::other(ROUTES));
    format!(
        "-- from {first} to {last}\nlocal all, at = {{}}, 0\n\
         function init(args)\n  for n = 1, {ROUTES} do\n    \
         all[n] = wrk.format(\"GET\", \"/\", {{ Host = string.format(\"host%05d.test\", n) }})\n  \
         end\nend\n\
         function request()\n  at = at % {ROUTES} + 1\n  return all[at]\nend\n"
    )
}

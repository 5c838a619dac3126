//! Figures over the ends of the processes that counted them.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;

use crate::backend::Backend;
use crate::keeping::route;
use crate::server::Deployfs;
use crate::trial::{Case, Trial, WAIT_MAX, kill_now};
use crate::users::{Load, get};

pub(crate) const ALL: &[Case] = &[
    ("figures are the same ones over take-overs and kills", the_same),
    ("no figure ever goes down under load, whoever ends", never_down),
];

/// What a metric says of itself, without the numbers that go up and down.
fn counters(metrics: &str) -> BTreeMap<String, f64> {
    let counts = |key: &str| {
        let name = key.split('{').next().unwrap();
        ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
    };
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.rsplit_once(' '));
    let counted = lines.filter(|(key, _)| counts(key));
    counted.map(|(key, value)| (key.to_owned(), value.parse().unwrap())).collect()
}

fn the_same() {
    let trial = Trial::with(&["--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]);
    let server = Deployfs::start(&trial.state());
    let mut edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(1, &route("-", &[&one]));
    server.wait_for(0, "serves 1");
    let dns: SocketAddr = trial.value("dns").parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let ask = || {
        let head = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0";
        let question = [&head[..], b"\x03web\x06deploy\0\0\x01\0\x01"].concat();
        socket.send_to(&question, dns).unwrap();
        socket.recv(&mut [0; 512]).unwrap();
    };
    let mut asked = 0.0;
    for turn in 0..4 {
        (0..3).for_each(|_| assert_eq!(get(trial.http(), "/").unwrap(), "web-1"));
        ask();
        asked += 1.0;
        let told = counters(&trial.read("metrics"));
        let of = |key: &str| told[key];
        let (route, web) = (
            "service=\"web\",host=\"*\",path=\"/\"",
            "service=\"web\",instance=\"web-1\",version=\"v1\"",
        );
        for (name, labels) in [("deploy_route_request", route), ("deploy_request", web)] {
            let good = format!("{name}s_total{{{labels},class=\"2xx\"}}");
            assert_eq!(of(&good), 3.0 * asked, "{turn}");
            assert_eq!(of(&format!("{name}_seconds_count{{{labels}}}")), 3.0 * asked, "{turn}");
            assert!(of(&format!("{name}_seconds_sum{{{labels}}}")) > 0.0);
        }
        assert_eq!(of("dns_questions_total{type=\"A\"}"), asked, "{turn}");
        let status = trial.read("status");
        let line = format!("route=web * / requests={} errors=0 inflight=0 ", 3.0 * asked);
        assert!(status.contains(&line), "{line} in {status}");
        // What was told outlives a kill, too.
        match turn % 2 {
            0 => edge = trial.start(),
            _ => kill_now(trial.worker()),
        }
    }
    trial.end();
    assert!(edge.wait().success());
}

fn never_down() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let mut edges = vec![trial.start()];
    let one = Backend::start("web-1");
    server.publish(1, &route("-", &[&one]));
    server.wait_for(0, "serves 1");
    let load = Load::start(trial.http(), 4);
    let mut before = BTreeMap::new();
    let mut look = || {
        let now = counters(&trial.read("metrics"));
        for (key, value) in &before {
            assert!(now.get(key).is_some_and(|now| now >= value), "{key}: {value}, {now:?}");
        }
        before = now;
    };
    for turn in 0..6 {
        load.wait_answered(100);
        look();
        match turn % 3 {
            0 | 1 => edges.push(trial.start()),
            _ => kill_now(trial.worker()),
        }
        (0..20).for_each(|_| look());
    }
    let told = load.stop();
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    look();
    trial.end();
}

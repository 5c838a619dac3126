//! Certificates that real processes order: killed, replaced and started again, they order once.

use std::path::Path;

use tokio::runtime::Runtime;

use crate::authority::Authority;
use crate::backend::Backend;
use crate::secure::openssl;
use crate::server::Deployfs;
use crate::trial::{Case, Trial, kill_now, wait_gone};

pub(crate) const ALL: &[Case] = &[
    ("a certificate that was ordered outlives a kill, a take-over and an end", ordered),
    ("an order that is under way is not repeated by a kill or a take-over", under_way),
];

/// An authority, and an edge that orders from it.
fn trial(runtime: &Runtime) -> (Authority, Trial) {
    let authority = runtime.block_on(Authority::start(0));
    let root = authority.root();
    let words = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--acme", &authority.url];
    let root = ["--acme-ca", root.to_str().unwrap(), "--acme-contact", "a@shop.example"];
    let trial = Trial::with(&[&words[..], &root].concat());
    (authority, trial)
}

fn route(backend: &Backend) -> Vec<String> {
    vec![format!("shop.example / web - {}", backend.text())]
}

/// What a user is told over TLS who trusts that root only.
fn ask(at: &str, root: &Path) -> String {
    let words = format!(
        "s_client -connect {at} -servername shop.example -verify_hostname shop.example \
         -verify_return_error -quiet -CAfile {}",
        root.display()
    );
    openssl(&words, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").1
}

fn ordered() {
    let runtime = Runtime::new().unwrap();
    let (authority, trial) = trial(&runtime);
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    authority.behave(|ways| ways.port = trial.http().port());
    let one = Backend::start("web-1");
    server.publish(1, &route(&one));
    let held = |all: &[String]| all.iter().any(|host| host.starts_with("shop.example until=20"));
    trial.wait_value("acme_host", held);
    let at = trial.value("https");
    let check = || {
        let answer = ask(&at, &authority.root());
        assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains("web-1"), "{answer}");
        assert_eq!((authority.seen().orders, authority.seen().accounts), (1, 1));
    };
    check();
    let worker = trial.worker();
    kill_now(worker);
    wait_gone(worker);
    trial.wait_value("acme_host", held);
    check();
    let next = trial.start();
    assert!(edge.wait().success());
    trial.wait_value("acme_host", held);
    check();
    trial.end();
    assert!(next.wait().success());
    let again = trial.start();
    trial.wait_value("acme_host", held);
    let answer = ask(&trial.value("https"), &authority.root());
    assert!(answer.contains("web-1"), "{answer}");
    assert_eq!((authority.seen().orders, authority.seen().faults), (1, 0));
    trial.end();
    assert!(again.wait().success());
}

fn under_way() {
    let runtime = Runtime::new().unwrap();
    let (authority, trial) = trial(&runtime);
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    authority.behave(|ways| (ways.holds, ways.port) = (true, trial.http().port()));
    let one = Backend::start("web-1");
    server.publish(1, &route(&one));
    runtime.block_on(authority.until(|seen| seen.orders == 1));
    let worker = trial.worker();
    kill_now(worker);
    wait_gone(worker);
    let rests = |all: &[String]| all.iter().any(|it| it.starts_with("shop.example failures=1 "));
    trial.wait_value("acme_host", rests);
    let next = trial.start();
    assert!(edge.wait().success());
    trial.wait_value("acme_host", rests);
    assert_eq!(authority.seen().orders, 1, "it rests");
    trial.end();
    assert!(next.wait().success());
}

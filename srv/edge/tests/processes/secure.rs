//! HTTPS by real processes: with the certificates of a directory, and without a break.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::backend::Backend;
use crate::keeping::route;
use crate::server::Deployfs;
use crate::trial::{Case, Trial, kill_now, wait_gone};

pub(crate) const ALL: &[Case] =
    &[("a pair that is put there serves, also after a kill and a take-over", pair)];

/// Runs `openssl`; whether it succeeded, and what it said.
pub(crate) fn openssl(words: &str, input: &str) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // Who has failed already reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Makes a pair in `dir`.
fn make(dir: &Path) {
    let (settings, dir) = (dir.join("settings"), dir.display());
    std::fs::write(&settings, "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
    let (made, said) = openssl(
        &format!(
            "req -x509 -config {} -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -keyout {dir}/shop.key -out {dir}/shop.crt -subj /CN=x \
             -addext subjectAltName=DNS:shop.example",
            settings.display()
        ),
        "",
    );
    assert!(made, "{said}");
}

/// What a user is told over TLS who trusts the pair's certificate only.
fn ask(at: &str, dir: &Path) -> String {
    let words = format!(
        "s_client -connect {at} -servername shop.example -verify_hostname shop.example \
         -verify_return_error -quiet -CAfile {}/shop.crt",
        dir.display()
    );
    openssl(&words, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").1
}

fn pair() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().to_str().unwrap();
    let words = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--certs", certs];
    let trial = Trial::with(&words);
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(1, &route("-", &[&one]));
    server.wait_for(0, "serves 1");
    let at = trial.value("https");
    assert_eq!(trial.value("certs"), format!("{certs} (none: handshakes are refused)"));
    make(dir.path());
    trial.wait_value("cert", |all| all.len() == 1);
    assert!(trial.value("cert").starts_with("shop.crt names=shop.example not_after=20"));
    let check = || {
        let answer = ask(&at, dir.path());
        assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains("web-1"), "{answer}");
    };
    check();
    let worker = trial.worker();
    kill_now(worker);
    wait_gone(worker);
    check();
    let next = trial.start();
    assert!(edge.wait().success());
    check();
    assert_eq!(trial.value("https"), at);
    trial.end();
    assert!(next.wait().success());
}

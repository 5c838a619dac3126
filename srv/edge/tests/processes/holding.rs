//! Many requests that wait for an instance, over HTTP/1.1: each has a connection, and so a
//! descriptor, of its own, and there are more of them than the usual limit.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::backend::Backend;
use crate::keeping::route;
use crate::server::Deployfs;
use crate::trial::{Case, Trial, WAIT_MAX};

/// Users who wait at the same time.
const HELD: usize = 2_000;
/// Descriptors of a process that asks for no more, and what it may ask for here: one a user, one
/// a connection to the instance, and some.
const DESCRIPTORS: &str = "--nofile=1024:5000";

pub(crate) const ALL: &[Case] =
    &[("two thousand held over HTTP/1.1 are all answered, each with a descriptor", held)];

fn held() {
    // Both ends of all these connections are here.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let edge = trial.command();
    let mut limited = Command::new("prlimit");
    limited.arg(DESCRIPTORS).arg(edge.get_program()).args(edge.get_args()).stdout(Stdio::piped());
    let _edge = trial.start_by(limited);
    server.publish(1, &["* / web hold,drain=60000".to_owned()]);
    let at = server.wait_for(0, "serves 1");
    let http = trial.http();
    let users: Vec<TcpStream> = (0..HELD)
        .map(|_| {
            let mut user = TcpStream::connect(http).unwrap();
            user.set_read_timeout(Some(WAIT_MAX)).unwrap();
            user.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n").unwrap();
            user
        })
        .collect();
    let began = Instant::now();
    let all = format!("\ndeploy_held {HELD}\n");
    while !trial.read("metrics").contains(&all) {
        assert!(began.elapsed() < WAIT_MAX, "not all are held");
    }
    let one = Backend::start("web-1");
    server.publish(2, &route("hold,drain=60000", &[&one]));
    server.wait_for(at, "serves 2");
    for (number, user) in users.iter().enumerate() {
        let mut line = String::new();
        BufReader::new(user).read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n", "of user {number}");
    }
    drop(users);
    trial.end();
}

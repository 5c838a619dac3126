//! What the HTTP door does with requests that mean it no good, or make no sense.

use super::{ALONE, Said, ask, get, opened, raw, request, with_token};
use crate::rig::{PATIENCE, Rig, web};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_json_with_its_status() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    let said = async |way: &str, path: &str, fields: &str, body: &str| {
        Said::read(&raw(&at, request(way, path, &at, fields, body).as_bytes()).await)
    };
    said("GET", "/nothing", "", "").await.refused(404, "nothing here");
    said("GET", "/v1", "", "").await.refused(404, "nothing here");
    for way in ["PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let refused = said(way, "/v1/services", "", "").await;
        refused.refused(405, "GET, HEAD");
        assert!(refused.head.contains("\r\nallow: get, head"), "{refused:?}");
    }
    let refused = said("GET", "/v1/deploy", "", "").await;
    refused.refused(405, "POST");
    assert!(refused.head.contains("\r\nallow: post"), "{refused:?}");
    said("GET", "/v1/services?frob=1", "", "").await.refused(400, "\"frob\": no such word");
    said("GET", "/v1/events", "Last-Event-ID: x\r\n", "").await.refused(400, "Last-Event-ID");
    let json = "Content-Type: application/json\r\n";
    said("POST", "/v1/deploy", json, "{}").await.refused(415, "a manifest is a text");
    said("POST", "/v1/deploy", "", &"#".repeat(262_145)).await.refused(413, "262144 bytes");
    let odd = "POST /v1/deploy HTTP/1.0\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nshort";
    let mut stream = TcpStream::connect(&at).await.expect("a connection");
    stream.write_all(odd.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("half closed");
    let mut all = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut all)).await.expect("in time").expect("read");
    // Who closes his side before he is known may be anybody.
    Said::read(&all).refused(403, "closed on one side");

    let head = said("HEAD", "/v1/services", "", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let stream = said("HEAD", "/v1/events", "", "").await;
    assert_eq!((stream.status, stream.body.as_str()), (200, ""), "a stream without an end");
    for path in ["/", "/v1/services", "/nothing"] {
        let said = said("GET", path, "", "").await;
        for guard in
            ["content-security-policy: default-src 'self'", "x-content-type-options: nosniff"]
        {
            assert!(said.head.contains(guard), "{path}: {}", said.head);
        }
        assert!(!said.head.contains("access-control-"), "{path}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_has_an_end() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    let check = async |bytes: &[u8], want: &str| {
        let said = raw(&at, bytes).await;
        let status = said.split(' ').nth(1).unwrap_or("none").to_string();
        assert!(want.split('|').any(|want| want == status), "{want}: {said:?}");
    };
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400|none").await;
    check(b"GET\r\n\r\n", "400|none").await;
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400|505|none").await;
    check(b"GET / HTTP/1.1\r\n\r\n", "400").await;
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    check(many.as_bytes(), "431|none").await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100_000));
    check(long.as_bytes(), "414|431|none").await;
    let both = "POST /v1/deploy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\
                Content-Length: 4\r\n\r\nabcd";
    check(both.as_bytes(), "400|none").await;

    // A head that comes a byte at a time, and never to its end, is not waited for for ever.
    let began = Instant::now();
    let mut slow = TcpStream::connect(&at).await.expect("a connection");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.expect("sent");
    let mut all = Vec::new();
    let ended = timeout(PATIENCE, slow.read_to_end(&mut all)).await.expect("given up");
    drop(ended);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    get(&at, "/v1/services").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_bound_and_room_is_there_again() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    let mut idle = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(&at).await.expect("a connection");
        let text = request("GET", "/icon.svg", &at, "", "").replace("1.0", "1.1");
        stream.write_all(text.as_bytes()).await.expect("sent");
        let mut first = [0; 12];
        let read = timeout(PATIENCE, stream.read_exact(&mut first)).await.expect("answered");
        if read.is_ok() && &first == b"HTTP/1.1 503" {
            break stream;
        }
        idle.push(stream);
        assert!(idle.len() <= 1_000, "no bound");
    };
    assert_eq!(idle.len(), 256);
    drop(refused);
    // One that goes makes room for the next, as soon as that is noticed.
    drop(idle.pop());
    let room = async {
        while raw(&at, request("GET", "/", &at, "", "").as_bytes()).await.contains(" 503 ") {}
    };
    timeout(PATIENCE, room).await.expect("room");
    drop(idle);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_and_another_user_do_nothing_here() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1"]).await;
    let said = async |fields: &str| {
        let text = request("POST", "/v1/deploy?name=web", &at, fields, &web("web:v1"));
        Said::read(&raw(&at, text.as_bytes()).await)
    };
    said("Origin: http://evil.test\r\n").await.refused(403, "another site's page");
    said("Sec-Fetch-Site: cross-site\r\n").await.refused(403, "another site's page");
    let rebound = request("GET", "/v1/services", "evil.test", "", "");
    Said::read(&raw(&at, rebound.as_bytes()).await).refused(403, "for another host");

    // Somebody of this machine who is nobody here: he sees, and does nothing.
    let as_nobody = async |text: &str| {
        let (host, port) = at.rsplit_once(':').expect("a port");
        let script = format!("exec 3<>/dev/tcp/{host}/{port}; cat >&3; cat <&3");
        let mut command = tokio::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "bash", "-c"]);
        command.arg(script).stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("setpriv of util-linux, and bash");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(text.as_bytes()).await.expect("sent");
        drop(input);
        let said = timeout(PATIENCE, child.wait_with_output()).await.expect("ends").expect("ended");
        Said::read(&String::from_utf8_lossy(&said.stdout))
    };
    let text = request("POST", "/v1/deploy?name=web", &at, "", &web("web:v1"));
    as_nobody(&text).await.refused(403, "uid 65534 is neither root nor in the group");
    let log = request("GET", "/v1/services/web/log", &at, "", "");
    as_nobody(&log).await.refused(403, "permission denied");
    let services = as_nobody(&request("GET", "/v1/services", &at, "", "")).await;
    assert_eq!(services.status, 200, "{services:?}");
    assert_eq!(services.json()["services"], serde_json::json!([]), "nothing was written");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_whoever_has_it_comes_in_and_nobody_else() {
    let (rig, at, dir) = with_token("a-token-of-some-length\n").await;
    let said = async |path: &str, fields: &str| {
        Said::read(&raw(&at, request("GET", path, "deploy.example", fields, "").as_bytes()).await)
    };
    let refused = said("/v1/services", "").await;
    refused.refused(401, "a token is needed");
    assert!(refused.head.contains("www-authenticate: bearer"), "{refused:?}");
    let wrong = "Authorization: Bearer another-token-as-long\r\n";
    said("/v1/services", wrong).await.refused(401, "not the right one");
    said("/v1/nothing", "").await.refused(401, "a token is needed");
    let right = "Authorization: Bearer a-token-of-some-length\r\n";
    assert_eq!(said("/v1/services", right).await.status, 200);
    assert_eq!(said("/", "").await.status, 200, "the page asks for it");
    assert_eq!(ask("GET", &at, "/v1/openapi.json").await.status, 200);
    std::fs::write(dir.path().join("token"), "another-token-of-some-length\n").expect("written");
    said("/v1/services", right).await.refused(401, "not the right one");
    rig.end().await;
}

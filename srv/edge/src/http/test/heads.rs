//! What heads lose and gain on their way.

use super::rig::{Instance, Rig};
use crate::access::Access;
use crate::limits::Limits;

/// The head that the instance saw, for these lines of a request.
async fn seen(rig: &Rig, lines: &str) -> String {
    rig.ask(&format!("GET /head HTTP/1.1\nHost: Shop.Example:80\n{lines}\n")).await.body
}

/// What an instance is told of a user.
const TOLD: [&str; 6] = [
    "GET /head HTTP/1.1",
    "host: Shop.Example:80",
    "x-forwarded-for: 127.0.0.1",
    "x-forwarded-host: Shop.Example:80",
    "x-forwarded-proto: http",
    "x-real-ip: 127.0.0.1",
];

/// The lines of a head in order, but for the request's ID.
fn told(head: &str) -> Vec<&str> {
    let mut lines: Vec<&str> =
        head.lines().filter(|line| !line.starts_with("x-request-id")).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn an_instance_learns_who_asks_and_for_what() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let head =
        seen(&rig, "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nForwarded: for=x\n").await;
    assert_eq!(told(&head), TOLD, "what a user says of himself is replaced");
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an ID");
    assert!(id.len() == 16 && !seen(&rig, "").await.contains(id), "an ID is given once: {id}");
    let head = seen(&rig, "X-Request-Id: abc-1\n").await;
    assert!(head.contains("x-request-id: abc-1\n"), "an ID of the user's is passed on: {head}");
}

#[tokio::test]
async fn nothing_that_a_user_claims_to_be_comes_to_an_instance_in_either_way() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for claim in [
        "X-Real-IP: 6.6.6.6",
        "x-real-ip: 6.6.6.6\nX-REAL-IP: 7.7.7.7",
        "Forwarded: for=6.6.6.6",
        "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 7.7.7.7",
        "X-Forwarded-Host: evil\nX-Forwarded-Port: 443\nX-Forwarded-Proto: https",
        "X-Forwarded-Server: evil\nX-Forwarded-Prefix: /evil\nX-FORWARDED-SSL: on",
        // Some programs read these as the ones above.
        "X_Forwarded_For: 6.6.6.6\nX-Forwarded_For: 6.6.6.6\nx_forwarded-for: 6.6.6.6",
        "X_REAL_IP: 6.6.6.6\nX_Forwarded_Anything: evil\nX_Request-Id: 1",
        "Keep_Alive: 1\nContent_Length: 3\nTransfer_Encoding: chunked\nProxy_Authorization: x",
        "X-Forwarded_Something-Much-Longer-Than-Any: evil\nProxy_Connection: x",
    ] {
        // The second is no plain request.
        for way in ["", "Keep-Alive: 1\n"] {
            let head = seen(&rig, &format!("{claim}\n{way}")).await;
            assert_eq!(told(&head), TOLD, "{claim:?} {way:?}");
        }
    }
}

#[tokio::test]
async fn a_proxy_in_front_is_believed_when_it_is_trusted() {
    let with = |network: &str| Limits {
        workers: 1,
        trust: vec![network.parse().expect("a network")],
        ..Limits::default()
    };
    let a = Instance::new("a").await;
    let mut other = Rig::with(with("192.0.2.0/24"), Access::none()).await;
    other.table(&format!("* / a - {}", a.line()));
    let head = seen(&other, "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\n").await;
    assert!(head.contains("x-forwarded-for: 127.0.0.1\n") && !head.contains("https"), "{head}");
    let mut rig = Rig::with(with("127.0.0.0/8"), Access::none()).await;
    rig.table(&format!("* / a - {}", a.line()));
    let head = seen(&rig, "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\n").await;
    assert!(head.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\n"), "{head}");
    assert!(head.contains("x-forwarded-proto: https\n"), "{head}");
    assert!(head.contains("x-real-ip: 127.0.0.1\n"), "{head}");
    let head = seen(&rig, "X_Real_IP: 6.6.6.6\nX_My_Own: 1\nX_Request_Id_2: 1\n").await;
    assert!(!head.contains("6.6.6.6"), "nobody who is trusted writes it so: {head}");
    assert!(head.contains("x_my_own: 1\n") && head.contains("x_request_id_2: 1\n"), "{head}");
    let head = seen(&rig, "X-Real-IP: 6.6.6.6\nX-Forwarded-Port: 443\n").await;
    assert!(head.contains("x-real-ip: 6.6.6.6\n"), "{head}");
    assert!(head.contains("x-forwarded-port: 443\n"), "{head}");
}

#[tokio::test]
async fn what_is_for_one_connection_goes_no_further() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let sent = "Connection: keep-alive, X-Mine\nX-Mine: 1\nX-Yours: 2\nKeep-Alive: 5\n\
                Proxy-Connection: x\nProxy-Authorization: y\nTE: trailers, gzip\nUpgrade: h2c\n";
    let head = seen(&rig, sent).await;
    for gone in ["connection", "x-mine", "keep-alive", "proxy-", "upgrade", "gzip"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
    assert!(head.contains("te: trailers\n") && head.contains("x-yours: 2\n"), "{head}");
    let head = seen(&rig, "Connection: host, content-length\n").await;
    assert!(head.contains("host: "), "nobody takes the host away: {head}");
    let answer = rig.ask("GET /hop HTTP/1.1\nHost: a\n\n").await;
    assert_eq!((answer.field("x-one"), answer.field("keep-alive")), (None, None));
    assert_eq!(answer.field("x-two"), Some("2"));
}

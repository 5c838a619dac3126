//! Real sockets: what comes in by a datagram or a connection, and what goes out.

use std::io::Write as _;
use std::process::Command;

use arc_swap::ArcSwap;
use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket as Socket};

use super::super::asking::{bytes, names, question, read, with_edns};
use super::super::names::Names;
use super::*;

/// A server on loopback, and what is to be removed with it.
pub(crate) struct Alone {
    pub(crate) at: SocketAddr,
    pub(crate) server: Server,
    file: tempfile::NamedTempFile,
}

/// A server of `names` alone, whose machine names its resolvers by `resolv_conf`.
pub(crate) async fn at_loopback(names: Names, resolv_conf: &str) -> (Alone, Arc<ArcSwap<Names>>) {
    with_resolvers_at(names, resolv_conf, 53).await
}

pub(crate) async fn with_resolvers_at(
    names: Names,
    resolv_conf: &str,
    port: u16,
) -> (Alone, Arc<ArcSwap<Names>>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(resolv_conf.as_bytes()).unwrap();
    let streams = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = streams.local_addr().unwrap();
    let datagrams = UdpSocket::bind(at).unwrap();
    let names = Arc::new(ArcSwap::from_pointee(names));
    let source = Arc::clone(&names);
    let source = Source(Box::new(move || source.load_full()));
    let resolvers = Resolvers::named_in(file.path().to_owned(), port);
    let server = Server::start(vec![Listener { datagrams, streams }], source, resolvers).unwrap();
    (Alone { at, server, file }, names)
}

impl Alone {
    /// Put another text where the machine names its resolvers, as programs do that care.
    pub(crate) fn rename_resolvers(&self, resolv_conf: &str) {
        let mut new = tempfile::NamedTempFile::new().unwrap();
        new.write_all(resolv_conf.as_bytes()).unwrap();
        std::fs::rename(new.into_temp_path().keep().unwrap(), self.file.path()).unwrap();
    }

    pub(crate) async fn ask(&self, message: &Message) -> Message {
        let socket = self.socket().await;
        self.ask_by(&socket, message).await
    }

    pub(crate) async fn socket(&self) -> Socket {
        let socket = Socket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.at).await.unwrap();
        socket
    }

    pub(crate) async fn ask_by(&self, socket: &Socket, message: &Message) -> Message {
        socket.send(&bytes(message)).await.unwrap();
        receive(socket).await
    }

    pub(crate) fn figure(&self, line: &str) -> u64 {
        let mut text = String::new();
        self.server.figures().print(&mut text);
        let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in {text}")).parse().unwrap()
    }
}

async fn receive(socket: &Socket) -> Message {
    let mut space = [0; 65535];
    let within = Duration::from_secs(10);
    let length = timeout(within, socket.recv(&mut space)).await.expect("an answer").unwrap();
    read(&space[..length])
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

async fn read_frame(stream: &mut TcpStream) -> Option<Message> {
    let within = Duration::from_secs(10);
    let length = timeout(within, stream.read_u16()).await.expect("in time").ok()?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    Some(read(&answer))
}

#[tokio::test]
async fn dig_reads_what_is_answered() {
    let (alone, _names) = at_loopback(names(), "").await;
    let dig = async |words: &str| {
        let (port, words) = (alone.at.port().to_string(), words.to_owned());
        let run = move || {
            let mut dig = Command::new("dig");
            dig.args(["@127.0.0.1", "-p", &port, "+norecurse"]).args(words.split(' ')).output()
        };
        let told = tokio::task::spawn_blocking(run).await.unwrap();
        let told = told.unwrap_or_else(|why| panic!("dig of the package bind9-dnsutils: {why}"));
        let text = String::from_utf8(told.stdout).unwrap();
        assert!(told.status.success(), "{text}");
        text
    };
    let mut all: Vec<String> = dig("+short web.deploy A").await.lines().map(String::from).collect();
    all.sort();
    assert_eq!(all, ["10.89.0.5", "10.89.0.6", "10.89.0.7"]);
    assert_eq!(dig("+short +tcp db.deploy AAAA").await, "fd00::9\n");
    assert_eq!(dig("+short -x 10.89.0.6").await, "1.web.deploy.\n");
    let told = dig("nope.deploy").await;
    assert!(told.contains("status: NXDOMAIN") && told.contains("flags: qr aa ra;"), "{told}");
    assert!(!told.contains("WARNING") && !told.contains("Warning"), "{told}");
    assert!(dig("web.deploy AXFR").await.contains("Transfer failed"));
    assert!(dig("version.bind CH TXT").await.contains("status: REFUSED"));
    assert!(dig("+edns=1 +noednsneg web.deploy").await.contains("status: BADVERS"));
    assert!(dig("+opcode=UPDATE deploy SOA").await.contains("status: NOTIMP"));
    let cookies = dig("+cookie +nsid +subnet=10.0.0.0/8 +dnssec 0.web.deploy").await;
    assert!(cookies.contains("status: NOERROR") && cookies.contains("flags: do;"), "{cookies}");
}

#[tokio::test]
async fn the_c_library_asks_for_both_kinds_by_one_socket_at_once() {
    let (alone, _names) = at_loopback(names(), "").await;
    let socket = alone.socket().await;
    // As glibc and musl do it: A and AAAA one behind the other, then answers in any order.
    for search in ["web", "web.deploy"] {
        let (a, aaaa) = (question(search, "A"), question(search, "AAAA"));
        socket.send(&bytes(&a)).await.unwrap();
        socket.send(&bytes(&aaaa)).await.unwrap();
        let mut told = [receive(&socket).await, receive(&socket).await];
        told.sort_by_key(|told| told.id != a.id);
        assert_eq!([told[0].id, told[1].id], [a.id, aaaa.id]);
        let (code, answers) = match search {
            // The next of the search list is tried.
            "web" => (ResponseCode::NXDomain, [0, 0]),
            _ => (ResponseCode::NoError, [3, 0]),
        };
        assert_eq!(told.each_ref().map(|told| told.response_code), [code; 2]);
        assert_eq!(told.each_ref().map(|told| told.answers.len()), answers);
    }
}

#[tokio::test]
async fn a_flood_of_rubbish_is_not_answered_and_stops_nobody() {
    let (alone, _names) = at_loopback(names(), "").await;
    let socket = alone.socket().await;
    let answer = bytes(&question("web.deploy.", "A").into_response());
    for round in 0..2000u32 {
        let rubbish = [&b"short"[..], &answer, b""][round as usize % 3];
        socket.send(rubbish).await.unwrap();
    }
    let told = alone.ask_by(&socket, &question("0.web.deploy.", "A")).await;
    assert_eq!(told.answers.len(), 1, "the first that comes back answers the only question");
    assert!(alone.figure("dns_dropped_total{why=\"answer\"}") > 0);
    assert!(alone.figure("dns_dropped_total{why=\"short\"}") > 0);
    assert_eq!(alone.figure("dns_queries_total{rcode=\"NOERROR\"}"), 1);
}

#[tokio::test]
async fn questions_of_one_connection_are_answered_without_waiting_for_each_other() {
    let (alone, _names) = at_loopback(names(), "").await;
    let mut stream = TcpStream::connect(alone.at).await.unwrap();
    let mut ids = Vec::new();
    let mut sent = Vec::new();
    for at in 0..1000 {
        let message = question(["web.deploy.", "nope.deploy."][at % 2], "A");
        ids.push(message.id);
        sent.extend(framed(&bytes(&message)));
    }
    let (mut reader, mut writer) = stream.split();
    let write = async {
        // Byte by byte first, then all the rest: a question ends where its length says.
        let (first, rest) = sent.split_at(50);
        for byte in first {
            writer.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        writer.write_all(rest).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let read_all = async {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), all) = tokio::join!(write, read_all);
    let (mut told, mut rest) = (Vec::new(), &all[..]);
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (answer, after) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
        told.push(read(answer).id);
        rest = after;
    }
    assert_eq!(told, ids);
}

#[tokio::test]
async fn what_no_datagram_holds_is_had_by_a_connection() {
    let at = |number: u32| super::super::names::Instance {
        number,
        address: (std::net::Ipv4Addr::from_bits(0x0a59_0000 + number), 80).into(),
    };
    let names = Names::of(1, [("web", (0..1000).map(at))]);
    let (alone, _names) = at_loopback(names, "").await;
    let asked = with_edns(question("_http._tcp.web.deploy.", "SRV"), 4096);
    assert!(alone.ask(&asked).await.truncation);
    let mut stream = TcpStream::connect(alone.at).await.unwrap();
    stream.write_all(&framed(&bytes(&asked))).await.unwrap();
    let told = read_frame(&mut stream).await.unwrap();
    assert_eq!((told.answers.len(), told.truncation), (1000, false));
}

#[tokio::test]
async fn a_connection_that_says_nothing_sensible_ends() {
    let (alone, _names) = at_loopback(names(), "").await;
    for rubbish in [&[0, 0][..], &[0, 3, 1, 2, 3]] {
        let mut stream = TcpStream::connect(alone.at).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        assert!(read_frame(&mut stream).await.is_none());
    }
    let mut many = Vec::new();
    for _ in 0..33 {
        many.push(TcpStream::connect(alone.at).await.unwrap());
    }
    // The last is one too many from one address, and is closed.
    assert!(read_frame(many.last_mut().unwrap()).await.is_none());
    assert_eq!(alone.figure("dns_dropped_total{why=\"connection\"}"), 1);
    let first = &mut many[0];
    first.write_all(&framed(&bytes(&question("0.web.deploy.", "A")))).await.unwrap();
    assert_eq!(read_frame(first).await.unwrap().answers.len(), 1);
}

#[tokio::test]
async fn a_server_that_leaves_lets_its_sockets_to_the_next() {
    let (alone, _names) = at_loopback(names(), "").await;
    let mut stream = TcpStream::connect(alone.at).await.unwrap();
    stream.write_all(&framed(&bytes(&question("0.web.deploy.", "A")))).await.unwrap();
    assert!(read_frame(&mut stream).await.is_some());
    let leaves = alone.server.leave(Duration::from_secs(60));
    timeout(Duration::from_secs(5), leaves).await.expect("nothing is open");
    assert!(read_frame(&mut stream).await.is_none(), "an idle connection is closed");
    UdpSocket::bind(alone.at).expect("the address is free");
}

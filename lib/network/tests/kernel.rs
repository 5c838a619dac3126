//! The network against the real kernel, each test in a network namespace of its own that is gone
//! with the test's thread. Needs root, `ip` and `nft`.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use network::{Cidr, Network, Pool, Settings};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::{LinkBridge, MulticastGroup};

/// How long a connection that must not come about is tried.
const REFUSED: Duration = Duration::from_millis(250);
/// The kernel sends a lost first packet again after a second; less says that none was lost.
const FIRST: Duration = Duration::from_millis(900);
/// Instances that say something at once.
const EAGER: u32 = 30;
/// How long anything that must happen may take.
const DEADLINE_S: u64 = 10;

/// Runs `case` on a machine with nothing but `lo`.
fn alone<F: Future<Output = ()>>(case: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            forward(true);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(case());
        });
        if let Err(failed) = thread.join() {
            std::panic::resume_unwind(failed);
        }
    });
}

/// The machine's switch, as this thread's namespace has it.
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

fn forward(on: bool) {
    std::fs::write(IP_FORWARD, if on { "1" } else { "0" }).unwrap();
}

fn forwards() -> bool {
    std::fs::read_to_string(IP_FORWARD).unwrap().trim() == "1"
}

/// Runs `what` inside an instance's namespace.
fn inside<T: Send>(namespace: &OwnedFd, what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            what()
        });
        thread.join().unwrap()
    })
}

async fn open(tag: &str, change: impl FnOnce(&mut Settings)) -> Network {
    let mut settings = Settings::new(tag);
    change(&mut settings);
    Network::open(settings).await.unwrap()
}

fn listen(address: Ipv4Addr, port: u16) -> TcpListener {
    TcpListener::bind((address, port)).unwrap()
}

/// Connects from a namespace to a listener elsewhere; answers whom the listener saw.
fn dial(from: &OwnedFd, listener: &TcpListener) -> io::Result<SocketAddr> {
    dial_for(from, listener, Duration::from_secs(DEADLINE_S))
}

fn dial_for(from: &OwnedFd, listener: &TcpListener, limit: Duration) -> io::Result<SocketAddr> {
    let to = listener.local_addr()?;
    let _stream = inside(from, || TcpStream::connect_timeout(&to, limit))?;
    Ok(listener.accept()?.1)
}

/// Whether the listener is reached, not waiting long when it must not be.
fn reaches(from: &OwnedFd, listener: &TcpListener, wanted: bool) -> bool {
    let limit = if wanted { Duration::from_secs(DEADLINE_S) } else { REFUSED };
    dial_for(from, listener, limit).is_ok()
}

fn links() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "link"]).output().unwrap();
    let name = |line: &str| line.split([':', '@']).nth(1).map(|name| name.trim().to_owned());
    String::from_utf8(output.stdout).unwrap().lines().filter_map(name).collect()
}

fn tables() -> String {
    let output = Command::new("nft").args(["list", "tables"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn root_may_and_nobody_is_told_why_not() {
    if std::env::var_os("NETWORK_TEST_NOBODY").is_some() {
        say_why_not();
        return;
    }
    alone(|| async { Network::usable().await.unwrap() });
    // A copy, since nobody may not look into the build directory everywhere.
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let mut again = Command::new(program);
    again.args(["--exact", "root_may_and_nobody_is_told_why_not", "--nocapture"]);
    let output = again.env("NETWORK_TEST_NOBODY", "1").uid(65_534).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("no privilege to delete link dp-none: CAP_NET_ADMIN"), "{text}");
}

/// What the copy that runs as nobody does: says why it may not.
fn say_why_not() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(Network::usable()).unwrap_err();
    println!("{error}");
}

#[test]
fn instances_reach_each_other_and_the_gateway() {
    alone(|| async {
        let net = open("0badcafe", |_| {}).await;
        assert_eq!(net.warnings(), [""; 0]);
        assert_eq!(net.cidr().to_string(), "10.89.0.0/16");
        let mut pool = Pool::new(net.cidr());
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        let first = net.create("web-1", a).await.unwrap();
        let second = net.create("web-2", b).await.unwrap();
        let server = inside(&second, || listen(b, 8080));
        assert_eq!(dial(&first, &server).unwrap().ip(), a);
        let dns = listen(net.gateway(), 53);
        assert_eq!(dial(&first, &dns).unwrap().ip(), a);
        let own = inside(&first, || listen(Ipv4Addr::LOCALHOST, 80));
        dial(&first, &own).unwrap();
    });
}

#[test]
fn the_first_packet_of_a_new_instance_is_not_lost() {
    alone(|| async {
        let net = open("0badcafe", |_| {}).await;
        let dns = listen(net.gateway(), 53);
        for number in 1..=EAGER {
            let address = Ipv4Addr::from_bits(net.gateway().to_bits() + number);
            let instance = net.create(&format!("web-{number}"), address).await.unwrap();
            dial_for(&instance, &dns, FIRST).unwrap();
            let server = inside(&instance, || listen(address, 80));
            let to = server.local_addr().unwrap();
            TcpStream::connect_timeout(&to, FIRST).unwrap();
        }
    });
}

#[test]
fn of_the_host_only_the_listed_ports_are_reached() {
    alone(|| async {
        let net = open("0badcafe", |settings| settings.host_ports = vec![53, 8443]).await;
        let instance = net.create("web-1", Ipv4Addr::new(10, 89, 0, 2)).await.unwrap();
        for (port, reached) in [(53, true), (8443, true), (22, false), (8080, false)] {
            let listener = listen(net.gateway(), port);
            assert_eq!(reaches(&instance, &listener, reached), reached, "port {port}");
        }
    });
}

#[test]
fn an_instance_reaches_the_world_under_the_hosts_address_and_nobody_reaches_it() {
    alone(|| async {
        let net = open("0badcafe", |_| {}).await;
        let world = open("00000001", |settings| settings.table = false).await;
        let (ours, theirs) = (net.gateway().to_bits() + 1, world.gateway().to_bits() + 1);
        let (ours, theirs) = (Ipv4Addr::from_bits(ours), Ipv4Addr::from_bits(theirs));
        let instance = net.create("web-1", ours).await.unwrap();
        let outside = world.create("out", theirs).await.unwrap();
        let server = inside(&outside, || listen(theirs, 80));
        assert_eq!(dial(&instance, &server).unwrap().ip(), world.gateway());
        let hidden = inside(&instance, || listen(ours, 80));
        assert!(!reaches(&outside, &hidden, false));
    });
}

/// Two links of the machine that are not ours, as another network makes them: whether a packet
/// from one is forwarded to the other.
async fn routes_between_others() -> bool {
    let mut ends = Vec::new();
    for (tag, range) in [("00000001", "10.201.0.0/24"), ("00000002", "10.202.0.0/24")] {
        let cidr: Cidr = range.parse().unwrap();
        let make = |settings: &mut Settings| (settings.cidr, settings.table) = (Some(cidr), false);
        let net = open(tag, make).await;
        let address = Ipv4Addr::from_bits(net.gateway().to_bits() + 1);
        let end = net.create("out", address).await.unwrap();
        let foreign = format!("br{tag}");
        for words in [["down", ""], ["name", &foreign], ["up", ""]] {
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            let name = if words == ["up"] { foreign.clone() } else { net.bridge() };
            let done = Command::new("ip").args(["link", "set", &name]).args(&words).status();
            assert!(done.unwrap().success(), "{name} {words:?}");
        }
        ends.push((address, end));
    }
    let [(_, from), (to, at)] = ends.try_into().unwrap();
    let server = inside(&at, || listen(to, 80));
    let reached = reaches(&from, &server, forwards() && !tables().contains("deploy"));
    for tag in ["00000001", "00000002"] {
        let gone = Command::new("ip").args(["link", "del", &format!("br{tag}")]).status();
        assert!(gone.unwrap().success());
    }
    reached
}

#[test]
fn switching_forwarding_on_makes_no_router_of_the_machine() {
    alone(|| async {
        assert!(routes_between_others().await);
        forward(false);
        let text = "packet forwarding was off here and is on for instances alone; to forward all \
                    else too: nft delete chain inet deploy_0badcafe guard";
        for _ in ["first", "found again"] {
            let net = open("0badcafe", |_| {}).await;
            assert_eq!(net.warnings(), [text]);
            assert!(forwards());
            assert!(!routes_between_others().await);
        }
        let net = open("0badcafe", |_| {}).await;
        let other = open("0badcaff", |_| {}).await;
        net.close().await.unwrap();
        assert!(forwards() && !routes_between_others().await);
        other.close().await.unwrap();
        assert!(!forwards());
    });
}

#[test]
fn who_wants_a_router_deletes_the_guard() {
    alone(|| async {
        forward(false);
        let net = open("0badcafe", |_| {}).await;
        let script = net.warnings()[0].rsplit_once("too: nft ").unwrap().1.to_owned();
        let done = Command::new("nft").args(script.split(' ')).status().unwrap();
        assert!(done.success());
        let net = open("0badcafe", |_| {}).await;
        assert_eq!(net.warnings(), [""; 0]);
        net.close().await.unwrap();
        assert!(forwards());
    });
}

#[test]
fn opening_again_finds_what_is_there_and_closing_leaves_nothing() {
    alone(|| async {
        let before = (links(), tables());
        let net = open("0badcafe", |_| {}).await;
        let held = net.create("web-1", Ipv4Addr::new(10, 89, 0, 2)).await.unwrap();
        drop(net);
        let net = open("0badcafe", |_| {}).await;
        assert_eq!(net.cidr().to_string(), "10.89.0.0/16");
        assert!(tables().contains("deploy_0badcafe"), "{}", tables());
        let dns = listen(net.gateway(), 53);
        dial(&held, &dns).unwrap();
        net.close().await.unwrap();
        assert_eq!((links(), tables()), before);
    });
}

#[test]
fn a_half_made_instance_is_made_again() {
    alone(|| async {
        let net = open("0badcafe", |_| {}).await;
        let left = net.create("web-1", Ipv4Addr::new(10, 89, 0, 2)).await.unwrap();
        let made = net.create("web-1", Ipv4Addr::new(10, 89, 0, 3)).await.unwrap();
        let dns = listen(net.gateway(), 53);
        assert_eq!(dial(&made, &dns).unwrap().ip(), Ipv4Addr::new(10, 89, 0, 3));
        assert!(!reaches(&left, &dns, false));
    });
}

#[test]
fn a_sweep_takes_what_no_instance_owns_and_nothing_of_another_server() {
    alone(|| async {
        let net = open("0badcafe", |_| {}).await;
        let other = open("0badcaff", |_| {}).await;
        let mut kept = Vec::new();
        for (place, id) in ["web-1", "web-2", "web-3"].into_iter().enumerate() {
            let address = |net: &Network| {
                Ipv4Addr::from_bits(net.gateway().to_bits() + 1 + u32::try_from(place).unwrap())
            };
            kept.push(net.create(id, address(&net)).await.unwrap());
            kept.push(other.create(id, address(&other)).await.unwrap());
        }
        assert_eq!(net.sweep(&["web-2".to_owned()]).await.unwrap().len(), 2);
        let (dns, others) = (listen(net.gateway(), 53), listen(other.gateway(), 53));
        for (instance, listener, reached) in [
            (&kept[0], &dns, false),
            (&kept[2], &dns, true),
            (&kept[4], &dns, false),
            (&kept[1], &others, true),
            (&kept[5], &others, true),
        ] {
            assert_eq!(reaches(instance, listener, reached), reached);
        }
        net.delete("web-2").await.unwrap();
        net.delete("web-2").await.unwrap();
        assert!(!reaches(&kept[2], &dns, false));
    });
}

#[test]
fn an_instance_that_nobody_holds_is_taken_away_by_the_kernel() {
    alone(|| async {
        let (driver, _handle, mut news) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).unwrap();
        tokio::spawn(driver);
        let net = open("0badcafe", |_| {}).await;
        drop(net.create("web-1", Ipv4Addr::new(10, 89, 0, 2)).await.unwrap());
        let gone = async {
            while let Some((message, _)) = news.next().await {
                if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(_)) =
                    message.payload
                {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(DEADLINE_S), gone).await.unwrap();
        assert!(!links().iter().any(|name| name.starts_with("dv")), "{:?}", links());
    });
}

#[test]
fn a_range_in_use_is_refused_and_a_default_one_passed_over() {
    alone(|| async {
        let (driver, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(driver);
        handle.link().add(LinkBridge::new("br0").build()).execute().await.unwrap();
        let links = handle.link().get().match_name("br0".to_owned()).execute();
        let index = std::pin::pin!(links).next().await.unwrap().unwrap().header.index;
        let address = Ipv4Addr::new(10, 89, 7, 1).into();
        handle.address().add(index, address, 24).execute().await.unwrap();
        let asked: Cidr = "10.89.0.0/16".parse().unwrap();
        let settings = Settings { cidr: Some(asked), ..Settings::new("00000003") };
        let text = Network::open(settings).await.unwrap_err().to_string();
        assert!(text.starts_with("address range 10.89.0.0/16 overlaps 10.89.7."), "{text}");
        assert!(text.ends_with(" of br0: choose another range"), "{text}");
        assert!(
            !self::links().iter().any(|name| name == "dp00000003"),
            "the bridge of a failed opening is left"
        );
        assert_eq!(open("00000003", |_| {}).await.cidr().to_string(), "10.93.0.0/16");
        assert_eq!(open("00000003", |_| {}).await.cidr().to_string(), "10.93.0.0/16");
        assert_eq!(open("0000000d", |_| {}).await.cidr().to_string(), "10.94.0.0/16");
    });
}

#[test]
fn another_range_waits_until_no_instance_uses_the_old_one() {
    alone(|| async {
        let asked: Cidr = "10.200.0.0/24".parse().unwrap();
        let ask = |settings: &mut Settings| settings.cidr = Some(asked);
        let net = open("0badcafe", |_| {}).await;
        let held = net.create("web-1", Ipv4Addr::new(10, 89, 0, 2)).await.unwrap();
        let net = open("0badcafe", ask).await;
        let text = "addresses 10.89.0.0/16 stay until no instance runs; 10.200.0.0/24 comes then";
        assert_eq!(net.warnings(), [text]);
        net.delete("web-1").await.unwrap();
        drop(held);
        let net = open("0badcafe", ask).await;
        assert_eq!((net.cidr(), net.warnings().len()), (asked, 0));
        let outside = net.create("web-2", Ipv4Addr::new(10, 89, 0, 3)).await.unwrap_err();
        let text = "address 10.89.0.3 is not one for an instance in 10.200.0.0/24";
        assert_eq!(outside.to_string(), text);
    });
}

#[test]
fn a_tag_that_is_not_eight_hex_digits_is_refused() {
    alone(|| async {
        for tag in ["", "abc", "0BADCAFE", "0badcafe0", "0badcaf\u{e9}", "-badcafe"] {
            let error = Network::open(Settings::new(tag)).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("bad network tag `{tag}`")), "{error}");
        }
    });
}

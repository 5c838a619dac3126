//! From a table to names.

use super::*;

fn key(name: &str) -> Vec<u8> {
    let mut key = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        push(&mut key, label);
    }
    key.push(0);
    key
}

fn there(names: &Names, name: &str) -> bool {
    matches!(names.find(&key(name)), Found::Node(_))
}

#[test]
fn every_service_of_a_table_has_names_whatever_its_routes() {
    let table = Table::parse(
        "generation 17\n\
         shop.example.com / Web websocket 0/web-17/v=10.89.0.5:8080 1/web-18/v=10.89.0.6:8080\n\
         shop.example.com /api Web - 0/web-17/v=10.89.0.5:8080\n\
         tcp 5432 db - 0/db-3/v=[fd00::9]:5432\n\
         - - worker - 0/worker-1/v=10.89.0.7:0\n",
    );
    let names = Names::of_table(&table.unwrap());
    assert_eq!(names.generation(), 17);
    for name in [
        "deploy.",
        "web.deploy.",
        "0.web.deploy.",
        "1.web.deploy.",
        "_tcp.web.deploy.",
        "_http._tcp.web.deploy.",
        "db.deploy.",
        "worker.deploy.",
        "_http._tcp.worker.deploy.",
    ] {
        assert!(there(&names, name), "{name}");
    }
    for name in ["2.web.deploy.", "1.worker.deploy.", "shop.deploy.", "_tcp.deploy.", "com."] {
        assert!(!there(&names, name), "{name}");
    }
    let Found::Node(web) = names.find(&key("web.deploy.")) else { panic!("no web") };
    let ports = |name: &str| match names.find(&key(name)) {
        Found::Node(node) => node.has(Kind::Srv),
        Found::Nothing => panic!("no {name}"),
    };
    assert!(ports("_http._tcp.web.deploy.") && there(&names, "0.worker.deploy."));
    assert!(!ports("_http._tcp.worker.deploy."), "it has no port that could be named");
    assert_eq!(web.a.len(), 2 * A_BYTES, "an instance of two routes is one");
}

#[test]
fn a_name_that_is_no_label_has_no_names_and_spoils_no_others() {
    let at = |number| Instance { number, address: "10.0.0.1:80".parse().unwrap() };
    let long = "x".repeat(64);
    let services = ["", "a.b", &long, "ok"].map(|service| (service, vec![at(0)]));
    let names = Names::of(1, services);
    assert!(there(&names, "ok.deploy.") && there(&names, "0.ok.deploy."));
    assert_eq!(names.nodes.len(), 5);
    assert_eq!(
        names.pointed(&key("1.0.0.10.in-addr.arpa.")),
        Some(&*pointer(&key("0.ok.deploy.")))
    );
}

#[test]
fn instances_of_one_number_stand_together_while_one_replaces_the_other() {
    let at = |text: &str| Instance { number: 0, address: text.parse().unwrap() };
    let names = Names::of(1, [("web", [at("10.0.0.1:80"), at("10.0.0.2:81")])]);
    let Found::Node(node) = names.find(&key("0.web.deploy.")) else { panic!("no node") };
    assert_eq!(node.a.len(), 2 * A_BYTES);
    let Found::Node(ports) = names.find(&key("_http._tcp.web.deploy.")) else { panic!("no ports") };
    assert_eq!((ports.srv.len(), ports.extra.len()), (2, 2));
}

#[test]
fn an_ipv4_address_in_ipv6_form_is_an_ipv4_address() {
    let address = "[::ffff:10.0.0.1]:80".parse().unwrap();
    let names = Names::of(1, [("web", [Instance { number: 0, address }])]);
    let Found::Node(node) = names.find(&key("web.deploy.")) else { panic!("no node") };
    assert_eq!((node.a.len(), node.aaaa.len()), (A_BYTES, 0));
}

#[test]
fn instances_of_one_address_have_one_record_and_each_its_port() {
    let at = |number| Instance { number, address: ([10, 0, 0, 1], 80 + number as u16).into() };
    let names = Names::of(1, [("web", [at(0), at(1)])]);
    let Found::Node(web) = names.find(&key("web.deploy.")) else { panic!("no web") };
    assert_eq!(web.a.len(), A_BYTES);
    let Found::Node(ports) = names.find(&key("_http._tcp.web.deploy.")) else { panic!("no ports") };
    assert_eq!((ports.srv.len(), ports.extra.len()), (2, 2));
}

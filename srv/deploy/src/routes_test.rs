//! Tables as they are derived from worlds.

use super::*;
use crate::record::Record;
use crate::world::Numbers;

/// A service as it is before its first instance, with a manifest that is being gone to.
fn service(name: &str, text: &str) -> Service {
    let mut record = Record::new(1, Numbers::default());
    let manifest = manifest::parse(name, text).manifest.unwrap();
    let by = crate::record::By { uid: 0, name: "root".to_string() };
    let digest = format!("sha256:{}", "a".repeat(64));
    let edition = crate::record::Edition::new(&manifest, text, &digest, by, 0);
    let version = record.number(edition);
    let way = crate::room::Way::full(&manifest);
    let spec = crate::record::spec(&manifest, way);
    rollout::step(&mut record.rollout, 0, rollout::Event::Applied { version, spec });
    Service::new(name, record)
}

fn derive(routes: &mut Routes, services: &BTreeMap<String, Service>, touched: &str) -> String {
    let touched: Vec<String> = touched.split_whitespace().map(String::from).collect();
    match routes.derive(services, touched.iter()) {
        Some(change) => {
            let table = routes.newest();
            assert_eq!(change.generation, table.generation);
            String::from_utf8(table.text.to_vec()).unwrap()
        }
        None => String::new(),
    }
}

fn with(routes: &str) -> String {
    format!("image web:1\nport 80\n{routes}")
}

#[test]
fn every_service_has_a_line_and_every_route_one_of_its_own() {
    let routes = with("route shop.example.com / websocket\nroute tcp 5432\ndrain 2\n");
    let services = BTreeMap::from([
        ("web".to_string(), service("web", &routes)),
        ("api".to_string(), service("api", &with(""))),
    ]);
    let mut table = Routes::after(7);
    assert_eq!(
        derive(&mut table, &services, ""),
        "generation 8\n- - api drain=15000\nshop.example.com / web websocket,drain=2000\n\
         tcp 5432 web drain=2000\n"
    );
}

#[test]
fn a_text_that_is_the_same_is_no_new_table() {
    let mut services = BTreeMap::from([("web".to_string(), service("web", &with("")))]);
    let mut table = Routes::default();
    assert!(!derive(&mut table, &services, "").is_empty());
    assert_eq!(derive(&mut table, &services, "web"), "");
    services.insert("api".to_string(), service("api", &with("")));
    let text = "generation 2\n- - api drain=15000\n- - web drain=15000\n";
    assert_eq!(derive(&mut table, &services, "api"), text);
    services.remove("web");
    assert_eq!(derive(&mut table, &services, "web"), "generation 3\n- - api drain=15000\n");
    assert_eq!(table.newest().generation, 3);
}

#[test]
fn a_place_has_one_service_and_goes_to_the_next_when_it_is_given_up() {
    let shop = with("route shop / \n");
    let mut services = BTreeMap::from([("web".to_string(), service("web", &shop))]);
    let mut table = Routes::default();
    derive(&mut table, &services, "");
    services.insert("api".to_string(), service("api", &shop));
    let text = "generation 2\n- - api drain=15000\nshop / web drain=15000\n";
    assert_eq!(derive(&mut table, &services, "api"), text);
    let wanted = manifest::parse("new", &shop).manifest.unwrap();
    let (place, owner) = conflict("new", &wanted, &services).unwrap();
    assert_eq!((place.as_str(), owner.as_str()), ("shop /", "api"));
    services.remove("web");
    assert_eq!(derive(&mut table, &services, "web"), "generation 3\nshop / api drain=15000\n");
    assert_eq!(conflict("api", &wanted, &services), None);
}

#[test]
fn generations_go_on_above_what_was_saved_as_used() {
    let mut table = Routes::after(41);
    assert_eq!(table.to_reserve(), Some(41 + BLOCK));
    table.reserve(41 + BLOCK);
    assert_eq!(table.to_reserve(), None);
    let services = BTreeMap::new();
    assert_eq!(derive(&mut table, &services, ""), "generation 42\n");
    let mut next = Routes::after(41 + BLOCK);
    derive(&mut next, &services, "");
    assert!(next.newest().generation > table.newest().generation);
}

#[test]
fn ten_thousand_routes_cost_a_change_of_one_service_one_copy_of_the_text() {
    let routes: String = (0..100).map(|n| format!("route h{n}.example.com /\n")).collect();
    let mut services: BTreeMap<String, Service> = (0..100)
        .map(|n| {
            let own = routes.replace("example", &format!("s{n}"));
            (format!("s{n}"), service(&format!("s{n}"), &with(&own)))
        })
        .collect();
    let mut table = Routes::default();
    assert_eq!(derive(&mut table, &services, "").lines().count(), 10_001);
    services.insert("s7".to_string(), service("s7", &with("drain 1\n")));
    let text = derive(&mut table, &services, "s7");
    assert_eq!(text.lines().count(), 9_902);
    assert!(text.contains("\n- - s7 drain=1000\n"));
}

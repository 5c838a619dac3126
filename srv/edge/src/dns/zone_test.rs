//! What is answered about `deploy.`, read by hickory-proto.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, RecordType};
use proptest::prelude::*;

use super::super::asking::{bytes, names, question, question_of, read, records, with_edns};
use super::super::names::Instance;
use super::super::query::{NAME_BYTES_MAX, bit};
use super::*;

fn ask(names: &Names, message: &[u8], limit: usize, chance: u32) -> Option<(Rcode, Vec<u8>)> {
    let query = Query::read(message).unwrap();
    let (mut out, mut space) = (Vec::new(), [0; NAME_BYTES_MAX]);
    let key = query.key(&mut space);
    answer(&query, key, names, limit, chance, &mut out).map(|rcode| (rcode, out))
}

/// A line is a question; the lines with `>` below it are the code and the records of its answer.
fn check(cases: &str) {
    let names = names();
    let mut told: Vec<String> = Vec::new();
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(expected) = line.strip_prefix("> ") {
            assert!(!told.is_empty(), "{line}: nothing more is told");
            assert_eq!(told.remove(0), expected);
            continue;
        }
        assert_eq!(told, Vec::<String>::new(), "before {line}");
        let (name, kind) = line.split_once(' ').unwrap();
        told = match ask(&names, &bytes(&question(name, kind)), 512, 0) {
            None => vec!["elsewhere".to_owned()],
            Some((rcode, out)) => {
                let message = read(&out);
                assert!(message.queries[0].name().eq_case(&Name::from_ascii(name).unwrap()));
                let own = if message.authoritative { " own" } else { "" };
                let mut told = vec![format!("{}{own}", rcode.name())];
                told.extend(records(&message).iter().map(|line| line.trim_end().to_owned()));
                told
            }
        };
    }
    assert_eq!(told, Vec::<String>::new(), "at the end");
}

#[test]
fn names_are_answered_as_the_table_says() {
    check(
        "web.deploy. A
         > NOERROR own
         > answer web.deploy. 0 IN A 10.89.0.5
         > answer web.deploy. 0 IN A 10.89.0.6
         > answer web.deploy. 0 IN A 10.89.0.7
         1.web.deploy. A
         > NOERROR own
         > answer 1.web.deploy. 0 IN A 10.89.0.6
         db.deploy. AAAA
         > NOERROR own
         > answer db.deploy. 0 IN AAAA fd00::9
         1.db.deploy. AAAA
         > NOERROR own
         > answer 1.db.deploy. 0 IN AAAA fd00::9
         _http._tcp.web.deploy. SRV
         > NOERROR own
         > answer _http._tcp.web.deploy. 0 IN SRV 0 1 8080 0.web.deploy.
         > answer _http._tcp.web.deploy. 0 IN SRV 0 1 8080 1.web.deploy.
         > answer _http._tcp.web.deploy. 0 IN SRV 0 1 9090 2.web.deploy.
         > extra 0.web.deploy. 0 IN A 10.89.0.5
         > extra 1.web.deploy. 0 IN A 10.89.0.6
         > extra 2.web.deploy. 0 IN A 10.89.0.7
         6.0.89.10.in-addr.arpa. PTR
         > NOERROR own
         > answer 6.0.89.10.in-addr.arpa. 0 IN PTR 1.web.deploy.
         deploy. SOA
         > NOERROR own
         > answer deploy. 0 IN SOA deploy. nobody.invalid. 7 3600 600 86400 0",
    );
}

#[test]
fn an_ipv6_address_is_looked_up_backwards() {
    let name = format!("9.{}d.f.ip6.arpa.", "0.".repeat(29));
    let line = format!("answer {name} 0 IN PTR 1.db.deploy.");
    check(&format!("{name} PTR\n> NOERROR own\n> {line}"));
}

#[test]
fn what_exists_without_such_a_record_is_never_said_not_to_exist() {
    let soa = "> NOERROR own
         > authority deploy. 0 IN SOA deploy. nobody.invalid. 7 3600 600 86400 0";
    for question in [
        "web.deploy. AAAA",
        "web.deploy. TXT",
        "web.deploy. SOA",
        "web.deploy. HTTPS",
        "0.web.deploy. AAAA",
        "0.db.deploy. AAAA",
        "idle.deploy. A",
        "idle.deploy. AAAA",
        "_http._tcp.idle.deploy. SRV",
        "_http._tcp.web.deploy. A",
        "_tcp.web.deploy. SRV",
        "deploy. A",
        "deploy. NS",
    ] {
        check(&format!("{question}\n{soa}"));
    }
}

#[test]
fn what_does_not_exist_is_said_not_to_and_may_not_be_kept() {
    for question in ["wep.deploy. A", "3.web.deploy. A", "00.web.deploy. A", "a.0.web.deploy. A"] {
        check(&format!(
            "{question}
             > NXDOMAIN own
             > authority deploy. 0 IN SOA deploy. nobody.invalid. 7 3600 600 86400 0"
        ));
    }
}

#[test]
fn names_outside_are_asked_of_others() {
    for name in
        ["example.com. A", ". A", "xdeploy. A", "deploy.com. A", "1.0.0.10.in-addr.arpa. PTR"]
    {
        check(&format!("{name}\n> elsewhere"));
    }
    // A label that ends in the bytes of the zone is another label.
    let mut message = bytes(&question("xxdeploy.", "A"));
    message[14] = 6;
    assert!(ask(&names(), &message, 512, 0).is_none());
    check("6.0.89.10.in-addr.arpa. A\n> elsewhere");
}

#[test]
fn anything_is_answered_by_one_small_record() {
    check(
        "web.deploy. ANY
         > NOERROR own
         > answer web.deploy. 0 IN HINFO RFC8482
         example.com. ANY
         > NOERROR
         > answer example.com. 0 IN HINFO RFC8482
         wep.deploy. ANY
         > NXDOMAIN own
         > authority deploy. 0 IN SOA deploy. nobody.invalid. 7 3600 600 86400 0",
    );
}

#[test]
fn the_letters_of_the_question_are_sent_back_as_they_came() {
    check(
        "wEb.dEPLOY. A
         > NOERROR own
         > answer wEb.dEPLOY. 0 IN A 10.89.0.5
         > answer wEb.dEPLOY. 0 IN A 10.89.0.6
         > answer wEb.dEPLOY. 0 IN A 10.89.0.7
         NO.Deploy. A
         > NXDOMAIN own
         > authority Deploy. 0 IN SOA Deploy. nobody.invalid. 7 3600 600 86400 0",
    );
}

#[test]
fn transfers_other_classes_and_other_versions_are_refused() {
    for kind in [252, 251, 249, 41, 0] {
        let message = question_of("deploy.", RecordType::from(kind));
        let (rcode, out) = ask(&names(), &bytes(&message), 512, 0).unwrap();
        assert_eq!((rcode, records(&read(&out)).len()), (Rcode::Refused, 0), "{kind}");
    }
    let mut chaos = bytes(&question("version.bind.", "TXT"));
    let end = chaos.len();
    chaos[end - 1] = 3;
    assert_eq!(ask(&names(), &chaos, 512, 0).unwrap().0, Rcode::Refused);

    let mut later = with_edns(question("web.deploy.", "A"), 1232);
    later.edns.as_mut().unwrap().set_version(1);
    let (_, out) = ask(&names(), &bytes(&later), 512, 0).unwrap();
    let told = read(&out);
    assert_eq!(u16::from(told.response_code), Rcode::BadVers.number());
    assert_eq!(told.edns.as_ref().unwrap().version(), 0);
    assert!(told.answers.is_empty());
}

#[test]
fn the_header_says_what_the_question_and_the_server_are() {
    let mut message = question("web.deploy.", "A");
    message.metadata.checking_disabled = true;
    let mut edns = hickory_proto::op::Edns::new();
    edns.set_dnssec_ok(true);
    message.set_edns(edns);
    message.metadata.authentic_data = true;
    let told = read(&ask(&names(), &bytes(&message), 512, 0).unwrap().1);
    assert_eq!(told.id, message.id);
    assert!(told.recursion_desired && told.recursion_available && told.checking_disabled);
    assert!(!told.authentic_data && !told.truncation && told.authoritative);
    let edns = told.edns.as_ref().unwrap();
    assert!(edns.flags().dnssec_ok && edns.max_payload() == 1232);

    message.metadata.recursion_desired = false;
    message.edns = None;
    let told = read(&ask(&names(), &bytes(&message), 512, 0).unwrap().1);
    assert!(!told.recursion_desired && told.edns.is_none());
}

/// `count` instances of `web`.
fn many(count: u32) -> Names {
    let at = |number: u32| {
        let ip = std::net::Ipv4Addr::from_bits(0x0a59_0000 + number);
        Instance { number, address: (ip, 8080).into() }
    };
    Names::of(1, [("web", (0..count).map(at))])
}

#[test]
fn what_does_not_fit_is_left_out_whole_and_said_to_be_missing() {
    let names = many(100);
    for (message, limit) in [
        (question("web.deploy.", "A"), 512),
        (with_edns(question("web.deploy.", "A"), 900), 900),
        (with_edns(question("web.deploy.", "A"), 4096), 1232),
        (with_edns(question("web.deploy.", "A"), 100), 512),
    ] {
        let message = bytes(&message);
        assert_eq!(Query::read(&message).unwrap().datagram_bytes(), limit);
        let (_, out) = ask(&names, &message, limit, u32::MAX).unwrap();
        let told = read(&out);
        assert!(told.truncation && out.len() <= limit && out.len() + A_BYTES > limit);
        // The old C library of musl takes what it gets.
        assert!(told.answers.len() > 20);
        let (_, out) = ask(&names, &message, 65535, u32::MAX).unwrap();
        let told = read(&out);
        assert!(!told.truncation);
        assert_eq!(told.answers.len(), 100);
    }
}

#[test]
fn addresses_of_ports_are_left_out_without_a_word() {
    let message = bytes(&question("_http._tcp.web.deploy.", "SRV"));
    let told = read(&ask(&many(12), &message, 512, 0).unwrap().1);
    assert_eq!((told.answers.len(), told.truncation), (12, false));
    assert!(told.additionals.len() < 12);
    let told = read(&ask(&many(100), &message, 512, 0).unwrap().1);
    assert!(told.truncation && told.answers.len() > 10 && told.additionals.is_empty());
    let edns = bytes(&with_edns(question("_http._tcp.web.deploy.", "SRV"), 600));
    for limit in 600..632 {
        let (_, out) = ask(&many(100), &edns, limit, 0).unwrap();
        assert!(read(&out).edns.is_some() && out.len() <= limit);
    }
    let told = read(&ask(&many(1000), &message, 65535, 0).unwrap().1);
    assert_eq!((told.answers.len(), told.additionals.len()), (1000, 1000));
}

#[test]
fn clients_that_ask_for_both_kinds_of_address_are_still_spread() {
    let (names, mut chance) = (many(4), super::super::chance::Chance::new());
    let mut firsts: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for _ in 0..4000 {
        let a = ask(&names, &bytes(&question("web.deploy.", "A")), 512, chance.next()).unwrap();
        ask(&names, &bytes(&question("web.deploy.", "AAAA")), 512, chance.next()).unwrap();
        let told = read(&a.1);
        let mut all: Vec<IpAddr> = told.answers.iter().filter_map(|r| r.data.ip_addr()).collect();
        *firsts.entry(all[0]).or_default() += 1;
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
    }
    // A thousand each, and by chance not once in a million below 800.
    assert!(firsts.len() == 4 && firsts.values().all(|count| *count > 800), "{firsts:?}");
}

/// The same answer as the zone gives, made of the instances by other code.
fn model(services: &BTreeMap<String, Vec<Instance>>, name: &str, kind: RecordType) -> Vec<String> {
    let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    let mut told = Vec::new();
    for (service, instances) in services {
        for (at, instance) in instances.iter().enumerate() {
            let number = instance.number.to_string();
            let ip = RData::from(instance.address.ip());
            let owner = [&[service.as_str()][..], &[&number, service]]
                .contains(&&labels[..labels.len() - 1]);
            if owner && ip.record_type() == kind {
                told.push(format!("answer {name} 0 IN {kind} {ip}"));
            }
            let ports = labels[..labels.len() - 1] == ["_http", "_tcp", service];
            if ports && kind == RecordType::SRV {
                let port = instance.address.port();
                told.push(format!("answer {name} 0 IN SRV 0 1 {port} {number}.{service}.deploy."));
                let kind = ip.record_type();
                told.push(format!("extra {number}.{service}.deploy. 0 IN {kind} {ip}"));
            }
            assert_eq!(at as u32, instance.number);
        }
    }
    told.sort();
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_answer_is_what_another_reading_of_the_table_says(
        counts in prop::collection::vec(0..6u32, 1..4),
        v6 in any::<bool>(),
        asked in "(_http\\._tcp\\.|_tcp\\.|[0-6]\\.)?[abcd]\\.",
        kind in prop::sample::select(vec![
            RecordType::A, RecordType::AAAA, RecordType::SRV, RecordType::MX, RecordType::TXT,
        ]),
        payload in prop::option::of(any::<u16>()),
        chance in any::<u32>(),
    ) {
        let services: BTreeMap<String, Vec<Instance>> = counts.iter().zip(["a", "b", "c"]).map(
            |(count, service)| {
                let at = |number: u32| {
                    let byte = u32::from(service.as_bytes()[0]) << 8 | number;
                    let address = if v6 && number % 2 == 1 {
                        format!("[fd00::{byte:x}]:80")
                    } else {
                        format!("10.0.{}.{}:{}", byte >> 8, byte & 255, 8000 + number)
                    };
                    Instance { number, address: address.parse().unwrap() }
                };
                (service.to_owned(), (0..*count).map(at).collect())
            },
        ).collect();
        let names = Names::of(9, services.iter().map(|(s, all)| (s.as_str(), all.iter().copied())));
        let name = format!("{asked}deploy.");
        let mut message: Message = question_of(&name, kind);
        if let Some(payload) = payload {
            message = with_edns(message, payload);
        }
        let (rcode, out) = ask(&names, &bytes(&message), 1232, chance).unwrap();
        let told = read(&out);
        let expected = model(&services, &name, kind);
        let mut found = records(&told);
        found.sort();
        if expected.is_empty() {
            prop_assert!(found.len() == 1 && found[0].starts_with("authority deploy. 0 IN SOA"));
            let first = asked.trim_end_matches('.').rsplit('.').next().unwrap();
            let known = services.contains_key(first);
            let numbered = asked.split('.').next().unwrap().parse::<u32>().ok();
            let there = match numbered {
                Some(number) => services.get(first).is_some_and(|all| number < all.len() as u32),
                None => known,
            };
            prop_assert_eq!(rcode, if there { Rcode::NoError } else { Rcode::NxDomain });
        } else {
            prop_assert_eq!(found, expected);
            prop_assert_eq!(rcode, Rcode::NoError);
        }
        prop_assert_eq!(told.edns.is_some(), payload.is_some());
        prop_assert_eq!(out[2] & (bit::ANSWER >> 8) as u8, 0x80);
    }
}

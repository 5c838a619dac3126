//! Each law by hand. A line is a node that joins, a want, or something that happens; a `>` line
//! is what must come of it.

use crate::{Fleet, Machine, NODE_LABEL, Resources, State, Volume, Want, WantId};
use manifest::units::{parse_cpu_milli, parse_size_bytes};
use manifest::{Constraint, parse};
use std::collections::BTreeMap;

/// A fleet, and the wants by the names that a script gives them.
#[derive(Default)]
struct Script {
    fleet: Fleet,
    wants: BTreeMap<String, WantId>,
}

impl Script {
    /// `node NAME CPU MEMORY VOLUMES [LABEL=VALUE]...`
    fn node(&mut self, words: &[&str]) -> String {
        let labels = words[4..].iter().map(|word| word.split_once('=').unwrap());
        self.fleet.join(Machine {
            name: words[0].to_owned(),
            capacity: Resources {
                cpu_milli: parse_cpu_milli(words[1]).unwrap(),
                memory_bytes: parse_size_bytes(words[2]).unwrap(),
            },
            volume_bytes: parse_size_bytes(words[3]).unwrap(),
            labels: labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect(),
            state: State::Accepting,
        });
        String::new()
    }

    /// `want NAME LINE; LINE...`, the lines as in a manifest, and the same checks on them but for
    /// those of volumes and constraints.
    fn want(&mut self, name: &str, lines: &str) -> String {
        let service = name.split('/').next().unwrap();
        let (mut text, mut volumes) = ("image i:1\n".to_owned(), Vec::new());
        let mut constraints = Vec::new();
        for line in lines.split("; ") {
            match line.split_once(' ') {
                Some(("constraint", words)) => constraints.push(constraint(words)),
                Some(("volume", words)) => volumes.push(volume(words)),
                Some(_) | None => text.extend([line, "\n"]),
            }
        }
        let mut manifest = parse(service, &text).manifest.unwrap_or_else(|| panic!("{text}"));
        manifest.constraints = constraints;
        let want = self.fleet.declare(Want { volumes, ..Want::of(&manifest) });
        self.wants.insert(name.to_owned(), want);
        String::new()
    }

    fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "node" => self.node(&words[1..]),
            "want" => self.want(words[1], line.splitn(3, ' ').nth(2).unwrap_or_default()),
            "place" => {
                let want = self.wants[words[2]];
                let after = words.get(4).map(|after| after.parse().unwrap());
                match self.fleet.place(number(1), want, after) {
                    Ok(node) => node.to_owned(),
                    Err(error) => format!("{error}: {}", self.fleet.why(want).unwrap()),
                }
            }
            "put" => self.fleet.put(number(1), self.wants[words[2]], words[3]).show(),
            "remove" => self.fleet.remove(number(1)).show(),
            "state" => {
                let state = match words[2] {
                    "accepting" => State::Accepting,
                    "closed" => State::Closed,
                    "draining" => State::Draining,
                    "suspect" => State::Suspect,
                    _ => State::Lost,
                };
                self.fleet.set_state(words[1], state).show()
            }
            "leave" => self.fleet.leave(words[1]).map(|gone| format!("{gone:?}")).show(),
            "hold" => {
                let bytes = parse_size_bytes(words[3]).unwrap();
                self.fleet.hold(words[1], words[2], bytes).show()
            }
            "drop" => self.fleet.drop_volume(words[1]).show(),
            "retire" => self.fleet.retire(self.wants[words[1]]).show(),
            other => panic!("no line {other}"),
        }
    }
}

fn constraint(words: &str) -> Constraint {
    let own = str::to_owned;
    if let Some((label, value)) = words.split_once("!=") {
        return Constraint::NotEqual { label: own(label), value: own(value) };
    }
    if let Some((label, value)) = words.split_once('=') {
        return Constraint::Equal { label: own(label), value: own(value) };
    }
    let (kind, word) = words.split_once(' ').unwrap();
    match kind {
        "spread" => Constraint::Spread { label: own(word) },
        "affinity" => Constraint::Affinity { service: own(word) },
        "anti-affinity" => Constraint::AntiAffinity { service: own(word) },
        other => panic!("no constraint {other}"),
    }
}

fn volume(words: &str) -> Volume {
    let words: Vec<&str> = words.split(' ').collect();
    let bytes = parse_size_bytes(words.last().unwrap()).unwrap();
    Volume { name: words[0].to_owned(), ephemeral: words.contains(&"ephemeral"), bytes }
}

trait Show {
    fn show(self) -> String;
}

impl Show for Result<(), crate::Error> {
    fn show(self) -> String {
        self.map(|()| String::new()).show()
    }
}

impl Show for Result<String, crate::Error> {
    fn show(self) -> String {
        self.unwrap_or_else(|error| error.to_string())
    }
}

#[track_caller]
fn check(script: &str) {
    let mut run = Script::default();
    let mut seen = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(expected) = line.strip_prefix("> ") {
            assert_eq!(seen, expected);
            seen.clear();
        } else {
            assert_eq!(seen, "", "before {line}");
            seen = run.line(line);
        }
    }
    assert_eq!(seen, "");
}

#[test]
fn what_is_placed_is_reserved_before_anything_is_started() {
    check(
        "node a 1 4G 0
         want web cpu 0.5; memory 1G
         place 1 web
         > a
         place 2 web
         > a
         place 3 web
         > no node has room for instance 3: a: cpu: wants 0.5, 0 free of 1
         remove 1
         place 3 web
         > a",
    );
}

#[test]
fn instances_spread_over_nodes_and_the_least_left_over_is_taken_among_equals() {
    check(
        "node a 4 8G 0
         node b 2 4G 0
         node c 2 4G 0
         want web cpu 0.5; memory 512M
         place 1 web
         > b
         place 2 web
         > c
         place 3 web
         > a
         place 4 web
         > b
         want api cpu 0.5; memory 512M
         place 5 api
         > b",
    );
}

#[test]
fn spread_goes_over_the_values_of_a_label_before_it_goes_over_nodes() {
    check(
        "node a 1 4G 0 zone=x
         node b 2 4G 0 zone=x
         node c 2 4G 0 zone=x
         node d 4 8G 0 zone=y
         want web cpu 0.5; memory 512M; constraint spread zone
         place 1 web
         > a
         place 2 web
         > d
         place 3 web
         > b
         place 4 web
         > d
         place 5 web
         > c
         place 6 web
         > d
         state d draining
         place 7 web
         > a",
    );
}

#[test]
fn nodes_without_a_label_are_together_one_more_value_of_it() {
    check(
        "node a 1 4G 0 zone=x
         node b 2 4G 0
         node c 2 4G 0
         want web cpu 0.5; memory 512M; constraint spread zone
         place 1 web
         > a
         place 2 web
         > b
         place 3 web
         > c
         place 4 web
         > a",
    );
}

#[test]
fn constraints_name_nodes_and_labels_and_say_what_is_missing() {
    check(
        "node a 2 4G 0 disk=ssd
         node b 1 2G 0 disk=hdd
         node c 1 1G 0
         want ssd constraint disk=ssd
         place 1 ssd
         > a
         want not-hdd constraint disk!=hdd
         place 2 not-hdd
         > c
         want b constraint node=b
         place 3 b
         > b
         want not-c constraint node!=c; constraint node!=b
         place 4 not-c
         > a
         want nvme constraint disk=nvme
         place 5 nvme
         > no node has room for instance 5: a: label disk: wants nvme, is ssd; 2 more: labels
         want x constraint node=x
         place 6 x
         > no node has room for instance 6: a: label node: wants x, is a; 2 more: labels",
    );
    assert_eq!(NODE_LABEL, "node");
}

#[test]
fn an_instance_goes_where_its_volume_is_or_nowhere() {
    check(
        "node a 1 1G 10G
         node b 4 8G 10G
         want db/1 cpu 0.5; memory 256M; volume data /data 4G
         place 1 db/1
         > a
         remove 1
         place 2 db/1
         > a
         place 3 db/1
         > a
         place 4 db/1
         > no node has room for instance 4: a: cpu: wants 0.5, 0 free of 1; \
         b: volume data is on a",
    );
    check(
        "node a 1 1G 10G
         node b 4 8G 10G
         hold data b 4G
         hold data a 4G
         > volume \"data\" is on b: drop it first
         want db cpu 0.5; memory 512M; volume data /data 4G
         place 1 db
         > b
         remove 1
         drop data
         place 2 db
         > a",
    );
}

#[test]
fn room_for_volumes_is_counted_and_a_volume_keeps_its_own() {
    check(
        "node a 4 8G 10G
         want db volume data /data 6G
         place 1 db
         > a
         want tmp volume scratch /tmp ephemeral 3G
         place 2 tmp
         > a
         place 3 tmp
         > no node has room for instance 3: a: volumes: wants 3G, 1G free of 10G
         remove 1
         place 3 tmp
         > no node has room for instance 3: a: volumes: wants 3G, 1G free of 10G
         remove 2
         place 4 tmp
         > a",
    );
}

#[test]
fn a_port_of_a_node_is_given_once() {
    check(
        "node a 4 8G 0
         node b 4 9G 0
         want web network host; port 80
         place 1 web
         > a
         want api network host; port 80
         place 2 api
         > b
         place 3 api
         > no node has room for instance 3: a and 1 more: port 80 taken
         want bridged port 80
         place 4 bridged
         > a",
    );
}

#[test]
fn affinity_needs_the_other_and_anti_affinity_holds_for_both_sides() {
    check(
        "node a 4 8G 0
         node b 4 9G 0
         want cache constraint affinity web
         place 1 cache
         > no node has room for instance 1: a and 1 more: affinity: no instance of web
         want web cpu 0.1
         put 2 web b
         place 1 cache
         > b
         want alone constraint anti-affinity web; constraint anti-affinity alone
         place 3 alone
         > a
         place 4 alone
         > no node has room for instance 4: \
         a: anti-affinity: has an instance of alone; 1 more: anti-affinity
         place 5 web
         > b
         remove 5
         state b closed
         place 5 web
         > no node has room for instance 5: a: anti-affinity of alone, which is here; \
         b: takes no new instances",
    );
    check(
        "node a 4 8G 0
         node b 4 9G 0
         want web constraint affinity web
         place 1 web
         > a
         place 2 web
         > a",
    );
}

#[test]
fn a_node_that_does_not_accept_gets_nothing_and_keeps_what_it_has() {
    for state in ["closed", "draining", "suspect", "lost"] {
        check(&format!(
            "node a 1 4G 0
             node b 2 8G 0
             want web cpu 0.5
             place 1 web
             > a
             state a {state}
             place 2 web
             > b
             place 3 web
             > b
             state a accepting
             place 4 web
             > a
             leave a
             > [1, 4]
             place 5 web
             > b",
        ));
    }
}

#[test]
fn a_successor_stays_on_its_node_unless_another_is_better_spread() {
    check(
        "node a 4 8G 0
         node b 4 9G 0
         node c 4 9G 0
         want web/1 cpu 0.5
         want web/2 cpu 0.5
         put 1 web/1 b
         put 2 web/1 c
         place 3 web/2 after 2
         > c
         remove 2
         place 4 web/2 after 1
         > b
         remove 1
         put 5 web/1 b
         place 6 web/2 after 5
         > a",
    );
    check(
        "node a 4 8G 0
         node b 0.5 9G 0
         want web/1 cpu 0.5
         want web/2 cpu 0.5
         put 1 web/1 b
         place 2 web/2 after 1
         > a",
    );
}

#[test]
fn a_node_that_came_back_smaller_has_nothing_free_until_enough_is_gone() {
    check(
        "node a 2 4G 0
         want web cpu 1
         put 1 web a
         put 2 web a
         node a 1 4G 0
         place 3 web
         > no node has room for instance 3: a: cpu: wants 1, 0 free of 1
         remove 1
         place 3 web
         > no node has room for instance 3: a: cpu: wants 1, 0 free of 1
         remove 2
         place 3 web
         > a",
    );
}

#[test]
fn what_is_not_there_is_an_error_and_changes_nothing() {
    check(
        "node a 2 4G 0
         want web cpu 1
         put 1 web b
         > no node \"b\": let it join first
         remove 1
         > no instance 1
         put 1 web a
         put 1 web a
         > instance 1 is on a: remove it first
         drop data
         > no volume \"data\"
         retire web
         put 2 web a
         > want 0 is not declared, or was retired
         remove 1
         want api cpu 2
         place 2 api
         > a",
    );
}

#[test]
fn a_volume_that_is_named_twice_is_one() {
    let volume = |bytes| Volume { name: "data".to_owned(), ephemeral: false, bytes };
    let mut fleet = Fleet::new();
    fleet.join(Machine { name: "a".to_owned(), volume_bytes: 3, ..Machine::default() });
    let want = Want { volumes: vec![volume(2), volume(3)], ..Want::default() };
    let want = fleet.declare(want);
    assert_eq!(fleet.place(1, want, None), Ok("a"));
    assert_eq!(fleet.volume_node("data"), Some("a"));
}

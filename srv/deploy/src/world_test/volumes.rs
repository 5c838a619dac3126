//! Volumes: where an instance goes that has one, who may have it, and when it goes.

use super::{A, B, check, run};
use crate::arrival::{Heard, Request};
use crate::turn::Turn;
use crate::world::World;

/// `disk BYTES [VOLUME …]`, and `gone VOLUME [REASON]`.
pub(super) fn heard(word: &str, rest: &str) -> Option<Heard> {
    if word == "disk" {
        let mut words = rest.split(' ').map(String::from);
        let (name, bytes) = ("n".to_string(), words.next()?.parse().ok()?);
        return Some(Heard::Disk { name, bytes, volumes: words.collect() });
    }
    let (volume, why) = rest.split_once(' ').unwrap_or((rest, ""));
    let told = if why.is_empty() { Ok(()) } else { Err(why.to_string()) };
    (word == "gone").then(|| Heard::VolumeGone { volume: volume.to_string(), told })
}

/// `drop VOLUME`
pub(super) fn asked(word: &str, rest: &str) -> Option<Request> {
    (word == "drop").then(|| Request::DropVolume { volume: rest.to_string() })
}

/// A service with the volume `data` at v1.
fn with_data(line: &str) -> String {
    format!(
        "disk 1000
         node-up
         > -: node n answers
         manifest db image db:1; cpu 0.4; {line}
         ctl apply db
         > db: pulling db:1
         > do pull db:1
         node pulled db:1 digest={A}
         > db: first deploy started v1
         > db: 0: scheduled on n
         > db: 0: starting
         > do start db-0
         node started db-0 pid=7
         node healthy db-0 ms=5
         > db: 0: healthy (0.00s)
         > db: done update v1 (0.00s)
        "
    )
}

#[test]
fn who_alone_writes_a_volume_ends_before_the_next_one_starts_and_it_is_told_why() {
    check(&format!(
        "{}
         manifest db image db:2; cpu 0.4; volume data /d
         ctl apply db
         > db: pulling db:2
         > do pull db:2
         node pulled db:2 digest={B}
         > db: replaces all at once: volume data has one writer and is not shared
         > db: replace update started v1→v2
         > db: 1: scheduled on n
         > do stop db-0
         node exited db-0 code=0
         > db: 0: old instance stopped
         > db: 1: starting
         > do start db-1
         > do remove db-0
        ",
        with_data("volume data /d")
    ));
}

#[test]
fn a_shared_volume_is_updated_as_the_manifest_says() {
    check(&format!(
        "{}
         manifest db image db:2; cpu 0.4; volume data /d shared
         ctl apply db
         > db: pulling db:2
         > do pull db:2
         node pulled db:2 digest={B}
         > db: rolling update started v1→v2
         > db: 1: scheduled on n
         > db: 1: starting
         > do start db-1
        ",
        with_data("volume data /d shared")
    ));
}

#[test]
fn a_volume_is_of_one_service_unless_both_share_it() {
    let refused = "volume data is of service db, and has one writer unless both say shared; say \
                   so in both, or take another name";
    check(&format!(
        "{}
         manifest web image db:1; cpu 0.1; volume data /d shared
         ctl apply web
         > refused: apply web: {refused}
        ",
        with_data("volume data /d")
    ));
    check(&format!(
        "{}
         manifest web image db:1; cpu 0.1; volume data /d
         ctl apply web
         > refused: apply web: {refused}
         manifest web image db:1; cpu 0.1; volume data /d ephemeral
         manifest api image db:1; cpu 0.1; volume data /d shared
         ctl apply api
         > api: pulling db:1
         > do pull db:1
        ",
        with_data("volume data /d shared")
    ));
}

#[test]
fn what_volumes_may_grow_to_is_counted_and_what_does_not_fit_refused() {
    check(&format!(
        "{}
         manifest web image db:1; cpu 0.1; volume a /a 601
         ctl apply web
         > refused: apply web: no room: n: volumes: wants 601, 600 free of 1K
         manifest web image db:1; cpu 0.1; replicas 2; volume a /a ephemeral 301
         ctl apply web
         > refused: apply web: no room: 1 of 2 more instances fit
         manifest web image db:1; cpu 0.1; volume a /a 600
         ctl apply web
         > web: pulling db:1
         > do pull db:1
        ",
        with_data("volume data /d 400")
    ));
}

#[test]
fn a_directory_of_the_machine_is_had_below_what_the_server_allows_and_else_refused() {
    let script = |path: &str, allowed: &str| {
        format!(
            "manifest web image a:1; volume host:{path} /m
             ctl apply web
             > refused: apply web: volume host:{path} is not below a directory that this server \
               allows (deployfs --allow-host): {allowed}
            "
        )
    };
    check(&script("/srv", "none is"));
    let mut world =
        World { allow_host: vec!["/srv/www".to_string(), "/data".to_string()], ..World::default() };
    for path in ["/srv", "/srv/www2", "/etc", "/"] {
        run(&mut world, &script(path, "allowed: /srv/www /data"));
    }
    run(
        &mut world,
        "manifest web image a:1; volume host:/srv/www/a /m
         ctl apply web
         > web: pulling a:1
         > do pull a:1",
    );
}

#[test]
fn a_volume_goes_when_nothing_that_is_kept_names_it_and_the_node_has_removed_it() {
    let mut world = World::default();
    run(
        &mut world,
        &format!(
            "{}
             drop none
             > refused: file does not exist: volumes/none
             drop data
             > refused: volume data is in use by service db, version v1 (deployed); nothing was done
             ctl remove db
             > db: removing
             > do stop db-0
             node exited db-0 code=0
             > db: 0: stopped
             > do remove db-0
             node removed db-0
             > db: done remove v1 (0.00s)
             > db: removed
             drop data
             > do drop volume data
             drop data
             > refused: volume data is being removed; wait for its end
             manifest db image db:1; volume data /d
             ctl apply db
             > refused: apply db: volume data is being removed; wait for its end
             gone data busy
             > -: volume data is not removed: busy
             > answer DropVolume(\"data\"): volume data: busy
             drop data
             > do drop volume data
            ",
            with_data("volume data /d 400")
        ),
    );
    assert_eq!(world.allocated_volumes(), 400);
    run(
        &mut world,
        "gone data
         > -: volume data removed
         > answer DropVolume(\"data\")
         gone data",
    );
    assert_eq!((world.volumes.len(), world.allocated_volumes()), (0, 0));
}

#[test]
fn a_removal_goes_on_when_the_node_comes_back_and_what_it_has_beside_that_is_kept() {
    let mut world = World::default();
    run(
        &mut world,
        "disk 1000 old other
         > -: volume old was found on node n
         > -: volume other was found on node n
         drop old
         > refused: node does not answer; try again
         node-up
         > -: node n answers
         drop old
         > do drop volume old
         drop other
         > do drop volume other
         disk 1000 old
         > -: volume other removed
         > do drop volume old
         > answer DropVolume(\"other\")
         node-up
         > -: node n answers",
    );
    let told = world.volume_text("old").unwrap();
    assert_eq!(told, "state=removing\nnode=n\nsize=\nmade=1970-01-01T00:00:00Z\n");
}

#[test]
fn what_a_turn_that_could_not_be_saved_did_to_volumes_is_undone() {
    let mut world = World::default();
    run(&mut world, &with_data("volume data /d 400"));
    let before = world.volumes.clone();
    let mut turn = Turn::new(100);
    world.disk("n", 1000, &["more".to_string()].into(), &mut turn);
    let want = place::Want {
        volumes: vec![place::Volume { name: "data".to_string(), ephemeral: false, bytes: 500 }],
        ..place::Want::default()
    };
    world.bind_volumes(&want, "n", &mut turn);
    assert_eq!((world.volumes.len(), world.volumes["data"].bytes), (2, 500));
    world.undo(&mut turn);
    assert_eq!(world.volumes, before);
}

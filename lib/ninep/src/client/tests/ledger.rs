//! What each operation puts on the wire.

use super::*;
use crate::{Kind, Stat};

#[tokio::test]
async fn a_small_file_is_one_round_trip_and_a_clunk_nobody_waits_for() {
    let (client, mut peer) = pair().await;
    let got = beside(client.read("/active/web/version"), async {
        let script = r#"Twalk fid 0 newfid 1 names 3 "active" "web" "version"
                        Topen fid 1 mode 0
                        Tread fid 1 offset 0 count 8168"#;
        let tags = peer.hears(script).await;
        peer.says(&tags, &[walked(3), opened(), data(b"ab12\n")]).await;
    })
    .await;
    assert_eq!(got.unwrap(), b"ab12\n");
    peer.hears("Tclunk fid 1").await;
}

#[tokio::test]
async fn a_file_longer_than_a_message_is_read_on_with_the_same_fid() {
    let (client, mut peer) = pair().await;
    let full = vec![b'x'; PAYLOAD as usize];
    let got = beside(client.read("log"), async {
        let script = r#"Twalk fid 0 newfid 1 names 1 "log"
                        Topen fid 1 mode 0
                        Tread fid 1 offset 0 count 8168"#;
        let tags = peer.hears(script).await;
        peer.says(&tags, &[walked(1), opened(), data(&full)]).await;
        let tags = peer.hears("Tread fid 1 offset 8168 count 8168").await;
        peer.says(&tags, &[data(b"end")]).await;
        peer.hears("Tclunk fid 1").await;
    })
    .await;
    assert_eq!(got.unwrap().len(), full.len() + 3);
}

#[tokio::test]
async fn a_read_of_as_much_as_the_server_gives_at_once_is_not_the_end() {
    let (client, mut peer) = pair().await;
    let got = beside(client.read("log"), async {
        let tags = peer.hears_any(3).await;
        let four = Rmsg::Open { qid: Qid::default(), iounit: 4 };
        peer.says(&tags, &[walked(1), four, data(b"four")]).await;
        let tags = peer.hears("Tread fid 1 offset 4 count 8168").await;
        peer.says(&tags, &[data(b"s")]).await;
    })
    .await;
    assert_eq!(got.unwrap(), b"fours");
}

#[tokio::test]
async fn a_refusal_is_the_server_s_text_and_nothing_else() {
    let (client, mut peer) = pair().await;
    let why = "invalid argument: unknown command \"puase\"";
    let got = beside(client.write("ctl", b"puase web"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), opened(), no(why)]).await;
        peer.hears("Tclunk fid 1").await;
    })
    .await;
    assert_eq!(got.unwrap_err().to_string(), why);
}

#[tokio::test]
async fn a_walk_that_ends_early_is_asked_again_for_its_reason() {
    let (client, mut peer) = pair().await;
    let unknown = no("unknown fid");
    let got = beside(client.read("active/wbe/version"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), unknown, unknown]).await;
        let script = r#"Twalk fid 0 newfid 1 names 1 "active"
                        Twalk fid 1 newfid 1 names 1 "wbe""#;
        let tags = peer.hears(script).await;
        peer.says(&tags, &[walked(1), no("no service \"wbe\"")]).await;
        peer.hears("Tclunk fid 1").await;
    })
    .await;
    assert_eq!(got.unwrap_err(), refused("no service \"wbe\""));
}

#[tokio::test]
async fn a_path_of_more_than_sixteen_names_is_several_walks_in_one_go() {
    let (client, mut peer) = pair().await;
    let got = beside(client.remove(&"d/".repeat(33)), async {
        let names = r#" "d""#.repeat(16);
        let script = format!(
            r#"Twalk fid 0 newfid 1 names 16{names}
               Twalk fid 1 newfid 1 names 16{names}
               Twalk fid 1 newfid 1 names 1 "d"
               Tremove fid 1"#
        );
        let tags = peer.hears(&script).await;
        peer.says(&tags, &[walked(16), walked(16), walked(1), Rmsg::Remove {}]).await;
    })
    .await;
    got.unwrap();
    let next = beside(client.remove("x"), async {
        // A removed fid is not clunked, and its number is free at once.
        let tags = peer.hears("Twalk fid 0 newfid 1 names 1 \"x\"\nTremove fid 1").await;
        peer.says(&tags, &[walked(1), Rmsg::Remove {}]).await;
    });
    next.await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_missing_is_created_and_its_close_is_waited_for() {
    let (client, mut peer) = pair().await;
    let unknown = no("unknown fid");
    let got = beside(client.put("manifests/web", b"image app"), async {
        let script = r#"Twalk fid 0 newfid 1 names 2 "manifests" "web"
                        Topen fid 1 mode 17
                        Twrite fid 1 offset 0 data 9 "image app""#;
        let tags = peer.hears(script).await;
        peer.says(&tags, &[walked(1), unknown, unknown]).await;
        let script = r#"Twalk fid 0 newfid 1 names 1 "manifests"
                        Tcreate fid 1 name "web" perm 436 mode 1
                        Twrite fid 1 offset 0 data 9 "image app""#;
        let tags = peer.hears(script).await;
        let created = Rmsg::Create { qid: Qid::default(), iounit: 0 };
        peer.says(&tags, &[walked(1), created, Rmsg::Write { count: 9 }]).await;
        let tags = peer.hears("Tclunk fid 1").await;
        peer.says(&tags, &[no("line 1: no command")]).await;
    })
    .await;
    assert_eq!(got.unwrap_err(), refused("line 1: no command"));
}

#[tokio::test]
async fn a_put_goes_on_where_the_server_stopped_taking() {
    let (client, mut peer) = pair().await;
    let long = vec![b'x'; PAYLOAD as usize + 10];
    let got = beside(client.put("m", &long), async {
        let tags = peer.hears_any(3).await;
        let some = Rmsg::Write { count: PAYLOAD - 5 };
        peer.says(&tags, &[walked(1), opened(), some]).await;
        let rest = r#"Twrite fid 1 offset 8163 data 15 "xxxxxxxxxxxxxxx""#;
        let tags = peer.hears(rest).await;
        peer.says(&tags, &[Rmsg::Write { count: 15 }]).await;
        let tags = peer.hears("Tclunk fid 1").await;
        peer.says(&tags, &[Rmsg::Clunk {}]).await;
    })
    .await;
    got.unwrap();
}

#[tokio::test]
async fn a_write_that_is_taken_in_part_is_an_error() {
    let (client, mut peer) = pair().await;
    let got = beside(client.write("ctl", b"pause web"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), opened(), Rmsg::Write { count: 4 }]).await;
        let tags = peer.hears("Tclunk fid 1").await;
        peer.says(&tags, &[Rmsg::Clunk {}]).await;
    })
    .await;
    assert_eq!(got.unwrap_err().to_string(), "ctl: only 4 of 9 bytes were taken");
}

#[tokio::test]
async fn a_directory_is_read_until_nothing_comes() {
    let (client, mut peer) = pair().await;
    let mut entry = Vec::new();
    Stat::new(Kind::File, &b"web"[..], 7, 0o664).record().encode(&mut entry);
    let got = beside(client.list("manifests"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), directory(), data(&entry)]).await;
        let next = format!("Tread fid 1 offset {} count 8168", entry.len());
        let tags = peer.hears(&next).await;
        peer.says(&tags, &[data(b"")]).await;
    })
    .await;
    let names: Vec<_> = got.unwrap().into_iter().map(|stat| stat.name).collect();
    assert_eq!(names, ["web"]);
}

#[tokio::test]
async fn a_plain_file_is_no_directory() {
    let (client, mut peer) = pair().await;
    let got = beside(client.list("status"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), opened(), data(b"text")]).await;
    })
    .await;
    assert_eq!(got.unwrap_err().to_string(), r#"bad path "status": it is not a directory"#);
}

#[tokio::test]
async fn a_directory_is_made_in_the_one_above() {
    let (client, mut peer) = pair().await;
    let got = beside(client.mkdir("instances/web-1"), async {
        let script = "Twalk fid 0 newfid 1 names 1 \"instances\"
                      Tcreate fid 1 name \"web-1\" perm 2147484157 mode 0";
        let tags = peer.hears(script).await;
        peer.says(&tags, &[walked(1), no("file already exists")]).await;
        peer.hears("Tclunk fid 1").await;
    })
    .await;
    assert_eq!(got.unwrap_err(), refused("file already exists"));
}

#[tokio::test]
async fn a_rename_touches_nothing_but_the_name() {
    let (client, mut peer) = pair().await;
    let got = beside(client.rename("manifests/a", "b"), async {
        let (walk, _) = peer.next().await.unwrap();
        let (wstat, message) = peer.next().await.unwrap();
        let untouched = r#"Twstat fid 1 stat "b" (ffffffffffffffff 4294967295 ff) 37777777777 "#;
        let rest = r#"18446744073709551615 4294967295 "" """#;
        assert!(alike(&message, &format!("{untouched}{rest}")), "{message}");
        peer.says(&[walk, wstat], &[walked(2), Rmsg::Wstat {}]).await;
    })
    .await;
    got.unwrap();
    let two = client.rename("manifests/a", "b/c").await.unwrap_err();
    assert_eq!(two.to_string(), r#"bad path "b/c": want one name"#);
}

#[tokio::test]
async fn a_write_that_no_message_can_hold_is_not_begun() {
    let (client, _peer) = pair().await;
    let long = vec![0; PAYLOAD as usize + 1];
    let got = client.write("ctl", &long).await.unwrap_err();
    assert_eq!(got.to_string(), "ctl is too long: 8169 bytes, at most 8168");
}

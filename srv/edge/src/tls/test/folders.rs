//! What is wrong in the directory is told by its file's name, and the one before is served.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::rig::{Secure, make};

#[tokio::test]
async fn a_pair_that_is_wrong_is_told_by_name_and_the_one_before_serves() {
    let edge = Secure::new().await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    let at = |name: &str| edge.dir.path().join(name);
    let other = tempfile::tempdir().unwrap();
    let check = async |file: &str, text: &[u8], want: &str| {
        fs::write(at(file), text).unwrap();
        edge.says(&format!("cert_wrong=shop.crt: {want}")).await;
        assert!(edge.status().contains("; the one before is served\n"), "{}", edge.status());
        assert!(edge.shows("shop.example", &shop).await, "{want}");
    };
    let (crt, key) = (fs::read(at("shop.crt")).unwrap(), fs::read(at("shop.key")).unwrap());
    check("shop.crt", &crt[..crt.len() / 2], "it is not whole PEM").await;
    check("shop.crt", b"", "no certificate is in it").await;
    make(other.path(), "shop", "shop.example", 9);
    let fresh = fs::read(other.path().join("shop.crt")).unwrap();
    check("shop.crt", &fresh, "shop.key is the key of another certificate").await;
    make(other.path(), "shop", "shop.example", -1);
    check("shop.crt", &fs::read(other.path().join("shop.crt")).unwrap(), "it has expired").await;
    fs::write(at("shop.crt"), &crt).unwrap();
    check("shop.key", &key[..key.len() / 2], "shop.key is not whole PEM").await;
    check("shop.key", &crt, "no private key is in shop.key").await;
    fs::remove_file(at("shop.key")).unwrap();
    edge.says("cert_wrong=shop.crt: its key is not there; the one before is served").await;
    assert!(edge.shows("shop.example", &shop).await);
    fs::remove_file(at("shop.crt")).unwrap();
    edge.says("(none: handshakes are refused)").await;
    assert!(!edge.shows("shop.example", &shop).await, "what is taken away is not served");
    fs::write(at("shop.key"), &key).unwrap();
    fs::set_permissions(at("shop.key"), fs::Permissions::from_mode(0o600)).unwrap();
    edge.says("the certificate is not there, its key is; it is not served").await;
    fs::write(at("shop.crt"), &crt).unwrap();
    edge.says("cert=shop.crt names=shop.example not_after=2").await;
    assert!(edge.shows("shop.example", &shop).await);
    assert!(!edge.status().contains("cert_wrong"), "{}", edge.status());
}

#[tokio::test]
async fn pairs_lie_as_certbot_lays_them_and_are_taken_when_links_change() {
    let edge = Secure::new().await;
    let (live, archive) = (edge.dir.path().join("shop"), tempfile::tempdir().unwrap());
    edge.keep().await;
    let lay = |number: u32| {
        let name = format!("shop{number}");
        let made = make(archive.path(), &name, "shop.example", 9);
        for (link, kind) in [("fullchain.pem", "crt"), ("privkey.pem", "key")] {
            let _ = fs::remove_file(live.join(link));
            symlink(archive.path().join(format!("{name}.{kind}")), live.join(link)).unwrap();
        }
        made
    };
    fs::create_dir(&live).unwrap();
    let first = lay(1);
    edge.says("cert=shop/fullchain.pem names=shop.example").await;
    assert!(edge.shows("shop.example", &first).await);
    let second = lay(2);
    let mut looked = edge.rig.shared.tls.looked.subscribe();
    while !edge.shows("shop.example", &second).await {
        crate::http::test::rig::soon("a look", looked.changed()).await.unwrap();
    }
}

#[tokio::test]
async fn other_files_are_left_alone_and_a_key_that_all_can_read_is_told() {
    let edge = Secure::new().await;
    let shop = edge.make("shop", "shop.example");
    let at = |name: &str| edge.dir.path().join(name);
    fs::rename(at("shop.crt"), at("shop.pem")).unwrap();
    fs::write(at("README"), "x").unwrap();
    fs::write(at(".new.crt"), "x").unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::set_permissions(at("shop.key"), fs::Permissions::from_mode(0o644)).unwrap();
    edge.keep().await;
    let status = edge.status();
    assert_eq!(status.lines().count(), 3, "{status}");
    assert!(status.contains("cert_wrong=shop.pem: others can read its key"), "{status}");
    assert!(edge.shows("shop.example", &shop).await, "it is served all the same");
    fs::set_permissions(at("shop.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let mut looked = edge.rig.shared.tls.looked.subscribe();
    while edge.status().contains("cert_wrong") {
        crate::http::test::rig::soon("a look", looked.changed()).await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_that_is_gone_is_told_and_what_it_had_is_served() {
    let edge = Secure::new().await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    fs::remove_dir_all(edge.dir.path()).unwrap();
    edge.says("No such file or directory").await;
    assert!(edge.status().contains("cert=shop.crt"), "{}", edge.status());
    assert!(edge.shows("shop.example", &shop).await);
}

//! Which manifests are the same version.

use super::{DIGEST, manifest};
use crate::diff::{Outcome, diff, outcome};
use crate::print::print;
use crate::version::VersionName;

#[test]
fn the_canonical_form_is_sorted_and_leaves_defaults_out() {
    let text = "restart always\nreplicas 3\nenv B=2\nenv A='x y'\nport 80\nhealth tcp 80\n\
                memory 512000000\nstop_timeout 1m\nimage app:1.9\n";
    assert_eq!(
        manifest(text).canonical("sha256:ab"),
        "env 'A=x y'\nenv B=2\nimage sha256:ab\nmemory 512M\nport 80\nreplicas 3\nstop_timeout 60\n"
    );
}

#[test]
fn a_version_is_what_it_does_not_how_it_is_written() {
    let version = |text: &str| manifest(text).version(DIGEST);
    let first = version("image app:1\nport 80");
    for same in [
        "port 80 # web\n\nimage app:1",
        "name web\nimage app:1\nport 80\nreplicas 1",
        "image host.example/other:2\nport 80",
        "image app:1\nport 80\nhealth tcp 80\nhealth_interval 10s",
        "image app:1\nport 80\nsource ../app\nbuild make",
    ] {
        assert_eq!(version(same), first, "{same}");
    }
    for other in ["image app:1\nport 81", "image app:1\nport 80\nreplicas 2", "image app:1"] {
        assert_ne!(version(other), first, "{other}");
    }
    assert_ne!(manifest("image app:1\nport 80").version("sha256:ab"), first);
}

#[test]
fn the_same_manifest_has_the_same_name_in_every_release() {
    // A changed default or form would show every service as changed after an upgrade.
    let version = manifest("image app:1\nport 80\ncpu 0.5\nenv A=b").version(DIGEST);
    assert_eq!(version.as_str(), "4b2a88bf4221");
    assert_eq!(VersionName::parse(version.as_str()), Ok(version));
}

#[test]
fn a_versions_name_is_twelve_hex_digits() {
    for wrong in ["", "v1", "0123456789a", "0123456789abc", "0123456789AB", "0123456789ag"] {
        assert!(VersionName::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn print_follows_the_table_and_leaves_defaults_out() {
    let text = "env A=1\nreplicas 2\nrestart always\nport 80\nimage app:1.9\n";
    assert_eq!(print(&manifest(text)), "name web\nimage app:1.9\nreplicas 2\nenv A=1\nport 80\n");
}

#[test]
fn another_value_of_a_secret_is_another_version_and_no_text_says_which() {
    let text = "image app:1\nsecret db.url\nsecret key env KEY\n";
    let mut first = manifest(text);
    first.secrets_are(|name| if name == "key" { 7 } else { 3 });
    let canonical = first.canonical("sha256:ab");
    assert!(canonical.contains("secret db.url version=3\nsecret key env KEY version=7\n"));
    let mut second = first.clone();
    second.secrets_are(|name| if name == "key" { 8 } else { 3 });
    assert_ne!(first.version(DIGEST), second.version(DIGEST));
    assert_eq!(print(&first), format!("name web\n{text}"));
    assert_eq!(print(&first), print(&second));
    let changes = diff(&first, DIGEST, &second, DIGEST);
    let [change] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(change.key, "secret key env KEY");
    assert_eq!(change.old.as_deref().zip(change.new.as_deref()), Some(("version=7", "version=8")));
    assert_eq!(outcome(&changes), Outcome::Update);
    // One that is given in another way is another line.
    let mut third = manifest("image app:1\nsecret db.url env URL\nsecret key env KEY\n");
    third.secrets_are(|name| if name == "key" { 7 } else { 3 });
    assert_eq!(diff(&first, DIGEST, &third, DIGEST).len(), 2);
}

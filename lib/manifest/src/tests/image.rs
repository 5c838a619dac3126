//! References of images.

use super::DIGEST;
use crate::reference::Reference;

#[test]
fn what_is_right_is_printed_as_it_was_written() {
    let pinned = format!("app@{DIGEST}");
    let both = format!("localhost:5000/team/app:1.9@{DIGEST}");
    for text in [
        "app",
        "app:1.9",
        "team/app",
        "registry.example.com/team/app:v1_2-rc.3",
        "localhost/app",
        "127.0.0.1:5000/app:1",
        "[::1]:5000/app:1",
        "a__b/c-d.e:1",
        &pinned,
        &both,
        "oci:/srv/app",
        "oci:/srv/app:1.9",
        "oci-archive:/srv/app.tar",
        "docker-archive:/srv/app.tar",
        "dir:/srv/root",
    ] {
        assert_eq!(Reference::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn what_is_wrong_is_told_by_its_part() {
    for (text, part) in [
        ("", "not an image"),
        ("App", "not an image"),
        ("http://host/app", "not an image"),
        ("app/", "not an image"),
        ("a..b", "not an image"),
        ("a___b", "not an image"),
        ("host:0/app", "not an image"),
        ("host:99999/app", "not an image"),
        ("-a.example/app", "not an image"),
        ("app:", "not a tag"),
        ("app:.1", "not a tag"),
        ("app:a b", "not a tag"),
        ("app@sha256:12", "not a digest"),
        ("app@md5:12", "not a digest"),
        ("oci:srv/app", "not an absolute path"),
        ("oci:/srv/app:-", "not a tag"),
        ("oci:/srv/../app", "not an absolute path"),
        ("dir:", "not an absolute path"),
        (&"a".repeat(256), "too long for a repository"),
        (&format!("dir:/{}", "a".repeat(4095)), "too long for a path"),
    ] {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_reference_at_a_digest_leaves_the_tag_out() {
    let at = |text: &str| Reference::parse(text).unwrap().at_digest(DIGEST);
    assert_eq!(at("host.example/app:1.9"), format!("host.example/app@{DIGEST}"));
    assert_eq!(at("oci:/srv/app"), format!("oci:/srv/app@{DIGEST}"));
    assert_eq!(Reference::parse("app").unwrap().digest(), None);
    assert_eq!(Reference::parse(&format!("app@{DIGEST}")).unwrap().digest(), Some(DIGEST));
}

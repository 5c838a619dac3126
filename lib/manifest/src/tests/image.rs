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

/// The table the reader of images has to understand too.
const CASES: &str = include_str!("references.txt");

#[test]
fn references_are_read_as_the_table_says() {
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        let line = line.replace("@D", &format!("@{DIGEST}")).replace("| D", &format!("| {DIGEST}"));
        let line = [255, 256, 4094, 4095]
            .iter()
            .fold(line, |line, n: &usize| line.replace(&format!("{{{n}}}"), &"a".repeat(*n)));
        let (text, want) = line.split_once(" | ").unwrap();
        let or = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
        let local = |kind: &str, path: &str, tag: &Option<String>, digest: &Option<String>| {
            format!("{kind} | - | {path} | {} | {}", or(tag), or(digest))
        };
        let got = match Reference::parse(text) {
            Err(_) => "refused".to_owned(),
            Ok(Reference::Registry(it)) => {
                let (host, tag, digest) = (or(&it.registry), or(&it.tag), or(&it.digest));
                format!("registry | {host} | {} | {tag} | {digest}", it.repository)
            }
            Ok(Reference::OciLayout { dir, tag, digest }) => local("oci", &dir, &tag, &digest),
            Ok(Reference::OciArchive { file, tag, digest }) => {
                local("oci-archive", &file, &tag, &digest)
            }
            Ok(Reference::DockerArchive { file, tag, digest }) => {
                local("docker-archive", &file, &tag, &digest)
            }
            Ok(Reference::Rootfs { dir, digest }) => local("dir", &dir, &None, &digest),
        };
        assert_eq!(got, want, "{text}");
        if let Ok(reference) = Reference::parse(text) {
            assert_eq!(reference.to_string(), text);
            // What always means these bytes is read as just that.
            let pinned = Reference::parse(&reference.at_digest(DIGEST)).unwrap();
            assert_eq!(pinned.digest(), Some(DIGEST));
        }
    }
}

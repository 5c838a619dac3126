//! What is sealed is opened by its key, as what it was, and by nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;

fn value(text: &str) -> Value {
    Value::from_vec(text.as_bytes().to_vec())
}

#[track_caller]
fn check(keys: &Keys, name: &str, version: u32, sealed: &Sealed, want: Result<&str, &str>) {
    match (keys.open_sealed(name, version, sealed), want) {
        (Ok(value), Ok(text)) => assert_eq!(value.bytes(), text.as_bytes()),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
        (got, want) => panic!("{got:?}, not {want:?}"),
    }
}

#[test]
fn a_sealed_value_is_bound_to_its_name_and_version() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path()).unwrap();
    let sealed = keys.seal("db.url", 3, value("postgres://")).unwrap();
    let again = Sealed::from_bytes(&sealed.to_bytes()).unwrap();
    assert_eq!(again, sealed);
    check(&keys, "db.url", 3, &again, Ok("postgres://"));
    for (name, version) in [("db.url", 4), ("db.ur", 3), ("", 3)] {
        check(&keys, name, version, &sealed, Err("is not what was sealed"));
    }
}

#[test]
fn a_byte_that_was_changed_anywhere_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path()).unwrap();
    let bytes = keys.seal("a", 1, value("x")).unwrap().to_bytes();
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let opened = Sealed::from_bytes(&bytes).and_then(|it| keys.open_sealed("a", 1, &it));
        assert!(opened.is_err(), "byte {at}");
    }
    for length in 0..bytes.len() {
        let opened =
            Sealed::from_bytes(&bytes[..length]).and_then(|it| keys.open_sealed("a", 1, &it));
        assert!(opened.is_err(), "{length} bytes");
    }
}

#[test]
fn the_same_value_is_never_sealed_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path()).unwrap();
    let sealed = || keys.seal("a", 1, value("hunter2")).unwrap().to_bytes();
    let (first, second) = (sealed(), sealed());
    assert_ne!(first, second);
    assert!(!first.windows(7).any(|part| part == b"hunter2"));
}

#[test]
fn the_longest_value_is_sealed_and_a_longer_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path()).unwrap();
    let long = |bytes| keys.seal("a", 1, Value::from_vec(vec![7; bytes]));
    let sealed = long(VALUE_BYTES_MAX).unwrap();
    assert_eq!(keys.open_sealed("a", 1, &sealed).unwrap().len(), VALUE_BYTES_MAX);
    assert!(matches!(long(VALUE_BYTES_MAX + 1), Err(Error::TooLong)));
}

#[test]
fn the_key_file_is_its_owners_alone_and_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(KEY_FILE);
    let sealed = Keys::open(dir.path()).unwrap().seal("a", 1, value("x")).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o400);
    check(&Keys::open(dir.path()).unwrap(), "a", 1, &sealed, Ok("x"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    let told = Keys::open(dir.path()).unwrap_err().to_string();
    assert!(told.contains("others may read it (mode 440)"), "{told}");
    // Without it what was sealed stays closed, and nobody is told anything else.
    fs::remove_file(&path).unwrap();
    let keys = Keys::open(dir.path()).unwrap();
    check(&keys, "a", 1, &sealed, Err("is not in secret.key; put that file back"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_key_file_is_told_by_its_line_and_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(KEY_FILE);
    drop(Keys::open(dir.path()).unwrap());
    let good = fs::read_to_string(&path).unwrap();
    for (text, line) in [("", 1), ("abc\n", 1), (&*format!("{good}{}\n", "g".repeat(64)), 2)] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let told = Keys::open(dir.path()).unwrap_err().to_string();
        assert!(told.contains(&format!("line {line} is no key")), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// Every point of a rotation at which a crash may come is the file as it lies there then.
#[test]
fn at_every_point_of_a_rotation_everything_can_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    let anew = || Keys::open(dir.path()).unwrap();
    let keys = anew();
    let old = keys.seal("a", 1, value("x")).unwrap();
    keys.renew().unwrap();
    check(&keys, "a", 1, &old, Ok("x"));
    check(&anew(), "a", 1, &old, Ok("x"));
    assert!(anew().has_old() && Some(old.key()) != anew().newest());
    // A second rotation goes on with the first.
    let between = keys.newest();
    keys.renew().unwrap();
    assert_eq!(keys.newest(), between);
    let new = keys.seal("a", 1, value("x")).unwrap();
    assert_eq!(Some(new.key()), keys.newest());
    for keys in [&anew(), &keys] {
        check(keys, "a", 1, &old, Ok("x"));
        check(keys, "a", 1, &new, Ok("x"));
    }
    keys.forget_old().unwrap();
    for keys in [&anew(), &keys] {
        check(keys, "a", 1, &new, Ok("x"));
        check(keys, "a", 1, &old, Err("not in secret.key"));
        assert!(!keys.has_old());
    }
    // What a crash left beside it stands in nobody's way.
    fs::write(dir.path().join("secret.key.new"), "half").unwrap();
    keys.renew().unwrap();
    check(&anew(), "a", 1, &new, Ok("x"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

//! What stays of an instance, whenever the node that takes it away is ended.

use super::*;

/// A directory for instances and one for kept logs.
fn places() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let places = ["instances", "logs"].map(|name| root.path().join(name));
    places.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let [instances, logs] = places;
    (root, instances.join("web-1"), logs)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn fill(dir: &Path, logs: &[(&str, &str)]) {
    record::make(dir).unwrap();
    record::write_loosely(dir, record::SPEC, b"{}").unwrap();
    fs::create_dir(dir.join("upper")).unwrap();
    fs::write(dir.join("upper/log"), "not the log").unwrap();
    fs::write(dir.join(record::SHIM_LOG), "no log either").unwrap();
    logs.iter().for_each(|(name, text)| fs::write(dir.join(name), text).unwrap());
}

#[tokio::test]
async fn the_log_stays_in_the_order_it_was_written_and_nothing_else_does() {
    let (_root, dir, logs) = places();
    fill(&dir, &[("log.10", "a\n"), ("log.2", "b\n"), ("log.1", "c\n"), ("log", "d\n")]);
    assert_eq!(erase(&dir, &logs).unwrap(), 8);
    assert_eq!(erase(&dir, &logs).unwrap(), 0, "twice is fine");
    assert!(!dir.exists());
    let kept = logs.join("web-1");
    assert_eq!(names(&kept), ["log", "log.1", "log.10", "log.2"]);
    assert_eq!((ids(&logs), look(&kept).unwrap().bytes), (vec!["web-1".parse().unwrap()], 8));
    let mut file = KeptFile::open(&kept).unwrap();
    let (mut text, mut offset) = (Vec::new(), 0);
    loop {
        let Answer::Later(read) = file.read(offset, 3) else { panic!("at once") };
        let bytes = read.await.unwrap();
        if bytes.is_empty() {
            break;
        }
        offset += bytes.len() as u64;
        text.extend_from_slice(&bytes);
    }
    assert_eq!(String::from_utf8(text).unwrap(), "a\nb\nc\nd\n");
    remove(&kept).unwrap();
    remove(&kept).unwrap();
    assert!(names(&logs).is_empty() && look(&kept).is_none());
}

#[test]
fn of_one_that_wrote_nothing_nothing_stays() {
    let (_root, dir, logs) = places();
    fill(&dir, &[("log", "")]);
    assert_eq!(erase(&dir, &logs).unwrap(), 0);
    assert!(!dir.exists() && names(&logs).is_empty());
    assert!(names(dir.parent().unwrap()).is_empty());
}

#[test]
fn of_a_name_that_was_used_twice_the_later_log_stays() {
    let (_root, dir, logs) = places();
    for text in ["first\n", "second\n"] {
        fill(&dir, &[("log", text)]);
        erase(&dir, &logs).unwrap();
    }
    assert_eq!(fs::read_to_string(logs.join("web-1/log")).unwrap(), "second\n");
    assert!(names(dir.parent().unwrap()).is_empty());
}

#[test]
fn what_an_ended_node_left_undone_is_done_by_the_next() {
    let (_root, dir, logs) = places();
    // It came as far as the rename.
    fill(&dir, &[("log", "a\n")]);
    fs::rename(&dir, logs.join("web-1")).unwrap();
    // Of this one it had begun to remove the log.
    fill(&logs.join(".removing-web-2"), &[("log", "b\n")]);
    fill(&logs.join("web-3"), &[]);
    sweep(&logs).unwrap();
    assert_eq!(names(&logs), ["web-1"]);
    assert_eq!(names(&logs.join("web-1")), ["log"]);
}

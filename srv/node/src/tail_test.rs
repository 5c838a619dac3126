//! Following across everything a log can do.

use std::io::Write;

use super::*;

fn append(dir: &Path, text: &str) {
    let mut file = File::options().create(true).append(true).open(dir.join(record::LOG)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// As a shim does it: the last goes, each gets the next number.
fn rotate(dir: &Path, kept: u32) {
    let name = |number: u32| match number {
        0 => dir.join(record::LOG),
        number => dir.join(format!("log.{number}")),
    };
    for number in (0..kept).rev() {
        if name(number).exists() {
            fs::rename(name(number), name(number + 1)).unwrap();
        }
    }
}

async fn check(tail: &Tail, expected: &str) {
    let mut text = String::new();
    while text.len() < expected.len() {
        text.push_str(str::from_utf8(&tail.read(8192).await.unwrap()).unwrap());
    }
    assert_eq!(text, expected);
}

#[tokio::test]
async fn a_follower_gets_the_end_and_then_every_line_once() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "a\nb\n");
    let tail = Tail::open(&Notices::default(), dir.path()).unwrap();
    check(&tail, "a\nb\n\n").await;
    {
        let mut read = std::pin::pin!(tail.read(8192));
        assert!(futures_util::poll!(read.as_mut()).is_pending());
        append(dir.path(), "c");
        assert!(futures_util::poll!(read.as_mut()).is_pending(), "half a line is waited for");
    }
    append(dir.path(), "d\n");
    check(&tail, "cd\n").await;
}

#[tokio::test]
async fn a_rotation_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "a\n");
    let tail = Tail::open(&Notices::default(), dir.path()).unwrap();
    check(&tail, "a\n\n").await;
    append(dir.path(), "b\n");
    rotate(dir.path(), 3);
    append(dir.path(), "c\n");
    rotate(dir.path(), 3);
    append(dir.path(), "d\n");
    check(&tail, "b\nc\nd\n").await;
    rotate(dir.path(), 3);
    append(dir.path(), "e\n");
    check(&tail, "e\n").await;
}

#[tokio::test]
async fn rotations_at_full_speed_lose_and_repeat_nothing() {
    const LINES: u32 = 2000;
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "begin\n");
    let tail = Tail::open(&Notices::default(), dir.path()).unwrap();
    check(&tail, "begin\n\n").await;
    let writer = {
        let dir = dir.path().to_owned();
        std::thread::spawn(move || {
            for number in 0..LINES {
                append(&dir, &format!("{number}\n"));
                if number % 10 == 9 {
                    rotate(&dir, LINES);
                }
            }
        })
    };
    let expected: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    check(&tail, &expected).await;
    writer.join().unwrap();
}

#[tokio::test]
async fn a_gap_that_a_dead_shim_left_is_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "a\n");
    let tail = Tail::open(&Notices::default(), dir.path()).unwrap();
    check(&tail, "a\n\n").await;
    fs::rename(dir.path().join("log"), dir.path().join("log.3")).unwrap();
    append(dir.path(), "b\n");
    check(&tail, "b\n").await;
}

#[tokio::test]
async fn a_log_that_is_not_there_yet_is_waited_for_and_one_that_goes_ends() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("web-1");
    fs::create_dir(&dir).unwrap();
    let tail = Tail::open(&Notices::default(), &dir).unwrap();
    check(&tail, "\n").await;
    {
        let mut read = std::pin::pin!(tail.read(8192));
        assert!(futures_util::poll!(read.as_mut()).is_pending());
    }
    append(&dir, "a\n");
    check(&tail, "a\n").await;
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    assert!(tail.read(8192).await.unwrap().is_empty(), "another of the name is not followed");
}

#[tokio::test]
async fn what_was_written_last_comes_also_when_the_instance_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let (dir, logs) = (root.path().join("web-1"), root.path().join("logs"));
    [&dir, &logs].iter().for_each(|dir| fs::create_dir(dir).unwrap());
    append(&dir, "a\n");
    let tail = Tail::open(&Notices::default(), &dir).unwrap();
    check(&tail, "a\n\n").await;
    append(&dir, "b\n");
    rotate(&dir, 3);
    append(&dir, "c\nhalf");
    crate::kept::erase(&dir, &logs).unwrap();
    check(&tail, "b\nc\nhalf").await;
    assert!(tail.read(8192).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_end_of_a_log_goes_back_over_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let half = usize::try_from(TAIL_BYTES).unwrap() / 2;
    let text = |letter: &str, lines: usize| format!("{}\n", letter.repeat(99)).repeat(lines);
    append(dir.path(), &text("a", half));
    rotate(dir.path(), 3);
    append(dir.path(), &text("b", half / 100));
    rotate(dir.path(), 3);
    append(dir.path(), &text("c", 1));
    let tail = Tail::open(&Notices::default(), dir.path()).unwrap();
    let before = (TAIL_BYTES as usize - (half / 100 + 1) * 100) / 100;
    let expected = text("a", before) + &text("b", half / 100) + &text("c", 1) + "\n";
    check(&tail, &expected).await;
}

#[tokio::test]
async fn a_long_log_begins_with_a_whole_line_and_a_long_line_comes_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{}\n", "x".repeat(99));
    append(dir.path(), &line.repeat(4000));
    let tail = Tail::open(&Notices::default(), dir.path()).unwrap();
    check(&tail, &(line.repeat(usize::try_from(TAIL_BYTES).unwrap() / line.len()) + "\n")).await;
    append(dir.path(), &line);
    assert_eq!(tail.read(60).await.unwrap().len(), 60);
    assert_eq!(tail.read(60).await.unwrap().len(), 40);
}

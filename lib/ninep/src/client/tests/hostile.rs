//! A server that does not keep to the protocol: the connection ends with the reason, and nothing
//! is made room for that did not come.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::NOTAG;

fn frame(tag: u16, message: Rmsg<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(tag, Dialect::P9, &mut out);
    out
}

/// The bytes `answer` makes of the tags of Twalk, Topen and Tread end the connection like this.
async fn check(answer: impl FnOnce(&[u16]) -> Vec<u8>, want: &str) {
    let (client, mut peer) = pair().await;
    let closed = client.closed();
    let got = beside(client.read("f"), async {
        let tags = peer.hears_any(3).await;
        peer.stream.write_all(&answer(&tags)).await.unwrap();
        // Closed, and told: nothing more is asked.
        assert_eq!(peer.next().await, None);
    });
    let told = got.await.unwrap_err().to_string();
    let want = format!("the server does not keep to 9P: {want}");
    assert!(alike(&told, &want), "{told}, not {want}");
    assert_eq!(soon(closed).await.to_string(), told);
}

#[tokio::test]
async fn an_answer_nothing_asked_for_ends_the_connection() {
    let stray = |tag| format!("an answer with tag {tag}, which nothing asked for");
    for tag in [3, 127, 128, 0x1000, 0x1001, 0x1fff, 0x4000, 0x4001, 0xfffe, NOTAG] {
        check(|_| frame(tag, Rmsg::Clunk {}), &stray(tag)).await;
    }
    let twice = |tags: &[u16]| [frame(tags[0], walked(1)), frame(tags[0], walked(1))].concat();
    check(twice, &stray(0)).await;
}

#[tokio::test]
async fn an_answer_of_another_kind_ends_the_connection() {
    check(|tags| frame(tags[0], opened()), "Ropen in answer to Twalk").await;
    check(|tags| frame(tags[1], data(b"x")), "Rread in answer to Topen").await;
    check(|tags| frame(tags[2], Rmsg::Lerror { errno: 2 }), "Rlerror in answer to Tread").await;
    let request = |tags: &[u16]| {
        let mut out = Vec::new();
        Tmsg::Clunk { fid: 1 }.encode(tags[0], Dialect::P9, &mut out);
        out
    };
    check(request, "message type 120 is not known here").await;
}

#[tokio::test]
async fn more_than_was_asked_for_ends_the_connection() {
    let two = "a walk of 2 where 1 were asked for";
    check(|tags| frame(tags[0], walked(2)), two).await;
    let long = vec![0; PAYLOAD as usize + 1];
    let longer = "a read of 8169 where 8168 were asked for";
    check(|tags| frame(tags[2], data(&long)), longer).await;
}

#[tokio::test]
async fn a_size_or_a_count_that_cannot_be_ends_the_connection() {
    let size = |size: u32| move |_: &[u16]| [size.to_le_bytes(), [117, 0, 0, 0]].concat();
    check(size(MSIZE + 1), "message of 8193 bytes: msize is 8192").await;
    check(size(u32::MAX), "message of 4294967295 bytes: msize is 8192").await;
    check(size(6), "message of 6 bytes: 7 is the least").await;
    let count = |tags: &[u16]| {
        let mut bytes = frame(tags[2], data(b"abcd"));
        bytes[7..11].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes
    };
    check(count, "message is too short for its fields").await;
    let more = |tags: &[u16]| {
        let mut bytes = frame(tags[1], opened());
        bytes.extend_from_slice(b"???");
        bytes[0] += 3;
        bytes
    };
    check(more, "message has 3 bytes too many").await;
}

#[tokio::test]
async fn a_write_cannot_take_more_than_it_was_given() {
    let (client, mut peer) = pair().await;
    let got = beside(client.write("ctl", b"stop"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), opened(), Rmsg::Write { count: 5 }]).await;
    });
    let want = "the server does not keep to 9P: a write of 5 where 4 were asked for";
    assert_eq!(got.await.unwrap_err().to_string(), want);
}

#[tokio::test]
async fn a_directory_of_nonsense_is_an_error() {
    let (client, mut peer) = pair().await;
    let got = beside(client.list("d"), async {
        let tags = peer.hears_any(3).await;
        peer.says(&tags, &[walked(1), directory(), data(&[9, 0, 1])]).await;
    });
    let want = "the server does not keep to 9P: a directory entry: \
                message is too short for its fields";
    assert_eq!(got.await.unwrap_err().to_string(), want);
}

/// These answers to Tversion and Tattach are refused like this.
async fn check_greeting(answers: &[(u16, Rmsg<'_>)], want: &str) {
    let (near, mut far) = tokio::io::duplex(4096);
    let bytes: Vec<u8> = answers.iter().flat_map(|(tag, it)| frame(*tag, *it)).collect();
    far.write_all(&bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let got = soon(Client::from_stream(near, "")).await.expect_err("attached");
    assert!(alike(&got.to_string(), want), "{got}, not {want}");
}

#[tokio::test]
async fn a_greeting_is_9p2000_of_a_possible_size_and_an_attach() {
    let version = |msize, version| (NOTAG, Rmsg::Version { msize, version });
    let odd = |why: &str| format!("the server does not keep to 9P: {why}");
    let size = odd("msize 131097, want 8192 to 131096");
    check_greeting(&[version(131_097, b"9P2000")], &size).await;
    check_greeting(&[version(0, b"9P2000")], &odd("msize 0, want 8192 to 131096")).await;
    let unknown = odd("its version is \"unknown\", want 9P2000");
    check_greeting(&[version(8192, b"unknown")], &unknown).await;
    let tag = odd("Rversion with tag 0 in answer to Tversion");
    check_greeting(&[(0, Rmsg::Version { msize: 8192, version: b"9P2000" })], &tag).await;
    check_greeting(&[], "connection lost: the server ended it").await;
    let fine = version(8192, b"9P2000");
    check_greeting(&[fine, (0, no("permission denied"))], "permission denied").await;
    let clunk = odd("Rclunk with tag 0 in answer to Tattach");
    check_greeting(&[fine, (0, Rmsg::Clunk {})], &clunk).await;
}

/// Frames of the right size, with types and tags that may have been asked for.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        Just(107_u8),
        Just(109),
        Just(111),
        Just(113),
        Just(117),
        Just(121),
        any::<u8>()
    ];
    let tag = prop_oneof![0_u16..4, 0x1000_u16..0x1004, 0x4000_u16..0x4004, any::<u16>()];
    let frame = (kind, tag, vec(any::<u8>(), 0..40)).prop_map(|(kind, tag, body)| {
        let size = (7 + body.len() as u32).to_le_bytes();
        [&size[..], &[kind], &tag.to_le_bytes(), &body].concat()
    });
    vec(frame, 0..12).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn whatever_a_server_sends_an_operation_ends(
        bytes in frames(),
        tail in vec(any::<u8>(), 0..20),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        runtime.block_on(async {
            let (client, mut peer) = pair().await;
            let got = beside(client.read("f"), async {
                peer.hears_any(3).await;
                // The client may close at any of it.
                let _ = peer.stream.write_all(&[&bytes[..], &tail].concat()).await;
                drop(peer);
            });
            drop(got.await);
            soon(client.closed()).await;
        });
    }
}

//! What a peer may send that is no message, or a message out of place.

use proptest::prelude::*;

use super::script::Talk;
use super::{LINUX, P9, ROOT, check};
use crate::session::Bounds;
use crate::wire::Dialect;

#[test]
fn nonsense_in_a_whole_frame_is_refused_with_its_tag() {
    check(
        P9,
        ROOT,
        r#"raw 07000000740300
        > 3: Rerror ename "protocol botch: message is too short for its fields"
        raw 0c0000007803000000000000
        > 3: Rerror ename "protocol botch: message has 1 bytes too many"
        raw 07000000ff0300
        > 3: Rerror ename "protocol botch: message type 255 is not known here"
        raw 0b000000750300ffffffff
        > 3: Rerror ename "protocol botch: message type 117 is not known here""#,
    );
    check(
        LINUX,
        ROOT,
        "raw 0b000000290300ffffffff
        > 3: Rlerror errno 95
        raw 170000007603000000000000000000000000ffffffff
        > 3: Rlerror errno 71
        raw 07000000060300
        > 3: Rlerror errno 95",
    );
}

fn frame(dialect: Dialect) -> impl Strategy<Value = Vec<u8>> {
    let likely: &[u8] = match dialect {
        Dialect::P9 => &[104, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126],
        Dialect::Linux => &[12, 14, 20, 24, 26, 40, 72, 74, 76, 104, 108, 110, 116, 118, 120],
    };
    let small = prop_oneof![4 => 0u8..4, 1 => any::<u8>()];
    (prop::sample::select(likely), 0u16..4, prop::collection::vec(small, 0..40)).prop_map(
        |(kind, tag, body)| {
            let mut frame = ((body.len() + 7) as u32).to_le_bytes().to_vec();
            frame.push(kind);
            frame.extend_from_slice(&tag.to_le_bytes());
            frame.extend_from_slice(&body);
            frame
        },
    )
}

proptest! {
    /// Every frame has one answer, at once or when what it waits for is over, in a whole frame
    /// no larger than msize; nothing panics.
    #[test]
    fn every_frame_is_answered_or_runs(
        p9 in prop::collection::vec(frame(P9), 0..60),
        linux in prop::collection::vec(frame(LINUX), 0..60),
    ) {
        for (dialect, frames) in [(P9, p9), (LINUX, linux)] {
            let mut talk = Talk::new(dialect, ROOT, Bounds::default());
            talk.greet();
            for (fid, name) in [(1, "slow"), (2, "watch"), (3, "dir")] {
                talk.line(&format!("walk 0 {fid} {name}"));
            }
            let mut answers = 0;
            for frame in &frames {
                talk.send(frame);
                answers += talk.said().len();
            }
            // What runs or waits is one more answer each, unless it was flushed.
            prop_assert!(answers <= frames.len());
            talk.line("end");
        }
    }
}

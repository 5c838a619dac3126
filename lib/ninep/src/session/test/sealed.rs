//! What is written that nobody else is to see.

use super::script::Talk;
use super::{LINUX, P9, ROOT};
use crate::session::Bounds;

#[test]
fn a_write_is_hidden_and_wiped_unless_it_is_known_that_others_may_see_it() {
    for dialect in [P9, LINUX] {
        let mut talk = Talk::new(dialect, ROOT, Bounds::default());
        talk.greet();
        let open = if dialect == P9 { "open" } else { "lopen" };
        for (fid, name) in [(1, "secret"), (2, "ctl")] {
            assert_eq!(talk.heed(&format!("walk 0 {fid} {name}")), (false, false));
            assert_eq!(talk.heed(&format!("{open} {fid} 1")), (false, false));
        }
        assert_eq!(talk.heed("write 1 0 hunter2"), (true, true));
        assert_eq!(talk.heed("write 2 0 pause"), (false, false));
        // Refused: it may have been meant for anything.
        assert_eq!(talk.heed("write 2 0 wrong"), (false, true));
        assert_eq!(talk.heed("write 9 0 hunter2"), (true, true));
        assert_eq!(talk.heed("clunk 1"), (false, false));
        assert_eq!(talk.heed("write 1 0 hunter2"), (true, true));
        // It would wait for its open, of which nobody knows yet what it opens.
        assert_eq!(talk.heed("walk 0 3 slow"), (false, false));
        assert_eq!(talk.heed(&format!("{open} 3 1")), (false, false));
        assert_eq!(talk.heed("write 3 0 hunter2"), (true, true));
    }
}

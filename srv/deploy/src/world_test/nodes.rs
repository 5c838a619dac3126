//! What the node tells of containers that a service has, has no more, or never had.

use super::{at_v1, check};

#[test]
fn a_node_that_comes_back_is_asked_for_what_is_missing_and_rid_of_what_nobody_owns() {
    check(&format!(
        "{}
         node-up web-0 web-9 stray-1
         > -: node n answers
         > do remove stray-1
         > do remove web-9
        ",
        at_v1()
    ));
}

#[test]
fn what_starts_for_nobody_is_removed() {
    check(&format!(
        "{}
         node started web-9 pid=9 address=10.0.0.9
         > do remove web-9
         node healthy web-9 ms=1
         node exited web-9 code=0
         > do remove web-9
         node failed web-8 permanent=true reason=bad
         > do remove web-8
         node removed web-9
        ",
        at_v1()
    ));
}

#[test]
fn of_an_instance_that_is_gone_the_log_stays_until_ten_others_are_or_its_service_is() {
    check(&format!(
        "{}
         node-up web-0 logs web-2 web-3 web-4 web-5 web-6 web-7 web-8 web-9 web-10 api-1
         > -: node n answers
         > do drop api-1
         node removed web-11
         node removed web-12 log=9
         node removed web-13 log=9
         > do drop web-2
         node-up web-0 logs web-5
         > -: node n answers
         ctl remove web
         > web: removing
         > do stop web-0
         node exited web-0 code=0 oom=false
         > web: 0: stopped
         > do remove web-0
         node removed web-0 log=9
         > web: done remove v1 (0.00s)
         > web: removed
         > do drop web-5
         > do drop web-0
        ",
        at_v1()
    ));
}

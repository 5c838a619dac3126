//! The change of `replicas` in a text, and the app that it says.

use super::manifest;
use crate::edit::{app_of, with_replicas};

#[track_caller]
fn check(text: &str, replicas: u32, wanted: &str) {
    let edited = with_replicas(text, replicas);
    assert_eq!(edited, wanted);
    assert_eq!(manifest(&edited).replicas, replicas);
}

#[test]
fn the_number_is_changed_where_it_stands_and_nothing_else() {
    check(
        "image app\n  replicas\t2  # two\nport 80",
        5,
        "image app\n  replicas\t5  # two\nport 80",
    );
    check("replicas '2'\r\nimage app\r\n", 5, "replicas 5\r\nimage app\r\n");
    check("\u{feff}replicas 2\nimage app", 5, "\u{feff}replicas 5\nimage app");
    check("image app\nreplicas # how many?\n", 5, "image app\nreplicas 5 # how many?\n");
}

#[test]
fn a_missing_line_is_added_at_the_end() {
    check("image app\n", 5, "image app\nreplicas 5\n");
    check("image app", 0, "image app\nreplicas 0\n");
    check("image app\r\nport 80", 5, "image app\r\nport 80\r\nreplicas 5\r\n");
    check(
        "image app\n# replicas 2\nenv A='replicas 3'\n",
        5,
        "image app\n# replicas 2\nenv A='replicas 3'\nreplicas 5\n",
    );
}

#[test]
fn the_app_of_a_text_is_found_whatever_else_is_wrong_with_it() {
    let check = |text: &str, app: Option<&str>| assert_eq!(app_of(text).as_deref(), app, "{text}");
    check("image web:1\napp shop\n", Some("shop"));
    check("  app 'shop' # ours\r\nreplicas many\n", Some("shop"));
    check("image web:1\n", None);
    check("app\napple shop\napp Shop\napp a b\n", None);
    check("env A='\napp shop\n", Some("shop"));
}

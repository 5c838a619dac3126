//! What a new file changes of an app.

use std::collections::BTreeMap;

use super::DIGEST;
use super::hcl::{FIRST, app};
use crate::app::Fate::{Added, Changed, Gone, Unchanged};
use crate::app::fates;
use crate::version::VersionName;

fn known(versions: BTreeMap<String, Option<VersionName>>) -> BTreeMap<String, VersionName> {
    versions.into_iter().map(|(name, version)| (name, version.unwrap())).collect()
}

#[test]
fn the_services_of_a_new_file_are_added_changed_unchanged_or_gone() {
    let digest = |_: &_| Some(DIGEST.to_owned());
    let old = app(&format!("{FIRST}service \"old\" {{ image = \"app\" }}\n"));
    let standing = known(old.versions(digest));
    let text = FIRST.replace("replicas = 2", "replicas = 3");
    let new = app(&format!("app = \"other\"\n{text}service \"new\" {{ image = \"app\" }}\n"));
    let of = |fates: BTreeMap<String, _>| fates.into_iter().collect::<Vec<_>>();
    let named = |all: [(&str, _); 4]| all.map(|(name, fate)| (name.to_owned(), fate));
    assert_eq!(
        of(fates(&standing, &new.versions(digest))),
        named([("api", Unchanged), ("new", Added), ("old", Gone), ("web", Changed)])
    );
    assert_eq!(
        of(fates(&standing, &new.versions(|_| None))),
        named([("api", Changed), ("new", Added), ("old", Gone), ("web", Changed)])
    );
    assert!(fates(&standing, &old.versions(digest)).values().all(|fate| *fate == Unchanged));
}

#[test]
fn an_order_changes_nothing() {
    let turned = {
        let at = FIRST.find("service \"api\"").unwrap();
        format!("{}{}", &FIRST[at..], &FIRST[..at])
    };
    let digest = |_: &_| Some(DIGEST.to_owned());
    let standing = known(app(FIRST).versions(digest));
    let fates = fates(&standing, &app(&turned).versions(digest));
    assert!(fates.values().all(|fate| *fate == Unchanged), "{fates:?}");
}

//! What the world does with secrets, without a node: who may have which, and which are kept.

use super::*;
use crate::record::{By, Draft, Edition, Preparing};
use crate::shelf;
use crate::world::{Numbers, Service};
use secret::{Keys, Value};

/// A world with the services `web` and `api`, and keys.
struct Rig {
    world: World,
    keys: Keys,
    turn: Turn,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        let mut world = World::default();
        for (number, name) in [(1, "web"), (2, "api")] {
            let record = Record::new(number, Numbers::default());
            world.services.insert(name.to_string(), Service::new(name, record));
        }
        Rig { world, keys, turn: Turn::new(5_000), _dir: dir }
    }

    fn set(&mut self, name: &str, version: u32) {
        let value = Value::from_vec(format!("{name}{version}").into_bytes());
        let sealed = self.keys.seal(name, version, value).unwrap();
        self.wish(Wish::Set { name: name.to_string(), version, sealed }).unwrap();
    }

    fn wish(&mut self, wish: Wish) -> Result {
        self.world.of_secrets(wish, &mut self.turn)
    }

    fn grant(&mut self, service: &str, names: &str) -> Result {
        self.wish(Wish::Grant { service: service.to_string(), text: names.to_string() })
    }

    /// What a manifest of `web` with those lines means, or why it is refused.
    fn resolve(&self, lines: &str) -> std::result::Result<BTreeMap<String, u32>, String> {
        let text = format!("image a:1\nport 80\n{lines}");
        let mut manifest = manifest::parse("web", &text).manifest.unwrap();
        self.world.resolve_secrets("web", &mut manifest).map(|()| versions(&manifest))
    }

    /// Gives `web` a version that means those.
    fn version(&mut self, number: u32, secrets: &[(&str, u32)]) {
        let manifest = manifest::parse("web", "image a:1\nport 80\n").manifest.unwrap();
        let by = By { uid: 0, name: "root".to_string() };
        let mut edition = Edition::new(&manifest, "image a:1\n", "sha256:0", by, 0);
        edition.secrets = secrets.iter().map(|(name, n)| (name.to_string(), *n)).collect();
        let web = self.world.services.get_mut("web").unwrap();
        web.record.versions.insert(Version(number), edition);
    }

    fn kept(&self, name: &str) -> Vec<u32> {
        self.world.secrets.all[name].values.keys().copied().collect()
    }
}

#[test]
fn what_is_missing_or_not_granted_is_told_all_at_once_with_what_to_do() {
    let mut rig = Rig::new();
    rig.set("b", 1);
    let told = rig.resolve("secret a\nsecret b env B\n").unwrap_err();
    assert_eq!(
        told,
        "manifest refused: web: secret a does not exist, secret a is not granted to web, secret b \
         is not granted to web; deploy secret set a; deploy secret grant a web; deploy secret \
         grant b web"
    );
    assert!(rig.grant("web", "a").unwrap_err().contains("secret a does not exist"));
    assert!(rig.grant("Web", "b").is_err());
    rig.set("a", 2);
    rig.grant("web", "a\nb\n").unwrap();
    let known = rig.resolve("secret a\nsecret b env B\nsecret b\n").unwrap();
    assert_eq!(known, BTreeMap::from([("a".to_string(), 2), ("b".to_string(), 1)]));
    assert_eq!(rig.world.secrets.grants_of("web"), "a\nb\n");
    rig.grant("web", "b").unwrap();
    assert!(rig.resolve("secret a\n").unwrap_err().contains("not granted"));
}

#[test]
fn a_value_is_kept_as_long_as_a_version_means_it_and_a_late_one_changes_nothing() {
    let mut rig = Rig::new();
    rig.set("a", 1);
    rig.version(1, &[("a", 1)]);
    rig.set("a", 2);
    rig.set("a", 4);
    // What no version means goes at once, and one that was overtaken was never the newest.
    assert_eq!(rig.kept("a"), [1, 4]);
    rig.set("a", 3);
    assert_eq!((rig.kept("a"), rig.world.secrets.all["a"].head.current), (vec![1, 4], 4));
    rig.world.services.get_mut("web").unwrap().record.versions.clear();
    let mut turn = Turn::new(1);
    rig.world.collect_secrets(&mut turn);
    assert_eq!(rig.kept("a"), [4]);
    // An apply that waits for its image means the value of its moment.
    let (text, by) = ("image a:1\n".to_string(), By { uid: 0, name: "root".to_string() });
    let secrets = BTreeMap::from([("a".to_string(), 4)]);
    let (reference, notes) = ("a:1".to_string(), crate::lock::Notes::default());
    let web = rig.world.services.get_mut("web").unwrap();
    web.record.draft = Some(Draft { text: text.clone(), at: 0 });
    web.record.preparing = Some(Preparing { text, reference, by, at: 0, notes, secrets });
    rig.set("a", 5);
    assert_eq!(rig.kept("a"), [4, 5]);
    let delete = Wish::Delete { name: "a".to_string() };
    assert!(rig.wish(delete).unwrap_err().contains("in use by web (in flight)"));
}

#[test]
fn a_secret_that_is_deleted_leaves_neither_value_nor_grant() {
    let mut rig = Rig::new();
    rig.set("a", 1);
    rig.set("b", 2);
    rig.grant("web", "a b").unwrap();
    rig.grant("api", "a").unwrap();
    // What only older versions mean may go; they are gone back to no more.
    rig.version(1, &[("a", 1)]);
    assert!(rig.world.secrets_kept("web", Version(1)).is_ok());
    rig.wish(Wish::Delete { name: "a".to_string() }).unwrap();
    assert!(rig.wish(Wish::Delete { name: "a".to_string() }).unwrap_err().contains("not exist"));
    assert!(rig.world.secrets_kept("web", Version(1)).unwrap_err().contains("a does not exist"));
    assert_eq!(rig.world.secrets.grants_of("web"), "b\n");
    assert!(!rig.world.secrets.grants.contains_key("api"));
}

#[tokio::test]
async fn what_was_saved_is_there_again_and_a_turn_that_was_not_saved_is_taken_back() {
    let store = store::Memory::new();
    let mut rig = Rig::new();
    rig.set("a", 1);
    rig.version(1, &[("a", 1)]);
    rig.set("a", 2);
    rig.grant("web", "a").unwrap();
    let before = rig.turn.secrets.take().unwrap();
    assert_eq!(before, Secrets::default());
    let changes = shelf::changes(&before, &rig.world.secrets);
    store::Store::write(&store, vec![changes]).await.unwrap();
    assert_eq!(shelf::load(&store).await.unwrap(), rig.world.secrets);

    let saved = rig.world.secrets.clone();
    rig.set("a", 3);
    rig.wish(Wish::Delete { name: "a".to_string() }).unwrap();
    let changes = shelf::changes(&saved, &rig.world.secrets);
    assert_eq!(changes.len(), 5, "the number, what is told of it, two values, a grant");
    // A store that may have taken them or not is put back to what it was.
    let restored: Vec<_> =
        changes.iter().map(|op| shelf::held(&saved, crate::save::key(op))).collect();
    store::Store::write(&store, vec![changes]).await.unwrap();
    let restored: Vec<store::Op> = restored.into_iter().flatten().collect();
    store::Store::write(&store, vec![restored]).await.unwrap();
    assert_eq!(shelf::load(&store).await.unwrap(), saved);
    let mut turn = std::mem::take(&mut rig.turn);
    rig.world.undo(&mut turn);
    assert_eq!(rig.world.secrets, saved);
}

#[test]
fn nothing_that_is_told_or_saved_of_a_secret_has_its_value() {
    let mut rig = Rig::new();
    rig.set("a", 41);
    rig.grant("web", "a").unwrap();
    let wish = format!("{:?} {:?} {:?}", rig.turn.lines, rig.world.secrets, rig.keys);
    assert!(wish.contains("version 41") && !wish.contains("a41"), "{wish}");
    let saved = shelf::changes(&Secrets::default(), &rig.world.secrets);
    for op in saved {
        let store::Op::Put { value, .. } = op else { continue };
        assert!(!value.windows(3).any(|part| part == b"a41"));
    }
}

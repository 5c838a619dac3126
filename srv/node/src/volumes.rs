//! Named volumes: a directory each, which outlives every instance and this node.
//!
//! Law: a volume is made when an instance that wants it is started, and goes only when a client
//! removes it; a sweep never takes one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::dirs::Dirs;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::instance::Instance;
use crate::kept;
use crate::record::{self, REMOVING};
use crate::spec::{Spec, Volume};

/// The named volumes of a spec.
pub(crate) fn named(spec: &Spec) -> impl Iterator<Item = &str> {
    spec.volumes.iter().filter_map(|volume| match volume {
        Volume::Named { name, .. } => Some(name.as_str()),
        Volume::Own { .. } | Volume::Host { .. } => None,
    })
}

/// Makes what is missing of the volumes of an instance whose intent is on disk. It is for its
/// program to fill; who may get there at all is decided above it.
pub(crate) fn make(dirs: &Dirs, spec: &Spec) -> Result<()> {
    let all = dirs.volumes();
    let mut made = false;
    for name in named(spec) {
        let dir = all.join(name);
        match fs::DirBuilder::new().mode(0o755).create(&dir) {
            Ok(()) => made = true,
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(Error::io("make", &dir)(why)),
        }
    }
    if made {
        // What is written into it can only last when its name does.
        File::open(&all).and_then(|all| all.sync_all()).map_err(Error::io("write", &all))?;
    }
    Ok(())
}

/// The names of all.
pub(crate) fn ids(dirs: &Dirs) -> Vec<Id> {
    kept::ids(&dirs.volumes())
}

/// The text of one: where it lies, for who saves it elsewhere.
pub(crate) fn text(dirs: &Dirs, id: &Id) -> String {
    format!("path={}\n", dirs.volumes().join(id.as_str()).display())
}

/// Who uses it and has not ended.
pub(crate) fn user<'a>(
    id: &Id,
    mut instances: impl Iterator<Item = &'a Instance>,
) -> Option<&'a Id> {
    let uses = |one: &&Instance| {
        let wants = |spec: &Spec| named(spec).any(|name| name == id.as_str());
        let over = one.state.ended() && !one.living;
        !over && one.written.as_ref().is_some_and(|written| wants(&written.spec))
    };
    instances.find(uses).map(|one| &one.id)
}

/// Removes one with all that is in it.
pub(crate) fn remove(dirs: &Dirs, id: &Id) -> Result<()> {
    kept::remove(&dirs.volumes().join(id.as_str()))
}

/// Goes on with removals that an earlier node began.
pub(crate) fn sweep(dirs: &Dirs) -> Result<()> {
    let all = dirs.volumes();
    for entry in fs::read_dir(&all).map_err(Error::io("read", &all))? {
        let entry = entry.map_err(Error::io("read", &all))?;
        if entry.file_name().to_string_lossy().starts_with(REMOVING) {
            record::remove_tree(&entry.path());
        }
    }
    Ok(())
}

/// Bytes of the disk they are on, used or not.
pub(crate) fn capacity(dir: &Path) -> u64 {
    statvfs(dir).map_or(0, |disk| disk.blocks().saturating_mul(disk.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::{State, Written};
    use crate::spec::tests::text as spec_text;
    use bytes::Bytes;

    fn spec() -> Spec {
        let volumes = serde_json::json!([
            {"kind": "named", "name": "data", "path": "/d"},
            {"kind": "own", "name": "tmp", "path": "/t"},
        ]);
        let id: Id = "web-1".parse().unwrap();
        Spec::parse(&id, &spec_text(serde_json::json!({ "volumes": volumes }))).unwrap()
    }

    #[test]
    fn a_volume_is_made_once_and_goes_only_when_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let dirs = Dirs::open(root.path()).unwrap();
        let data: Id = "data".parse().unwrap();
        for _ in 0..2 {
            make(&dirs, &spec()).unwrap();
            assert_eq!(ids(&dirs), std::slice::from_ref(&data));
            fs::write(dirs.volumes().join("data/file"), "x").unwrap();
        }
        sweep(&dirs).unwrap();
        assert!(dirs.volumes().join("data/file").exists());
        assert_eq!(
            text(&dirs, &data),
            format!("path={}/node/volumes/data\n", root.path().display())
        );
        fs::create_dir(dirs.volumes().join(".removing-old")).unwrap();
        sweep(&dirs).unwrap();
        remove(&dirs, &data).unwrap();
        assert_eq!(fs::read_dir(dirs.volumes()).unwrap().count(), 0);
        assert!(capacity(&dirs.volumes()) > 0);
    }

    #[test]
    fn who_has_not_ended_uses_its_volumes() {
        let mut one = Instance::new("web-1".parse().unwrap(), 1);
        one.written = Some(Written { spec: spec().into(), text: Bytes::new() });
        let (data, tmp): (Id, Id) = ("data".parse().unwrap(), "tmp".parse().unwrap());
        let check = |one: &Instance, id: &Id, used: bool| {
            assert_eq!(user(id, std::iter::once(one)).is_some(), used, "{one:?}");
        };
        check(&one, &data, true);
        check(&one, &tmp, false);
        one.state = State::Exited;
        check(&one, &data, false);
        one.living = true;
        check(&one, &data, true);
    }
}

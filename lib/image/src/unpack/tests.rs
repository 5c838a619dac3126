//! Archives as they come and as an attacker would make them, unpacked as root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use tar::{EntryType, Header};

use super::inside::Inside;
use super::make::Make;
use super::{Job, Over, Unpacked};
use crate::Result;
use crate::budget::Budget;
use crate::digest::Digest;
use crate::disk::Disk;
use crate::tarball::Archive;

/// An archive in the making, with headers that no honest tool would write.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    /// Adds an entry as it is; `link` is the target of a link or the bytes of a file.
    fn add(self, kind: u8, name: &str, link: &str) -> Self {
        let mut header = Header::new_gnu();
        let is_link = [b'1', b'2'].contains(&kind);
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_mtime(1_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if is_link {
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        let data = if is_link { b"" } else { link.as_bytes() };
        header.set_size(data.len() as u64);
        self.raw(header, data)
    }

    fn raw(mut self, mut header: Header, data: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().div_ceil(512) * 512, 0);
        self
    }

    /// Adds a pax header for the next entry.
    fn pax(self, key: &str, value: &str) -> Self {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while format!("{length}{rest}").len() != length {
            length += 1;
        }
        self.add(b'x', "pax", &format!("{length}{rest}"))
    }

    fn file(self, name: &str, text: &str) -> Self {
        self.add(b'0', name, text)
    }

    fn dir(self, name: &str) -> Self {
        self.add(b'5', name, "")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.add(b'2', name, target)
    }

    fn hardlink(self, name: &str, target: &str) -> Self {
        self.add(b'1', name, target)
    }

    fn done(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// A store with layers, and beside it a file nobody may touch.
struct Bench {
    dir: tempfile::TempDir,
    disk: Disk,
    layers: Vec<PathBuf>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(&dir.path().join("store")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "safe").unwrap();
        Self { dir, disk, layers: Vec::new() }
    }

    fn unpack(&mut self, tar: Vec<u8>) -> Result<Unpacked> {
        let root = self.dir.path().join(format!("layer{}", self.layers.len()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        let mut blob = tempfile::tempfile().unwrap();
        blob.write_all(&tar).unwrap();
        std::io::Seek::rewind(&mut blob).unwrap();
        let digest = Digest::of(&tar);
        let stop = AtomicBool::new(false);
        let (disk, layer) = (&self.disk, &digest);
        let (budget, root) = (&Budget::default(), &root);
        let job = Job { disk, budget, layer, diff_id: &digest, root, stop: &stop };
        let mut unpacked = job.run(blob)?;
        Over { disk, budget, layer, root, below: &self.layers }.complete(&mut unpacked)?;
        let root = root.clone();
        self.layers.push(root);
        Ok(unpacked)
    }

    /// A path of the last layer.
    fn at(&self, path: &str) -> PathBuf {
        self.layers[self.layers.len() - 1].join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.at(path)).unwrap().mode() & 0o7777
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let found = fs::symlink_metadata(self.at(path)).unwrap();
        found.file_type().is_char_device() && found.rdev() == 0
    }

    fn is_opaque(&self, path: &str) -> bool {
        let mut value = [0; 2];
        rustix::fs::lgetxattr(self.at(path), "trusted.overlay.opaque", &mut value[..]).is_ok()
    }

    /// Nothing outside of the layers changed.
    fn assert_untouched(&self) {
        let outside = self.dir.path().join("outside");
        let names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(names, [outside.join("secret")]);
        let secret = &names[0];
        assert_eq!(fs::read_to_string(secret).unwrap(), "safe");
        let found = fs::metadata(secret).unwrap();
        assert_eq!((found.nlink(), found.mode() & 0o7777), (1, 0o644));
        for name in ["evil", "etc/evil", "tmp/evil"] {
            assert!(fs::symlink_metadata(Path::new("/").join(name)).is_err());
        }
    }
}

/// Unpacks an archive that must be refused with an error that has all of these words.
fn refused(tar: Tar, words: &[&str]) {
    let mut bench = Bench::new();
    let text = bench.unpack(tar.done()).expect_err("a hostile archive").to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    bench.assert_untouched();
}

/// Unpacks an archive that is tame in our hands, and looks at what came of it.
fn tamed(tar: Tar, look: impl FnOnce(&Bench)) {
    let mut bench = Bench::new();
    bench.unpack(tar.done()).unwrap();
    bench.assert_untouched();
    look(&bench);
}

#[test]
fn names_with_dot_dot_are_refused() {
    refused(Tar::default().file("../outside/evil", "x"), &["entry '../outside/evil'", "'..'"]);
    refused(Tar::default().file("a/../../outside/secret", "x"), &["a/../../outside/secret"]);
    refused(Tar::default().dir("a/..").file("b", ""), &["entry 'a/..'"]);
    refused(Tar::default().pax("path", "../evil").file("good", "x"), &["entry '../evil'"]);
    refused(Tar::default().add(b'L', "L", "../evil\0").file("good", "x"), &["entry '../evil'"]);
}

#[test]
fn an_absolute_name_is_one_inside() {
    tamed(Tar::default().file("/etc/evil", "x"), |b| assert_eq!(b.read("etc/evil"), "x"));
}

#[test]
fn a_link_to_outside_leads_nowhere() {
    let tar = || Tar::default().symlink("out", "../outside");
    tamed(tar().file("out/secret", "x"), |b| assert_eq!(b.read("outside/secret"), "x"));
    tamed(tar().dir("out/evil"), |b| assert!(b.at("outside/evil").is_dir()));
    let absolute = Tar::default().symlink("out", "/tmp").file("out/evil", "x");
    tamed(absolute, |b| assert_eq!(b.read("tmp/evil"), "x"));
    let many = Tar::default().symlink("a", "b/../../..").symlink("b", "/../..").file("a/evil", "x");
    tamed(many, |b| assert_eq!(b.read("evil"), "x"));
    let proc = Tar::default().symlink("a", "/proc/self/cwd").file("a/evil", "x");
    tamed(proc, |b| assert_eq!(b.read("proc/self/cwd/evil"), "x"));
}

#[test]
fn a_file_in_place_of_a_link_replaces_the_link() {
    let tar = Tar::default().symlink("a", "../outside/secret").file("a", "x");
    tamed(tar, |b| assert!(fs::symlink_metadata(b.at("a")).unwrap().is_file()));
    let tar = Tar::default().symlink("a", "../outside").dir("a");
    tamed(tar, |b| assert!(fs::symlink_metadata(b.at("a")).unwrap().is_dir()));
}

#[test]
fn links_in_a_circle_are_refused() {
    let tar = Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", "");
    refused(tar, &["entry 'a/x'", "too many symbolic links"]);
}

#[test]
fn a_hard_link_to_outside_is_refused() {
    refused(Tar::default().hardlink("a", "../outside/secret"), &["entry 'a'", "'..'"]);
    refused(Tar::default().hardlink("a", "/etc/hostname"), &["entry 'a'", "in no layer"]);
    let through = Tar::default().symlink("out", "/etc").hardlink("a", "out/hostname");
    refused(through, &["entry 'a'", "in no layer"]);
}

#[test]
fn a_hard_link_through_a_link_does_not_follow_it_and_none_names_itself_or_a_directory() {
    let tar = Tar::default().symlink("s", "../outside/secret").hardlink("h", "s").file("h", "x");
    tamed(tar, |b| assert_eq!(b.read("h"), "x"));
    refused(Tar::default().file("a", "x").hardlink("a", "a"), &["entry 'a'", "to itself"]);
    refused(Tar::default().dir("d").hardlink("a", "d"), &["entry 'a'", "directory"]);
    refused(Tar::default().hardlink("a", "/"), &["entry 'a'", "the root"]);
}

#[test]
fn a_file_is_no_directory() {
    refused(Tar::default().file("a", "").file("a/b", ""), &["entry 'a/b'", "no directory"]);
    refused(Tar::default().file(".", ""), &["entry '.'", "only be a directory"]);
}

#[test]
fn bad_whiteouts_are_refused() {
    for name in [".wh.", "a/.wh.", ".wh..", ".wh...", ".wh.a/b"] {
        refused(Tar::default().file(name, ""), &[&format!("entry '{name}'"), "whiteout"]);
    }
    let made = Tar::default().file(".wh.a", "").hardlink("b", "a");
    refused(made, &["entry 'b'", "removes"]);
}

#[test]
fn devices_are_left_out_and_so_is_a_whiteout_made_of_one() {
    let tar = Tar::default().add(b'3', "null", "").add(b'4', "disk", "").file("x", "");
    tamed(tar, |b| {
        assert!(b.at("x").exists());
        assert!(fs::symlink_metadata(b.at("null")).is_err());
        assert!(fs::symlink_metadata(b.at("disk")).is_err());
    });
}

#[test]
fn attributes_that_steer_overlayfs_are_left_out() {
    let tar = Tar::default()
        .pax("SCHILY.xattr.trusted.overlay.redirect", "/etc")
        .dir("a")
        .pax("SCHILY.xattr.user.overlay.opaque", "y")
        .dir("b")
        .pax("SCHILY.xattr.user.good", "1")
        .file("c", "");
    tamed(tar, |b| {
        let xattrs = |path: &str| {
            let mut names = [0; 1024];
            let n = rustix::fs::llistxattr(b.at(path), &mut names[..]).unwrap();
            String::from_utf8_lossy(&names[..n]).into_owned()
        };
        assert_eq!((xattrs("a"), xattrs("b")), (String::new(), String::new()));
        assert_eq!(xattrs("c"), "user.good\0");
    });
}

#[test]
fn numbers_out_of_range_and_unknown_entries_are_refused() {
    refused(Tar::default().pax("uid", "4294967295").file("a", ""), &["entry 'a'", "uid"]);
    refused(Tar::default().pax("gid", "99999999999").file("a", ""), &["entry 'a'", "gid"]);
    refused(Tar::default().add(b'S', "a", ""), &["entry 'a'", "sparse"]);
    refused(Tar::default().add(b'Z', "a", ""), &["entry 'a'", "'Z'"]);
    let long = format!("{}x", "d/".repeat(300));
    refused(Tar::default().pax("path", &long).file("a", ""), &["256 directories deep"]);
    let wide = "n".repeat(300);
    refused(Tar::default().pax("path", &wide).file("a", ""), &["more than 255 bytes"]);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0);
    header.set_size(1 << 40);
    refused(Tar::default().raw(header, b""), &["1099511627776 bytes"]);
}

#[test]
fn directories_made_ever_deeper_through_links_are_refused() {
    let mut tar = Tar::default().pax("path", &"d/".repeat(200)).dir("x");
    tar = tar.pax("linkpath", &"d/".repeat(199)).symlink("l", "x");
    refused(tar.pax("path", &format!("l/{}", "e/".repeat(100))).dir("x"), &["directories deep"]);
}

#[test]
fn an_archive_that_is_cut_or_has_another_digest_is_refused() {
    let mut bench = Bench::new();
    let whole = Tar::default().file("a", "12345").0;
    let text = bench.unpack(whole[..514].to_vec()).unwrap_err().to_string();
    assert!(text.contains("ends inside of an entry"), "{text}");
    bench.unpack(Tar::default().file("a", "1").done()).unwrap();
    let stop = AtomicBool::new(false);
    let (layer, other) = (Digest::of(b"l"), Digest::of(b"o"));
    let root = bench.at("");
    let (disk, budget) = (&bench.disk, &Budget::default());
    let job = Job { disk, budget, layer: &layer, diff_id: &other, root: &root, stop: &stop };
    let text = job.run(tempfile::tempfile().unwrap()).unwrap_err().to_string();
    assert!(text.contains("uncompressed: digest is"), "{text}");
}

#[test]
fn modes_owners_times_and_links_are_as_in_the_archive() {
    let mut header = Header::new_gnu();
    header.set_mode(0o4755);
    header.set_uid(1000);
    header.set_gid(7);
    header.set_mtime(1_234_567);
    header.set_size(2);
    header.set_entry_type(EntryType::Regular);
    header.as_old_mut().name[..5].copy_from_slice(b"bin/a");
    let tar = Tar::default().dir("bin").raw(header, b"hi").hardlink("bin/b", "bin/a");
    tamed(tar.symlink("bin/c", "a").add(b'6', "bin/p", ""), |b| {
        let a = fs::metadata(b.at("bin/a")).unwrap();
        assert_eq!((a.mode() & 0o7777, a.uid(), a.gid()), (0o4755, 1000, 7));
        assert_eq!((a.mtime(), a.nlink(), a.size()), (1_234_567, 2, 2));
        assert_eq!(fs::metadata(b.at("bin")).unwrap().mtime(), 1_000_000);
        assert_eq!(fs::read_link(b.at("bin/c")).unwrap(), Path::new("a"));
        assert_eq!(b.read("bin/b"), "hi");
        assert!(fs::symlink_metadata(b.at("bin/p")).unwrap().file_type().is_fifo());
    });
}

#[test]
fn whiteouts_become_those_of_overlayfs_and_speak_of_the_layers_below_only() {
    let tar = Tar::default()
        .file("d/.wh.gone", "")
        .file("o/.wh..wh..opq", "")
        .file("own/x", "1")
        .file(".wh.own", "")
        .file(".wh.again", "")
        .file("again/x", "2")
        .file(".wh.file", "")
        .file("file", "3")
        .file(".wh..wh.plnk", "");
    tamed(tar, |b| {
        assert!(b.is_whiteout("d/gone") && !b.is_opaque("d"));
        assert!(b.is_opaque("o"));
        assert!(b.is_opaque("own") && b.read("own/x") == "1");
        assert!(b.is_opaque("again") && b.read("again/x") == "2");
        assert_eq!(b.read("file"), "3");
        assert!(!b.at(".wh..wh.plnk").exists());
    });
    let mut bench = Bench::new();
    assert!(bench.unpack(Tar::default().file(".wh..wh..opq", "").done()).unwrap().opaque);
}

#[test]
fn directories_nobody_described_look_like_those_below() {
    let mut sticky = Header::new_gnu();
    sticky.set_entry_type(EntryType::Directory);
    sticky.set_mode(0o1777);
    sticky.set_uid(5);
    sticky.set_gid(6);
    sticky.set_mtime(77);
    sticky.set_size(0);
    sticky.as_old_mut().name[..3].copy_from_slice(b"tmp");
    let mut b = Bench::new();
    b.unpack(Tar::default().raw(sticky, b"").dir("opaque").done()).unwrap();
    b.unpack(Tar::default().file("else", "").done()).unwrap();
    let top = Tar::default().file("tmp/x", "").file("new/x", "").file("opaque/.wh..wh..opq", "");
    b.unpack(top.done()).unwrap();
    assert_eq!(b.mode("tmp"), 0o1777);
    let tmp = fs::metadata(b.at("tmp")).unwrap();
    assert_eq!((tmp.uid(), tmp.gid(), tmp.mtime()), (5, 6, 77));
    assert_eq!(b.mode("new"), 0o755);
}

#[test]
fn hard_links_into_layers_below_are_copies_with_all_that_belongs_to_them() {
    let mut b = Bench::new();
    let base = Tar::default().symlink("lib", "usr/lib").file("usr/lib/x", "below").file("y", "1");
    b.unpack(base.done()).unwrap();
    b.unpack(Tar::default().hardlink("a", "lib/x").hardlink("b", "a").done()).unwrap();
    assert_eq!((b.read("a"), b.read("b")), ("below".into(), "below".into()));
    assert_eq!(fs::metadata(b.at("a")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(b.at("a")).unwrap().mtime(), 1_000_000);
    let twice = Tar::default().hardlink("c/a", "y").hardlink("d/b", "./y");
    b.unpack(twice.done()).unwrap();
    assert_eq!(fs::metadata(b.at("c/a")).unwrap().ino(), fs::metadata(b.at("d/b")).unwrap().ino());
    b.unpack(Tar::default().file(".wh.y", "").done()).unwrap();
    let gone = b.unpack(Tar::default().hardlink("z", "y").done()).unwrap_err().to_string();
    assert!(gone.contains("entry 'z'") && gone.contains("'y', which is in no layer"), "{gone}");
}

#[test]
fn files_over_a_link_below_go_where_the_link_leads() {
    let mut b = Bench::new();
    b.unpack(Tar::default().symlink("lib", "usr/lib").dir("usr").dir("usr/lib").done()).unwrap();
    b.unpack(Tar::default().file("lib/a/x", "1").file("usr/lib/a/y", "2").done()).unwrap();
    assert_eq!((b.read("usr/lib/a/x"), b.read("usr/lib/a/y")), ("1".into(), "2".into()));
    assert!(fs::symlink_metadata(b.at("lib")).is_err());
    let mut b = Bench::new();
    let loops = Tar::default().symlink("a", "b").symlink("b", "a");
    b.unpack(loops.done()).unwrap();
    let text = b.unpack(Tar::default().file("a/x", "").done()).unwrap_err().to_string();
    assert!(text.contains("too many symbolic links"), "{text}");
}

#[test]
fn what_a_layer_makes_us_remember_is_limited() {
    let check = |tar: Tar, bytes: usize, want: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mut inside = Inside::open(dir.path()).unwrap();
        inside.remember_bytes = bytes;
        let disk = Disk::open(&dir.path().join("store")).unwrap();
        let budget = Budget::default();
        let mut make = Make::new(inside, &disk, &budget);
        let bytes = tar.done();
        let mut archive = Archive::new(&bytes[..], 100);
        let mut made = Ok(());
        while let (Ok(()), Some(entry)) = (&made, archive.entry().unwrap()) {
            made = make.entry(&entry, &mut archive);
        }
        assert_eq!(made.is_ok(), want, "{made:?}");
    };
    check(Tar::default().dir("a").dir("b").file("c", ""), 130, true);
    check(Tar::default().dir("a").dir("b").dir("c"), 130, false);
    check(Tar::default().file("a/b/x", ""), 132, true);
    check(Tar::default().file("a/b/x", ""), 131, false);
    check(Tar::default().hardlink("a", "b"), 130, true);
    check(Tar::default().hardlink("a", "b"), 129, false);
}

#[test]
fn a_late_hard_link_that_cannot_be_is_the_layers_own_fault() {
    let check = |tar: Tar| {
        let mut bench = Bench::new();
        bench.unpack(Tar::default().file("a", "1").done()).unwrap();
        let error = bench.unpack(tar.done()).unwrap_err();
        assert!(matches!(error, crate::Error::Entry { .. }) && error.permanent(), "{error}");
    };
    check(Tar::default().hardlink("b", "c").dir("c"));
    check(Tar::default().hardlink("b", "a").file("b", "2"));
    check(Tar::default().hardlink("b", "c").file("b", "2").file("c", "3"));
}

//! Images made here, and what is collected.

#![allow(clippy::unwrap_used)] // all of it is tests

mod bench;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use bench::{Bench, run};
use image::Error;
use rustix::fs::inotify;

/// Compiles a C program or library.
fn cc(compiler: &str, package: &str, source: &str, to: &Path, flags: &[&str]) {
    let file = to.with_extension("c");
    fs::write(&file, source).unwrap();
    let mut args = vec![file.to_str().unwrap(), "-o", to.to_str().unwrap()];
    args.extend(flags);
    run(package, compiler, &args);
}

/// Runs a program of an image's only layer as in a container.
fn start(image: &image::Image) -> String {
    let program = image.config["config"]["Entrypoint"][0].as_str().unwrap();
    let mut command = Command::new("chroot");
    command.arg(&image.layers[0]).arg(program).env_clear();
    for pair in image.config["config"]["Env"].as_array().unwrap() {
        let (key, value) = pair.as_str().unwrap().split_once('=').unwrap();
        command.env(key, value);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_directory_becomes_the_root_and_is_the_same_image_every_time() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir_all(root.join("d")).unwrap();
    fs::write(root.join("d/file"), "text").unwrap();
    fs::hard_link(root.join("d/file"), root.join("same")).unwrap();
    symlink("d/file", root.join("link")).unwrap();
    fs::write(root.join(format!("d/{}", "n".repeat(200))), "").unwrap();
    std::os::unix::fs::chown(root.join("d"), Some(1000), Some(7)).unwrap();
    fs::set_permissions(root.join("d"), PermissionsExt::from_mode(0o2750)).unwrap();
    rustix::fs::setxattr(root.join("same"), "user.x", b"1", rustix::fs::XattrFlags::empty())
        .unwrap();
    let image = bench.store.push("web:1", &root).await.unwrap();
    assert_eq!((image.reference.as_str(), image.bytes), ("web:1", 4));
    assert!(image.config["config"].get("Entrypoint").is_none());
    let at = |name: &str| image.layers[0].join(name);
    let found = fs::metadata(at("d")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o2750, 1000, 7));
    assert_eq!(fs::metadata(at("same")).unwrap().nlink(), 2);
    assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("d/file"));
    let mut value = [0; 4];
    assert_eq!(rustix::fs::getxattr(at("d/file"), "user.x", &mut value[..]), Ok(1));

    let other = Bench::new();
    assert_eq!(other.store.push("app", &root).await.unwrap().digest, image.digest);
    assert_eq!(other.pull("app").await.unwrap().digest, image.digest);
    fs::write(root.join("entrypoint"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("entrypoint"), PermissionsExt::from_mode(0o755)).unwrap();
    let image = bench.store.push("web:1", &root).await.unwrap();
    assert_eq!(image.config["config"]["Entrypoint"][0], "/entrypoint");
    assert_eq!(bench.pull("web:1").await.unwrap(), image);
    let pinned = format!("web:1@{}", image.digest);
    assert_eq!(bench.pull(&pinned).await.unwrap().layers, image.layers);
}

#[tokio::test]
async fn a_program_comes_with_the_libraries_it_needs_and_runs() {
    let bench = Bench::new();
    let at = |name: &str| bench.dir.path().join(name);
    for dir in ["bin", "lib", "deep"] {
        fs::create_dir(at(dir)).unwrap();
    }
    // A library beside the program, which needs one that only it knows the way to.
    let deep = "int deep(void) { return 42; }";
    cc("cc", "gcc", deep, &at("deep/libdeep.so"), &["-shared", "-fPIC"]);
    let near = "int deep(void); int near(void) { return deep(); }";
    let dirs = [format!("-L{}", at("deep").display()), format!("-L{}", at("lib").display())];
    let flags = ["-shared", "-fPIC", &dirs[0], "-ldeep", "-Wl,-rpath,$ORIGIN/../deep"];
    cc("cc", "gcc", near, &at("lib/libnear.so"), &flags);
    let main = "#include <stdio.h>\n#include <math.h>\nint near(void);\n\
                int main(int n, char **v) { printf(\"%d %.0f\\n\", near(), cbrt(n * 8.0)); }";
    let path = format!("-Wl,-rpath-link,{}", at("deep").display());
    let flags = [&dirs[1], "-lnear", "-lm", &path, "-Wl,-rpath,$ORIGIN/../lib"];
    cc("cc", "gcc", main, &at("bin/prog"), &flags);

    let image = bench.store.push("team/prog:1", &at("bin/prog")).await.unwrap();
    assert_eq!(image.config["config"]["Entrypoint"][0], "/prog");
    assert_eq!(start(&image), "42 2\n");
    let root = &image.layers[0];
    assert_eq!(fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    assert!(fs::read_to_string(root.join("etc/passwd")).unwrap().starts_with("root:"));
    let again = Bench::new().store.push("x/prog", &at("bin/prog")).await.unwrap();
    assert_eq!(again.digest, image.digest);

    fs::remove_file(at("deep/libdeep.so")).unwrap();
    let error = bench.store.push("prog", &at("bin/prog")).await.unwrap_err();
    assert!(matches!(error, Error::Library { .. }) && error.permanent());
    let text = error.to_string();
    assert!(text.contains("libnear.so needs libdeep.so, found in none of"), "{text}");
}

#[tokio::test]
async fn static_programs_and_programs_of_another_c_library_run_too() {
    let bench = Bench::new();
    let program = bench.dir.path().join("hello");
    let main = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }";
    let check = async |compiler: &str, package: &str, flags: &[&str]| {
        cc(compiler, package, main, &program, flags);
        let image = bench.store.push("hello", &program).await.unwrap();
        assert_eq!(start(&image), "hello\n");
    };
    check("cc", "gcc", &["-static"]).await;
    check("musl-gcc", "musl-tools", &[]).await;
    check("musl-gcc", "musl-tools", &["-static"]).await;
}

#[tokio::test]
async fn what_is_no_program_or_has_a_bad_name_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let file = bench.dir.path().join("file");
    let check = async |name: &str, text: &str, words: &[&str]| {
        fs::write(&file, text).unwrap();
        let error = bench.store.push(name, &file).await.unwrap_err();
        assert!(error.permanent());
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    check("x:1", "#!/bin/sh\n", &["is a script", "/entrypoint"]).await;
    check("x:1", "hello", &["neither a directory nor an ELF"]).await;
    check("x:1", "\x7fELF", &["/file: "]).await;
    check("x:1:2", "", &["bad image reference 'x:1:2'"]).await;
    check("localhost:1/x", "", &["no registry in its name"]).await;
    fs::remove_file(&file).unwrap();
    let error = bench.store.push("x", &file).await.unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    let error = bench.store.push("etc", Path::new("/bin/true")).await.unwrap_err().to_string();
    assert!(error.contains("push it under another name"), "{error}");
    assert!(bench.names("ingest").is_empty() && bench.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_collection_takes_what_has_no_name_and_is_not_kept() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let mut digests = Vec::new();
    for n in 0..3 {
        fs::write(root.join("file"), "x".repeat(1000 + n)).unwrap();
        digests.push(bench.store.push("web:1", &root).await.unwrap().digest);
    }
    let listed = bench.store.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].reference.as_str(), &listed[0].digest), ("web:1", &digests[2]));
    assert!(listed[0].pushed && listed[0].bytes == 1002);

    // The second is kept by whom it runs for, the third by its name.
    let collected = bench.store.gc(&digests[1..2]).await.unwrap();
    assert_eq!((collected.blobs, collected.layers), (3, 1));
    assert!(collected.bytes > 1000);
    assert!(bench.store.get(&digests[0]).unwrap().is_none());
    let kept = bench.store.get(&digests[1]).unwrap().unwrap();
    assert_eq!(fs::read(kept.layers[0].join("file")).unwrap().len(), 1001);

    // As long as somebody holds an image, no collection takes any of it.
    bench.store.gc(&[]).await.unwrap();
    assert_eq!(bench.store.get(&digests[1]).unwrap().unwrap(), kept);
    drop(kept);
    bench.store.remove("web:1").unwrap();
    assert!(matches!(bench.store.remove("web:1"), Err(Error::NotFound { .. })));
    bench.store.gc(&[]).await.unwrap();
    assert!(bench.names("layers").is_empty() && bench.names("blobs/sha256").is_empty());
    let usage = bench.store.usage().unwrap();
    assert_eq!((usage.bytes, usage.inodes), (0, 0));
    assert!(usage.free_bytes > 0 && usage.free_inodes > 0);
}

#[tokio::test]
async fn a_push_that_is_given_up_leaves_nothing() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    // A sparse file: it takes nothing here and much in the archive.
    fs::File::create(root.join("file")).unwrap().set_len(1 << 30).unwrap();
    let notices = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&notices, bench.path("store/ingest"), inotify::WatchFlags::MODIFY).unwrap();
    let given_up = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (store, stop) = (bench.store.clone(), std::sync::Arc::clone(&given_up));
    let from = root.clone();
    let push = tokio::spawn(async move { store.push_until("web:1", &from, stop).await });
    let begun = tokio::task::spawn_blocking(move || {
        // Returns with the first write into the archive.
        rustix::io::read(&notices, &mut [0; 512][..]).unwrap()
    });
    begun.await.unwrap();
    given_up.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = push.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "web:1 was given up, nothing of it is kept");
    assert!(error.permanent());
    for part in ["ingest", "blobs/sha256", "layers"] {
        assert!(bench.names(part).is_empty(), "{part}");
    }
    assert!(bench.store.list().unwrap().is_empty());
    // The same again is not given up.
    fs::File::create(root.join("file")).unwrap().set_len(1000).unwrap();
    assert_eq!(bench.store.push("web:1", &root).await.unwrap().bytes, 1000);
}

#[tokio::test]
async fn names_and_layers_are_there_after_a_restart_and_a_digest_can_be_removed() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let image = bench.store.push("web:1", &root).await.unwrap();
    bench.store.push("web:2", &root).await.unwrap();
    let Bench { dir, store } = bench;
    assert!(matches!(image::Store::open(&dir.path().join("store")), Err(Error::Busy { .. })));
    drop(store);
    let store = image::Store::open(&dir.path().join("store")).unwrap();
    assert_eq!(store.get("web:1").unwrap().unwrap(), image);
    store.remove(&image.digest).unwrap();
    assert!(store.list().unwrap().is_empty());
}

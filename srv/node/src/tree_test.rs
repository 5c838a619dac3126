//! The tree as a client meets it, over a loop that works and a network without a bridge.

use std::fs;
use std::path::Path;
use std::sync::RwLock;

use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::dirs::Dirs;
use crate::exe::Exe;
use crate::fact::Fact;
use crate::handed::Handed;
use crate::images::{self, Images};
use crate::means::Means;
use crate::node::Node;
use crate::ring::{Reader, Ring};
use crate::spec::tests::text;
use crate::world::World;

/// A node without a bridge and without a socket.
struct Bench {
    tree: NodeTree,
    events: Reader,
    root: User,
    dir: TempDir,
}

/// What a node without a bridge works with, and where it hears what happens.
pub(crate) fn means(dir: &Path) -> (Arc<Means>, mpsc::Receiver<Fact>) {
    let dirs = Dirs::open(dir).unwrap();
    let (facts, heard) = mpsc::channel(64);
    let images = Images::open(&dirs.images(), facts.clone()).unwrap();
    let (exe, net) = (Exe::seal().unwrap(), crate::net::tests::host());
    let (handed, creates) = (Handed::default(), Arc::new(Semaphore::new(1)));
    (Arc::new(Means { dirs, exe, images, net, handed, creates, facts }), heard)
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (means, heard) = means(dir.path());
        let (world, ring) = (Arc::new(RwLock::new(World::default())), Ring::new());
        let (asks, asked) = mpsc::channel(64);
        let events = ring.reader();
        let node = Node::new(means.clone(), world.clone(), ring.clone());
        tokio::spawn(node.run(heard, asked));
        let tree = NodeTree::new(Arc::new(Desk::new(means, asks, world, ring)), 0);
        let root = User { uid: 0, name: "root".into(), ..User::nobody() };
        Bench { tree, events, root, dir }
    }

    fn spot(&self, path: &str) -> ninep::Result<Spot> {
        let root = self.tree.attach(&self.root, b"");
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(root?, |at, name| self.tree.walk(&at, name.as_bytes()))
    }

    async fn read(&self, path: &str) -> String {
        let how = How { read: true, ..How::default() };
        let open = self.tree.open(&self.spot(path).unwrap(), how, &self.root);
        let bytes = answer(answer(open).await.unwrap().read(0, 65_536)).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Opens, writes, closes; the refusal's text, or nothing.
    async fn write(&self, path: &str, data: &[u8]) -> String {
        let how = How { write: true, ..How::default() };
        let done = async {
            let mut open = answer(self.tree.open(&self.spot(path)?, how, &self.root)).await?;
            answer(open.write(0, data)).await?;
            answer(open.close()).await
        };
        done.await.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    async fn mkdir(&self, name: &str) -> String {
        let new = NewFile { dir: true, mode: 0o755, exclusive: false };
        let dir = self.spot("instances").unwrap();
        let made = self.tree.create(&dir, name.as_bytes(), new, How::default(), &self.root);
        answer(made).await.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    /// Kinds, subjects and keys of events until one begins with `last`.
    async fn until(&self, last: &str) -> String {
        let mut told = String::new();
        loop {
            let bytes = self.events.read(65_536).await;
            for line in str::from_utf8(&bytes).unwrap().lines() {
                let what = line.splitn(3, ' ').nth(2).unwrap();
                told.push_str(what);
                if what.starts_with(last) {
                    return told;
                }
                told.push('|');
            }
        }
    }
}

async fn answer<T>(answer: Answer<T>) -> ninep::Result<T> {
    match answer {
        Answer::Now(result) => result,
        Answer::Later(later) => later.await,
    }
}

#[tokio::test]
async fn a_name_is_walked_to_only_when_it_is_there() {
    let bench = Bench::new();
    assert_eq!(bench.mkdir("web-1").await, "");
    assert_eq!(bench.mkdir("web-1").await, Refusal::Exists.to_string());
    assert!(bench.mkdir("Web").await.starts_with("bad instance name 'Web'"));
    for path in ["", "status", "instances", "instances/web-1", "instances/web-1/ctl"] {
        let spot = bench.spot(path).unwrap();
        assert!(bench.tree.stat(&spot).is_ok(), "{path}");
        let up = bench.tree.parent(&spot);
        let names: Vec<_> = bench.tree.entries(&up).unwrap().into_iter().map(|s| s.path).collect();
        let own = bench.tree.stat(&spot).unwrap().path;
        assert!(path.is_empty() || names.contains(&own), "{path}");
    }
    for path in ["nothing", "instances/web-2", "instances/web-1/nothing", "ctl/nothing"] {
        assert!(bench.spot(path).is_err(), "{path}");
    }
}

#[tokio::test]
async fn no_two_files_have_a_number_in_common() {
    let bench = Bench::new();
    let mut paths = Vec::new();
    for name in ["a", "b"] {
        bench.mkdir(name).await;
        let dir = bench.spot(&format!("instances/{name}")).unwrap();
        fs::write(bench.dir.path().join("node/instances").join(name).join("log"), "x\n").unwrap();
        paths.extend(bench.tree.entries(&dir).unwrap().into_iter().map(|stat| stat.path));
    }
    for dir in ["", "instances"] {
        let dir = bench.spot(dir).unwrap();
        paths.extend(bench.tree.entries(&dir).unwrap().into_iter().map(|stat| stat.path));
    }
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count);
}

#[tokio::test]
async fn an_instance_with_secrets_is_started_once_they_were_handed_over_and_they_lie_nowhere() {
    let bench = Bench::new();
    bench.mkdir("web-1").await;
    let spec = json!({"image": "dir:/nothing", "network": "host", "secrets": ["db.url 3"]});
    assert_eq!(bench.write("instances/web-1/spec", &text(spec)).await, "");
    let told = bench.write("instances/web-1/ctl", b"start").await;
    assert_eq!(
        told,
        "temporary: instance web-1 was handed no secrets: write its secrets before start"
    );
    let spot = bench.spot("instances/web-1/secrets").unwrap();
    assert_eq!(bench.tree.stat(&spot).unwrap().mode, 0o200);
    assert_eq!(bench.write("instances/web-1/secrets", b"file db.url 7\nhunter2").await, "");
    assert_eq!(bench.write("instances/web-1/ctl", b"start").await, "");
    // It fails, for there is no such image; what was handed over is gone with it.
    bench.until("failed web-1").await;
    let home = bench.dir.path().join("node/instances/web-1");
    for file in fs::read_dir(home).unwrap().flatten() {
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(7).any(|part| part == b"hunter2"), "{:?}", file.path());
    }
    // A second start is none, and needs none.
    assert_eq!(bench.write("instances/web-1/secrets", b"file db.url 7\nhunter2").await, "");
    assert_eq!(bench.write("instances/web-1/ctl", b"start").await, "");
}

#[tokio::test]
async fn a_spec_is_given_back_as_it_was_written_and_a_bad_one_is_refused_in_full() {
    let bench = Bench::new();
    bench.mkdir("web-1").await;
    let spec = "instances/web-1/spec";
    assert_eq!(bench.read(spec).await, "");
    let bad = bench.write(spec, b"{}").await;
    assert!(bad.starts_with("spec of web-1: missing field"), "{bad}");
    assert_eq!(bench.read("error").await, format!("{bad}\n"));
    let good = text(json!({}));
    assert_eq!(bench.write(spec, &good).await, "");
    assert_eq!(bench.write(spec, &good).await, "");
    assert_eq!(bench.read(spec).await.as_bytes(), good);
    let length = bench.tree.stat(&bench.spot(spec).unwrap()).unwrap().length;
    assert_eq!(length, good.len() as u64);
    let other = bench.write(spec, &text(json!({"pids": 1}))).await;
    assert!(other.starts_with("instance web-1 has another spec"), "{other}");
    let on_disk = bench.dir.path().join("node/instances/web-1/spec.json");
    assert_eq!(fs::read(on_disk).unwrap(), good);
}

#[tokio::test]
async fn a_start_that_cannot_work_fails_with_its_reason_and_a_removal_leaves_nothing() {
    let bench = Bench::new();
    bench.mkdir("web-1").await;
    let ctl = "instances/web-1/ctl";
    assert!(bench.write(ctl, b"start").await.starts_with("instance web-1 has no spec"));
    let image = format!("dir:{}/nothing", bench.dir.path().display());
    let spec = text(json!({"image": image}));
    assert_eq!(bench.write("instances/web-1/spec", &spec).await, "");
    assert_eq!(bench.write(ctl, b"start\n").await, "");
    let told = bench.until("failed web-1").await;
    assert!(told.contains(&format!("pull-failed {image} permanent=true")), "{told}");
    assert!(told.contains("failed web-1 permanent=true reason="), "{told}");
    let status = bench.read("instances/web-1/status").await;
    assert!(status.starts_with("state=failed\n") && status.contains("/nothing"), "{status}");
    assert_eq!(bench.write(ctl, b"remove").await, "");
    bench.until("removed web-1").await;
    assert!(bench.spot("instances/web-1").is_err());
    let left = fs::read_dir(bench.dir.path().join("node/instances")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_an_instance_wrote_stays_when_it_is_gone_until_it_is_removed() {
    let bench = Bench::new();
    for name in ["web-1", "web-2"] {
        bench.mkdir(name).await;
        let dir = bench.dir.path().join("node/instances").join(name);
        fs::write(dir.join("log.1"), "a\n").unwrap();
        fs::write(dir.join("log"), "b\n").unwrap();
        assert_eq!(bench.write(&format!("instances/{name}/ctl"), b"remove").await, "");
        let told = bench.until(&format!("removed {name}")).await;
        assert!(told.ends_with(" log=4"), "{told}");
    }
    assert_eq!(bench.read("logs/web-1").await, "a\nb\n");
    let (logs, one) = (bench.spot("logs").unwrap(), bench.spot("logs/web-1").unwrap());
    let stat = bench.tree.stat(&one).unwrap();
    assert_eq!((&stat.name[..], stat.length), (&b"web-1"[..], 4));
    assert_eq!(bench.tree.entries(&logs).unwrap()[0], stat);
    assert_eq!(bench.tree.parent(&one).row, logs.row);
    answer(bench.tree.remove(&one, &bench.root)).await.unwrap();
    assert!(bench.spot("logs/web-1").is_err() && bench.tree.stat(&one).is_err());
    let other = bench.spot("logs/web-2").unwrap();
    assert_ne!(bench.tree.stat(&other).unwrap().path, stat.path);
    for path in ["logs", "instances", "status"] {
        let spot = bench.spot(path).unwrap();
        assert!(answer(bench.tree.remove(&spot, &bench.root)).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_stop_of_what_never_ran_is_an_exit_on_disk() {
    let bench = Bench::new();
    bench.mkdir("web-1").await;
    assert_eq!(bench.write("instances/web-1/spec", &text(json!({}))).await, "");
    assert_eq!(bench.write("instances/web-1/ctl", b"stop").await, "");
    let told = bench.until("exited web-1").await;
    assert!(told.contains("code=143 oom=false reason='stopped before it was started'"), "{told}");
    let dir = bench.dir.path().join("node/instances/web-1");
    assert_eq!(record::exit(&dir).unwrap().unwrap().code, 143);
}

#[tokio::test]
async fn a_ctl_of_an_instance_that_is_gone_says_so_in_the_protocols_own_words() {
    let bench = Bench::new();
    let gone = Refusal::NotFound.to_string();
    assert_eq!(gone, "file does not exist");
    let ctl = "instances/web-1/ctl";
    assert_eq!(bench.write(ctl, b"stop").await, gone);
    bench.mkdir("web-1").await;
    let how = How { write: true, ..How::default() };
    let open = bench.tree.open(&bench.spot(ctl).unwrap(), how, &bench.root);
    let mut open = answer(open).await.unwrap();
    assert_eq!(bench.write(ctl, b"remove").await, "");
    bench.until("removed web-1").await;
    let refusal = answer(open.write(0, b"stop")).await.unwrap_err();
    assert_eq!(refusal.to_string(), gone);
}

#[tokio::test]
async fn status_and_help_speak_of_the_node() {
    let bench = Bench::new();
    let status = bench.read("status").await;
    for key in ["name=", "capacity_cpu=", "allocated_memory=0\n", "instances=0\n", "image_bytes="] {
        assert!(status.contains(key), "{key} in {status}");
    }
    let help = bench.read("help").await;
    for words in ["        <id>", "stop [SIGNAL|- [SECONDS]]", "push NAME:TAG PATH"] {
        assert!(help.contains(words), "{words} in {help}");
    }
    assert_eq!(bench.read("images").await, "");
    assert!(bench.write("ctl", b"dwon").await.starts_with("no verb 'dwon'"));
}

/// Makes the image `name` of a directory with one file of so many bytes; gives its digest.
async fn push(bench: &Bench, name: &str, bytes: usize) -> String {
    let root = bench.dir.path().join("root");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("file"), "x".repeat(bytes)).unwrap();
    let told = format!("push {name} {}", root.display());
    assert_eq!(bench.write("ctl", told.as_bytes()).await, "");
    let told = bench.until(&format!("pushed {name}")).await;
    told.rsplit_once("digest=").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_collection_takes_a_list_of_any_length_and_a_list_that_is_cut_short_removes_nothing() {
    let bench = Bench::new();
    let digest = push(&bench, "web:1", 1000).await;
    let mut list: String = (0..5000).map(|n| format!("sha256:{n:064x}\n")).collect();
    assert!(list.len() > 300_000);
    let cut = bench.write("gc", list.as_bytes()).await;
    assert_eq!(cut, "gc: the last line is to be 'gc'; nothing was removed");
    assert_eq!(
        bench.write("gc", b"sha256:12\ngc\n").await,
        "bad image reference 'sha256:12': a digest has a name and '@' before it"
    );
    // What no store can have keeps nothing, and stops nothing.
    list.push_str("A:1\n");
    list.push_str("gc\n");
    assert_eq!(bench.write("gc", list.as_bytes()).await, "");
    let told = bench.until("swept").await;
    assert_eq!(told, "swept images count=0 bytes=0", "it is an hour old at most");
    assert!(bench.read("images").await.contains(&digest));
    let long = vec![b'x'; images::KEEP_BYTES_MAX + 1];
    assert!(bench.write("gc", &long).await.starts_with("gc takes 8388608 bytes"));
    assert_eq!(bench.write("gc", b"").await, "");
}

#[tokio::test]
async fn a_push_that_is_given_up_says_so_and_leaves_nothing() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::File::create(root.join("file")).unwrap().set_len(1 << 30).unwrap();
    // Both lines are taken before the archive can have been written.
    let lines = format!("push web:1 {}\ncancel-push web:1\n", root.display());
    assert_eq!(bench.write("ctl", lines.as_bytes()).await, "");
    let told = bench.until("push-failed").await;
    assert_eq!(told, "push-failed web:1 reason='web:1 was given up, nothing of it is kept'");
    for part in ["ingest", "blobs/sha256", "layers"] {
        let left = fs::read_dir(bench.dir.path().join("node/images").join(part)).unwrap().count();
        assert_eq!(left, 0, "{part}");
    }
    let late = bench.write("ctl", b"cancel-push web:1").await;
    assert_eq!(late, "no push of web:1 goes on");
}

#[tokio::test]
async fn only_root_and_the_nodes_own_user_may_attach() {
    let bench = Bench::new();
    let other = User { uid: 1000, ..bench.root.clone() };
    assert_eq!(bench.tree.attach(&other, b"").unwrap_err(), Refusal::PermissionDenied);
    assert!(bench.tree.attach(&bench.root, b"instances").is_ok());
    assert!(bench.tree.attach(&bench.root, b"nothing").is_err());
}

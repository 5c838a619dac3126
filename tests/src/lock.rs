//! The deploy lock, pre-flight and build, as users and scripts meet them: real processes, a real
//! git, real builds.

use crate::rig::{PATIENCE, Rig, Told, bin, web};
use ninep::client::Mode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::OpenOptions;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A `deploy` that goes on.
struct Going(Child);

impl Going {
    fn start(rig: &Rig, words: &[&str]) -> Going {
        let mut command = Command::new(bin("deploy"));
        command.args(words).env("DEPLOY_ADDR", rig.address().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Going(command.kill_on_drop(true).spawn().expect("deploy starts"))
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id().expect("it runs")).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("told");
    }

    async fn end(self) -> Told {
        let output = timeout(PATIENCE, self.0.wait_with_output()).await.expect("deploy ends");
        let output = output.expect("waited");
        Told {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A manifest in the place of the server, and its path.
fn manifest(rig: &Rig, name: &str, text: &str) -> String {
    let path = rig.state().join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_string()
}

/// A fifo that builds wait at, each for a line of its own. It is open for both ways, so that
/// nobody waits for the other end, and no line is lost.
struct Gate(PathBuf, std::fs::File);

impl Gate {
    fn new(rig: &Rig, name: &str) -> Gate {
        let fifo = rig.state().join(name);
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&fifo, mode).expect("a fifo");
        let open = std::fs::File::options().read(true).write(true).open(&fifo).expect("open");
        Gate(fifo, open)
    }

    /// As a line of a manifest.
    fn build(&self) -> String {
        format!("build sh -c 'echo waits; read line <{}; echo $line'\n", self.0.display())
    }

    /// Lets one build through.
    fn open(&self) {
        (&self.1).write_all(b"go on\n").expect("written");
    }
}

/// Runs git in a directory, as somebody who may commit.
fn git(place: &Path, words: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(place).args(["-c", "user.name=ann", "-c", "user.email=ann@example.com"]);
    let output = git.args(words).output().expect("git");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_string()
}

/// A work tree with one commit; its hash.
fn repository(place: &Path) -> String {
    std::fs::create_dir(place).expect("made");
    git(place, &["init", "-q", "-b", "main"]);
    std::fs::write(place.join("a"), "a").expect("written");
    git(place, &["add", "a"]);
    git(place, &["commit", "-q", "-m", "mend the door"]);
    git(place, &["rev-parse", "HEAD"])
}

async fn phase(rig: &Rig, wanted: &str) {
    rig.until("active/web/update_phase", |phase| phase == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_applies_at_once_one_is_told_who_the_other_is_and_what_it_is_at() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    let gate = Gate::new(&rig, "gate");
    let hash = repository(&rig.state().join("app"));
    let text = web("web:v1") + "source app\n" + &gate.build();
    let file = manifest(&rig, "web", &text);
    let first = Going::start(&rig, &["apply", "-f", &file, "-m", "for the open door"]);
    phase(&rig, "build").await;
    // The service is not there yet, and everybody sees what goes on.
    assert_eq!(rig.cat("active/web/version").await, "");
    let state = rig.cat("active/web/state").await;
    for line in ["phase=build", "by=root", &format!("commit={hash} mend the door")] {
        assert!(state.contains(line), "{line} is not in\n{state}");
    }
    let status = rig.deploy(&["status", "web"]).await.fine();
    assert!(status.contains("build") && status.contains("by root"), "{status}");
    let second = rig.deploy(&["apply", "-f", &file]).await;
    second.refused(6, "lock is in use by root (uid 0) on ");
    second.refused(6, "phase build");
    let forced = rig.deploy(&["apply", "-f", &file, "--force"]).await;
    forced.refused(6, "it can be broken in ");
    let waited = rig.deploy(&["apply", "-f", &file, "--wait-lock=300ms"]).await;
    waited.refused(7, "it was waited for in vain");
    assert_eq!(rig.cat("active/web/queue").await, "", "who gave up does not wait");
    let refused = rig.echo("apply", "active/web/ctl").await.expect_err("held by another");
    assert!(refused.contains("lock is in use"), "{refused}");

    let third = Going::start(&rig, &["apply", "-f", &file, "--wait-lock"]);
    rig.until("active/web/queue", |queue| queue.contains("root")).await;
    gate.open();
    let first = first.end().await;
    assert_eq!(first.code, 0, "{first:#?}");
    for told in ["  web: commit ", " on main: mend the door", "  web: waits", "  web: go on"] {
        assert!(first.err.contains(told), "{told} is not in\n{}", first.err);
    }
    // It has the lock next, and its own build.
    gate.open();
    let third = third.end().await;
    assert!(third.code == 0 && third.err.contains("lock is in use by root"), "{third:#?}");
    assert!(third.err.contains("unchanged (v1)"), "it has waited for the update, too: {third:#?}");
    let version = rig.cat("active/web/version").await;
    let past = rig.cat(&format!("active/web/history/{version}")).await;
    assert!(past.contains(&format!("# commit {hash} mend the door")), "{past}");
    assert_eq!(rig.cat("active/web/lock").await, "");
    // It goes on while it is validated, and what comes next knows what it comes after.
    let state = rig.cat("active/web/state").await;
    assert!(state.contains("phase=validate\nstarted=2"), "{state}");
    let next = manifest(&rig, "web", &(web("web:v1") + "env NEXT=1\n"));
    rig.deploy(&["apply", "-f", &next]).await.fine();
    let state = rig.cat("active/web/state").await;
    let before = format!("\ncommit=\nmessage=\nprevious_commit={hash} mend the door");
    assert!(state.contains(&before), "{state}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_and_its_commit_stand_in_the_history_and_a_script_holds_the_lock_too() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    let file = manifest(&rig, "web", &web("web:v1"));
    rig.deploy(&["apply", "-f", &file, "-m", "for\nthe open door"]).await.fine();
    let history = rig.deploy(&["--json", "history", "web"]).await.fine();
    assert!(history.contains("\"message\":\"for the open door\""), "{history}");

    // What a script prints, a line at a time, holds the lock as long as the script goes on.
    let mut script = Going::start(&rig, &["write", "active/web/lock"]);
    let mut input = script.0.stdin.take().expect("piped");
    input.write_all(b"from a script\nbuild\n").await.expect("written");
    phase(&rig, "build").await;
    rig.deploy(&["apply", "-f", &file]).await.refused(6, "root (uid 0) on a script");
    rig.deploy(&["scale", "web", "2"]).await.refused(6, "phase build");
    input.write_all(b"message by hand\nscale 2\n").await.expect("written");
    rig.until("active/web/events", |events| events.contains("done change v1→v2")).await;
    drop(input);
    assert_eq!(script.end().await.code, 0);
    rig.deploy(&["scale", "web", "1"]).await.fine();

    // The way out is never locked, and says what comes after it.
    let mut script = Going::start(&rig, &["write", "active/web/lock"]);
    let mut input = script.0.stdin.take().expect("piped");
    input.write_all(b"build\n").await.expect("written");
    phase(&rig, "build").await;
    let told = rig.deploy(&["stop", "web"]).await;
    assert_eq!(told.code, 0, "{told:#?}");
    assert!(told.err.contains("phase build: it goes on, and applies after this; cancel ends it"));
    drop(input);
    assert_eq!(script.end().await.code, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_killed_leaves_the_lock_free_and_nothing_behind() {
    let rig = Rig::start().await;
    rig.push(&["v1"]).await;
    let gates = [Gate::new(&rig, "gate"), Gate::new(&rig, "next")];
    let text = |gate: &Gate| web("web:v1") + &gate.build();
    let file = manifest(&rig, "web", &text(&gates[0]));
    let first = Going::start(&rig, &["apply", "-f", &file]);
    phase(&rig, "build").await;
    let next = manifest(&rig, "web.next", &text(&gates[1]));
    let waiting = Going::start(&rig, &["apply", "-f", &next, "--wait-lock"]);
    rig.until("active/web/queue", |queue| queue.contains("root")).await;
    first.signal(Signal::SIGKILL);
    drop(first);
    // The next one has it at once, and what the first one built is killed with it.
    rig.until("events", |events| events.matches("locked by root").count() == 2).await;
    gates[1].open();
    gates[0].open();
    assert_eq!(waiting.end().await.code, 0);

    let client = rig.client().await;
    client.mkdir("active/api").await.expect("made");
    let held = client.open("active/api/lock", Mode::ReadWrite).await.expect("free");
    drop((held, client));
    rig.until("events", |events| events.contains("api lock of root")).await;
    let names = rig.client().await.list("active").await.expect("listed");
    assert_eq!(names.len(), 1, "a place nothing came of goes with its lock");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_changes_nothing_and_its_ten_thousand_lines_come_as_they_are() {
    let rig = Rig::start().await;
    let lines = "build sh -c 'seq 10000; echo no rule >&2; exit 3'\n";
    let file = manifest(&rig, "web", &(web("web:v1") + lines));
    let told = rig.deploy(&["apply", "-f", &file]).await;
    told.refused(1, "exited with 3; nothing was changed");
    let shown: Vec<&str> = told.err.lines().filter(|line| line.starts_with("  web: ")).collect();
    assert_eq!(shown.len(), 10_001);
    assert_eq!(
        (shown[0], shown[9_999], shown[10_000]),
        ("  web: 1", "  web: 10000", "  web: no rule")
    );
    let told = rig.deploy(&["--json", "apply", "-f", &file]).await;
    let objects: Vec<serde_json::Value> = told
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(objects.len(), 10_002);
    assert!(objects[..10_001].iter().all(|object| object["phase"] == "build"));
    assert_eq!(
        (&objects[10_001]["phase"], &objects[10_001]["exit"]),
        (&"failed".into(), &1.into())
    );
    let quiet = rig.deploy(&["-q", "apply", "-f", &file]).await;
    quiet.refused(1, "  web: no rule");
    assert!(quiet.err.lines().count() < 30, "{}", quiet.err);
    assert!(rig.client().await.list("active").await.expect("listed").is_empty());
    assert!(rig.client().await.list("manifests").await.expect("listed").is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_ends_with_everything_it_started() {
    let rig = Rig::start().await;
    let fifo = rig.state().join("life");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a fifo");
    // A child of a child that does not care about TERM. All have the fifo open while they live.
    let line = "exec 9>FIFO; (trap \"\" TERM; echo lives >&9; while :; do sleep 60; done) & wait";
    let line = line.replace("FIFO", &fifo.display().to_string());
    let file = manifest(&rig, "web", &(web("web:v1") + &format!("build sh -c '{line}'\n")));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut life = OpenOptions::new().open_receiver(&fifo).expect("open");
        let apply = Going::start(&rig, &["apply", "-f", &file]);
        let mut said = [0; 6];
        let lives = async {
            life.readable().await?;
            life.read_exact(&mut said).await
        };
        timeout(PATIENCE, lives).await.expect("it begins").expect("read");
        assert_eq!(&said, b"lives\n");
        apply.signal(signal);
        apply.end().await.refused(130, "deploy: interrupted; nothing was changed");
        let rest = timeout(PATIENCE, life.read_to_end(&mut Vec::new())).await;
        assert_eq!(rest.expect("all of it ends").expect("read"), 0);
        assert!(rig.client().await.list("active").await.expect("listed").is_empty());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_clean_is_refused_with_the_list_before_anything() {
    let rig = Rig::start().await;
    let app = rig.state().join("app");
    repository(&app);
    for n in 0..1_000 {
        std::fs::write(app.join(format!("new{n}")), "").expect("written");
    }
    let built = rig.state().join("built");
    let text = web("web:v1") + &format!("source app\nbuild touch {}\n", built.display());
    let file = manifest(&rig, "web", &text);
    let told = rig.deploy(&["apply", "-f", &file]).await;
    told.refused(1, "is not clean, on branch main");
    told.refused(1, "  ?? new0");
    told.refused(1, "and 980 more");
    assert_eq!(told.err.lines().count(), 22, "{}", told.err);
    assert!(!built.exists(), "nothing is built of it");
    let none = manifest(&rig, "api", &(web("web:v1") + "source nowhere\n"));
    rig.deploy(&["apply", "-f", &none]).await.refused(1, "cannot change to");
    let none = manifest(&rig, "api", &(web("web:v1") + "source .\n"));
    rig.deploy(&["apply", "-f", &none]).await.refused(1, "not a git repository");
    assert!(rig.client().await.list("active").await.expect("listed").is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_or_is_in_flight_is_told_before_a_build() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2"]).await;
    let built = rig.state().join("built");
    let build = format!("build touch {}\n", built.display());
    let large = web("web:v1").replace("cpu 0.1", "cpu 500") + &build;
    rig.deploy(&["apply", "-f", &manifest(&rig, "web", &large)]).await.refused(8, "no room");
    assert!(!built.exists());
    rig.deploy(&["apply", "-f", &manifest(&rig, "web", &web("web:v1"))]).await.fine();
    let slow = web("web:v2") + "update_pause 60\n";
    rig.manifest("web", &slow).await.expect("right");
    rig.echo("apply", "active/web/ctl").await.expect("accepted");
    rig.until("active/web/update_progress", |progress| progress == "1/3").await;
    let refused = rig.echo("apply", "active/web/ctl").await.expect_err("one at a time");
    let want = ["update to v2 in flight since 2", ", phase "];
    assert!(want.iter().all(|words| refused.contains(words)), "{refused}");
    let file = manifest(&rig, "web", &(web("web:v1") + &build));
    rig.deploy(&["apply", "-f", &file]).await.refused(6, "say --supersede");
    assert!(!built.exists());

    // Superseded while it rolls, and while it stands paused.
    let told = rig.deploy(&["apply", "-f", &file, "--supersede"]).await;
    assert_eq!(told.code, 0, "{told:#?}");
    assert!(told.err.contains("superseded: cancelled update v1→v2"), "{}", told.err);
    assert!(built.exists());
    rig.manifest("web", &slow).await.expect("right");
    rig.echo("apply", "active/web/ctl").await.expect("accepted");
    rig.until("active/web/update_progress", |progress| progress == "1/3").await;
    rig.echo("pause", "active/web/ctl").await.expect("accepted");
    let text = web("web:v1") + "env CHANGED=yes\n";
    let told = rig.deploy(&["apply", "-f", &manifest(&rig, "web", &text), "--supersede"]).await;
    assert_eq!(told.code, 0, "{told:#?}");
    assert!(rig.cat("active/web/manifest").await.contains("CHANGED"));
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    // Without one in flight there is nothing to be superseded.
    let quick = timeout(Duration::from_secs(30), rig.deploy(&["apply", "web", "--supersede"]));
    quick.await.expect("nothing is waited for").fine();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_cancelled_ends_and_nothing_that_its_holder_writes_counts() {
    let rig = Rig::start().await;
    rig.push(&["v1", "v2"]).await;
    let plain = manifest(&rig, "web", &web("web:v1"));
    rig.deploy(&["apply", "-f", &plain]).await.fine();
    let gate = Gate::new(&rig, "gate");
    let file = manifest(&rig, "web.v2", &(web("web:v2") + "name web\n" + &gate.build()));
    let first = Going::start(&rig, &["apply", "-f", &file]);
    phase(&rig, "build").await;
    let next = Going::start(&rig, &["apply", "-f", &plain, "--wait-lock"]);
    rig.until("active/web/queue", |queue| queue.contains("root")).await;
    let began = Instant::now();
    rig.deploy(&["cancel", "web"]).await.refused(0, "cancelled");
    first.end().await.refused(1, "deploy was cancelled by root (uid 0) at 2");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(next.end().await.code, 0, "who waited has the lock");
    let events = rig.cat("active/web/events").await;
    assert!(events.contains("phase build: cancelled by root (uid 0)"), "{events}");
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    // Without a build or an update there is nothing to be cancelled.
    rig.deploy(&["cancel", "web"]).await.refused(1, "is being validated");

    // Of a service that is not there yet nothing is left; a script is told when it writes.
    let client = rig.client().await;
    client.mkdir("active/api").await.expect("made");
    let held = client.open("active/api/lock", Mode::ReadWrite).await.expect("free");
    held.write_at(0, b"build\n").await.expect("it holds");
    // The holder's own is meant for an update, and not for himself.
    let own = held.write_at(0, b"cancel\n").await.expect_err("no update").to_string();
    assert!(own.contains("no update in flight"), "{own}");
    rig.echo("cancel", "active/api/ctl").await.expect("cancelled");
    let told = held.write_at(0, b"apply\n").await.expect_err("it is over").to_string();
    assert!(told.contains("deploy was cancelled by root (uid 0)"), "{told}");
    drop((held, client));
    let names = async || rig.client().await.list("active").await.expect("listed").len();
    let gone = async { while names().await > 1 {} };
    timeout(PATIENCE, gone).await.expect("its place goes with the open");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_old_enough_is_taken_by_force_and_its_holder_counts_no_more() {
    let rig = Rig::with(&["--no-edge", "--lock-force-after", "2"]).await;
    rig.push(&["v1"]).await;
    let plain = manifest(&rig, "web", &web("web:v1"));
    rig.deploy(&["apply", "-f", &plain]).await.fine();
    let client = rig.client().await;
    let held = client.open("active/web/lock", Mode::ReadWrite).await.expect("free");
    held.write_at(0, b"build\n").await.expect("it holds");
    let young = rig.deploy(&["apply", "-f", &plain, "--force"]).await;
    young.refused(6, "it can be broken in ");
    // As old as it has to be when this has waited in vain.
    rig.deploy(&["apply", "-f", &plain, "--wait-lock=2s"]).await.refused(7, "in vain");
    // With one beside it that is too young, it stays his.
    let api = manifest(&rig, "api", &web("web:v1"));
    client.mkdir("active/api").await.expect("a place");
    let young = client.open("active/api/lock", Mode::ReadWrite).await.expect("free");
    let both = rig.deploy(&["apply", "-f", &plain, "-f", &api, "--force"]).await;
    both.refused(6, "unlock api: lock is in use by root (uid 0)");
    held.write_at(0, b"build\n").await.expect("it holds");
    young.clunk().await.expect("left");
    rig.deploy(&["apply", "-f", &plain, "--force"]).await.refused(0, "unchanged (v1)");
    let events = rig.cat("active/web/events").await;
    assert!(events.contains("phase build: broken by root (uid 0)"), "{events}");
    let audit = rig.cat("audit").await;
    assert!(audit.contains(" ctl: unlock web: accepted"), "{audit}");
    assert!(audit.contains(" active/web/lock: open: accepted"), "{audit}");

    // Whatever he writes, through the lock or beside it over his connection, counts for nothing.
    let taken = "lock was taken by root (uid 0) at 2";
    let through = held.write_at(0, b"scale 1\n").await.expect_err("taken").to_string();
    let beside = client.write("active/web/ctl", b"scale 1\n").await.expect_err("taken").to_string();
    let draft = client.put("manifests/web", web("web:v1").as_bytes()).await;
    let draft = draft.expect_err("taken").to_string();
    for told in [through, beside, draft] {
        assert!(told.contains(taken), "{told}");
    }
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    drop((held, client));

    // A build ends when its lock is taken.
    let gate = Gate::new(&rig, "gate");
    let file = manifest(&rig, "web.v2", &(web("web:v1") + "name web\n" + &gate.build()));
    let first = Going::start(&rig, &["apply", "-f", &file]);
    phase(&rig, "build").await;
    rig.deploy(&["apply", "-f", &plain, "--wait-lock=2s"]).await.refused(7, "in vain");
    rig.deploy(&["apply", "-f", &plain, "--force"]).await.refused(0, "unchanged (v1)");
    first.end().await.refused(6, taken);
    rig.end().await;
}

//! The HTTP door, as programs use it: what can be asked for, how a deploy is told, and what comes
//! of servers and doors that die.

mod browser;
mod described;
mod hostile;
mod page;
mod seeds;
mod streams;

use crate::rig::{PATIENCE, Rig, web};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server with a door at any free port, and an edge at another.
const WITH_EDGE: &[&str] =
    &["--http", "127.0.0.1:0", "--https", "-", "--dns", "-", "--web", "127.0.0.1:0"];

/// The same without an edge.
const ALONE: &[&str] = &["--no-edge", "--web", "127.0.0.1:0"];

/// Where the door is, once it was opened so many times.
async fn opened(rig: &Rig, times: usize) -> String {
    const OPEN: &str = "web is open at ";
    let events = rig.until("events", |text| text.matches(OPEN).count() == times).await;
    let line = events.lines().rfind(|line| line.contains(OPEN)).expect("it was told");
    line.rsplit(' ').next().expect("an address").to_string()
}

/// A server whose door asks for a token, where that is, and in which directory the token is.
async fn with_token(token: &str) -> (Rig, String, TempDir) {
    let dir = tempfile::Builder::new().prefix("deploy-test-").tempdir().expect("tempdir");
    let path = dir.path().join("token");
    std::fs::write(&path, token).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("kept");
    // The words of a rig live as long as the test does.
    let words = ["--no-edge", "--web", "127.0.0.1:0", "--web-token", path.to_str().expect("UTF-8")];
    let words = words.map(|word| &*Box::leak(word.to_string().into_boxed_str()));
    let rig = Rig::with(Box::leak(Box::new(words))).await;
    let at = opened(&rig, 1).await;
    (rig, at, dir)
}

/// An answer.
#[derive(Debug)]
struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn read(text: &str) -> Said {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer of HTTP: {text:?}"));
        Said { status, head: head.to_ascii_lowercase(), body: body.to_string() }
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// A refusal, in JSON as all are.
    #[track_caller]
    fn refused(&self, status: u16, text: &str) {
        let error = self.json()["error"].as_str().unwrap_or_default().to_string();
        assert!(self.status == status && error.contains(text), "want {status} {text:?}: {self:?}");
    }
}

/// Sends bytes as they are, and gives all that comes back until the other side closes.
async fn raw(at: &str, bytes: &[u8]) -> String {
    let said = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(bytes).await?;
        let mut all = Vec::new();
        // What was said before a reset was said.
        let _ = stream.read_to_end(&mut all).await;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&all).into_owned())
    };
    timeout(PATIENCE, said).await.expect("an end").expect("a connection")
}

fn request(way: &str, path: &str, at: &str, fields: &str, body: &str) -> String {
    let length = match way {
        "POST" => format!("Content-Length: {}\r\n", body.len()),
        _ => String::new(),
    };
    // Of version 1.0 neither is a stream in chunks nor a connection kept.
    format!("{way} {path} HTTP/1.0\r\nHost: {at}\r\n{fields}{length}\r\n{body}")
}

async fn ask(way: &str, at: &str, path: &str) -> Said {
    Said::read(&raw(at, request(way, path, at, "", "").as_bytes()).await)
}

async fn get(at: &str, path: &str) -> Value {
    let said = ask("GET", at, path).await;
    assert_eq!(said.status, 200, "{path}: {said:?}");
    said.json()
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

/// A stream that is read.
struct Events(BufReader<TcpStream>);

impl Events {
    /// Asks for one; the answer's head is read.
    async fn open(at: &str, way: &str, path: &str, fields: &str, body: &str) -> Events {
        let mut stream = BufReader::new(TcpStream::connect(at).await.expect("a connection"));
        let text = request(way, path, at, fields, body);
        stream.write_all(text.as_bytes()).await.expect("sent");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = timeout(PATIENCE, stream.read_line(&mut head)).await.expect("in time");
            assert!(read.expect("read") > 0, "no head: {head}");
        }
        assert!(head.contains(" 200 OK") && head.contains("text/event-stream"), "{head}");
        Events(stream)
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: String::new(), name: String::new(), data: String::new() };
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("in time");
            if read.unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end_matches('\n');
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.to_string(),
                Some(("event", name)) => event.name = name.to_string(),
                Some(("data", data)) => event.data = data.to_string(),
                _ if line.is_empty() && !event.data.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    /// All of them.
    async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }

    /// Waits for the event of `/v1/events` that says this.
    async fn until(&mut self, text: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("{text} never came"));
            if event.json()["text"].as_str().is_some_and(|said| said.contains(text)) {
                return event;
            }
        }
    }
}

/// Deploys over HTTP.
async fn deploy(at: &str, service: &str, manifest: &str) -> Vec<Event> {
    let path = format!("/v1/deploy?name={service}");
    Events::open(at, "POST", &path, "", manifest).await.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_as_it_is_described() {
    let rig = Rig::with(WITH_EDGE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1", "v2"]).await;
    for image in ["web:v1", "web:v2"] {
        let told = deploy(&at, "web", &(web(image) + "route shop.test /\n")).await;
        assert_eq!(told.last().expect("an end").name, "done", "{told:?}");
    }
    let described = get(&at, "/v1/openapi.json").await;
    let mut asked = 0;
    for (path, ways) in described["paths"].as_object().expect("paths") {
        let Some(operation) = ways.get("get") else { continue };
        let content = &operation["responses"]["200"]["content"];
        let Some(schema) = content.get("application/json") else { continue };
        let answer = get(&at, &path.replace("{name}", "web")).await;
        let shape = schema["schema"]["$ref"].as_str().expect("a shape").rsplit('/').next();
        let shape = &described["components"]["schemas"][shape.expect("a name")];
        for key in shape["required"].as_array().expect("keys") {
            assert!(answer.get(key.as_str().expect("a key")).is_some(), "{path}: {key}: {answer}");
        }
        asked += 1;
    }
    assert_eq!(asked, 8, "all that is looked at");

    let services = get(&at, "/v1/services").await;
    let row = &services["services"][0];
    assert_eq!((&row["service"], &row["number"]), (&json!("web"), &json!("v2")));
    assert_eq!(row["replicas"], json!({"healthy": 3, "wanted": 3}));
    let one = get(&at, "/v1/services/web").await;
    assert_eq!(one["instances"].as_array().expect("instances").len(), 3);
    assert_eq!(one["instances"][0]["state"], "serving");
    assert_eq!(one["manifest"], json!(web("web:v2") + "route shop.test /\n"));
    let history = get(&at, "/v1/services/web/history").await;
    let numbers: Vec<&Value> =
        history["history"].as_array().expect("all").iter().map(|past| &past["number"]).collect();
    assert_eq!(numbers, ["v2", "v1"]);
    let log = get(&at, "/v1/services/web/log?lines=2").await;
    assert_eq!(log["lines"].as_array().expect("lines").len(), 2, "{log}");
    let edge = crate::edge::told(&rig, "http").await;
    assert!(crate::edge::ask(&edge, "shop.test").await.contains("hello from v2"));
    let metrics = get(&at, "/v1/metrics").await;
    assert_eq!(metrics["services"]["web"]["requests"], 1, "{metrics}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_is_accepted_or_refused_as_in_the_tree() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    rig.push(&["v1", "v2"]).await;
    for image in ["web:v1", "web:v2"] {
        deploy(&at, "web", &web(image)).await;
    }
    let verb = async |words: &str| ask("POST", &at, &format!("/v1/services/web/{words}")).await;
    let done = async |words: &str, outcome: &str| {
        let said = verb(words).await;
        assert_eq!((said.status, &said.json()["service"]), (202, &json!("web")), "{said:?}");
        let ended = rig.wait("web").await;
        assert!(ended.starts_with(outcome), "{words}: {ended}");
    };
    done("scale?replicas=2", "done change").await;
    done("restart", "done restart").await;
    done("rollback?version=v1", "rolled back").await;
    verb("pause").await.refused(409, "pause: ");
    verb("resume").await.refused(409, "resume: ");
    verb("cancel").await.refused(409, "cancel: ");
    verb("rollback?version=v99").await.refused(404, "v99");
    verb("scale").await.refused(400, "replicas: is missing");
    verb("scale?replicas=x").await.refused(400, "replicas: a number");
    done("apply", "done update").await;
    done("stop", "done stop").await;
    verb("restart").await.refused(409, "stopped");
    done("remove", "done remove").await;
    verb("stop").await.refused(404, "service web does not exist");
    ask("GET", &at, "/v1/services/web").await.refused(404, "service web does not exist");
    ask("GET", &at, "/v1/services/web/log").await.refused(404, "service web does not exist");
    ask("GET", &at, "/v1/services/..%2f..%2fctl").await.refused(404, "no service has such a name");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_manifest_is_refused_with_all_its_errors_and_nothing_is_written() {
    let rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    let bad = request("POST", "/v1/deploy?name=web", &at, "", "replicas many\ncpu x\n");
    let said = Said::read(&raw(&at, bad.as_bytes()).await);
    said.refused(400, "the manifest has 3 errors");
    let errors = said.json()["errors"].clone();
    assert_eq!((&errors[1]["line"], &errors[1]["column"]), (&json!(1), &json!(10)), "{errors}");
    assert!(errors[2]["message"].as_str().expect("a text").contains("cpu"), "{errors}");
    assert_eq!(get(&at, "/v1/services").await["services"], json!([]));

    // Of an app, too, with the place of each.
    let app = "service \"web\" {\n  image = \"Web:1\"\n  replica = 3\n}\ntask \"job\" {}\n";
    let said = Said::read(&raw(&at, request("POST", "/v1/deploy", &at, "", app).as_bytes()).await);
    said.refused(400, "errors");
    let errors = said.json()["errors"].clone();
    let places: Vec<(Value, Value)> = errors
        .as_array()
        .expect("all")
        .iter()
        .map(|error| (error["line"].clone(), error["column"].clone()))
        .collect();
    assert_eq!(places[..2], [(json!(2), json!(11)), (json!(3), json!(3))], "{errors}");
    assert!(rig.client().await.list("manifests").await.expect("listed").is_empty());

    // Who comes while somebody has the lock is told who that is.
    rig.push(&["v1"]).await;
    let client = rig.client().await;
    client.mkdir("active/web").await.expect("made");
    let lock = client.open("active/web/lock", ninep::client::Mode::ReadWrite).await.expect("ours");
    let text = request("POST", "/v1/deploy?name=web", &at, "", &web("web:v1"));
    Said::read(&raw(&at, text.as_bytes()).await).refused(409, "lock is in use by root");
    lock.clunk().await.expect("free");
    assert_eq!(deploy(&at, "web", &web("web:v1")).await.last().expect("an end").name, "done");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_killed_is_open_again_and_one_outlives_its_server() {
    let mut rig = Rig::with(ALONE).await;
    let at = opened(&rig, 1).await;
    let pid = door_pid(&rig);
    rig.kill_server().await;
    let said = ask("GET", &at, "/v1/services").await;
    said.refused(503, "connection refused");
    assert!(said.json()["hint"].as_str().is_some_and(|hint| hint.contains("deployfs")), "{said:?}");
    assert_eq!(ask("GET", &at, "/").await.status, 200, "the page needs no server");
    rig.serve().await;
    get(&at, "/v1/services").await;
    assert_eq!(door_pid(&rig), pid, "the same one");

    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("told");
    let again = opened(&rig, 2).await;
    get(&again, "/v1/services").await;
    assert_ne!(door_pid(&rig), pid);

    // A door of another build gives way to the one that belongs to the server.
    rig.end_server().await;
    rig.build_anew();
    rig.serve().await;
    get(&opened(&rig, 3).await, "/v1/services").await;
    rig.end().await;
}

/// The door's process.
fn door_pid(rig: &Rig) -> nix::unistd::Pid {
    rig.part_pid("web")
}

/// How long a test looks whether something does not come: longer than anything else takes.
const QUIET: Duration = Duration::from_millis(500);

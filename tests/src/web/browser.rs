//! A headless Chromium of Debian's, driven over its devtools protocol: what a person sees and does.

use crate::rig::PATIENCE;
use base64::Engine as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// What is said of a question that was asked of a page that is no more.
const GONE: [&str; 3] = ["navigated or closed", "context was destroyed", "Promise was collected"];

/// A browser with one page.
pub(super) struct Browser {
    child: Child,
    _profile: TempDir,
    socket: WebSocketStream<TcpStream>,
    session: String,
    asked: u64,
    /// What the page complained of, and what it asked for.
    pub(super) complaints: Vec<String>,
    pub(super) requests: Vec<String>,
}

impl Browser {
    /// A browser at an empty page.
    pub(super) async fn start() -> Browser {
        let profile = tempfile::Builder::new().prefix("deploy-test-").tempdir().expect("tempdir");
        let mut child = Command::new("chromium")
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-extensions"])
            .args(["--disable-component-update", "--disable-sync", "--metrics-recording-only"])
            .args(["--remote-debugging-port=0", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("chromium of the package of that name");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let listens = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(at) = line.strip_prefix("DevTools listening on ") {
                    return at.to_string();
                }
            }
            panic!("chromium does not listen");
        };
        let at = timeout(PATIENCE, listens).await.expect("in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let host = at.strip_prefix("ws://").and_then(|at| at.split('/').next()).expect("a host");
        let stream = TcpStream::connect(host).await.expect("chromium answers");
        let (socket, _) = tokio_tungstenite::client_async(&at, stream).await.expect("a websocket");
        let (session, complaints, requests) = (String::new(), Vec::new(), Vec::new());
        let mut browser =
            Browser { child, _profile: profile, socket, session, asked: 0, complaints, requests };
        let target = browser.tell("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.tell("Target.attachToTarget", attach).await["sessionId"].clone();
        browser.session = session.as_str().expect("a session").to_string();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.tell(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Tells the browser something, and gives its answer.
    pub(super) async fn tell(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).await.expect("sent");
        let answered = timeout(PATIENCE, async {
            loop {
                let message = self.socket.next().await.expect("it goes on").expect("a message");
                let Message::Text(text) = message else { continue };
                let said: Value = serde_json::from_str(&text).expect("JSON");
                if said["id"] == id {
                    // A page that was loaded anew meanwhile has no answer.
                    let error = said["error"]["message"].as_str().unwrap_or_default();
                    if GONE.iter().any(|gone| error.contains(gone)) {
                        return Value::Null;
                    }
                    assert!(said.get("error").is_none(), "{method}: {said}");
                    return said["result"].clone();
                }
                self.hear(&said);
            }
        });
        answered.await.unwrap_or_else(|_| panic!("{method} is not answered"))
    }

    fn hear(&mut self, said: &Value) {
        let of = &said["params"];
        match said["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.complaints.push(of["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if of["type"] == "error" => {
                self.complaints.push(of["args"].to_string());
            }
            "Log.entryAdded" if of["entry"]["level"] == "error" => {
                self.complaints.push(of["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                let url = of["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_string());
            }
            _ => {}
        }
    }

    /// Goes to a page.
    pub(super) async fn open(&mut self, url: &str) {
        self.tell("Page.navigate", json!({"url": url})).await;
    }

    /// What an expression of the page comes to; one that will come to something is waited for.
    pub(super) async fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
            "userGesture": true,
        });
        let said = self.tell("Runtime.evaluate", asked).await;
        assert!(said.get("exceptionDetails").is_none(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression of the page is true, looking again whenever the page is drawn.
    pub(super) async fn until(&mut self, expression: &str) {
        let looks = format!(
            "new Promise((done) => {{ const look = () => {{ \
             let is = false; try {{ is = {expression}; }} catch {{}} \
             if (is) done(true); else requestAnimationFrame(look); }}; look(); }})"
        );
        let waited = timeout(PATIENCE, async { while self.eval(&looks).await != true {} }).await;
        assert!(waited.is_ok(), "{expression} never came to be");
    }

    /// A window so wide, in light or dark.
    pub(super) async fn window(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.tell("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Keeps a picture of the whole page.
    pub(super) async fn picture(&mut self, path: &Path) {
        let asked = json!({"format": "png", "captureBeyondViewport": true});
        let said = self.tell("Page.captureScreenshot", asked).await;
        let data = said["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        std::fs::write(path, bytes).expect("written");
    }

    /// Presses a key.
    pub(super) async fn press(&mut self, key: &str, code: u32) {
        for kind in ["rawKeyDown", "char", "keyUp"] {
            let text = if kind == "char" && key == "Enter" { "\r" } else { "" };
            if kind == "char" && text.is_empty() {
                continue;
            }
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.tell("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Ends it, and waits until it is gone.
    pub(super) async fn end(mut self) {
        self.session.clear();
        self.asked += 1;
        let close = json!({"id": self.asked, "method": "Browser.close"});
        let _ = self.socket.send(Message::text(close.to_string())).await;
        let gone = timeout(PATIENCE, self.child.wait()).await;
        gone.expect("chromium ends").expect("ended");
    }
}

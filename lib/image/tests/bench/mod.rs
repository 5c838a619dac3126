//! What the tests of this crate stand on: the real programs of other people, started and ended
//! by us, and layouts written by hand.

#![allow(missing_docs, dead_code, unreachable_pub)] // each test program uses a part of it
#![allow(clippy::unwrap_used)] // all of it is tests

pub mod http;
pub mod token;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use image::{Image, Result, Store};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Runs a program of a Debian package to its end.
pub fn run(package: &str, program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; install the package {package}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}");
}

/// A store in a directory of its own.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub store: Store,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    pub async fn pull(&self, reference: &str) -> Result<Image> {
        self.store.pull(reference, |_| ()).await
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// What is in a directory of the store.
    pub fn names(&self, part: &str) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("store").join(part)).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// An OCI layout of two layers, made by umoci: `/a` is replaced, `/gone` removed, `/opaque`
    /// emptied, and there are links, modes and many files.
    pub fn umoci(&self) -> String {
        let (layout, bundle) = (self.path("layout"), self.path("bundle"));
        run("umoci", "umoci", &["init", "--layout", &layout]);
        let image = |tag: &str| format!("{layout}:{tag}");
        run("umoci", "umoci", &["new", "--image", &image("base")]);
        let entry = ["config", "--image", &image("base"), "--config.entrypoint", "/bin/a"];
        run("umoci", "umoci", &entry);
        run("umoci", "umoci", &["unpack", "--image", &image("base"), &bundle]);
        let at = |name: &str| PathBuf::from(format!("{bundle}/rootfs/{name}"));
        fs::create_dir_all(at("bin")).unwrap();
        fs::create_dir_all(at("opaque/deep")).unwrap();
        fs::write(at("a"), "one").unwrap();
        fs::write(at("gone"), "x").unwrap();
        fs::write(at("opaque/deep/x"), "x").unwrap();
        for n in 0..300 {
            fs::write(at(&format!("bin/{n}")), format!("{n}").repeat(n)).unwrap();
        }
        // Random enough to keep its size when compressed: a resume needs something to resume.
        let noise: Vec<u8> = (0..8000_u32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect();
        fs::write(at("noise"), noise).unwrap();
        run("umoci", "umoci", &["repack", "--refresh-bundle", "--image", &image("one"), &bundle]);
        fs::write(at("a"), "two").unwrap();
        fs::remove_file(at("gone")).unwrap();
        fs::remove_dir_all(at("opaque")).unwrap();
        fs::create_dir(at("opaque")).unwrap();
        std::os::unix::fs::symlink("../a", at("bin/link")).unwrap();
        fs::hard_link(at("bin/7"), at("bin/seven")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4711);
        fs::set_permissions(at("bin/9"), mode).unwrap();
        run("umoci", "umoci", &["repack", "--image", &image("two"), &bundle]);
        layout
    }
}

/// The real registry on a port of its own, with its files in a directory of its own.
pub struct Registry {
    child: Child,
    pub dir: tempfile::TempDir,
    pub host: String,
    log: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Registry {
    /// Starts one that lets everybody in.
    pub fn start() -> Self {
        Self::with(tempfile::tempdir().unwrap(), "")
    }

    /// Starts one that wants this user and password.
    pub fn with_password(user: &str, password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("htpasswd").to_str().unwrap().to_owned();
        run("apache2-utils", "htpasswd", &["-Bbc", &file, user, password]);
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {file}}}}}\n");
        Self::with(dir, &auth)
    }

    /// Starts one that wants tokens of this server.
    pub fn with_tokens(server: &token::Server) -> Self {
        let auth = format!(
            "auth: {{token: {{realm: '{}', service: {}, issuer: {}, rootcertbundle: '{}'}}}}\n",
            server.realm(),
            token::SERVICE,
            token::ISSUER,
            server.certificate().display()
        );
        Self::with(tempfile::tempdir().unwrap(), &auth)
    }

    fn with(dir: tempfile::TempDir, auth: &str) -> Self {
        let root = dir.path().join("data");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:0'}}\n{auth}",
            root.display()
        );
        let file = dir.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("docker-registry: {e}; install its package"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let host = loop {
            let line = lines.next().expect("the registry says where it listens").unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
        };
        let to = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(std::result::Result::ok) {
                to.0.lock().unwrap().push(line);
                to.1.notify_all();
            }
        });
        Self { child, dir, host, log }
    }

    /// Copies an image of a layout into it.
    pub fn fill(&self, layout: &str, tag: &str, name: &str, credentials: &[&str]) {
        let (from, to) = (format!("oci:{layout}:{tag}"), format!("docker://{}/{name}", self.host));
        let mut args = vec!["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"];
        args.extend(credentials);
        args.extend([from.as_str(), to.as_str()]);
        run("skopeo", "skopeo", &args);
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until so many requests with this in their line were answered with this status: it
    /// writes the line after the answer. Fails when there are more, or not so many in ten seconds.
    pub fn assert_answers(&self, status: u16, with: &str, want: usize) {
        let status = format!("http.response.status={status}");
        let fits = |line: &&String| line.contains(&status) && line.contains(with);
        let few = |log: &mut Vec<String>| log.iter().filter(fits).count() < want;
        let log = self.log.0.lock().unwrap();
        let (log, _) = self.log.1.wait_timeout_while(log, Duration::from_secs(10), few).unwrap();
        let got: Vec<_> = log.iter().filter(fits).collect();
        assert_eq!(got.len(), want, "{status} {with}: {got:#?}");
    }

    /// The file of a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line to a registry that breaks: the first connections end after so many bytes of answer.
pub struct Line {
    pub host: String,
}

impl Line {
    pub fn to(registry: &Registry, breaks: usize, after_bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let to = registry.host.clone();
        let left = Arc::new(Mutex::new(breaks));
        // Ends with the test program; what it holds are two sockets.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
                let (mut from, mut into) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut into));
                let left = Arc::clone(&left);
                std::thread::spawn(move || {
                    let (mut server, mut client) = (server, client);
                    // An end of either side is an end of both.
                    let got = std::io::copy(&mut (&mut server).take(after_bytes), &mut client);
                    let breaks = got.is_ok_and(|n| n == after_bytes) && {
                        let mut left = left.lock().unwrap();
                        let breaks = *left > 0;
                        *left = left.saturating_sub(1);
                        breaks
                    };
                    if !breaks {
                        let _ = std::io::copy(&mut server, &mut client);
                    }
                    let _ = client.shutdown(Shutdown::Both);
                    let _ = server.shutdown(Shutdown::Both);
                });
            }
        });
        Self { host }
    }
}

/// The digest of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// A tar of files.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A layout written by hand.
pub struct Layout(pub PathBuf);

impl Layout {
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self(dir.to_owned())
    }

    /// Adds a blob and gives its descriptor.
    pub fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        let path = self.0.join("blobs/sha256").join(&digest[7..]);
        fs::File::create(path).unwrap().write_all(bytes).unwrap();
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    /// Adds an image of layers (as stored, and plain) and gives the descriptor of its manifest.
    pub fn image(&self, layers: &[(Vec<u8>, &[u8])]) -> Value {
        let kind = "application/vnd.oci.image.layer.v1.tar";
        let diff_ids: Vec<String> = layers.iter().map(|(_, plain)| sha256(plain)).collect();
        let layers: Vec<Value> = layers.iter().map(|(blob, _)| self.blob(kind, blob)).collect();
        let config = json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": layers });
        self.blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())
    }

    /// Writes the index.
    pub fn index(&self, manifests: &[Value]) {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }
}

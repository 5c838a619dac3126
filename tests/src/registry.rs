//! Images out of a real registry, put there by skopeo.

use crate::rig::{PATIENCE, Rig, bin, web};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A registry on loopback.
pub(crate) struct Registry {
    process: Child,
    pub(crate) port: u16,
}

impl Registry {
    pub(crate) async fn start(dir: &Path) -> Registry {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("bound").port();
        drop(taken);
        let config = dir.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: 127.0.0.1:{port}}}\n",
            dir.join("registry").display()
        );
        std::fs::write(&config, text).expect("written");
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry of the package of that name");
        let stderr = process.stderr.take().expect("piped");
        let mut lines = BufReader::new(stderr).lines();
        let listens = timeout(PATIENCE, async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("listening on") {
                    return true;
                }
            }
            false
        });
        assert!(listens.await.expect("in time"), "the registry does not listen");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Registry { process, port }
    }

    /// Puts an image of a version of the small web server there, under any name.
    pub(crate) async fn push(&self, rig: &Rig, name: &str, version: &str) {
        let place = name.replace('/', "-");
        let layout = rig.state().join(format!("layout-{place}-{version}"));
        let root = rig.state().join(format!("root-{place}-{version}"));
        unpack(&root, &bin(&format!("web-{version}")));
        let layout_tag = format!("{}:web", layout.display());
        let bundle = rig.state().join(format!("bundle-{place}-{version}"));
        let bundle = bundle.to_str().expect("UTF-8");
        run("umoci", &["init", "--layout", layout.to_str().expect("UTF-8")]).await;
        run("umoci", &["new", "--image", &layout_tag]).await;
        run("umoci", &["unpack", "--image", &layout_tag, bundle]).await;
        run("cp", &["-a", &format!("{}/.", root.display()), &format!("{bundle}/rootfs/")]).await;
        run("umoci", &["repack", "--image", &layout_tag, bundle]).await;
        run("umoci", &["config", "--image", &layout_tag, "--config.entrypoint", "/web"]).await;
        let to = format!("docker://127.0.0.1:{}/{name}:{version}", self.port);
        run("skopeo", &["copy", "--dest-tls-verify=false", &format!("oci:{layout_tag}"), &to])
            .await;
    }

    pub(crate) async fn end(mut self) {
        self.process.kill().await.expect("ended");
    }
}

async fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().await;
    let output = output.unwrap_or_else(|error| panic!("{program} of its package: {error}"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {err}");
}

/// A program with the libraries that the loader names for it.
fn unpack(root: &Path, program: &Path) {
    let copy = |from: &Path, to: &Path| {
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("made");
        std::fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    };
    copy(program, &root.join("web"));
    let ldd = std::process::Command::new("ldd").arg(program).output().expect("ldd");
    for word in String::from_utf8_lossy(&ldd.stdout).split_whitespace() {
        if let Some(path) = word.strip_prefix('/') {
            copy(Path::new(word), &root.join(path));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_by_tag_pinned_by_digest_and_updated_by_another_tag() {
    let rig = Rig::start().await;
    let registry = Registry::start(rig.state()).await;
    registry.push(&rig, "shop/web", "v1").await;
    registry.push(&rig, "shop/web", "v2").await;
    let image = |tag: &str| format!("127.0.0.1:{}/shop/web:{tag}", registry.port);

    rig.manifest("web", &web(&image("v1"))).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    let v1 = rig.cat("active/web/version").await;
    let history = rig.cat(&format!("active/web/history/{v1}")).await;
    assert!(history.contains("# image sha256:"), "{history}");
    let images = rig.cat("images").await;
    assert!(images.contains("/shop/web") && images.contains("sha256:"), "{images}");

    rig.manifest("web", &web(&image("v2"))).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    assert_ne!(rig.cat("active/web/version").await, v1);

    // The digest was pinned: with the registry gone, the version before still comes back.
    registry.end().await;
    rig.deploy(&["rollback", "web"]).await.fine();
    assert_eq!(rig.cat("active/web/version").await, v1);
    assert_eq!(rig.cat("active/web/replicas").await, "3/3");
    rig.end().await;
}

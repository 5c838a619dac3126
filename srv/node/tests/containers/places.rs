//! Where an instance lives in the network, and where a node lives on the machine.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;

use command_fds::{CommandFdExt, FdMapping};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

use crate::trial::{Case, Trial, WAIT_MAX, Way, node, root};

/// The cases.
pub(crate) const ALL: &[Case] = &[
    ("an instance reaches its neighbour on the bridge", neighbours),
    ("an instance in the machine's network gets a port", host_network),
    ("without a bridge instances share the machine's network, with a warning", fallback),
    ("addresses are those that were asked for", asked_addresses),
    ("an image that an instance runs from outlives a collection", kept_image),
    ("a node has a session of its own and nothing of its starter's", own_session),
    ("a second node in the same directory is refused", second_node),
];

/// A page on the port it was told.
const WEB: &str = "echo web >/tmp/index.html; echo port $PORT; exec httpd -f -h /tmp -p $PORT";

fn tcp(port: u16) -> serde_json::Value {
    json!({"port": port, "health": {"kind": "tcp", "port": port}})
}

fn neighbours() {
    let mut node = Trial::new();
    node.run("web-1", WEB, tcp(8080));
    node.until("healthy web-1");
    let address = node.status("web-1", "address").unwrap();
    let script = format!("busybox wget -q -O - http://{address}:8080/");
    node.run("job-1", &script, json!({}));
    node.until("exited job-1 code=0");
    assert!(node.read("/instances/job-1/log").contains(" stdout web\n"));
    node.down();
}

fn host_network() {
    let mut node = Trial::new();
    let mut changes = tcp(8080);
    changes["network"] = json!("host");
    for id in ["web-1", "web-2"] {
        node.run(id, WEB, changes.clone());
        node.until(&format!("healthy {id}"));
        assert_eq!(node.status(id, "address").unwrap(), "127.0.0.1");
        let port = node.status(id, "port").unwrap();
        node.tail(id).until(&format!("stdout port {port}\n"));
    }
    assert_ne!(node.status("web-1", "port"), node.status("web-2", "port"));
    assert_eq!(node.status("web-1", "warning"), None);
    node.down();
}

fn fallback() {
    let mut node = Trial::with(Way { weak: true, ..Way::default() });
    let status = node.read("/status");
    assert!(status.contains("network=host\n"), "{status}");
    assert!(status.contains("warning=instances share the machine's network: "), "{status}");
    node.run("web-1", WEB, tcp(8080));
    let started = node.until("started web-1");
    assert!(started.contains("address=127.0.0.1 port=2"), "{started}");
    assert!(started.contains("warning='no network of its own"), "{started}");
    node.until("healthy web-1");
    node.down();
}

fn asked_addresses() {
    let mut node = Trial::with(Way { net: Some("10.77.0.0/24"), ..Way::default() });
    assert!(node.read("/status").contains("network=bridge\ngateway=10.77.0.1\n"));
    node.run("web-1", "exec sleep 1000", json!({}));
    assert!(node.until("started web-1").contains("address=10.77.0.2"));
    node.down();
}

fn kept_image() {
    let mut node = Trial::new();
    node.try_write("/ctl", &format!("push web:1 {}", root().display())).unwrap();
    let pushed = node.until("pushed web:1");
    let digest = pushed.split_once("digest=").unwrap().1.to_owned();
    let image = json!({"image": "web:1", "digest": digest});
    node.run("web-1", "echo up; exec sleep 1000", image.clone());
    node.talks("web-1", "up");
    assert_eq!(node.status("web-1", "digest").unwrap(), digest);
    let images = node.read("/images");
    assert!(images.contains(&digest) && images.ends_with(" web-1\n"), "{images}");
    node.try_write("/ctl", "remove-image web:1").unwrap();
    node.try_write("/gc", "gc\n").unwrap();
    assert_eq!(node.read("/images"), "");
    node.run("web-2", "echo up; exec sleep 1000", image.clone());
    node.talks("web-2", "up");
    for id in ["web-1", "web-2"] {
        node.verb(id, "remove");
        node.until(&format!("removed {id}"));
    }
    node.try_write("/gc", "gc\n").unwrap();
    node.run("web-3", "true", image);
    let failed = node.until("failed web-3");
    assert!(failed.contains("permanent="), "{failed}");
    node.down();
}

fn second_node() {
    let first = Trial::new();
    let output = node(first.dir.path(), Way::default())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is served by another node (pid "), "{said}");
    first.down();
}

fn own_session() {
    for leads in [false, true] {
        // A pipe such as a shell gives, whose reader waits until nobody has the other end.
        let (reader, writer) = std::io::pipe().unwrap();
        let (dir, way) = (tempfile::tempdir().unwrap(), Way::default());
        let child = {
            let mut command = node(dir.path(), way);
            let given = FdMapping { parent_fd: writer.into(), child_fd: 9 };
            command.fd_mappings(vec![given]).unwrap();
            if leads {
                command.process_group(0);
            }
            command.spawn().unwrap()
        };
        let mut node = Trial::over(dir, way, child);
        let pid = node.child.id().to_string();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Fields 5 and 6 of proc_pid_stat(5): group and session.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        assert_eq!(fields[2..4], [&pid, &pid], "led a group: {leads}");
        node.run("web-1", "exec sleep 1000", json!({}));
        node.until("started web-1");
        let mut ends = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut ends, PollTimeout::try_from(WAIT_MAX).unwrap()).unwrap();
        assert_eq!(ends[0].revents(), Some(PollFlags::POLLHUP), "node or shim has the pipe");
        node.down();
    }
}

//! The proxies that are measured, each started for one core, and what is behind all of them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// All of them.
pub(crate) const PEERS: &[Peer] =
    &[Peer::Edge, Peer::EdgeManyRoutes, Peer::Nginx, Peer::Haproxy, Peer::Caddy];
/// How long one may take until it answers.
const START_MAX: Duration = Duration::from_secs(20);

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Edge,
    EdgeManyRoutes,
    Nginx,
    Haproxy,
    Caddy,
}

/// Two ports that answer with 1 KiB.
pub(crate) struct Backend {
    _server: Running,
    ports: [u16; 2],
}

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    server: Running,
    port: u16,
}

/// A process in a session of its own, ended with all its children when it is dropped.
struct Running(Child);

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Edge => "edge",
            Peer::EdgeManyRoutes => "edge, 10,000 routes",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
            Peer::Caddy => "caddy",
        }
    }
}

impl Backend {
    pub(crate) fn start(dir: &Path) -> Result<Backend, String> {
        let ports = [free_port()?, free_port()?];
        let dir = dir.join("backend");
        let text = format!(
            "{}server {{ listen 127.0.0.1:{}; listen 127.0.0.1:{}; \
             location / {{ return 200 \"{}\"; }} }} }}",
            nginx_head(&dir),
            ports[0],
            ports[1],
            "x".repeat(1024),
        );
        let server = nginx(&dir, &text, 1)?.ok_or("nginx is not installed; apt install nginx")?;
        ports.iter().try_for_each(|port| answers(*port))?;
        Ok(Backend { _server: server, ports })
    }
}

impl Proxy {
    /// Starts one; none when it is not installed.
    pub(crate) fn start(
        peer: Peer,
        dir: &Path,
        bin: &Path,
        backend: &Backend,
    ) -> Result<Option<Proxy>, String> {
        let (port, [a, b]) = (free_port()?, backend.ports);
        let dir = dir.join(peer.name().replace([',', ' '], ""));
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let server = match peer {
            Peer::Edge => Some(edge(&dir, bin, port, &table(1, backend.ports))?),
            Peer::EdgeManyRoutes => {
                let text = table(crate::proxy::ROUTES, backend.ports);
                Some(edge(&dir, bin, port, &text)?)
            }
            Peer::Nginx => {
                let text = format!(
                    "{}upstream back {{ server 127.0.0.1:{a}; server 127.0.0.1:{b}; \
                     keepalive 128; }}\n\
                     server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://back; \
                     proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}",
                    nginx_head(&dir),
                );
                nginx(&dir, &text, 0)?
            }
            Peer::Haproxy => {
                let text = format!(
                    "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n \
                     timeout client 30s\n timeout server 30s\n timeout connect 5s\n \
                     option http-keep-alive\n http-reuse always\nfrontend f\n \
                     bind 127.0.0.1:{port}\n default_backend b\n\
                     backend b\n balance leastconn\n server a 127.0.0.1:{a}\n \
                     server b 127.0.0.1:{b}\n"
                );
                let config = put(&dir, "haproxy.cfg", &text)?;
                run(0, "haproxy", &["-db".as_ref(), "-f".as_ref(), config.as_ref()], &dir)?
            }
            Peer::Caddy => {
                let text = format!(
                    "{{\n admin off\n auto_https off\n}}\nhttp://:{port} {{\n reverse_proxy \
                     127.0.0.1:{a} 127.0.0.1:{b} {{\n lb_policy least_conn\n }}\n}}\n"
                );
                let config = put(&dir, "Caddyfile", &text)?;
                let words: [&std::ffi::OsStr; 5] = [
                    "run".as_ref(),
                    "--adapter".as_ref(),
                    "caddyfile".as_ref(),
                    "--config".as_ref(),
                    config.as_ref(),
                ];
                run(0, "caddy", &words, &dir)?
            }
        };
        let Some(server) = server else { return Ok(None) };
        let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
        answers(port).map_err(|error| format!("{}: {error}\n{}", peer.name(), log()))?;
        Ok(Some(Proxy { peer, server, port }))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Processor time its processes have used, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.server.family().iter().map(|pid| cpu_us(*pid)).sum()
    }

    /// Memory of its processes that no other process shares, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.server.family().iter().map(|pid| memory(*pid)).sum()
    }

    /// Asks once, and keeps the connection.
    pub(crate) fn ask_and_stay(&self) -> Result<TcpStream, String> {
        ask(self.port).map_err(|error| format!("port {}: {error}", self.port))
    }
}

impl Running {
    /// The process and all that descend from it.
    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.0.id()];
        let mut at = 0;
        while let Some(pid) = family.get(at).copied() {
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        family
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for pid in self.family() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or_default());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// The edge with that table as the last one it had.
fn edge(dir: &Path, bin: &Path, port: u16, table: &str) -> Result<Running, String> {
    let last = dir.join("edge");
    fs::create_dir_all(&last).map_err(|error| format!("{}: {error}", last.display()))?;
    put(&last, "routes", table)?;
    let (at, server) = (format!("127.0.0.1:{port}"), format!("unix!{}/none", dir.display()));
    let words: [&std::ffi::OsStr; 11] = [
        "edge".as_ref(),
        "-r".as_ref(),
        dir.as_ref(),
        "-s".as_ref(),
        server.as_ref(),
        "--http".as_ref(),
        at.as_ref(),
        "--https".as_ref(),
        "-".as_ref(),
        "--dns".as_ref(),
        "-".as_ref(),
    ];
    let program = bin.join("deployfs");
    let program = program.to_str().ok_or("a path that is no text")?;
    run(0, program, &words, dir)?.ok_or_else(|| "deployfs is not built".to_owned())
}

/// The table: the route that is asked for, and others.
fn table(routes: usize, [a, b]: [u16; 2]) -> String {
    let mut text = String::from("generation 1\n");
    for n in 1..routes {
        text.push_str(&format!(
            "host{n}.test / other{n} - 0/other{n}-0/000000000000=127.0.0.1:1\n"
        ));
    }
    text.push_str(&format!(
        "shop.test / shop - 0/shop-0/000000000000=127.0.0.1:{a} \
         1/shop-1/000000000000=127.0.0.1:{b}\n"
    ));
    text
}

fn nginx_head(dir: &Path) -> String {
    format!(
        "daemon off; worker_processes 1; pid {0}/pid; error_log stderr crit;\n\
         events {{ worker_connections 9000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; \
         client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n",
        dir.display()
    )
}

fn nginx(dir: &Path, text: &str, core: u32) -> Result<Option<Running>, String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let config = put(dir, "nginx.conf", text)?;
    run(core, "nginx", &["-c".as_ref(), config.as_ref()], dir)
}

fn put(dir: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Starts a program on one core; none when there is no such program.
fn run(
    core: u32,
    program: &str,
    words: &[&std::ffi::OsStr],
    dir: &Path,
) -> Result<Option<Running>, String> {
    let there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin".into()])
        .any(|dir| dir.join(program).exists());
    if !there {
        return Ok(None);
    }
    let log = fs::File::create(dir.join("log")).map_err(|error| error.to_string())?;
    let child = Command::new("taskset")
        .args(["-c", &core.to_string(), program])
        .args(words)
        .env("GOMAXPROCS", "1")
        .env("HOME", dir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    child.map(|child| Some(Running(child))).map_err(|error| format!("cannot start it: {error}"))
}

/// Waits until a port answers.
fn answers(port: u16) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match ask(port) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > START_MAX => {
                return Err(format!("port {port} does not answer: {error}"));
            }
            // A listening socket is nothing one could be told of by another program.
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// One request, answered with the kilobyte.
fn ask(port: u16) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(START_MAX))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")?;
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while !all.ends_with(&[b'x'; 1024]) {
        match stream.read(&mut part)? {
            0 => return Err(std::io::Error::other(String::from_utf8_lossy(&all).into_owned())),
            count => all.extend_from_slice(&part[..count]),
        }
    }
    Ok(stream)
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|at| at.port()).map_err(|error| error.to_string())
}

/// Fields 14 and 15 of proc_pid_stat(5), in ticks of a hundredth of a second.
fn cpu_us(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() * 10_000.0
}

fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

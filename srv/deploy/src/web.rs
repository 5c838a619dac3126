//! The HTTP door of this server: a process of its own that outlives it, started where there is to
//! be one and none is held, and ended where there is to be none.

use crate::arrival::{Arrival, Heard};
use crate::config::Config;
use crate::edge::{own_build, server_address};
use crate::link::{self, Error};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

/// The shortest rest before a door that ended is opened again.
const RESTART_MS_MIN: u64 = 50;
/// The longest.
const RESTART_MS_MAX: u64 = 5_000;

/// Where the door is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// `--web`.
    pub listen: String,
    /// `--web-token`: where the token is that whoever comes in has to show.
    pub token: Option<PathBuf>,
}

impl Web {
    /// The door, if there is to be one.
    ///
    /// # Errors
    /// A place that is none, or one that others reach and nothing guards.
    pub fn read(listen: Option<String>, token: Option<PathBuf>) -> Result<Option<Web>, String> {
        let Some(listen) = listen.filter(|listen| listen != "-") else {
            return match token {
                Some(_) => Err("--web-token: say where with --web".to_string()),
                None => Ok(None),
            };
        };
        let wrong = || format!("--web {listen}: say ADDRESS:PORT or :PORT");
        let place = listen.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let local = match place.ok_or_else(wrong)?.0 {
            "" | "localhost" => true,
            host => {
                let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
                ip.map_err(|_| wrong())?.is_loopback()
            }
        };
        match local || token.is_some() {
            true => Ok(Some(Web { listen, token })),
            false => Err(format!("--web {listen} is reached by others: give a --web-token")),
        }
    }
}

/// The way to the door.
#[derive(Debug)]
pub struct WebLink {
    ending: watch::Sender<bool>,
    config: Arc<Config>,
}

impl WebLink {
    /// Ends the door, and waits until it is gone. It is not started again.
    pub async fn end(&self) {
        self.ending.send_replace(true);
        end_alone(&self.config.state).await;
    }
}

/// Ends the door in a state directory whose server is gone, or wants none.
pub async fn end_alone(state: &Path) {
    // Where there is none it has ended.
    let _ = web::end(state).await;
}

/// Keeps the door open for as long as the server runs, if there is to be one.
#[must_use]
pub fn keep(config: Arc<Config>, arrivals: mpsc::Sender<Arrival>) -> WebLink {
    let ending = watch::Sender::new(false);
    let mut ended = ending.subscribe();
    let kept = Arc::clone(&config);
    tokio::spawn(async move {
        if config.web.is_none() {
            return end_alone(&config.state).await;
        }
        let mut rest_ms = RESTART_MS_MIN;
        loop {
            match follow(&config, &arrivals, &ended).await {
                Ok(()) => rest_ms = RESTART_MS_MIN,
                Err(error) => {
                    let text = format!("web does not run: {error}");
                    tracing::warn!("{text}");
                    if rest_ms == RESTART_MS_MIN {
                        // Once for each trouble: it is tried again for as long as that lasts.
                        let _ = arrivals.send(Arrival::Heard(Heard::Noted { text })).await;
                    }
                    rest_ms = (rest_ms * 2).min(RESTART_MS_MAX);
                }
            }
            // Not a wait for something: one that ends at once must not be started in a loop.
            let rest = tokio::time::sleep(Duration::from_millis(rest_ms));
            tokio::select! {
                () = rest => {}
                _ = ended.wait_for(|ended| *ended) => return,
                () = arrivals.closed() => return,
            }
        }
    });
    WebLink { ending, config: kept }
}

/// One life of a door, to its end.
async fn follow(
    config: &Config,
    arrivals: &mpsc::Sender<Arrival>,
    ended: &watch::Receiver<bool>,
) -> Result<(), Error> {
    let words = words(config);
    let failed = |error: web::Error| Error::Process(error.to_string());
    let held = match web::hold(&config.state, &words).await {
        Ok(held) => held,
        Err(_) => {
            start(config, &words).await?;
            let held = web::hold(&config.state, &words).await.map_err(failed)?;
            let at = std::fs::read_to_string(config.state.join("web").join("address"));
            let text = format!("web is open at {}", at.unwrap_or_default().trim_end());
            tracing::info!("{text}");
            let _ = arrivals.send(Arrival::Heard(Heard::Noted { text })).await;
            held
        }
    };
    if *ended.borrow() {
        // It was being started when the end was asked for.
        end_alone(&config.state).await;
    }
    held.gone().await;
    Ok(())
}

/// What a door is started with. One that was started with anything else is another.
fn words(config: &Config) -> Vec<String> {
    let Some(web) = &config.web else { return Vec::new() };
    let (state, server) = (config.state.display().to_string(), server_address(&config.state));
    let mut words: Vec<String> =
        ["-r", &state, "-s", &server.to_string(), "-g", &config.group].map(String::from).into();
    words.extend(["--listen".to_string(), web.listen.clone()]);
    if let Some(token) = &web.token {
        words.extend(["--token".to_string(), token.display().to_string()]);
    }
    words.extend(own_build().into_iter().flat_map(|build| ["--build".to_string(), build]));
    words.extend(config.verbose.then(|| "-v".to_string()));
    words
}

/// Starts a door, and waits for the line by which it says that it is open.
async fn start(config: &Config, words: &[String]) -> Result<(), Error> {
    let dir = config.state.join("web");
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|e| Error::Process(format!("{}: {e}", dir.display())))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("deployfs").arg("web").args(words).stdin(Stdio::null());
    link::until_ready(command, &dir.join("web.log"), "web").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_door_only_where_it_is_asked_for() {
        let read = |line: &str, env: &[(&str, &str)]| {
            let line = line.split_whitespace().map(std::ffi::OsString::from);
            let of = |name: &str| env.iter().find(|(key, _)| *key == name).map(|it| it.1.into());
            crate::config::parse(line, of)
        };
        let web = |line: &str, env: &[(&str, &str)]| read(line, env).unwrap().web;
        assert_eq!(web("", &[]), None);
        let env = [("DEPLOYFS_WEB", ":1"), ("DEPLOYFS_WEB_TOKEN", "/e")];
        let at = |listen: &str, token: Option<&str>| {
            Some(Web { listen: listen.to_string(), token: token.map(PathBuf::from) })
        };
        assert_eq!(web("", &env), at(":1", Some("/e")));
        assert_eq!(web("--web 127.0.0.1:2", &[]), at("127.0.0.1:2", None));
        assert_eq!(web("--web [::1]:2", &[]), at("[::1]:2", None));
        assert_eq!(web("--web -", &env[..1]), None);
        assert_eq!(web("--web 192.0.2.1:2 --web-token /t", &[]), at("192.0.2.1:2", Some("/t")));
        for (line, want) in [
            ("--web 80", "--web 80: say ADDRESS:PORT"),
            ("--web box:80", "--web box:80: say ADDRESS:PORT"),
            ("--web [::]:80", "--web [::]:80 is reached by others: give"),
            ("--web-token /t", "--web-token: say where with --web"),
        ] {
            let error = read(line, &[]).unwrap_err().to_string();
            assert!(error.starts_with(want), "{line}: {error}");
        }
    }

    #[test]
    fn a_door_is_told_where_the_tree_is_and_where_to_listen() {
        let check = |line: &str, want: &[&str]| {
            let line = line.split_whitespace().map(std::ffi::OsString::from);
            let config = crate::config::parse(line, |_| None).unwrap();
            let words = words(&config);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let own = own_build().unwrap();
            let want: Vec<&str> = want
                .iter()
                .map(|word| if *word == "BUILD" { own.as_str() } else { word })
                .collect();
            assert_eq!(words, want);
        };
        let at = ["-r", "/s", "-s", "unix!/s/server.sock", "-g", "deploy", "--listen", ":8099"];
        check("-r /s --web :8099", &[&at[..], &["--build", "BUILD"]].concat());
        let token = ["--token", "/t", "--build", "BUILD", "-v"];
        check("-r /s --web :8099 --web-token /t -v", &[&at[..], &token].concat());
        check("-r /s", &[]);
    }
}

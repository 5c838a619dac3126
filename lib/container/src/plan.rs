//! What a container is to be, put together from the image's configuration and what is asked for.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::caps::Caps;
use crate::error::Error;
use crate::volume::Mount;

/// The search path of a program whose image sets none (Docker's).
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The part of an OCI image configuration (image-spec, config.md) that says how to run it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct ImageConfig {
    /// Execution parameters.
    #[serde(default)]
    pub config: Option<ImageRun>,
}

/// `config` of an image configuration; the names are the OCI image-spec's.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageRun {
    /// First words of the command.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Further words, or the whole command without an entry point.
    #[serde(default)]
    pub cmd: Option<Vec<String>>,
    /// `KEY=VALUE` each.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// Working directory.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers.
    #[serde(default)]
    pub user: Option<String>,
    /// Signal that asks the program to end.
    #[serde(default)]
    pub stop_signal: Option<String>,
}

/// What is asked for beyond the image.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Takes the place of entry point and command.
    pub command: Option<Vec<String>>,
    /// Takes the place of the image's user.
    pub user: Option<String>,
    /// Takes the place of the image's working directory.
    pub workdir: Option<String>,
    /// Laid over the image's environment.
    pub env: BTreeMap<String, String>,
    /// Laid over both: what the platform itself says.
    pub platform_env: Vec<(String, String)>,
    /// Added to the short list of capabilities.
    pub cap_add: Vec<String>,
    /// Taken from it.
    pub cap_drop: Vec<String>,
}

/// What the program and all it starts may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes of memory, swap included.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Unpacked layers, the top-most last.
    Layers(Vec<PathBuf>),
    /// One directory.
    Directory(PathBuf),
}

/// A file bound read-only into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Absolute path outside.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: &'static str,
}

/// A container, complete but for what only its root can tell (names of users, found commands).
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name; letters, digits and `-`.
    pub id: String,
    /// Absolute path of its cgroup.
    pub cgroup: String,
    /// The root file system.
    pub base: Base,
    /// Command and its words, at least one.
    pub argv: Vec<String>,
    /// `KEY=VALUE` each, no key twice, `PATH` among them.
    pub env: Vec<String>,
    /// Absolute working directory, not below `/proc`.
    pub cwd: String,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Host name seen inside.
    pub hostname: String,
    /// Limits of the cgroup.
    pub limits: Limits,
    /// The root is mounted read-only.
    pub read_only: bool,
    /// Capabilities of the program.
    pub caps: Caps,
    /// Files such as `/etc/hosts`.
    pub files: Vec<Bound>,
    /// Volumes and the like, one above another before it.
    pub mounts: Vec<Mount>,
}

/// The words that image and wish decide together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Command and its words, at least one.
    pub argv: Vec<String>,
    /// `KEY=VALUE` each.
    pub env: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Capabilities.
    pub caps: Caps,
}

impl Words {
    /// Lays the wish over the image.
    ///
    /// # Errors
    /// No command, a word with a zero byte, a relative or forbidden working directory, an unknown
    /// capability.
    pub fn new(image: &ImageRun, wish: &Wish) -> Result<Words, Error> {
        let argv = match &wish.command {
            Some(command) => command.clone(),
            None => {
                [&image.entrypoint, &image.cmd].into_iter().flatten().flatten().cloned().collect()
            }
        };
        if argv.first().is_none_or(String::is_empty) {
            return Err(Error::NoCommand);
        }
        for word in &argv {
            check_word("command", word, false)?;
        }
        let user = wish.user.as_ref().or(image.user.as_ref()).cloned().unwrap_or_default();
        let cwd = wish.workdir.as_ref().or(image.working_dir.as_ref());
        let cwd = check_cwd(cwd.map_or("/", String::as_str))?;
        let caps = Caps::new(&wish.cap_add, &wish.cap_drop)?;
        Ok(Words { argv, env: environment(image, wish)?, cwd, user, caps })
    }
}

/// The image's variables, the wish's over them, the platform's over both. A key comes once: what
/// programs do with two of a name differs.
fn environment(image: &ImageRun, wish: &Wish) -> Result<Vec<String>, Error> {
    let mut env = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
    let mut set = |key: &str, value: &str| match env.iter_mut().find(|(have, _)| have == key) {
        Some((_, old)) => *old = value.to_owned(),
        None => env.push((key.to_owned(), value.to_owned())),
    };
    for entry in image.env.iter().flatten() {
        check_word("environment of the image", entry, true)?;
        if let Some((key, value)) = entry.split_once('=') {
            set(key, value);
        }
    }
    for (key, value) in &wish.env {
        set(key, value);
    }
    for (key, value) in &wish.platform_env {
        set(key, value);
    }
    let env: Vec<String> = env.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    for entry in &env {
        check_word("env", entry, true)?;
    }
    Ok(env)
}

fn check_word(what: &'static str, text: &str, entry: bool) -> Result<(), Error> {
    let keyed = !entry || text.find('=').is_some_and(|at| at > 0);
    if text.contains('\0') || !keyed {
        return Err(Error::Word { what, text: text.to_owned() });
    }
    Ok(())
}

fn check_cwd(text: &str) -> Result<String, Error> {
    let text = if text.is_empty() { "/" } else { text };
    let bad = |why: &str| Error::WorkDir { path: text.to_owned(), why: why.to_owned() };
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(bad("must be absolute"));
    }
    if text.contains('\0') || path.components().any(|part| part == Component::ParentDir) {
        return Err(bad("must not contain `..` or a zero byte"));
    }
    // CVE-2024-21626: a descriptor of the runtime seen as a directory leads out of the root.
    if path.starts_with("/proc") || path.starts_with("/dev/fd") {
        return Err(bad("must not lie in /proc"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageRun {
        let owned = |list: &[&str]| Some(list.iter().map(|word| word.to_string()).collect());
        ImageRun {
            entrypoint: owned(&["/entry"]),
            cmd: owned(&["-a"]),
            env: owned(&["A=image", "PATH=/bin", "B=image"]),
            working_dir: Some("/srv".to_owned()),
            user: Some("web".to_owned()),
            stop_signal: None,
        }
    }

    fn check(wish: Wish, part: &str) {
        match Words::new(&image(), &wish) {
            Ok(words) => {
                let all = format!("{:?} {:?} {} {}", words.argv, words.env, words.cwd, words.user);
                assert!(all.contains(part), "{all} lacks {part}");
            }
            Err(error) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
        }
    }

    #[test]
    fn the_wish_is_laid_over_the_image() {
        let words = |list: &[&str]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let env = BTreeMap::from([("A".to_owned(), "wish".to_owned())]);
        let platform_env = vec![("B".to_owned(), "ours".to_owned())];
        check(Wish::default(), r#"["/entry", "-a"] ["PATH=/bin", "A=image", "B=image"] /srv web"#);
        check(Wish { command: Some(words(&["x", ""])), ..Wish::default() }, r#"["x", ""] ["#);
        check(Wish { env, platform_env, ..Wish::default() }, r#""A=wish", "B=ours""#);
        check(Wish { user: Some("7".to_owned()), ..Wish::default() }, "/srv 7");
        check(Wish { workdir: Some("/w".to_owned()), ..Wish::default() }, "/w web");
    }

    #[test]
    fn words_that_cannot_be_are_refused() {
        let workdir = |path: &str| Wish { workdir: Some(path.to_owned()), ..Wish::default() };
        check(Wish { command: Some(vec![]), ..Wish::default() }, "no command");
        check(Wish { command: Some(vec!["a\0".to_owned()]), ..Wish::default() }, "zero byte");
        check(workdir("relative"), "absolute");
        check(workdir("/proc/self/fd/8"), "/proc");
        check(workdir("/a/../proc"), "`..`");
        let env = BTreeMap::from([(String::new(), "x".to_owned())]);
        check(Wish { env, ..Wish::default() }, "no `=`");
        let env = BTreeMap::from([("A=B".to_owned(), "\0".to_owned())]);
        check(Wish { env, ..Wish::default() }, "zero byte");
        assert!(matches!(
            Words::new(&ImageRun::default(), &Wish::default()),
            Err(Error::NoCommand)
        ));
    }

    #[test]
    fn an_image_without_a_path_gets_dockers() {
        let wish = Wish { command: Some(vec!["x".to_owned()]), ..Wish::default() };
        let words = Words::new(&ImageRun::default(), &wish).unwrap();
        assert_eq!(words.env, [format!("PATH={DEFAULT_PATH}")]);
        assert_eq!((words.cwd.as_str(), words.user.as_str()), ("/", ""));
    }
}

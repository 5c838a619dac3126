//! The last steps inside the container before the program: find it, reset what it must not
//! inherit, confine it, execute it.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::{AccessFlags, access, execve};
use oci_spec::runtime::Spec;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::plan::DEFAULT_PATH;
use crate::report::{Report, Reporter};
use crate::seccomp::Filters;

/// The highest signal number of Linux.
const SIGNAL_MAX: i32 = 64;

/// Executes a program as first or further process of a container.
#[derive(Clone)]
pub(crate) struct Confined {
    pub(crate) filters: Rc<Filters>,
    pub(crate) reporter: Reporter,
    /// Variables that are in no file.
    pub(crate) secrets: Rc<Vec<(String, Zeroizing<Vec<u8>>)>>,
}

impl Executor for Confined {
    /// Looks the program up while the caller can still be told in good time.
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        program(spec).map(|_| ()).map_err(|error| {
            self.reporter.say(&Report::of(&error));
            ExecutorValidationError::ArgValidationError(error.to_string())
        })
    }

    /// The environment is given to `execve` as it stands in the spec; ours need not change.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let error = match self.become_program(spec) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        self.reporter.say(&Report::of(&error));
        Err(ExecutorError::Other(error.to_string()))
    }
}

impl Confined {
    fn become_program(&self, spec: &Spec) -> Result<std::convert::Infallible, Error> {
        let path = program(spec)?;
        let none = Vec::new();
        let process = spec.process().as_ref();
        let args = process.and_then(|process| process.args().as_ref()).unwrap_or(&none);
        let env = process.and_then(|process| process.env().as_ref()).unwrap_or(&none);
        let (args, mut env) = (c_strings("command", args)?, c_strings("env", env)?);
        for (key, value) in &*self.secrets {
            // A key comes once.
            let same = [key.as_bytes(), b"="].concat();
            env.retain(|entry| !entry.as_bytes().starts_with(&same));
            let entry = [&same, &value[..]].concat();
            env.push(CString::new(entry).map_err(|_| Error::SecretEnv(key.clone()))?);
        }
        let file = c_strings("command", std::slice::from_ref(&path))?;
        reset_signals()?;
        self.filters.apply().map_err(Error::seccomp)?;
        execve(&file[0], &args, &env).map_err(|why| refused(&path, why))
    }
}

/// Ignored and blocked signals outlive an execution: Rust ignores SIGPIPE, and our caller waits
/// for its children with SIGCHLD blocked.
fn reset_signals() -> Result<(), Error> {
    // The kernel's `struct sigaction` with SIG_DFL, no flags, no mask; it has 8 bytes of mask on
    // every architecture. The C library's call would leave out the two signals it keeps for
    // itself, which a caller may have been given ignored.
    let default = [0u64; 4];
    for number in 1..=SIGNAL_MAX {
        // SAFETY: the kernel reads the array, which is as long as its structure, and writes
        // nothing. It refuses KILL and STOP, which cannot be ignored.
        unsafe {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), old, 8usize)
        };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
        .map_err(|why| Error::Runtime(format!("signal mask: {why}")))
}

fn c_strings(what: &'static str, words: &[String]) -> Result<Vec<CString>, Error> {
    let c = |word: &String| {
        CString::new(word.as_bytes()).map_err(|_| Error::Word { what, text: word.clone() })
    };
    words.iter().map(c).collect()
}

/// The file `argv[0]` means in the container we are in.
fn program(spec: &Spec) -> Result<String, Error> {
    let process = spec.process().as_ref();
    let args = process.and_then(|process| process.args().as_ref());
    let name = args.and_then(|args| args.first()).ok_or(Error::NoCommand)?;
    let env = process.and_then(|process| process.env().as_ref());
    let path = env.and_then(|env| env.iter().find_map(|entry| entry.strip_prefix("PATH=")));
    find(name, path.unwrap_or(DEFAULT_PATH))
}

/// As execvp(3) searches: a name with a slash is the file itself, others are looked for in every
/// directory of `search`; one that is there but cannot be executed is remembered for the error.
fn find(name: &str, search: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::NoCommand);
    }
    if name.contains('/') {
        return executable(name).map(|()| name.to_owned());
    }
    let mut first_error = None;
    for directory in search.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let path = format!("{directory}/{name}");
        match executable(&path) {
            Ok(()) => return Ok(path),
            Err(Error::CommandNotFound(_)) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| Error::CommandNotFound(name.to_owned())))
}

fn executable(path: &str) -> Result<(), Error> {
    let no = |why: String| Err(Error::NotExecutable { path: path.to_owned(), why });
    let metadata = match fs::metadata(Path::new(path)) {
        Ok(metadata) => metadata,
        Err(why) => {
            return match why.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ENOENT | Errno::ENOTDIR) => {
                    Err(Error::CommandNotFound(path.to_owned()))
                }
                Some(_) | None => no(why.to_string()),
            };
        }
    };
    if metadata.is_dir() {
        return no("is a directory".to_owned());
    }
    match access(path, AccessFlags::X_OK) {
        Ok(()) => Ok(()),
        Err(_) => {
            no(format!("mode {:o} lets this user not", metadata.permissions().mode() & 0o7777))
        }
    }
}

fn refused(path: &str, why: Errno) -> Error {
    let text = if why == Errno::ENOENT {
        "its interpreter or loader is missing in the image"
    } else if why == Errno::ENOEXEC {
        "not a program for this machine (wrong architecture?)"
    } else {
        why.desc()
    };
    Error::NotExecutable { path: path.to_owned(), why: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, search: &str, expected: Result<&str, (i32, &str)>) {
        match (find(name, search), expected) {
            (Ok(path), Ok(expected)) => assert!(path.ends_with(expected), "{path}"),
            (Err(error), Err((code, part))) => {
                assert_eq!(error.code(), code, "{error}");
                assert!(error.to_string().contains(part), "{error}");
            }
            (got, _) => panic!("{name}: {got:?}"),
        }
    }

    #[test]
    fn a_command_is_found_as_execvp_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(a.join("tool")).unwrap();
        fs::create_dir_all(&b).unwrap();
        for (file, mode) in [("tool", 0o755), ("plain", 0o644)] {
            fs::write(b.join(file), "").unwrap();
            fs::set_permissions(b.join(file), PermissionsExt::from_mode(mode)).unwrap();
        }
        let search = format!("{}:{}:/none", a.display(), b.display());
        check("tool", &search, Ok("b/tool"));
        check("plain", &search, Err((126, "mode 644")));
        check("nope", &search, Err((127, "command not found in the image: \"nope\"")));
        check(&format!("{}/tool", b.display()), "", Ok("b/tool"));
        check(&format!("{}/tool", a.display()), "", Err((126, "is a directory")));
        check("/none/tool", "", Err((127, "\"/none/tool\"")));
        check(&format!("{}/plain/x", b.display()), "", Err((127, "not found")));
        check("", "", Err((125, "no command")));
    }
}

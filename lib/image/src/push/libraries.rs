//! Where libraries are: the directories of the loader's configuration and its own.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of the loader's configuration that include each other.
const INCLUDES_MAX: usize = 100;
/// The loader's configuration.
const LD_SO_CONF: &str = "/etc/ld.so.conf";
/// Libraries musl's loader is itself.
const MUSL_OWN: &[&str] =
    &["libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."];

/// Which loader a program has.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Loader {
    Glibc,
    /// With the file of its directories: `/etc/ld-musl-x86_64.path`.
    Musl(PathBuf),
}

impl Loader {
    /// The loader at this path.
    pub(super) fn of(interpreter: &Path) -> Self {
        let name = interpreter.file_name().unwrap_or_default().to_string_lossy();
        match name.strip_prefix("ld-musl-").and_then(|rest| rest.split('.').next()) {
            Some(arch) => Self::Musl(format!("/etc/ld-musl-{arch}.path").into()),
            None => Self::Glibc,
        }
    }

    /// True for a library that is part of the loader.
    pub(super) fn is_own(&self, library: &str) -> bool {
        match self {
            Self::Glibc => false,
            Self::Musl(_) => MUSL_OWN.iter().any(|own| library.starts_with(own)),
        }
    }

    /// Directories that are configured on this machine.
    pub(super) fn configured(&self) -> Vec<PathBuf> {
        match self {
            Self::Glibc => {
                let mut dirs = Vec::new();
                include(Path::new(LD_SO_CONF), &mut dirs, &mut Vec::new());
                dirs
            }
            Self::Musl(path) => {
                let text = fs::read_to_string(path).unwrap_or_default();
                let dirs = text.split([':', '\n']).map(str::trim).filter(|dir| !dir.is_empty());
                dirs.map(PathBuf::from).collect()
            }
        }
    }

    /// Directories the loader knows without any configuration.
    pub(super) fn built_in(&self) -> Vec<PathBuf> {
        let dirs: Vec<String> = match self {
            Self::Musl(_) => ["/lib", "/usr/local/lib", "/usr/lib"].map(String::from).to_vec(),
            Self::Glibc => {
                let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
                let debian = [format!("/lib/{triple}"), format!("/usr/lib/{triple}")];
                let others = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(String::from);
                debian.into_iter().chain(others).collect()
            }
        };
        dirs.into_iter().map(PathBuf::from).collect()
    }
}

/// Reads a configuration file: directories, comments, and `include` with a pattern
/// (ldconfig(8)). What cannot be read has nothing to say.
fn include(path: &Path, dirs: &mut Vec<PathBuf>, read: &mut Vec<PathBuf>) {
    let Ok(path) = fs::canonicalize(path) else { return };
    if read.len() >= INCLUDES_MAX || read.contains(&path) {
        return;
    }
    read.push(path.clone());
    for line in fs::read_to_string(&path).unwrap_or_default().lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            Some(pattern) => {
                for file in matching(&path, pattern.trim()) {
                    include(&file, dirs, read);
                }
            }
            None if line.starts_with('/') => dirs.push(line.into()),
            None => {}
        }
    }
}

/// The files of a pattern whose last part may have one `*`, sorted; relative ones are beside the
/// file that includes them.
fn matching(from: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = from.parent().unwrap_or(Path::new("/")).join(pattern);
    let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((begin, end)) = name.split_once('*') else { return vec![pattern] };
    let dir = pattern.parent().unwrap_or(Path::new("/"));
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(fits).collect();
    files.sort_unstable();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_read_with_what_it_includes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("conf"), "# x\ninclude d/*.conf\n/opt/a # b\nhwcap 1\n").unwrap();
        fs::write(at("d/2.conf"), "/opt/two\n").unwrap();
        fs::write(at("d/1.conf"), "/opt/one\ninclude ../conf\n").unwrap();
        fs::write(at("d/no"), "/opt/no\n").unwrap();
        let mut dirs = Vec::new();
        include(&at("conf"), &mut dirs, &mut Vec::new());
        let want = ["/opt/one", "/opt/two", "/opt/a"].map(PathBuf::from);
        assert_eq!(dirs, want);
    }

    #[test]
    fn a_loader_is_known_by_its_name() {
        let glibc = Loader::of(Path::new("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(glibc, Loader::Glibc);
        assert!(!glibc.is_own("libm.so.6"));
        let musl = Loader::of(Path::new("/lib/ld-musl-x86_64.so.1"));
        assert_eq!(musl, Loader::Musl("/etc/ld-musl-x86_64.path".into()));
        assert!(musl.is_own("libc.so") && !musl.is_own("libcurl.so.4"));
    }
}

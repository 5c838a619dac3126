//! From `shim.json` to the plan of a container, and the files it sees.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use container::{Base, Bound, Limits, Mount, Plan, Source, Wish, Words};

use crate::error::Error;
use crate::wire::{Config, Volume};

/// Name of the file in the instance's directory and in the container.
const FILES: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")];

/// Volumes that are the instance's own lie in this directory of it.
const OWN: &str = "volumes";

/// Puts the plan together and writes the files it binds.
///
/// # Errors
/// What image and spec ask for cannot be, or a file cannot be written.
pub(crate) fn plan(config: &Config, dir: &Path) -> Result<Plan, Error> {
    let spec = &config.spec;
    let image = config.image_config.as_ref().and_then(|image| image.config.clone());
    let mut platform_env = vec![
        ("HOSTNAME".to_owned(), spec.hostname.clone()),
        ("INSTANCE_ID".to_owned(), config.id.clone()),
        ("SERVICE".to_owned(), spec.service.clone()),
    ];
    platform_env.extend(spec.port.map(|port| ("PORT".to_owned(), port.to_string())));
    let wish = Wish {
        command: spec.command.clone(),
        user: spec.user.clone(),
        workdir: spec.workdir.clone(),
        env: spec.env.clone(),
        platform_env,
        cap_add: spec.cap_add.clone(),
        cap_drop: spec.cap_drop.clone(),
    };
    let Words { argv, env, cwd, user, caps } = Words::new(&image.unwrap_or_default(), &wish)?;
    let base = match &config.rootfs {
        Some(directory) => Base::Directory(directory.clone()),
        None => Base::Layers(config.layers.clone()),
    };
    let Config { id, .. } = config;
    Ok(Plan {
        id: id.clone(),
        cgroup: config.cgroup(),
        base,
        argv,
        env,
        cwd,
        user,
        hostname: spec.hostname.clone(),
        limits: Limits {
            cpu_milli: spec.cpu_milli,
            memory_bytes: spec.memory_bytes,
            pids: spec.pids,
        },
        read_only: spec.read_only,
        caps,
        files: files(config, dir)?,
        mounts: mounts(config, dir)?,
    })
}

fn files(config: &Config, dir: &Path) -> Result<Vec<Bound>, Error> {
    let hostname = format!("{}\n", config.spec.hostname);
    let texts = [config.hosts.as_str(), &hostname, &config.resolv];
    let mut files = Vec::new();
    for ((name, target), text) in FILES.into_iter().zip(texts) {
        let source = dir.join(name);
        fs::write(&source, text).map_err(Error::io("write", &source))?;
        files.push(Bound { source, target });
    }
    Ok(files)
}

/// What is bound in, made where it is the instance's own; one inside another comes behind it.
fn mounts(config: &Config, dir: &Path) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for volume in &config.spec.volumes {
        let (source, path, read_only) = match volume {
            Volume::Named { name, path } => {
                (Source::Volume(config.volumes_dir.join(name)), path, false)
            }
            Volume::Own { name, path } => {
                let own = dir.join(OWN).join(name);
                fs::create_dir_all(&own).map_err(Error::io("make", &own))?;
                (Source::Volume(own), path, false)
            }
            Volume::Host { dir, below, path, read_only } => {
                let (dir, below) = (dir.clone(), below.clone());
                (Source::Host { below, dir }, path, *read_only)
            }
        };
        mounts.push(Mount { source, target: path.clone(), read_only });
    }
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts.extend(configured(config, dir)?);
    Ok(mounts)
}

/// The files of `/config`, written anew: everybody may read them, and nobody can change them.
fn configured(config: &Config, dir: &Path) -> Result<Option<Mount>, Error> {
    let (files, at) = (&config.spec.config, dir.join("config"));
    if files.is_empty() {
        return Ok(None);
    }
    fs::create_dir_all(&at).map_err(Error::io("make", &at))?;
    for (name, text) in files {
        let path = at.join(name);
        let written = fs::write(&path, text);
        let written =
            written.and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o444)));
        written.map_err(Error::io("write", &path))?;
    }
    let source = Source::Files(at);
    Ok(Some(Mount { source, target: "/config".to_owned(), read_only: true }))
}

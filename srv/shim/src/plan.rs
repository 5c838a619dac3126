//! From `shim.json` to the plan of a container, and the files it sees.

use std::fs;
use std::path::Path;

use container::{Base, Bound, Limits, Plan, Wish, Words};

use crate::error::Error;
use crate::wire::Config;

/// Name of the file in the instance's directory and in the container.
const FILES: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")];

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

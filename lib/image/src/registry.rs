//! A registry over HTTP: `oci-client` speaks the protocol (tokens, redirects, ranges), this
//! file bounds it, sorts its errors into passing and permanent, and tries again.

use std::env;
use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol, SizedStream};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;

use crate::digest::{Digest, Hash};
use crate::disk::Disk;
use crate::document::{ACCEPTED, Descriptor};
use crate::reference::Remote;
use crate::registry_error::{passing, sort};
use crate::{Error, Result, credentials};

/// Registries besides those on loopback that are spoken to without TLS: `host[:port]`, comma
/// between.
const INSECURE_ENV: &str = "DEPLOYFS_INSECURE_REGISTRIES";
/// Longest wait for a connection.
const CONNECT_S_MAX: u64 = 10;
/// Longest wait for the next bytes of an answer.
const READ_S_MAX: u64 = 30;
/// Longest wait for a whole manifest.
const MANIFEST_S_MAX: u64 = 60;
/// Tries of one request, the first included.
const TRIES_MAX: u32 = 5;
/// Pause before the second try; doubled before each further one.
const PAUSE_MS: u64 = 250;
/// What no proxy is asked for.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// A registry we have an answer from.
pub(crate) struct Registry {
    client: Client,
    auth: RegistryAuth,
    remote: Remote,
    image: oci_client::Reference,
}

impl Registry {
    /// Gets ready to ask the registry of `remote`, and gets a token where it wants one.
    pub(crate) async fn open(remote: &Remote) -> Result<Self> {
        let auth = credentials::load(&remote.host)?;
        let client = client(&remote.host).map_err(|why| Error::Registry {
            registry: remote.host.clone(),
            why: format!("{why}; is the package ca-certificates installed?"),
        })?;
        let (host, repository) = (remote.host.clone(), remote.repository.clone());
        let image = match (&remote.digest, &remote.tag) {
            (Some(digest), _) => {
                oci_client::Reference::with_digest(host, repository, digest.to_string())
            }
            (None, tag) => {
                let tag = tag.clone().unwrap_or_else(|| "latest".into());
                oci_client::Reference::with_tag(host, repository, tag)
            }
        };
        let registry = Self { client, auth, remote: remote.clone(), image };
        again(|| async {
            let token =
                registry.client.auth(&registry.image, &registry.auth, RegistryOperation::Pull);
            token.await.map_err(|e| sort(&registry.remote, &registry.remote.to_string(), e))
        })
        .await?;
        Ok(registry)
    }

    /// The manifest or index the reference names, or the one with this digest; its digest is
    /// checked when it is known beforehand.
    pub(crate) async fn manifest(&self, digest: Option<&Digest>) -> Result<(Digest, Vec<u8>)> {
        let image = match digest {
            Some(digest) => self.image.clone_with_digest(digest.to_string()),
            None => self.image.clone(),
        };
        let what = self.remote.to_string();
        let bytes = again(|| async {
            let fetch = self.client.pull_manifest_raw(&image, &self.auth, ACCEPTED);
            match tokio::time::timeout(Duration::from_secs(MANIFEST_S_MAX), fetch).await {
                Ok(answer) => answer.map_err(|e| sort(&self.remote, &what, e)),
                Err(_) => Err(passing(&self.remote, format!("no manifest in {MANIFEST_S_MAX} s"))),
            }
        });
        let bytes = bytes.await?.0.to_vec();
        let actual = Digest::of(&bytes);
        match digest.or(self.remote.digest.as_ref()) {
            Some(expected) if *expected != actual => Err(Error::Digest {
                what,
                expected: expected.to_string(),
                actual: actual.to_string(),
            }),
            _ => Ok((actual, bytes)),
        }
    }

    /// Fetches a blob into the file at `path`, going on where it ends; `moved` is told by how
    /// many bytes, which may be less than none when a try was for nothing. The file is complete
    /// and verified after an `Ok`, and can be gone on with after an error.
    pub(crate) async fn blob(
        &self,
        disk: &Disk,
        descriptor: &Descriptor,
        path: &Path,
        moved: &(dyn Fn(i64) + Send + Sync),
    ) -> Result<()> {
        again(|| async {
            let mut download = Download::open(disk, descriptor, path).await?;
            let resumed = download.have;
            moved(i64::try_from(resumed).unwrap_or(0));
            let done = self.rest(&mut download, moved).await;
            if let Err(error) = done {
                moved(-i64::try_from(download.have).unwrap_or(0));
                // What came is kept for the next try; that error is told, not this one's.
                let _ = download.flush().await;
                // Wrong bytes are of no use to the next try, and a part from another day may be
                // what made them wrong.
                let wrong = matches!(error, Error::Digest { .. } | Error::Size { .. });
                if wrong || matches!(error, Error::Room { .. }) {
                    download.forget()?;
                }
                return Err(match wrong && resumed > 0 {
                    true => passing(&self.remote, format!("{error} (resumed)")),
                    false => error,
                });
            }
            Ok(())
        })
        .await
    }

    async fn rest(
        &self,
        download: &mut Download<'_>,
        moved: &(dyn Fn(i64) + Send + Sync),
    ) -> Result<()> {
        if download.have < download.descriptor.size {
            let mut stream = self.stream(download, moved).await?;
            while let Some(chunk) = stream.next().await {
                let chunk = match chunk {
                    Ok(chunk) => chunk,
                    // All is here; whether it is right is our own finding.
                    Err(_) if download.have == download.descriptor.size => break,
                    Err(e) => return Err(passing(&self.remote, chain(&e))),
                };
                download.write(&chunk).await?;
                moved(i64::try_from(chunk.len()).unwrap_or(0));
            }
            if download.have < download.descriptor.size {
                download.flush().await?;
                return Err(passing(&self.remote, "the connection ended early".into()));
            }
        }
        download.finish().await
    }

    /// The bytes that are missing; from the first when the registry knows no ranges.
    async fn stream(
        &self,
        download: &mut Download<'_>,
        moved: &(dyn Fn(i64) + Send + Sync),
    ) -> Result<SizedStream> {
        // The addresses a manifest offers besides are not asked (CVE-2020-15157).
        let wanted = OciDescriptor {
            digest: download.descriptor.digest.to_string(),
            size: i64::try_from(download.descriptor.size).unwrap_or(i64::MAX),
            urls: None,
            ..OciDescriptor::default()
        };
        let failed = |e| sort(&self.remote, &wanted.digest, e);
        if download.have == 0 {
            return self.client.pull_blob_stream(&self.image, &wanted).await.map_err(failed);
        }
        let from = download.have;
        match self.client.pull_blob_stream_partial(&self.image, &wanted, from, None).await {
            Ok(BlobResponse::Partial(stream)) => Ok(stream),
            Ok(BlobResponse::Full(stream)) => {
                moved(-i64::try_from(download.have).unwrap_or(0));
                download.restart().await?;
                Ok(stream)
            }
            Err(e) => Err(failed(e)),
        }
    }
}

/// A blob on its way into a file.
struct Download<'a> {
    disk: &'a Disk,
    descriptor: &'a Descriptor,
    path: &'a Path,
    file: tokio::io::BufWriter<tokio::fs::File>,
    hash: Hash,
    have: u64,
}

impl<'a> Download<'a> {
    /// Opens the file and hashes what is there already.
    async fn open(disk: &'a Disk, descriptor: &'a Descriptor, path: &'a Path) -> Result<Self> {
        let wanted = descriptor.size;
        let at = path.to_owned();
        let open = move || -> std::io::Result<_> {
            use std::io::{Read, Seek};
            let options = std::fs::File::options().create(true).truncate(false).to_owned();
            let mut file = { options }.read(true).write(true).open(&at)?;
            if file.metadata()?.len() > wanted {
                file.set_len(0)?;
            }
            let mut hash = Hash::default();
            let mut buffer = vec![0; WRITE_BYTES];
            loop {
                let n = file.read(&mut buffer)?;
                if n == 0 {
                    break;
                }
                hash.update(&buffer[..n]);
            }
            let have = file.stream_position()?;
            if wanted > have {
                // A full disk is found now, and not in the middle. Where the file system cannot
                // do it (`EOPNOTSUPP`), it is found then.
                let kept = fallocate(&file, FallocateFlags::KEEP_SIZE, have, wanted - have);
                if kept == Err(Errno::NOSPC) {
                    return Err(Errno::NOSPC.into());
                }
            }
            Ok((file, hash, have))
        };
        let opened = tokio::task::spawn_blocking(open).await.map_err(std::io::Error::other);
        let (file, hash, have) = opened.flatten().map_err(|e| disk.fail("open", path, e))?;
        let file = tokio::io::BufWriter::with_capacity(WRITE_BYTES, file.into());
        Ok(Self { disk, descriptor, path, file, hash, have })
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<()> {
        let have = self.have + chunk.len() as u64;
        if have > self.descriptor.size {
            let what = self.descriptor.digest.to_string();
            return Err(Error::Size { what, expected: self.descriptor.size, actual: have });
        }
        self.hash.update(chunk);
        self.have = have;
        self.file.write_all(chunk).await.map_err(|e| self.disk.fail("write", self.path, e))
    }

    async fn flush(&mut self) -> Result<()> {
        self.file.flush().await.map_err(|e| self.disk.fail("write", self.path, e))
    }

    /// Begins at the first byte again.
    async fn restart(&mut self) -> Result<()> {
        use tokio::io::AsyncSeekExt;
        let file = self.file.get_mut();
        let back = async {
            file.set_len(0).await?;
            file.rewind().await
        };
        back.await.map_err(|e| self.disk.fail("write", self.path, e))?;
        (self.hash, self.have) = (Hash::default(), 0);
        Ok(())
    }

    /// All bytes are on the disk and are the right ones.
    async fn finish(&mut self) -> Result<()> {
        let actual = self.hash.clone().finish();
        if actual != self.descriptor.digest {
            let (expected, actual) = (self.descriptor.digest.to_string(), actual.to_string());
            return Err(Error::Digest { what: "blob".into(), expected, actual });
        }
        self.flush().await?;
        self.file.get_ref().sync_all().await.map_err(|e| self.disk.fail("sync", self.path, e))
    }

    fn forget(&self) -> Result<()> {
        std::fs::remove_file(self.path).map_err(|e| self.disk.fail("remove", self.path, e))
    }
}

/// Does it again after a passing error of the registry, with growing pauses.
async fn again<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let mut pause = Duration::from_millis(PAUSE_MS);
    for _ in 1..TRIES_MAX {
        match attempt().await {
            Err(error @ Error::Registry { .. }) => tracing::debug!("{error}; trying again"),
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    attempt().await
}

/// The text of an error and of what caused it; clients like to say `error sending request` and
/// keep the reason to themselves.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    text
}

fn client(host: &str) -> Result<Client, String> {
    // Fails when there is a default already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = plain_http(host, &env::var(INSECURE_ENV).unwrap_or_default());
    let config = |unverified| ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        // A blob may stand elsewhere; only what is behind a registry without TLS is fetched
        // unverified, and only on a machine that has no certificates to verify with.
        accept_invalid_certificates: unverified,
        connect_timeout: Some(Duration::from_secs(CONNECT_S_MAX)),
        read_timeout: Some(Duration::from_secs(READ_S_MAX)),
        https_proxy: proxy("HTTPS_PROXY"),
        http_proxy: proxy("HTTP_PROXY"),
        no_proxy: Some(format!("{LOOPBACK},{}", proxy("NO_PROXY").unwrap_or_default())),
        user_agent: concat!("deployfs/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    let client = Client::try_from(config(false));
    let client = if plain { client.or_else(|_| Client::try_from(config(true))) } else { client };
    client.map_err(|e| chain(&e))
}

fn proxy(name: &str) -> Option<String> {
    let value = env::var(name).or_else(|_| env::var(name.to_lowercase())).ok();
    value.filter(|value| !value.is_empty())
}

/// True for a registry on loopback or in the list.
fn plain_http(host: &str, list: &str) -> bool {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback || bare == "localhost" || list.split(',').any(|entry| entry.trim() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_the_listed_are_spoken_to_without_tls() {
        let check = |host: &str, list: &str, want: bool| {
            assert_eq!(plain_http(host, list), want, "{host} {list}");
        };
        check("127.0.0.1:5000", "", true);
        check("localhost", "", true);
        check("[::1]:5000", "", true);
        check("quay.io", "", false);
        check("10.0.0.1:5000", "a, 10.0.0.1:5000", true);
        check("10.0.0.1:5001", "a,10.0.0.1:5000", false);
        check("localhost.evil.org", "", false);
        check("127.0.0.1.evil.org", "", false);
    }
}

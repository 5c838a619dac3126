//! A registry over HTTP: `oci-client` fetches blobs (redirects, ranges), this file bounds it,
//! sorts its errors into passing and permanent, and tries again.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::{BlobResponse, SizedStream};
use oci_client::errors::{OciDistributionError, OciEnvelope};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::RegistryTokenType as Pass;
use oci_client::{Client, RegistryOperation};
use reqwest::header::ACCEPT;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::digest::{Digest, Hash};
use crate::disk::Disk;
use crate::document::{ACCEPTED, DOCUMENT_BYTES_MAX, Descriptor};
use crate::reference::Remote;
use crate::registry_error::{passing, sort};
use crate::wire::{Answer, Failed, Wire, clients};
use crate::{Error, Result, credentials, token};

/// Tries of one request, the first included.
const TRIES_MAX: u32 = 5;
/// Pause before the second try; doubled before each further one.
const PAUSE_MS: u64 = 250;
/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// A registry we have an answer from.
pub(crate) struct Registry {
    client: Client,
    wire: Wire,
    auth: RegistryAuth,
    remote: Remote,
    image: oci_client::Reference,
    /// What we are let in with at present.
    pass: Mutex<Option<Pass>>,
}

impl Registry {
    /// Gets ready to ask the registry of `remote`, and gets a token where it wants one.
    pub(crate) async fn open(remote: &Remote) -> Result<Self> {
        let auth = credentials::load(&remote.host, &remote.repository)?;
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
        let (client, wire) = clients(remote, image.resolve_registry())?;
        let pass = Mutex::new(None);
        let registry = Self { client, wire, auth, remote: remote.clone(), image, pass };
        again(|| registry.renew()).await?;
        Ok(registry)
    }

    /// Gets what the registry wants to be shown. True when it is a new token, so that what was
    /// refused may be asked for once more.
    async fn renew(&self) -> Result<bool, Failed> {
        let pass = token::pass(&self.wire, &self.auth, self.image.repository()).await?;
        if let Some(pass) = pass.clone() {
            // A token that it knows to be old the client renews by itself; silently, wherever the
            // registry sends it, and when that fails it asks without one. So it is given no
            // password for it: what it gets without is good enough, or we are asked again.
            let known = match &self.auth {
                RegistryAuth::Bearer(token) => RegistryAuth::Bearer(token.clone()),
                RegistryAuth::Basic(..) | RegistryAuth::Anonymous => RegistryAuth::Anonymous,
            };
            self.client.store_auth_if_needed(self.image.resolve_registry(), &known).await;
            self.client.tokens.insert(&self.image, RegistryOperation::Pull, pass).await;
        }
        let new = matches!(pass, Some(Pass::Bearer(_)));
        *self.pass.lock().await = pass;
        Ok(new && !matches!(self.auth, RegistryAuth::Bearer(_)))
    }

    /// The manifest or index the reference names, or the one with this digest; its digest is
    /// checked when it is known beforehand.
    pub(crate) async fn manifest(&self, digest: Option<&Digest>) -> Result<(Digest, Vec<u8>)> {
        let name = match digest.or(self.remote.digest.as_ref()) {
            Some(digest) => digest.to_string(),
            None => self.image.tag().unwrap_or("latest").to_owned(),
        };
        let what = self.remote.to_string();
        let bytes = again(|| async {
            match self.document(&name).await {
                Err(Failed { error: Error::Denied { .. }, .. }) if self.renew().await? => {
                    self.document(&name).await
                }
                done => done,
            }
        });
        let bytes = bytes.await?;
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

    /// One try. Not the client's, which takes an answer of any length into memory.
    async fn document(&self, name: &str) -> Result<Vec<u8>, Failed> {
        let url = format!("{}/v2/{}/manifests/{name}", self.wire.base, self.image.repository());
        let request = self.wire.http.get(&url).header(ACCEPT, ACCEPTED.join(", "));
        let request = match &*self.pass.lock().await {
            None => request,
            Some(Pass::Bearer(token)) => request.bearer_auth(token.token()),
            Some(Pass::Basic(user, password)) => request.basic_auth(user, Some(password)),
        };
        let answer = self.wire.ask(request, DOCUMENT_BYTES_MAX).await?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let why = refusal(&answer, url);
        let error = sort(&self.remote, &self.auth, &self.remote.to_string(), why);
        Err(answer.failed(error))
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
                    true => passing(&self.remote, format!("{error} (resumed)")).into(),
                    false => error.into(),
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
            let mut stream = match self.stream(download, moved).await {
                Err(Error::Denied { .. }) if self.renew().await.map_err(|e| e.error)? => {
                    self.stream(download, moved).await?
                }
                asked => asked?,
            };
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
        let failed = |e| sort(&self.remote, &self.auth, &wanted.digest, e);
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

/// A refusal in the client's words.
fn refusal(answer: &Answer, url: String) -> OciDistributionError {
    let code = answer.status;
    match serde_json::from_slice::<OciEnvelope>(&answer.body) {
        _ if code == 401 => OciDistributionError::UnauthorizedError { url },
        Ok(envelope) if code < 500 && code != 429 => {
            OciDistributionError::RegistryError { envelope, url }
        }
        _ => {
            let message = String::from_utf8_lossy(&answer.body).into_owned();
            OciDistributionError::ServerError { code, url, message }
        }
    }
}

/// Does it again after a passing error of the registry, with growing pauses or as long a one as
/// it asks for.
async fn again<T, F: Future<Output = Result<T, Failed>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let mut pause = Duration::from_millis(PAUSE_MS);
    for _ in 1..TRIES_MAX {
        let failed = match attempt().await {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        let Some(wait) = failed.pause(pause) else { return Err(failed.error) };
        tracing::debug!("{}; trying again", failed.error);
        tokio::time::sleep(wait).await;
        pause *= 2;
    }
    attempt().await.map_err(|failed| failed.error)
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

//! Manifests, indexes and configurations (image-spec `manifest.md`, `image-index.md`,
//! `config.md`; Docker's schema 2 has the same members): read, checked, and never believed
//! beyond their digest.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::{Error, Result};

/// Bytes of a manifest, index or configuration (distribution-spec, "Pushing Manifests").
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Layers of an image; Docker's own limit is 127.
pub(crate) const LAYERS_MAX: usize = 256;
/// Bytes of all layers as they are fetched.
const IMAGE_BYTES_MAX: u64 = 1 << 40;

/// The media types of what a reference may name.
pub(crate) const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A checked descriptor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

/// What a reference names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Vec<Choice>),
}

/// The manifest of an image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    /// Bottom first.
    pub(crate) layers: Vec<Descriptor>,
}

/// An image of an index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) manifest: Descriptor,
    /// `linux/amd64`, with `/variant` when there is one; none when it is not said.
    pub(crate) platform: Option<String>,
    /// The name it has in a layout.
    pub(crate) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: u64,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Reads a manifest or an index; `what` names it in errors.
pub(crate) fn document(what: &str, bytes: &[u8]) -> Result<Document> {
    let bad = |why: String| Error::Document { what: what.to_owned(), why };
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(bad(format!("manifest of {} bytes, at most 4 MiB are allowed", bytes.len())));
    }
    let raw: RawDocument =
        serde_json::from_slice(bytes).map_err(|e| bad(format!("bad manifest: {e}")))?;
    if raw.schema_version != 2 {
        return Err(bad(format!(
            "manifest of schema version {}; push the image again with a newer tool",
            raw.schema_version
        )));
    }
    match (raw.config, raw.layers, raw.manifests) {
        (None, None, Some(manifests)) => {
            let choices: Result<_> =
                manifests.into_iter().map(|m| m.choice().map_err(&bad)).collect();
            Ok(Document::Index(choices?))
        }
        (Some(config), Some(layers), None) => {
            let layers: Result<Vec<Descriptor>> =
                layers.into_iter().map(|layer| layer.check().map_err(&bad)).collect();
            let manifest = Manifest { config: config.check().map_err(&bad)?, layers: layers? };
            manifest.check().map_err(bad)?;
            Ok(Document::Manifest(manifest))
        }
        // Two readers could take it for two different images (CVE-2021-41190).
        (_, _, Some(_)) => Err(bad("a manifest and an index in one document".into())),
        (_, _, None) => Err(bad("neither the manifest of an image nor an index".into())),
    }
}

impl RawDescriptor {
    fn check(self) -> Result<Descriptor, String> {
        let digest = Digest::parse(&self.digest)
            .ok_or_else(|| format!("'{}' is no sha256 digest", self.digest.escape_debug()))?;
        Ok(Descriptor { digest, size: self.size, media_type: self.media_type })
    }

    fn choice(mut self) -> Result<Choice, String> {
        let platform = self.platform.take().map(RawPlatform::text);
        let name = self.annotations.take();
        let name = name.and_then(|mut all| all.remove("org.opencontainers.image.ref.name"));
        Ok(Choice { manifest: self.check()?, platform, name })
    }
}

impl RawPlatform {
    fn text(self) -> String {
        let variant = self.variant.filter(|v| !v.is_empty()).map(|v| format!("/{v}"));
        format!("{}/{}{}", self.os, self.architecture, variant.unwrap_or_default())
    }
}

impl Manifest {
    fn check(&self) -> Result<(), String> {
        if self.layers.len() > LAYERS_MAX {
            return Err(format!("{} layers, at most {LAYERS_MAX}", self.layers.len()));
        }
        if self.config.size > DOCUMENT_BYTES_MAX {
            return Err(format!("configuration of {} bytes, at most 4 MiB", self.config.size));
        }
        for layer in &self.layers {
            let kind = &layer.media_type;
            let usual = kind.contains(".image.layer.") || kind.contains(".image.rootfs.");
            if !usual || kind.contains("encrypted") {
                return Err(format!("layer of type '{kind}' is no file system to unpack"));
            }
        }
        match self.total() {
            Some(total) if total <= IMAGE_BYTES_MAX => Ok(()),
            _ => Err("more than 1 TiB of layers".into()),
        }
    }

    /// Bytes to fetch, the configuration included.
    pub(crate) fn total(&self) -> Option<u64> {
        let layers = self.layers.iter().map(|layer| layer.size);
        layers.chain([self.config.size]).try_fold(0_u64, u64::checked_add)
    }
}

/// The manifest of a configuration and layers; same parts, same bytes.
pub(crate) fn write_manifest(config: &[u8], layers: &[Descriptor]) -> Vec<u8> {
    let layers = layers.iter().map(|l| write_descriptor(&l.media_type, &l.digest, l.size));
    let config_type = "application/vnd.oci.image.config.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": write_descriptor(config_type, &Digest::of(config), config.len() as u64),
        "layers": layers.collect::<Vec<_>>(),
    });
    manifest.to_string().into_bytes()
}

fn write_descriptor(kind: &str, digest: &Digest, size: u64) -> Value {
    json!({ "mediaType": kind, "digest": digest.to_string(), "size": size })
}

/// Operating system and architecture of this machine in the words of Go, which are OCI's.
pub(crate) fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        other => other,
    };
    format!("linux/{architecture}")
}

/// The image for this machine; the error lists what there is.
pub(crate) fn choose<'a>(reference: &str, choices: &'a [Choice]) -> Result<&'a Choice> {
    let wanted = platform();
    let fits = |choice: &&Choice| {
        choice.platform.as_deref().is_none_or(|has| has == wanted)
            || choice.platform.as_deref().is_some_and(|has| runs(has, &wanted))
    };
    choices.iter().find(fits).ok_or_else(|| {
        let has = choices.iter().filter_map(|c| c.platform.clone()).collect::<Vec<_>>();
        let has = if has.is_empty() { "none".into() } else { has.join(", ") };
        Error::Platform { wanted, reference: reference.to_owned(), has }
    })
}

/// True when an image for `has` runs on a machine that is `wanted`: variants above the first of
/// amd64 may need instructions that are not there, arm64's v8 is all of them.
fn runs(has: &str, wanted: &str) -> bool {
    match has.strip_prefix(wanted) {
        Some(variant) => ["", "/v1", "/v8"].contains(&variant),
        None => false,
    }
}

/// The configuration of an image and the diff ids of its layers.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) value: Value,
    /// Bottom first.
    pub(crate) diff_ids: Vec<Digest>,
}

/// Reads a configuration for a manifest with that many layers.
pub(crate) fn config(reference: &str, bytes: &[u8], layers: usize) -> Result<Config> {
    let bad = |why: &str| Error::Document {
        what: reference.to_owned(),
        why: format!("configuration: {why}"),
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|e| bad(&e.to_string()))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (os, architecture) = (text("os"), text("architecture"));
    let wanted = platform();
    // Both are required, but tools that leave them out make images that run.
    if !os.is_empty() && !architecture.is_empty() && format!("{os}/{architecture}") != wanted {
        let has = format!("{os}/{architecture}");
        return Err(Error::Platform { wanted, reference: reference.to_owned(), has });
    }
    let diff_ids = value.pointer("/rootfs/diff_ids").and_then(Value::as_array);
    let diff_ids: Option<Vec<Digest>> = diff_ids
        .ok_or_else(|| bad("no rootfs.diff_ids"))?
        .iter()
        .map(|id| Digest::parse(id.as_str()?))
        .collect();
    let diff_ids = diff_ids.ok_or_else(|| bad("a diff_id is no sha256 digest"))?;
    if diff_ids.len() != layers {
        return Err(bad(&format!("{} diff_ids for {layers} layers", diff_ids.len())));
    }
    Ok(Config { value, diff_ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn descriptor(kind: &str) -> String {
        format!(r#"{{"mediaType":"{kind}","digest":"{D}","size":7,"urls":["http://evil/"]}}"#)
    }

    #[test]
    fn a_document_is_a_manifest_an_index_or_refused() {
        let check = |members: &str, want: &str| {
            let text = format!(r#"{{"schemaVersion":2,{members}}}"#);
            let got = match document("x", text.as_bytes()) {
                Ok(Document::Manifest(m)) => format!("manifest {}", m.layers.len()),
                Ok(Document::Index(choices)) => format!("index {}", choices.len()),
                Err(e) => format!("! {e}"),
            };
            assert!(got.contains(want), "{members}: {got}");
        };
        let config = format!(r#""config":{}"#, descriptor("c"));
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
        let docker = descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        check(&format!(r#"{config},"layers":[{layer},{docker}]"#), "manifest 2");
        check(&format!(r#""manifests":[{layer}]"#), "index 1");
        check(&format!(r#"{config},"layers":[{layer}],"manifests":[]"#), "! x: a manifest and an");
        check(r#""layers":[],"manifests":[]"#, "! x: a manifest and an");
        check(&config, "! x: neither");
        check(&format!(r#"{config},"layers":[{}]"#, descriptor("text/wasm")), "'text/wasm' is no");
        check(&format!(r#"{config},"layers":[{}]"#, layer.replace(":ba", ":/.")), "no sha256");
        check(&format!(r#"{config},"layers":[{}]"#, layer.replace(":7", ":-7")), "bad manifest");
        check(
            &format!(r#"{config},"layers":[{}]"#, layer.replace(":7", ":9999999999999")),
            "1 TiB",
        );
        let many = vec![layer.clone(); 300].join(",");
        check(&format!(r#"{config},"layers":[{many}]"#), "300 layers");
        let old = document("x", br#"{"schemaVersion":1,"fsLayers":[]}"#).unwrap_err().to_string();
        assert!(old.contains("schema version 1"), "{old}");
        let big = document("x", &vec![b' '; (4 << 20) + 1]).unwrap_err().to_string();
        assert!(big.contains("at most 4 MiB"), "{big}");
    }

    #[test]
    fn the_image_for_this_machine_is_chosen_or_the_others_are_listed() {
        let choice = |platform: &str| Choice {
            manifest: Descriptor {
                digest: Digest::parse(D).unwrap(),
                size: 1,
                media_type: platform.into(),
            },
            platform: Some(platform.into()),
            name: None,
        };
        let ours = platform();
        let all = [choice("linux/s390x"), choice("plan9/386"), choice(&format!("{ours}/v8"))];
        assert_eq!(choose("x", &all).unwrap(), &all[2]);
        let text = choose("x", &all[..2]).unwrap_err().to_string();
        assert_eq!(text, format!("no image for {ours} in x (it has linux/s390x, plan9/386)"));
    }

    #[test]
    fn a_configuration_names_every_layer_and_this_platform() {
        let check = |text: &str, want: &str| {
            let text = text.replace("D", D).replace("OURS", &platform()[6..]);
            let got = match config("x", text.as_bytes(), 1) {
                Ok(config) => format!("{} diff ids", config.diff_ids.len()),
                Err(e) => e.to_string(),
            };
            assert!(got.contains(want), "{text}: {got}");
        };
        check(r#"{"os":"linux","architecture":"OURS","rootfs":{"diff_ids":["D"]}}"#, "1 diff ids");
        check(r#"{"rootfs":{"diff_ids":["D"]}}"#, "1 diff ids");
        check(r#"{"rootfs":{"diff_ids":[]}}"#, "0 diff_ids for 1 layers");
        check(r#"{"rootfs":{"diff_ids":["x"]}}"#, "no sha256");
        check(r#"{}"#, "no rootfs.diff_ids");
        check(r#"{"os":"linux","architecture":"z80"}"#, "no image for linux/");
        check("[", "configuration: ");
    }
}

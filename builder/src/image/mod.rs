//! Config, manifest and index of an image; layouts and archives of it (OCI image-spec 1.1), and archives for Docker.
//!
//! Documents have the form that BuildKit's own exporter writes. Names, tags and build times never enter an image: a
//! tag stands in the `index.json` of a layout alone.

mod base;
mod destination;
mod docker;
mod error;
mod read;
mod reference;
mod rootfs;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::canon;
use crate::digest::{DiffId, Digest};
use crate::layer::Layer;
use crate::spec::{Platform, Run};

pub use base::BaseConfig;
pub use destination::Destination;
pub use docker::{stage_docker_archive, write_docker_archive};
pub use error::Error;
pub use read::{Entry, Form, OpenImage, OpenLayer, Opened, built, layer, open, stored};
pub use reference::Reference;
pub use rootfs::{Hidden, LayerCounts, RootNode, Rootfs};
pub use unpack::{Ids, Owners, Unpacked, unpack};
pub use write::{BlobSource, fill_layout, write_archive, write_layout};

/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Docker's media type of what is a manifest (distribution `manifest-v2-2.md`).
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's media type of what is an index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Annotation of a tag in the `index.json` of a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What made a layer, as every history entry says it.
const CREATED_BY: &str = "tarsia build";

/// A descriptor: a blob by media type, digest and size. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the blob.
    pub media_type: String,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index, the platform of a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    /// In an index, what a manifest holds that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Returns the descriptor of `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Returns the descriptor of a blob.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }
}

/// A platform in a descriptor. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorPlatform {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Variant of the architecture; tarsia writes none: `v8` is what every arm64 is, and BuildKit leaves it out too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<Platform> for DescriptorPlatform {
    fn from(platform: Platform) -> Self {
        Self { architecture: platform.architecture().to_owned(), os: "linux".to_owned(), variant: None }
    }
}

/// A manifest. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`].
    #[serde(default)]
    pub media_type: String,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations; tarsia writes none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An index. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX`].
    #[serde(default)]
    pub media_type: String,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Annotations; tarsia writes none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What an image's config says beside its layers.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// `run` of the spec.
    pub run: &'a Run,
    /// `uid` and `gid` of `run.user`.
    pub user: (u32, u32),
    /// `labels` of the spec.
    pub labels: &'a BTreeMap<String, String>,
    /// `source-date` of the lock.
    pub source_date: i64,
    /// The image that this one is built on.
    pub base: Option<&'a BaseConfig>,
}

/// An image of one platform, as finished documents; its layers' blobs are named, not held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The platform.
    platform: String,
    config: Vec<u8>,
    manifest: Vec<u8>,
    /// Layers of the base, below ours.
    base: Vec<Descriptor>,
    layers: Vec<Layer>,
}

impl Image {
    /// Returns the image of these layers, lowest first.
    pub fn new(platform: Platform, settings: &Settings<'_>, layers: Vec<Layer>) -> Result<Self, Error> {
        let config = config(platform, settings, &layers)?;
        let base = settings.base.map(|base| base.layers.clone()).unwrap_or_default();
        let own = layers.iter().map(|layer| Descriptor::new(layer.media_type(), layer.digest, layer.size));
        let manifest = canon::indented(&Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: Descriptor::of(CONFIG, &config),
            layers: base.iter().cloned().chain(own).collect(),
            annotations: BTreeMap::new(),
        });
        Ok(Self { platform: platform.oci().to_owned(), config, manifest, base, layers })
    }

    /// Returns the platform.
    pub fn platform(&self) -> Platform {
        Platform::from_oci(&self.platform).expect("an image is made for a platform")
    }

    /// Returns the config's bytes.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Returns the manifest's bytes.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Returns digest and size of every layer's blob, those of the base first.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        let base = self.base.iter().map(|layer| (layer.digest, layer.size));
        base.chain(self.layers.iter().map(|layer| (layer.digest, layer.size)))
    }

    /// Returns the layers that were built, lowest first; those of a base lie below them.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns the manifest's digest, which is the image's name.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// Returns the manifest's descriptor with the platform, as an index holds it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { platform: Some(self.platform().into()), ..Descriptor::of(MANIFEST, &self.manifest) }
    }
}

/// Images of one or more platforms: one image, or an index over several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageIndex {
    images: Vec<Image>,
    index: Option<Vec<u8>>,
    embedded: Vec<Embedded>,
}

/// Something attached to an image that a layout of it holds as well; the image's digest does not depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// What it holds.
    pub artifact_type: String,
    /// Its manifest, which names the image as its subject.
    pub manifest: Vec<u8>,
    /// Its config.
    pub config: Vec<u8>,
    /// Its blobs: digest and size of each.
    pub blobs: Vec<(Digest, u64)>,
}

impl ImageIndex {
    /// Returns the whole of these images; with more than one, an index that lists them by platform.
    pub fn new(mut images: Vec<Image>) -> Result<Self, Error> {
        images.sort_by_key(Image::platform);
        if let Some(twice) = images.windows(2).find(|pair| pair[0].platform == pair[1].platform) {
            return Err(Error::Platforms { platform: twice[0].platform.clone() });
        }
        let index = (images.len() != 1).then(|| {
            canon::indented(&Index {
                schema_version: 2,
                media_type: INDEX.to_owned(),
                manifests: images.iter().map(Image::descriptor).collect(),
                annotations: BTreeMap::new(),
            })
        });
        Ok(Self { images, index, embedded: Vec::new() })
    }

    /// Returns the image with what layouts and archives of it are to hold beside it, in their `index.json`.
    pub fn with_embedded(self, embedded: Vec<Embedded>) -> Self {
        Self { embedded, ..self }
    }

    /// Returns the images by platform.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// Returns the index's bytes; `None` where there is one image alone.
    pub fn index(&self) -> Option<&[u8]> {
        self.index.as_deref()
    }

    /// Returns the descriptor that names the whole: the index, or the one image.
    pub fn descriptor(&self) -> Descriptor {
        match (&self.index, &*self.images) {
            (None, [image]) => image.descriptor(),
            (index, _) => Descriptor::of(INDEX, index.as_deref().unwrap_or_default()),
        }
    }

    /// Returns the digest that names the whole.
    pub fn digest(&self) -> Digest {
        self.descriptor().digest
    }
}

/// A config; fields are written in this order, which is sorted.
#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    config: Value,
    created: &'a str,
    history: Vec<Value>,
    os: &'a str,
    rootfs: RootFs,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: Vec<DiffId>,
}

/// Returns a config's bytes (OCI image-spec 1.1, config).
fn config(platform: Platform, settings: &Settings<'_>, layers: &[Layer]) -> Result<Vec<u8>, Error> {
    let created = jiff::Timestamp::from_second(settings.source_date)
        .map_err(|_| Error::Date { seconds: settings.source_date })?
        .to_string();
    let Settings { run, user: (uid, gid), labels, .. } = *settings;
    let mut inner = Map::new();
    let mut set = |key: &str, value: Value| {
        let empty = match &value {
            Value::Array(all) => all.is_empty(),
            Value::Object(all) => all.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if !empty {
            inner.insert(key.to_owned(), value);
        }
    };
    let names = |all: &[String]| all.iter().map(|name| (name.clone(), json!({}))).collect::<Map<_, _>>();
    set("Cmd", json!(run.cmd));
    set("Entrypoint", json!(run.entrypoint));
    set("Env", run.env.iter().map(|(name, value)| format!("{name}={value}")).collect());
    set("ExposedPorts", names(&run.ports).into());
    set("Labels", json!(labels));
    set("StopSignal", json!(run.stop_signal.as_deref().unwrap_or_default()));
    set("User", format!("{uid}:{gid}").into());
    set("Volumes", names(&run.volumes).into());
    set("WorkingDir", json!(run.workdir));
    // `Value` may keep its keys in another order where a user of the library switches that on.
    let mut inner = match settings.base {
        Some(base) => base.inner(settings, &inner),
        None => inner,
    };
    inner.sort_keys();
    let mut history = settings.base.map(BaseConfig::history).unwrap_or_default();
    history.extend(layers.iter().map(|_| json!({ "created": created, "created_by": CREATED_BY })));
    let below = settings.base.map(|base| base.diff_ids.as_slice()).unwrap_or_default();
    Ok(canon::ordered(&Config {
        architecture: platform.architecture(),
        config: Value::Object(inner),
        created: &created,
        history,
        os: "linux",
        rootfs: RootFs {
            r#type: "layers",
            diff_ids: below.iter().copied().chain(layers.iter().map(|layer| layer.diff_id)).collect(),
        },
    }))
}

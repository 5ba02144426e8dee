//! What cosign keeps under tags that are made of an image's digest: signatures and attestations, each a layer of one
//! manifest (cosign `specs/SIGNATURE_SPEC.md`, `specs/ATTESTATION_SPEC.md`). Its readers before 3.0, and
//! containers/image, look nowhere else.

use serde::Serialize;

use super::Error;
use super::keep::Merged;
use super::repository::Repository;
use crate::canon;
use crate::digest::Digest;
use crate::image::{CONFIG, Descriptor, MANIFEST, Manifest};

/// The most layers that are kept under one tag.
const MAX_LAYERS: usize = 256;

/// A tag of cosign's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CosignTag {
    /// Image signatures.
    Signatures,
    /// Attestations.
    Attestations,
}

impl CosignTag {
    /// Returns the tag for the image `subject`.
    pub fn of(self, subject: &Digest) -> String {
        let ending = match self {
            Self::Signatures => "sig",
            Self::Attestations => "att",
        };
        format!("sha256-{}.{ending}", subject.hex())
    }
}

/// A signature or an attestation: its bytes, and how a manifest names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignLayer {
    /// Media type, digest, size and annotations.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl CosignLayer {
    /// Returns the layer of these bytes with annotations.
    pub fn new(media_type: &str, bytes: Vec<u8>, annotations: impl IntoIterator<Item = (String, String)>) -> Self {
        let descriptor =
            Descriptor { annotations: annotations.into_iter().collect(), ..Descriptor::of(media_type, &bytes) };
        Self { descriptor, bytes }
    }
}

/// The config that cosign writes: that of an image without a platform. Fields are written in this order.
#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    config: serde_json::Map<String, serde_json::Value>,
    os: &'a str,
    rootfs: RootFs<'a>,
}

#[derive(Serialize)]
struct RootFs<'a> {
    r#type: &'a str,
    diff_ids: Vec<Digest>,
}

impl Repository<'_> {
    /// Returns the layers under a tag of cosign's; none where there is no such tag.
    ///
    /// # Errors
    /// Where the registry fails, or the tag holds something else, or more than can be meant well.
    pub fn cosign_layers(&self, subject: &Digest, kind: CosignTag) -> Result<Vec<Descriptor>, Error> {
        let tag = kind.of(subject);
        match self.document(&tag)? {
            Some(document) => Ok(self.signatures(&tag, &document.bytes)?.layers),
            None => Ok(Vec::new()),
        }
    }

    /// Adds layers to those under a tag of cosign's; whatever others have put there stays. Returns how many were not
    /// there.
    ///
    /// # Errors
    /// As [`Repository::cosign_layers`], and where other writers leave no room.
    pub fn add_cosign_layers(&self, subject: &Digest, kind: CosignTag, layers: &[CosignLayer]) -> Result<usize, Error> {
        let tag = kind.of(subject);
        let Some(first) = layers.first() else { return Ok(0) };
        let mut added = 0;
        let there = self.cosign_layers(subject, kind)?;
        for layer in layers.iter().filter(|layer| !there.contains(&layer.descriptor)) {
            self.push_bytes(&layer.bytes)?;
        }
        self.keep(&tag, MANIFEST, first.descriptor.digest.as_bytes()[0], &mut |there| {
            let mut manifest = match there {
                Some(document) => self.signatures(&tag, &document.bytes)?,
                None => Manifest {
                    schema_version: 2,
                    media_type: MANIFEST.to_owned(),
                    config: Descriptor::of(CONFIG, b""),
                    layers: Vec::new(),
                    annotations: std::collections::BTreeMap::new(),
                },
            };
            let missing: Vec<&CosignLayer> =
                layers.iter().filter(|layer| !manifest.layers.contains(&layer.descriptor)).collect();
            if missing.is_empty() {
                return Ok(None);
            }
            added = added.max(missing.len());
            manifest.layers.extend(missing.into_iter().map(|layer| layer.descriptor.clone()));
            if manifest.layers.len() > MAX_LAYERS {
                return Err(self.strange(&format!("`{tag}` would hold more than {MAX_LAYERS} layers")));
            }
            let config = canon::ordered(&Config {
                architecture: "",
                config: serde_json::Map::new(),
                os: "",
                rootfs: RootFs {
                    r#type: "layers",
                    diff_ids: manifest.layers.iter().map(|layer| layer.digest).collect(),
                },
            });
            manifest.config = Descriptor::of(CONFIG, &config);
            Ok(Some(Merged { bytes: canon::ordered(&manifest), blob: Some(config) }))
        })?;
        Ok(added)
    }

    fn signatures(&self, tag: &str, bytes: &[u8]) -> Result<Manifest, Error> {
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| self.strange(&format!("what stands under `{tag}` is no manifest: {error}")))?;
        if manifest.layers.len() > MAX_LAYERS {
            return Err(self.strange(&format!("`{tag}` holds more than {MAX_LAYERS} layers")));
        }
        Ok(manifest)
    }
}

//! `sbom`: the SBOM of an image, from the evidence beside it or from what is attached to it in a registry.

use std::path::Path;

use crate::diag::{Diagnose, Problems};
use crate::digest::Digest;
use crate::evidence::{self, Document, Evidence};
use crate::image::Opened;
use crate::registry::{self, ReferrerManifest, Repository};
use crate::sbom::{Version, cyclonedx_as};
use crate::spec::Platform;
use crate::store::output::Staging;

use super::inspect::{chosen, platform_name};
use super::source::{ImageSource, Reach};
use super::{Error, shown};

/// The most bytes of an attached SBOM.
const MAX_SBOM: u64 = 64 << 20;

/// A format of SBOMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SbomFormat {
    /// SPDX 2.3.
    Spdx,
    /// CycloneDX.
    Cyclonedx(Version),
    /// SPDX 3.0.1.
    Spdx3,
}

impl SbomFormat {
    /// Returns the document of this format.
    fn document(self) -> Document {
        match self {
            Self::Spdx => Document::Spdx,
            Self::Cyclonedx(_) => Document::Cyclonedx,
            Self::Spdx3 => Document::Spdx3,
        }
    }
}

/// What keeps `sbom` from an answer.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// Nothing beside the image and nothing attached.
    #[error("cannot print an SBOM of `{image}`: {}", if *remote { "none is attached to it" } else { "there is no evidence beside it" })]
    None {
        /// The image as the user named it.
        image: String,
        /// It stands in a registry.
        remote: bool,
    },
    /// Evidence without this document.
    #[error("cannot print an SBOM of `{image}`: its evidence has no `{document}`")]
    NoDocument {
        /// The image as the user named it.
        image: String,
        /// The document's file.
        document: &'static str,
    },
    /// An SBOM is of one platform.
    #[error("cannot print one SBOM of `{image}`: it has images for {}", platforms.join(", "))]
    Platforms {
        /// The image as the user named it.
        image: String,
        /// The platforms.
        platforms: Vec<String>,
    },
}

impl Diagnose for SbomError {
    fn code(&self) -> &'static str {
        match self {
            Self::None { .. } => "sbom::none",
            Self::NoDocument { .. } => "sbom::no-document",
            Self::Platforms { .. } => "sbom::platforms",
        }
    }

    fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::None { remote: true, .. } => "`tarsia attach` makes one of what is in the image".to_owned(),
            Self::None { .. } | Self::NoDocument { .. } => "`tarsia build` writes it".to_owned(),
            Self::Platforms { platforms, .. } => {
                format!("choose one: `--platform {}`", platforms.first().map_or("linux/amd64", String::as_str))
            }
        }]
    }
}

/// Returns the SBOM of the image named `name`, as it was written when the image was made; whether somebody vouches for
/// it is `verify`'s to say.
///
/// # Errors
/// No such image, none of that platform, several where none is named, no SBOM.
pub fn sbom(reach: &Reach<'_>, name: &str, platforms: &[Platform], format: SbomFormat) -> Result<Vec<u8>, Problems> {
    let source = ImageSource::open(reach, name)?;
    let images = chosen(&source.open, platforms)?;
    let [one] = images.as_slice() else {
        let platforms = images.iter().map(|one| platform_name(one)).collect();
        return Err(SbomError::Platforms { image: name.to_owned(), platforms }.into());
    };
    let document = format.document();
    let bytes = match (source.remote(), source.destination.path()) {
        (Some((repository, _)), _) => attached(repository, one, document)?,
        (None, Some(path)) => Some(beside(name, path, one, document)?),
        (None, None) => None,
    };
    let remote = source.remote().is_some();
    let bytes = bytes.ok_or_else(|| SbomError::None { image: name.to_owned(), remote })?;
    Ok(match format {
        SbomFormat::Cyclonedx(version) if version != Version::default() => cyclonedx_as(&bytes, version)?,
        _ => bytes,
    })
}

/// Reads a document beside the image at `path`.
fn beside(name: &str, path: &Path, one: &Opened, document: Document) -> Result<Vec<u8>, Problems> {
    let evidence = match Evidence::open_for(&Evidence::beside(path), &one.descriptor.digest) {
        Ok(evidence) => evidence,
        Err(evidence::Error::Absent { .. }) => {
            return Err(SbomError::None { image: name.to_owned(), remote: false }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let found = evidence.read(&one.descriptor.digest, document)?;
    let none = || SbomError::NoDocument { image: name.to_owned(), document: document.file_name() };
    Ok(found.ok_or_else(none)?)
}

/// Reads the document that is attached to the manifest as it is: the first of its kind in the registry's list that names
/// the manifest, else the first. Anybody may attach another, and one that cannot be read stands before none that can.
pub(super) fn attached(
    repository: &Repository<'_>,
    one: &Opened,
    document: Document,
) -> Result<Option<Vec<u8>>, Problems> {
    let (kind, own) = (document.media_type(), one.descriptor.digest.hex());
    let (mut first, mut broken) = (None, None);
    for referrer in repository.referrers(&one.descriptor.digest, Some(kind))? {
        match blob_of(repository, &referrer.digest, kind) {
            Ok(Some(bytes)) if memchr::memmem::find(&bytes, own.as_bytes()).is_some() => return Ok(Some(bytes)),
            Ok(found) => first = first.or(found),
            Err(error) => broken = broken.or(Some(error)),
        }
    }
    match (first, broken) {
        (None, Some(error)) => Err(error.into()),
        (first, _) => Ok(first),
    }
}

/// Returns the document of type `kind` that a referrer holds.
fn blob_of(repository: &Repository<'_>, referrer: &Digest, kind: &str) -> Result<Option<Vec<u8>>, registry::Error> {
    let Some(manifest) = repository.document(&referrer.to_string())? else { return Ok(None) };
    let Ok(manifest) = serde_json::from_slice::<ReferrerManifest>(&manifest.bytes) else { return Ok(None) };
    let Some(blob) = manifest.layers.into_iter().find(|blob| blob.media_type == kind && blob.size <= MAX_SBOM) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    repository.blob(&blob, &mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a document to a file, whole or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn write_sbom(path: &Path, bytes: &[u8]) -> Result<(), Problems> {
    let staging = Staging::file(path)?;
    std::fs::write(staging.path(), bytes).map_err(|source| Error::Write { path: shown(path), source })?;
    Ok(staging.commit()?)
}

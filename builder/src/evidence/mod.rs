//! The documents beside an image: `X.evidence/` beside an output `X`.
//!
//! In: finished documents by digest, and the image that they are about. Out: a directory that is written as a whole,
//! and a reader that believes nothing in it: each document is held against its digest in the index, and the index names
//! the image that it is about, so that evidence of another image is never taken for this one's. What the documents say
//! is decided elsewhere; who vouches for them is the room `sign`.
//!
//! ```text
//! evidence.json                       the index: the image, and of each document its file, media type and SHA-256
//! spdx.json cdx.json spdx3.json       the SBOMs
//! spdx-packages.json                  of an image of very many files: `spdx.json` without them, to be attested
//! provenance.json                     an in-toto statement: SLSA provenance, unsigned
//! reasons.json                        why each file is in the image
//! kit.tar.zst                         the rebuild kit, where there is one
//! linux-amd64/… linux-arm64/…         of an image of several platforms, the documents of each
//! ```
//!
//! The index has a `version`; a reader refuses any other than its own.

mod error;
mod read;
mod reasons;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use error::Error;
pub use read::Evidence;
pub use reasons::{Because, Reason, Reasons};
pub use write::{Contents, Source, Stored, fill, remove_other, stage};

use crate::attest;
use crate::digest::Digest;

/// The index's version.
pub const VERSION: u32 = 1;

/// The index's name.
pub const INDEX: &str = "evidence.json";

/// The rebuild kit's name.
pub const KIT: &str = "kit.tar.zst";

/// Media type of a rebuild kit, and its artifact type where it is attached to an image.
pub const KIT_MEDIA_TYPE: &str = "application/vnd.tarsia.kit.v1.tar+zstd";

/// A kind of document about one manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Document {
    /// SBOM in SPDX 2.3.
    Spdx,
    /// The same without its files, which names it by digest: what is attested where there are very many files.
    #[serde(rename = "spdx-packages")]
    SpdxPackages,
    /// SBOM in CycloneDX 1.6.
    Cyclonedx,
    /// SBOM in SPDX 3.0.1.
    Spdx3,
    /// SLSA provenance, as an in-toto statement.
    Provenance,
    /// Why each file is in the image.
    Reasons,
}

impl Document {
    /// The kinds that there are of every manifest. What is attested in place of one of them is not among them.
    pub const ALL: [Self; 5] = [Self::Spdx, Self::Cyclonedx, Self::Spdx3, Self::Provenance, Self::Reasons];

    /// Returns the kind's word in the index: `spdx`, `cyclonedx`, `spdx3`, `provenance`, `reasons`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spdx => "spdx",
            Self::SpdxPackages => "spdx-packages",
            Self::Cyclonedx => "cyclonedx",
            Self::Spdx3 => "spdx3",
            Self::Provenance => "provenance",
            Self::Reasons => "reasons",
        }
    }

    /// Returns the name of its file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Spdx => "spdx.json",
            Self::SpdxPackages => "spdx-packages.json",
            Self::Cyclonedx => "cdx.json",
            Self::Spdx3 => "spdx3.json",
            Self::Provenance => "provenance.json",
            Self::Reasons => "reasons.json",
        }
    }

    /// Returns its media type, which is its artifact type where it is attached to an image as it is.
    ///
    /// SPDX 3 has that of JSON-LD: readers of SPDX 2 look for `application/spdx+json` and fail on a later version.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Spdx | Self::SpdxPackages => "application/spdx+json",
            Self::Cyclonedx => "application/vnd.cyclonedx+json",
            Self::Spdx3 => "application/ld+json",
            Self::Provenance => attest::PAYLOAD,
            Self::Reasons => "application/vnd.tarsia.reasons.v1+json",
        }
    }

    /// Returns the type of the predicate that it is, or holds.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::Spdx | Self::SpdxPackages => attest::SPDX,
            Self::Cyclonedx => attest::CYCLONEDX,
            Self::Spdx3 => attest::SPDX3,
            Self::Provenance => attest::PROVENANCE,
            Self::Reasons => attest::REASONS,
        }
    }
}

/// A document as the index lists it. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listed {
    /// Its kind.
    pub document: Document,
    /// Where it stands, from the index's directory.
    pub file: String,
    /// Its media type.
    pub media_type: String,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The rebuild kit as the index lists it. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListedKit {
    file: String,
    media_type: String,
    digest: Digest,
    size: u64,
}

/// What is known of one manifest. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestEvidence {
    /// Its platform, as `linux/amd64`.
    pub platform: String,
    /// Its digest.
    pub digest: Digest,
    /// Digest of its config: what names the image in an archive for Docker, which has no manifest.
    pub config: Digest,
    /// The documents, by kind.
    pub documents: Vec<Listed>,
}

/// `evidence.json`. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Index {
    version: u32,
    name: String,
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kit: Option<ListedKit>,
    manifests: Vec<ManifestEvidence>,
}

/// Returns where a document of a platform stands in an image of `count` platforms.
fn place(platform: &str, count: usize, document: Document) -> String {
    match count {
        1 => document.file_name().to_owned(),
        _ => format!("{}/{}", directory_of(platform), document.file_name()),
    }
}

/// Returns the directory of a platform's documents: `linux/amd64` → `linux-amd64`.
fn directory_of(platform: &str) -> String {
    platform.replace('/', "-")
}

//! Inputs of a build in one place, as a directory or a tar.
//!
//! In: files by digest, and files beside a spec by name. Out: a directory, a tar, or a tar in Zstandard, the same to
//! the byte for the same files; and, the other way, a reader that finds a file by its digest. What is read from a kit
//! is no better than what a mirror gives: whoever reads it checks its digest. What the files mean is decided elsewhere.
//!
//! ```text
//! vendor.json              the manifest: path, digest, size, kind and name of every other file
//! blobs/sha256/HEX         what is known by digest alone: packages, signed metadata, fetched files
//! specs/NAME/…             a spec with what stands beside it, each under its own path; the spec builds from here
//! image.yaml image.lock    in a rebuild kit: the one spec, with what it extends and its variant on top, and its lock
//! specs/image/…            in a rebuild kit: what stands beside that spec, as it was read
//! ```
//!
//! The spec of a rebuild kit does not stand among its files: a spec that copies its whole directory would copy it.
//!
//! Blobs of several kits can be merged by copying `blobs`: they are found by name, listed or not. The manifest has a
//! `version`; a reader refuses any other than its own.

mod error;
mod open;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

use serde::{Deserialize, Serialize};

pub use error::Error;
pub use open::{Body, Kit};
pub use write::{Content, Form, Source, write, write_to};

use crate::digest::Digest;

/// The manifest's version.
pub const VERSION: u32 = 1;

/// The manifest's name.
pub const MANIFEST: &str = "vendor.json";

/// The directory of blobs.
const BLOBS: &str = "blobs/sha256";

/// The directory of specs.
const SPECS: &str = "specs";

/// The spec of a rebuild kit.
pub const SPEC: &str = "image.yaml";

/// The lock of a rebuild kit.
pub const LOCK: &str = "image.lock";

/// What [`spec_path`] calls the spec of a rebuild kit.
pub const IMAGE: &str = "image";

/// What a kit holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Every file, sorted by path, kind and name; the same path may have several names.
    pub files: Vec<File>,
}

/// One file of a kit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it stands in the kit.
    pub path: String,
    /// `package`, `in-release`, `packages-file`, `fetch`, `key`, `certificate`, `base`, `spec`, `lock`, `copy`, `ca`.
    pub kind: String,
    /// What a person knows it as: `hello 2.10-3 amd64`, an address, a path beside the spec.
    pub name: String,
    /// The archive it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Its path below the archive's base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is other than a file without an execute bit; only of what a spec copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special: Option<Special>,
}

/// What a file of a kit is, where it is not simply a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Special {
    /// The spec of a rebuild kit, where it is that of a variant: the variant's name, which the spec's ends in.
    Variant(String),
    /// A file that its owner may execute.
    Executable,
    /// A directory; listed alone, without bytes in the kit. Its digest is that of nothing.
    Directory,
    /// A symbolic link with this target; listed alone, without bytes in the kit. Its digest is that of the target.
    Link(String),
}

impl File {
    /// Returns whether its bytes stand in the kit.
    pub fn has_bytes(&self) -> bool {
        !matches!(self.special, Some(Special::Directory | Special::Link(_)))
    }
}

/// Returns where a blob stands in a kit.
pub fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// Returns where a file beside a spec stands in a kit: `path` is relative to the directory of the spec called `spec`.
///
/// `None` where it leads out of that directory, or names nothing.
pub fn spec_path(spec: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let plain = !path.starts_with('/') && !parts.is_empty() && !matches!(spec, "" | "." | "..") && !spec.contains('/');
    plain.then(|| format!("{SPECS}/{spec}/{}", parts.join("/")))
}

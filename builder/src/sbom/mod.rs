//! What an image consists of, as a document: SPDX 2.3, CycloneDX 1.5 to 1.7, SPDX 3.0.1.
//!
//! In: the values that an image was made from. Out: an [`Inventory`] of one manifest, and documents of it as bytes.
//! Nothing here reads a disk, a clock or the network; which mirror packages came from, how many threads worked and what
//! a cache held cannot reach a byte. Ids are UUIDs of the image's digest (RFC 9562, version 5), times are the lock's
//! `source-date`. An SBOM says what is in an image, never what is known to be wrong with it (BSI TR-03183-2, 3.1).

mod analyse;
mod copyright;
mod cyclonedx;
mod depends;
mod error;
mod expression;
mod identity;
mod inventory;
mod languages;
mod local;
mod party;
mod spdx;
mod spdx3;
#[cfg(test)]
mod tests;
mod underlying;

use std::collections::BTreeMap;

use crate::digest::{Digest, Sha1, Sha512};
use crate::tree::{ImagePath, Origin};

pub use analyse::{analyse, analyse_directory};
pub use cyclonedx::{Version, cyclonedx, cyclonedx_as};
pub use error::Error;
pub use inventory::{InventoryInput, Published};
pub use party::{Party, PartyKind};
pub use spdx::{MAX_ATTESTED_FILES, spdx, spdx_packages, spdx_within};
pub use spdx3::spdx3;

/// What the names of documents begin with. They name; nothing need stand there.
pub const NAMESPACE: &str = "https://tarsia.dev/sbom";

/// Everything that an image of one platform consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The image's name: the spec's, or what a person calls an image that was analysed.
    pub name: String,
    /// Digest of the manifest; of a directory, what names its content.
    pub digest: Digest,
    /// `linux/amd64`.
    pub platform: String,
    /// The time that documents carry: seconds since 1970-01-01 UTC.
    pub created: i64,
    /// Who stands behind the image and its documents, where the spec says it.
    pub author: Option<Party>,
    /// How all this came to be known.
    pub known: Known,
    /// What a reader must know of what is not in here, in sentences without a full stop.
    pub remarks: Vec<String>,
    /// The distribution that the image says it is.
    pub distro: Option<Distro>,
    /// The image itself first, then what it is built on, then packages by kind and name.
    pub components: Vec<Component>,
    /// Every regular file of the image (a hard link is one), sorted by path.
    pub files: Vec<File>,
    /// Texts of the licences that SPDX has no id for, by `LicenseRef-…`.
    pub license_texts: BTreeMap<String, LicenseText>,
}

/// How the parts of an image came to be known (CISA, *Types of SBOM documents*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// By building it: nothing is missing.
    Built,
    /// By looking at it: what no database in it names is not found.
    Analysed,
    /// By looking at a directory, which becomes an image elsewhere; whoever makes it says in which layer a file is.
    Scanned,
}

/// The distribution, by `os-release`(5) in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distro {
    /// `ID`: `debian`.
    pub id: String,
    /// `VERSION_ID`: `13`; empty for a release that has none yet.
    pub version: String,
    /// `PRETTY_NAME`.
    pub pretty_name: String,
    /// Where the file stands.
    pub path: ImagePath,
    /// Digest of the file.
    pub digest: Digest,
}

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The image.
    Image,
    /// The image that it is built on.
    Base,
    /// A Debian package.
    Debian,
    /// What the spec says of files of its own.
    Spec,
    /// A package of a language, by its purl type: `pypi`, `npm`, `gem`.
    Language(&'static str),
}

impl Kind {
    /// Returns the word that ids begin with.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Base => "base",
            Self::Debian => "deb",
            Self::Spec => "spec",
            Self::Language(purl_type) => purl_type,
        }
    }
}

/// One part of an image that has a name and a version of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version; of an image without one its digest.
    pub version: String,
    /// Debian's architecture, of a Debian package.
    pub architecture: Option<String>,
    /// Who gives it out: the archive.
    pub supplier: Option<Party>,
    /// Who makes it: the maintainer.
    pub originator: Option<Party>,
    /// Package URL.
    pub purl: Option<String>,
    /// CPE 2.3 name.
    pub cpe: Option<String>,
    /// SHA-256 of the form in which it is given out: the `.deb`, the manifest, the file.
    pub sha256: Option<Digest>,
    /// SHA-512 of the same.
    pub sha512: Option<Sha512>,
    /// Name of the file in which it is given out, without a directory.
    pub file_name: Option<String>,
    /// What it was built from.
    pub source: Option<Source>,
    /// Its home page.
    pub homepage: Option<String>,
    /// Where anybody gets it: an address in the archive's own name or of the snapshot service, never of a mirror.
    pub download: Option<String>,
    /// What it is, in a line.
    pub summary: Option<String>,
    /// Its licences.
    pub licensing: Licensing,
    /// What it depends on, as resolved; sorted by component.
    pub depends: Vec<Depends>,
    /// Packages that it names as dependencies and that are not in the image, since nothing of them is needed at run time.
    pub absent: Vec<String>,
    /// Why it is in: `requested`, the rule that brings it, or the chain of packages that leads to it.
    pub reason: String,
    /// Digest of the layer that it is in, where it has one.
    pub layer: Option<Digest>,
    /// It is a part of the base image.
    pub of_base: bool,
    /// The component whose files it stands in: of a language's package the Debian package.
    pub within: Option<usize>,
}

/// A dependency as resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depends {
    /// Index of the component that satisfies it.
    pub on: usize,
    /// The relation as the package has it, where it leaves a choice: alternatives, or a name that others provide.
    pub relation: Option<String>,
}

/// A source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where anybody gets it.
    pub location: Option<String>,
}

impl Source {
    /// Returns the source as documents word it.
    pub(crate) fn sentence(&self) -> String {
        let Self { name, version, location } = self;
        let what = if version.is_empty() { name.clone() } else { format!("{name} {version}") };
        match location {
            Some(location) => format!("built from source package {what}: {location}"),
            None => format!("built from source package {what}"),
        }
    }
}

/// What is said of a component's licences; expressions are valid SPDX ones (SPDX 2.3, annex D).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Licensing {
    /// What its authors say.
    pub declared: Option<String>,
    /// What holds for the part that is in the image.
    pub concluded: Option<String>,
    /// Notices of copyright.
    pub copyright: Option<String>,
    /// What a reader should know of this.
    pub comment: Option<String>,
}

/// The text of a licence that SPDX has no id for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseText {
    /// What its users call it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A regular file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it stands.
    pub path: ImagePath,
    /// SHA-1 of its bytes.
    pub sha1: Sha1,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// ELF, a script, or something with an execute bit.
    pub executable: bool,
    /// Index of the component that it belongs to; what was made in the build belongs to the image.
    pub owner: usize,
    /// Where it comes from.
    pub origin: Origin,
    /// Why it is in.
    pub reason: String,
}

impl File {
    /// Returns origin and reason as documents word them.
    pub fn note(&self) -> String {
        if self.reason == analyse::UNOWNED {
            return self.reason.clone();
        }
        let (origin, told) = match &self.origin {
            Origin::Package(name) => (format!("package {name}"), String::new()),
            Origin::Derived(rule) => (format!("made by rule {rule}"), format!("rule {rule}")),
            Origin::Spec(entry) => (format!("{entry} of the spec"), entry.clone()),
            Origin::Base => ("base image".to_owned(), "base".to_owned()),
        };
        // What the reason says beyond the origin.
        match self.reason.strip_prefix(&told).unwrap_or(&self.reason).trim_start_matches([':', ' ']) {
            "" => origin,
            reason => format!("{origin}; {reason}"),
        }
    }
}

impl Inventory {
    /// Returns the ids of the components: unique, of letters, digits, `.` and `-` (SPDX 2.3, 7.2), in their order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut taken = BTreeMap::<String, u32>::new();
        let mut ids = Vec::with_capacity(self.components.len());
        for component in &self.components {
            let of_base = if component.of_base && component.kind != Kind::Base { "base-" } else { "" };
            let mut id = match component.kind {
                Kind::Image | Kind::Base => component.kind.as_str().to_owned(),
                kind => format!("{of_base}{}-{}", kind.as_str(), identity::spdx_id(&component.name)),
            };
            let count = taken.entry(id.clone()).or_default();
            *count += 1;
            if *count > 1 {
                id.push_str(&format!("-{count}"));
            }
            ids.push(id);
        }
        ids
    }

    /// Returns, for each component, the indexes of its files.
    pub(crate) fn files_by_owner(&self) -> Vec<Vec<usize>> {
        let mut owned = vec![Vec::new(); self.components.len()];
        for (number, file) in self.files.iter().enumerate() {
            owned[file.owner].push(number);
        }
        owned
    }

    /// Returns [`Inventory::created`] as RFC 3339 writes it, in UTC, without fractions.
    pub(crate) fn created(&self) -> String {
        let time = jiff::Timestamp::from_second(self.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Returns the UUID of the image's documents (RFC 9562, version 5): one name and one digest always have the same.
    pub fn uuid(&self) -> uuid::Uuid {
        let name = format!("{NAMESPACE}/{}/{}", self.name, self.digest);
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// Returns the name space of the image's documents, a URI.
    pub fn namespace(&self) -> String {
        format!("{NAMESPACE}/{}-{}", identity::spdx_id(&self.name), self.uuid())
    }

    /// Returns the program that writes documents, with its version: `tarsia-0.1.0`.
    pub(crate) fn tool() -> String {
        format!("tarsia-{}", env!("CARGO_PKG_VERSION"))
    }

    /// Returns the id of a file, derived from its path.
    pub(crate) fn file_id(file: &File) -> String {
        Digest::of(file.path.as_str().as_bytes()).hex()[..24].to_owned()
    }

    /// Returns the component that the one at `number` is a part of: of a language's package the one whose files it stands
    /// in, of what a base brings the base, else the image.
    pub(crate) fn above(&self, number: usize) -> usize {
        let component = &self.components[number];
        let base = || self.components.iter().position(|component| component.kind == Kind::Base);
        match component.within {
            Some(within) => within,
            None if component.of_base && component.kind != Kind::Base => base().unwrap_or(0),
            None => 0,
        }
    }

    /// Returns the component that has no other above it: the image.
    pub(crate) fn image(&self) -> &Component {
        &self.components[0]
    }
}

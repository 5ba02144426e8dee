//! The lock: every input of a spec by digest. The format, nothing else.
//!
//! TOML, written by one canonical writer, sorted. `version` is the format: a reader refuses another one. `revision`
//! is raised for additions that an older reader of the same `version` may leave out of account.

mod change;
mod read;
mod reference;
mod write;

pub use change::{Move, moved};
pub use read::Error;
pub use reference::Reference;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The format this release reads and writes.
pub const VERSION: u32 = 1;
/// Additions to [`VERSION`] that this release writes; a reader accepts any.
///
/// 1: variants, local packages, `keep` of a package. 2: `signature`, `source-date-given`.
pub const REVISION: u32 = 2;
/// The archive of a package that is a file beneath the spec's directory.
pub const LOCAL: &str = "local";
/// Number of everything that shapes bytes: tar rules, cut rule, codecs and their exact versions.
pub const ENCODING: u32 = 1;
/// Number of the tables that decide what is kept or derived.
pub const RULES: u32 = 3;
/// The latest time that a lock can name, in seconds since 1970-01-01 UTC: the last day but one of the year 9999.
pub const MAX_TIME: i64 = 253_402_207_200;

/// A whole lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Format; a reader refuses any other than its own.
    pub version: u32,
    /// Additions to the format that may be ignored.
    pub revision: u32,
    /// The release that wrote this lock; named where `encoding` or `rules` do not fit.
    pub tarsia: String,
    /// Number of everything that shapes bytes: tar rules, cut rule, codecs.
    pub encoding: u32,
    /// Number of the tables that decide what is kept or derived.
    pub rules: u32,
    /// Digest of the parsed spec's explicit keys.
    pub spec: Digest,
    /// The effective `keep`: `runtime`, `all` or `needed`.
    pub keep: String,
    /// The only clock: seconds since 1970-01-01 UTC. The newest date of the metadata sets, unless it was given.
    pub source_date: i64,
    /// `source_date` was given by `SOURCE_DATE_EPOCH` when the lock was made (since revision 2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_date_given: bool,
    /// Archives by name; each the metadata sets that packages of this lock stand in. Sorted by (name, suite, InRelease digest).
    #[serde(default, rename = "archive", skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<MetadataSet>,
    /// Fetched files, keys, certificates, local packages: sorted by (kind, name).
    #[serde(default, rename = "input", skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<LockedInput>,
    /// Per platform (`linux/amd64`), what is installed and how it is cut.
    pub platform: BTreeMap<String, PlatformLock>,
    /// Per variant of the spec, the same for that one; only the archives are shared. Empty in a [`Lock::section`].
    #[serde(default, rename = "variant", skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, VariantLock>,
}

/// What a lock says of one variant; each field as of [`Lock`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VariantLock {
    /// Digest of the parsed spec's explicit keys with the variant's on top.
    pub spec: Digest,
    /// The variant's `keep`.
    pub keep: String,
    /// The variant's clock.
    pub source_date: i64,
    /// `source_date` was given by `SOURCE_DATE_EPOCH` when this was made (since revision 2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_date_given: bool,
    /// The variant's inputs.
    #[serde(default, rename = "input", skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<LockedInput>,
    /// The variant's platforms.
    pub platform: BTreeMap<String, PlatformLock>,
}

/// One verified state of one suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MetadataSet {
    /// Which archive: `debian`, `debian-security`, or the name in the spec.
    pub name: String,
    /// The suite as it stands in the path below `dists/`: `trixie-updates`; of a flat archive the directory of its
    /// Release, `./` or `sub/`.
    pub suite: String,
    /// Digest of InRelease; of Release, where `signature` stands beside it.
    pub in_release: Digest,
    /// Digest of Release.gpg, for an archive without InRelease (since revision 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Digest>,
    /// `Date` of the Release, seconds since 1970-01-01 UTC.
    pub date: i64,
    /// `Valid-Until`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<i64>,
    /// Fingerprints (upper-case hex) of the primary keys whose signatures hold, sorted.
    pub signers: Vec<String>,
    /// The Packages files read, sorted by path.
    pub packages: Vec<PackagesFile>,
}

/// One Packages file of a suite, as compressed in the archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackagesFile {
    /// Path below `dists/SUITE/`: `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// Its digest, as signed.
    pub digest: Digest,
    /// Its size in bytes, as signed.
    pub size: u64,
}

/// A fetched file, key, certificate or local package that the spec names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedInput {
    /// `fetch`, `key`, `certificate`, `base` or `package`.
    pub kind: String,
    /// URL or path as the spec says it.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// One platform's share of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlatformLock {
    /// Package layers, lowest first. `state` and `files` follow and are not named.
    pub layers: Vec<String>,
    /// Sorted by name, then architecture.
    #[serde(default, rename = "package", skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<LockedPackage>,
}

/// One package of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// Binary package name.
    pub name: String,
    /// Version with epoch and revision.
    pub version: String,
    /// Debian architecture: `amd64`, `all`.
    pub architecture: String,
    /// Source package name.
    pub source: String,
    /// Source version where it differs from `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// The metadata set its stanza stands in: archive name; [`LOCAL`] for a file beneath the spec's directory.
    pub archive: String,
    /// The metadata set its stanza stands in: digest of InRelease. Nobody signed a local package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_release: Option<Digest>,
    /// Path below the archive's base (`Filename`), or of a local package below the spec's directory.
    pub path: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub digest: Digest,
    /// Why it is in.
    pub why: Why,
    /// Exists only for maintainer scripts: falls away in selection unless requested.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub script_only: bool,
    /// How much of it is kept, where the spec says so for this package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// The layer it goes to, one of the platform's `layers`.
    pub layer: String,
}

impl LockedPackage {
    /// Returns the path below the spec's directory of a package that is a file there.
    pub fn local_path(&self) -> Option<&str> {
        (self.archive == LOCAL && self.in_release.is_none()).then_some(self.path.as_str())
    }
}

/// Why a package is in a lock; written as `requested`, `implicit: RULE` or `A > B` (shortest chain, root first, without the package itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The spec names it.
    Requested,
    /// A rule of the implicit table brings it; the rule's trigger, as `libc6` or `always`.
    Implicit(String),
    /// The packages that lead to it, root first.
    Dependency(Vec<String>),
}

impl Serialize for Why {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Why {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "requested" => Self::Requested,
            other => match other.strip_prefix("implicit: ") {
                Some(rule) => Self::Implicit(rule.to_owned()),
                None => Self::Dependency(other.split(" > ").map(str::to_owned).collect()),
            },
        })
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requested => f.write_str("requested"),
            Self::Implicit(rule) => write!(f, "implicit: {rule}"),
            Self::Dependency(chain) => f.write_str(&chain.join(" > ")),
        }
    }
}

/// Returns the path of a suite's directory below its archive's base, with a slash at its end: `dists/trixie/`; of a flat
/// archive, whose suite ends in a slash, that directory itself, which may be the base.
pub fn suite_directory(suite: &str) -> String {
    match suite {
        "./" => String::new(),
        flat if flat.ends_with('/') => flat.to_owned(),
        pooled => format!("dists/{pooled}/"),
    }
}

impl Lock {
    /// Returns the metadata set that a package's stanza stands in.
    pub fn set_of(&self, package: &LockedPackage) -> Option<&MetadataSet> {
        self.archives.iter().find(|set| is_of(set, package))
    }

    /// Returns what the lock says of the spec, or of one of its variants, as a lock of its own; `None` where it does
    /// not have the variant.
    pub fn section(&self, variant: Option<&str>) -> Option<Self> {
        let mut section = Self { variants: BTreeMap::new(), ..self.clone() };
        if let Some(name) = variant {
            let VariantLock { spec, keep, source_date, source_date_given, inputs, platform } =
                self.variants.get(name)?.clone();
            section = Self { spec, keep, source_date, source_date_given, inputs, platform, ..section };
        }
        section.drop_unused_sets();
        Some(section)
    }

    /// Puts `section` in the place of what the lock says of a variant, or of the spec itself.
    pub fn put(&mut self, variant: Option<&str>, section: Self) {
        let Self { spec, keep, source_date, source_date_given, inputs, platform, archives, .. } = section;
        match variant {
            Some(name) => {
                let variant = VariantLock { spec, keep, source_date, source_date_given, inputs, platform };
                self.variants.insert(name.to_owned(), variant);
            }
            None => *self = Self { spec, keep, source_date, source_date_given, inputs, platform, ..self.clone() },
        }
        for set in archives {
            match self.archives.iter_mut().find(|known| known.name == set.name && known.in_release == set.in_release) {
                // One section may be for more platforms than another.
                Some(known) => {
                    known.packages.extend(set.packages);
                    known.packages.sort();
                    known.packages.dedup();
                }
                None => self.archives.push(set),
            }
        }
        self.archives.sort_by(|a, b| (&a.name, &a.suite, a.in_release).cmp(&(&b.name, &b.suite, b.in_release)));
        self.drop_unused_sets();
    }

    /// Drops metadata sets that no package stands in: a set leaves with its last package.
    pub fn drop_unused_sets(&mut self) {
        let Self { archives, platform, variants, .. } = self;
        let shares = platform.values().chain(variants.values().flat_map(|variant| variant.platform.values()));
        let packages: Vec<&LockedPackage> = shares.flat_map(|share| &share.packages).collect();
        archives.retain(|set| packages.iter().any(|package| is_of(set, package)));
    }
}

fn is_of(set: &MetadataSet, package: &LockedPackage) -> bool {
    package.archive == set.name && package.in_release == Some(set.in_release)
}

#[cfg(test)]
mod tests {
    use super::read::tests::{package, sample};
    use super::*;

    #[test]
    fn a_section_is_a_lock_and_goes_back_where_it_came_from() {
        let whole = sample();
        let mut other = whole.archives[0].clone();
        (other.suite, other.in_release) = ("trixie-updates".to_owned(), Digest::of(b"updates"));
        let mut debug = whole.section(None).unwrap();
        let mut strace = package("strace", "6.1");
        strace.in_release = Some(other.in_release);
        debug.archives.push(other);
        debug.platform.get_mut("linux/amd64").unwrap().packages.push(strace);
        debug.keep = "all".to_owned();

        let mut both = whole.clone();
        both.put(Some("debug"), debug.clone());
        assert_eq!(both.archives.len(), 2);
        assert_eq!(both.section(None).unwrap(), whole);
        assert_eq!(both.section(Some("debug")).unwrap(), debug);
        assert_eq!(both.section(Some("test")), None);
        assert_eq!(Lock::parse("web.lock", &both.to_text()).unwrap(), both);
        both.put(Some("debug"), whole.clone());
        assert_eq!(both.archives.len(), 1, "a set leaves with its last package");
    }
}

//! One package as its archive describes it.

use crate::deb822::{Dependency, Version};
use crate::digest::Digest;

/// `Multi-Arch` of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MultiArch {
    /// `no`, and where the field is absent.
    No,
    /// `same`: installed once per architecture.
    Same,
    /// `foreign`: serves packages of every architecture.
    Foreign,
    /// `allowed`: serves those that ask with `:any`.
    Allowed,
}

/// `Priority` of a package, the highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The field is absent; apt ranks that before all others.
    Unstated,
    /// `required`.
    Required,
    /// `important`.
    Important,
    /// `standard`.
    Standard,
    /// `optional`.
    Optional,
    /// `extra`, and every other word.
    Extra,
}

/// A package that can be chosen; everything it says was signed, or stands in a file of the spec's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Package name.
    pub name: String,
    /// Version with epoch and revision.
    pub version: Version,
    /// Debian architecture: the one asked for, or `all`.
    pub architecture: String,
    /// How it stands to other architectures.
    pub multi_arch: MultiArch,
    /// Source package name.
    pub source: String,
    /// Source version; equal to `version` where the stanza names none.
    pub source_version: String,
    /// `Pre-Depends`, then `Depends`.
    pub depends: Vec<Dependency>,
    /// `Conflicts`.
    pub conflicts: Vec<Dependency>,
    /// `Breaks`.
    pub breaks: Vec<Dependency>,
    /// `Provides`.
    pub provides: Vec<Dependency>,
    /// `Replaces`.
    pub replaces: Vec<Dependency>,
    /// `Recommends` as written: they install nothing, and only the names that they mention matter.
    pub recommends: Box<str>,
    /// `Suggests`, likewise.
    pub suggests: Box<str>,
    /// `Enhances`, likewise.
    pub enhances: Box<str>,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Protected: yes`, or `Important: yes` as apt called it.
    pub protected: bool,
    /// `Priority`.
    pub priority: Priority,
    /// `Installed-Size` in KiB, 0 where absent.
    pub installed_size_kib: u64,
    /// `Filename`: path below the archive's base, without `..`.
    pub path: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub digest: Digest,
    /// Archive it stands in: `debian`, `debian-security`, the name in the spec, or [`LOCAL`](crate::lock::LOCAL).
    pub archive: String,
    /// Suite it stands in.
    pub suite: String,
    /// Digest of the InRelease, or of the Release, that signs it; `None` for a package of the spec's own directory.
    pub in_release: Option<Digest>,
}

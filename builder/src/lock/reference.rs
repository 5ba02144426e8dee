//! Every input that a lock names, in one list.

use super::{Lock, LockedInput, LockedPackage, MetadataSet, PackagesFile, suite_directory};
use crate::digest::Digest;

/// An input that a lock names by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// A locked package.
    Package(&'a LockedPackage),
    /// The signed file of a metadata set.
    InRelease(&'a MetadataSet),
    /// The signatures of a metadata set whose signed file has none in it: Release.gpg.
    Signature(&'a MetadataSet, Digest),
    /// A Packages file of a metadata set.
    PackagesFile(&'a MetadataSet, &'a PackagesFile),
    /// A fetched file, or a file beside the spec: a key, a certificate, a package.
    Input(&'a LockedInput),
}

impl Reference<'_> {
    /// Returns what kind of input it is, as manifests and messages say it.
    pub fn kind(&self) -> &str {
        match self {
            Self::Package(_) => "package",
            Self::InRelease(_) => "in-release",
            Self::Signature(..) => "signature",
            Self::PackagesFile(..) => "packages-file",
            Self::Input(input) => &input.kind,
        }
    }

    /// Returns what a person knows it as.
    pub fn name(&self) -> String {
        match self {
            Self::Package(package) => format!("{} {} {}", package.name, package.version, package.architecture),
            Self::InRelease(set) => format!("{} {} {}", set.name, set.suite, signed_file(set)),
            Self::Signature(set, _) => format!("{} {} Release.gpg", set.name, set.suite),
            Self::PackagesFile(set, file) => format!("{} {} {}", set.name, set.suite, file.path),
            Self::Input(input) => input.name.clone(),
        }
    }

    /// Returns the archive it is of, and its path below the archive's base.
    pub fn location(&self) -> Option<(&str, String)> {
        match self {
            Self::Package(package) => Some((&package.archive, package.path.clone())),
            Self::InRelease(set) => Some((&set.name, format!("{}{}", suite_directory(&set.suite), signed_file(set)))),
            Self::Signature(set, _) => Some((&set.name, format!("{}Release.gpg", suite_directory(&set.suite)))),
            Self::PackagesFile(set, file) => Some((&set.name, format!("{}{}", suite_directory(&set.suite), file.path))),
            Self::Input(_) => None,
        }
    }

    /// Returns its digest.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Package(package) => package.digest,
            Self::InRelease(set) => set.in_release,
            Self::Signature(_, digest) => *digest,
            Self::PackagesFile(_, file) => file.digest,
            Self::Input(input) => input.digest,
        }
    }

    /// Returns whether it stands beside the spec; everything else comes from the network.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Input(input) if input.kind != "fetch")
    }
}

/// Returns the name of the file that is signed.
fn signed_file(set: &MetadataSet) -> &'static str {
    if set.signature.is_some() { "Release" } else { "InRelease" }
}

impl Lock {
    /// Returns every input that this lock names by digest: packages of the platforms that `wanted` agrees to, and all
    /// else, because a lock is proved as a whole. One input may come several times.
    pub fn references(&self, wanted: impl Fn(&str) -> bool) -> Vec<Reference<'_>> {
        let mut all = Vec::new();
        for set in &self.archives {
            all.push(Reference::InRelease(set));
            all.extend(set.signature.map(|digest| Reference::Signature(set, digest)));
            all.extend(set.packages.iter().map(|file| Reference::PackagesFile(set, file)));
        }
        all.extend(self.inputs.iter().map(Reference::Input));
        for (_, share) in self.platform.iter().filter(|(name, _)| wanted(name)) {
            // A local package is an input.
            let packages = share.packages.iter().filter(|package| package.local_path().is_none());
            all.extend(packages.map(Reference::Package));
        }
        all
    }
}

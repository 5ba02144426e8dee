//! `diff`: how two images, or two locks, differ.
//!
//! In: two images or two locks by name. Out: a [`Diff`]: the comparison, and for each platform of images what it means
//! for packages, files, surface and sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::compare::{self, Class, Comparison, LockComparison, ManifestComparison};
use crate::diag::Problems;
use crate::image::{self, Opened, Rootfs};
use crate::lock::Lock;
use crate::policy::{Content, Depth, survey};
use crate::spec::Platform;
use crate::tar::read::Kind;

use super::inspect::{Detail, ManifestSummary, PackageSummary, chosen, summary_of};
use super::source::{ImageSource, Reach};
use super::{Error, shown};

/// How two things differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Diff {
    /// Two images.
    Images(Box<ImageDiff>),
    /// Two locks.
    Locks(LockComparison),
}

impl Diff {
    /// Returns whether the two do not differ at all.
    pub fn same(&self) -> bool {
        match self {
            Self::Images(diff) => diff.comparison.same,
            Self::Locks(comparison) => comparison.same,
        }
    }
}

/// How two images differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageDiff {
    /// What differs, one by one.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// What that means, for each platform that differs.
    pub summaries: Vec<PlatformSummary>,
}

/// What differences of one platform come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformSummary {
    /// As in the comparison.
    pub platform: String,
    /// `different`, `same content, other encoding`, …
    pub verdict: &'static str,
    /// Packages that were added, removed or changed, by name.
    pub packages: Vec<PackageChange>,
    /// Paths that are no directories and that the second image alone has, when its layers are stacked.
    pub files_added: u64,
    /// Paths that are no directories and that the first image alone has.
    pub files_removed: u64,
    /// Paths of both that are no directories and in which something differs.
    pub files_changed: u64,
    /// Layers of the second image.
    pub layers: u64,
    /// Layers of the second image that the first one does not have as they are: what is pulled by whoever has the
    /// first.
    pub layers_new: u64,
    /// Bytes of those as stored.
    pub layers_new_bytes: u64,
    /// Counts and sizes by name, in a fixed order, those that are the same too.
    pub totals: Vec<Total>,
    /// What came to or went from the surface: `setuid`, `world-writable`, `shell`, `capability`.
    pub surface: Vec<Gone>,
}

/// A package that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// Its versions in the first image; `None` where it has none.
    pub a: Option<String>,
    /// Its versions in the second image; `None` where it has none.
    pub b: Option<String>,
}

/// A number of both images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Of what.
    pub name: &'static str,
    /// In the first image.
    pub a: u64,
    /// In the second image.
    pub b: u64,
}

/// A path that came to the surface, or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// As what.
    pub finding: &'static str,
    /// The path.
    pub path: String,
    /// Whether it is new in the second image; else it is gone.
    pub new: bool,
}

/// Compares two images, or two locks where both names end in `.lock`.
///
/// Images of registries are fetched as far as they differ. `platforms` restricts the comparison of images to those; empty means all. `scratch` is a directory in which
/// anonymous files may be made.
///
/// # Errors
/// What cannot be read or does not hold together; a platform that neither image has.
pub fn diff(reach: &Reach<'_>, a: &str, b: &str, platforms: &[Platform], scratch: &Path) -> Result<Diff, Problems> {
    let is_lock =
        |name: &str| Path::new(name).extension().is_some_and(|end| end == "lock") && !Path::new(name).is_dir();
    match (is_lock(a), is_lock(b)) {
        (true, true) => Ok(Diff::Locks(compare::locks((a, b), &read_lock(a)?, &read_lock(b)?))),
        (true, false) => Err(Error::LockAndImage { lock: a.to_owned(), other: b.to_owned() }.into()),
        (false, true) => Err(Error::LockAndImage { lock: b.to_owned(), other: a.to_owned() }.into()),
        (false, false) => {
            let (one, other) = (ImageSource::open(reach, a)?, ImageSource::open(reach, b)?);
            for platform in platforms {
                // That one side lacks it is a difference; where both do, nothing was asked.
                if chosen(&one.open, &[*platform]).is_err() {
                    chosen(&other.open, &[*platform])?;
                }
            }
            let pairs = compare::pairs(&one.open, &other.open, platforms);
            let differ = pairs.matched.iter().filter(|(a, b)| a.descriptor.digest != b.descriptor.digest);
            let (images_a, images_b): (Vec<&Opened>, Vec<&Opened>) = differ.copied().unzip();
            one.fetch(&images_a)?;
            other.fetch(&images_b)?;
            let (one, other) = (&one.open, &other.open);
            Ok(Diff::Images(Box::new(images(one, other, platforms, scratch)?)))
        }
    }
}

/// Compares two open images.
fn images(
    a: &image::OpenImage,
    b: &image::OpenImage,
    platforms: &[Platform],
    scratch: &Path,
) -> Result<ImageDiff, compare::Error> {
    let (mut manifests, mut summaries) = (Vec::new(), Vec::new());
    for (one, other) in compare::pairs(a, b, platforms).matched {
        if one.descriptor.digest == other.descriptor.digest {
            manifests.push(compare::same(one, other));
            continue;
        }
        let (survey_a, survey_b) = (survey(a, one, Depth::Surface)?, survey(b, other, Depth::Surface)?);
        let owners = (survey_a.owners(), survey_b.owners());
        let found = compare::manifest((a, one), (b, other), (&owners.0, &owners.1), scratch)?;
        let sides = [
            (one, &survey_a.rootfs, summary_of(a.name(), one, &survey_a, Detail::default())?),
            (other, &survey_b.rootfs, summary_of(b.name(), other, &survey_b, Detail::default())?),
        ];
        summaries.push(summary(&found, &sides));
        manifests.push(found);
    }
    Ok(ImageDiff { comparison: compare::whole(a, b, platforms, manifests), summaries })
}

fn read_lock(name: &str) -> Result<Lock, Problems> {
    let path = Path::new(name);
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NoLock { path: shown(path) },
        _ => Error::Read { path: shown(path), source },
    })?;
    Ok(Lock::parse(name, &text)?)
}

/// One side: an image, its stacked layers, and what they hold.
type SummarySide<'a> = (&'a Opened, &'a Rootfs<Content>, ManifestSummary);

fn summary(found: &ManifestComparison, sides: &[SummarySide<'_>; 2]) -> PlatformSummary {
    let [(one, rootfs_a, a), (other, rootfs_b, b)] = sides;
    let files = |rootfs: &Rootfs<Content>, than: &Rootfs<Content>| {
        let own = rootfs.nodes.iter().filter(|(_, node)| node.kind != Kind::Directory);
        own.filter(|(path, _)| !than.nodes.contains_key(*path)).count() as u64
    };
    let changed: BTreeSet<&str> = found
        .differences
        .iter()
        .filter(|one| !matches!(one.class, Class::Name | Class::Config | Class::Manifest))
        .filter_map(|one| one.at.as_deref()?.strip_prefix('/'))
        .filter(|path| rootfs_a.nodes.contains_key(*path))
        .filter(|path| rootfs_b.nodes.get(*path).is_some_and(|node| node.kind != Kind::Directory))
        .collect();
    let known: BTreeSet<_> = one.layers.iter().map(|layer| layer.descriptor.digest).collect();
    let new: Vec<u64> = other
        .layers
        .iter()
        .map(|layer| &layer.descriptor)
        .filter(|layer| !known.contains(&layer.digest))
        .map(|layer| layer.size)
        .collect();
    let total = |name, of: &dyn Fn(&ManifestSummary) -> u64| Total { name, a: of(a), b: of(b) };
    let mut surface = Vec::new();
    for (finding, of) in [
        ("setuid", (|one| &one.surface.setuid) as fn(&ManifestSummary) -> &Vec<String>),
        ("world-writable", |one| &one.surface.world_writable),
        ("shell", |one| &one.surface.shells),
        ("capability", |one| &one.surface.capabilities),
    ] {
        let (before, after): (BTreeSet<&String>, BTreeSet<&String>) = (of(a).iter().collect(), of(b).iter().collect());
        let gone = before.difference(&after).map(|path| (*path, false));
        let paths = gone.chain(after.difference(&before).map(|path| (*path, true)));
        surface.extend(paths.map(|(path, new)| Gone { finding, path: path.clone(), new }));
    }
    PlatformSummary {
        platform: found.platform.clone(),
        verdict: found.verdict(),
        packages: packages(&a.packages, &b.packages),
        files_added: files(rootfs_b, rootfs_a),
        files_removed: files(rootfs_a, rootfs_b),
        files_changed: changed.len() as u64,
        layers: other.layers.len() as u64,
        layers_new: new.len() as u64,
        layers_new_bytes: new.iter().fold(0, |sum, size| size.saturating_add(sum)),
        totals: vec![
            total("compressed bytes", &|one| one.surface.compressed),
            total("bytes of files", &|one| one.surface.bytes),
            total("files", &|one| one.surface.files),
            total("directories", &|one| one.surface.directories),
            total("packages", &|one| one.packages.len() as u64),
            total("ELF files", &|one| one.surface.elf),
            total("setuid files", &|one| one.surface.setuid.len() as u64),
            total("world-writable paths", &|one| one.surface.world_writable.len() as u64),
            total("shells", &|one| one.surface.shells.len() as u64),
            total("files with capabilities", &|one| one.surface.capabilities.len() as u64),
        ],
        surface,
    }
}

fn packages(a: &[PackageSummary], b: &[PackageSummary]) -> Vec<PackageChange> {
    // A name may come in several architectures.
    let by_name = |all: &[PackageSummary]| {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for package in all {
            names.entry(package.name.clone()).or_default().push(package.version.clone());
        }
        names.into_iter().map(|(name, versions)| (name, versions.join(", "))).collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (by_name(a), by_name(b));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change =
        |name: &String| PackageChange { name: name.clone(), a: before.get(name).cloned(), b: after.get(name).cloned() };
    names.into_iter().map(change).filter(|change| change.a != change.b).collect()
}

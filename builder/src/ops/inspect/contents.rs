//! What each layer holds by package, and what an update of a package makes others pull again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::image::Opened;
use crate::policy::Survey;
use crate::tar::read::Kind;

use super::{PackageSummary, STATUS_D};

/// One layer by package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerContents {
    /// Number of the layer, the lowest being 0.
    pub layer: usize,
    /// Bytes of its blob.
    pub size: u64,
    /// What it holds, the largest first; what belongs to no package comes last.
    pub packages: Vec<PackageContents>,
}

/// What a layer holds of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageContents {
    /// The package; `None` for what belongs to none.
    pub name: Option<String>,
    /// Its version, where the image says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Paths that are no directories.
    pub files: u64,
    /// Bytes of its regular files.
    pub bytes: u64,
    /// Bytes as stored that whoever has the image pulls again when this package alone is updated: those of every layer
    /// that holds some of it, and of those that hold no package, since they are made of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulled: Option<u64>,
    /// The paths, the largest first, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<PathSize>>,
}

/// A path that is no directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathSize {
    /// Absolute path.
    pub path: String,
    /// Bytes of a regular file, else 0.
    pub size: u64,
}

/// Returns what each layer holds, as far as nothing above hides it; with every path where `paths` asks.
pub(super) fn contents(one: &Opened, survey: &Survey, packages: &[PackageSummary], paths: bool) -> Vec<LayerContents> {
    let owners = survey.owners();
    let mut layers: Vec<BTreeMap<Option<&str>, Vec<PathSize>>> = vec![BTreeMap::new(); one.layers.len()];
    let mut homes: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (path, node) in survey.rootfs.nodes.iter().filter(|(_, node)| node.kind != Kind::Directory) {
        // What dpkg says of a package stands in no list of its files.
        let told = || path.strip_prefix(STATUS_D).map(|name| name.trim_end_matches(".md5sums"));
        let owner = owners.of(path).or_else(|| told().filter(|name| !name.contains('/')));
        if let Some(owner) = owner {
            homes.entry(owner).or_default().insert(node.layer);
        }
        layers[node.layer].entry(owner).or_default().push(PathSize { path: format!("/{path}"), size: node.size });
    }
    let held: BTreeSet<usize> = homes.values().flatten().copied().collect();
    let size = |layer: usize| one.layers[layer].descriptor.size;
    let always =
        (0..layers.len()).filter(|layer| !held.contains(layer)).fold(0u64, |sum, n| sum.saturating_add(size(n)));
    let summed = |layer: usize, groups: BTreeMap<Option<&str>, Vec<PathSize>>| {
        let mut packages: Vec<PackageContents> = groups
            .into_iter()
            .map(|(owner, mut found)| {
                found.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
                let homes = owner.and_then(|owner| homes.get(owner));
                PackageContents {
                    name: owner.map(str::to_owned),
                    version: packages
                        .iter()
                        .find(|one| Some(one.name.as_str()) == owner)
                        .map(|one| one.version.clone()),
                    files: found.len() as u64,
                    bytes: found.iter().fold(0, |sum, one| one.size.saturating_add(sum)),
                    pulled: homes.map(|homes| homes.iter().fold(always, |sum, n| sum.saturating_add(size(*n)))),
                    paths: paths.then_some(found),
                }
            })
            .collect();
        packages.sort_by(|a, b| (a.name.is_none(), b.bytes, &a.name).cmp(&(b.name.is_none(), a.bytes, &b.name)));
        LayerContents { layer, size: size(layer), packages }
    };
    layers.into_iter().enumerate().map(|(layer, groups)| summed(layer, groups)).collect()
}

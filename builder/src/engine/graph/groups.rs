//! Which layers of a lock are opened together.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::lock::{LockedPackage, PlatformLock};
use crate::spec::Platform;

/// The most opens of one platform: Docker 20.10 solves 36 side by side, and fails now and then from 48 on.
pub const MAX_OPENS: usize = 32;

/// The most of them that hold layers with packages of the spec's own directory.
const MAX_LOCAL: usize = 8;

/// Layers of one platform whose packages one operation opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerGroup {
    /// The platform.
    pub platform: Platform,
    /// The layers, sorted; each has a package.
    pub layers: Vec<String>,
    /// Whether a package among them stands beneath the spec's directory.
    pub local: bool,
}

impl LayerGroup {
    /// Returns the packages that are opened, sorted by layer and name.
    pub fn packages<'a>(&self, locked: &'a PlatformLock) -> Vec<&'a LockedPackage> {
        let mut packages: Vec<_> =
            locked.packages.iter().filter(|package| self.layers.contains(&package.layer)).collect();
        packages.sort_by(|a, b| (&a.layer, &a.name).cmp(&(&b.layer, &b.name)));
        packages
    }
}

/// Returns the groups of a platform's layers, at most [`MAX_OPENS`], in the order of their first layers. Layers with and
/// without local packages never share one.
///
/// As a rule each layer stands alone. Where there are more layers than that, they are spread by their names and by the
/// magnitude of their packages alone, so that another size of a package moves nothing, and another layer moves few.
pub fn groups(platform: Platform, locked: &PlatformLock) -> Vec<LayerGroup> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut with_local = BTreeSet::new();
    for package in &locked.packages {
        let size = sizes.entry(&package.layer).or_default();
        *size = size.saturating_add(package.size);
        if package.local_path().is_some() {
            with_local.insert(package.layer.as_str());
        }
    }
    let (local, fetched): (Vec<_>, Vec<_>) = sizes.into_iter().partition(|(layer, _)| with_local.contains(layer));
    let reserved = local.len().min(MAX_LOCAL);
    let mut groups = Vec::new();
    for (layers, bins, local) in [(local, reserved, true), (fetched, MAX_OPENS - reserved, false)] {
        let spread = spread(&layers, bins).into_iter().filter(|layers| !layers.is_empty());
        groups.extend(spread.map(|layers| LayerGroup { platform, layers, local }));
    }
    groups.sort_by(|a, b| a.layers.cmp(&b.layers));
    groups
}

/// Spreads layers, each with the bytes of its packages, over at most `bins` groups: rendezvous hashing with bounded
/// loads.
fn spread(layers: &[(&str, u64)], bins: usize) -> Vec<Vec<String>> {
    if layers.len() <= bins {
        return layers.iter().map(|(layer, _)| vec![(*layer).to_owned()]).collect();
    }
    // Four orders of magnitude between 64 KiB and 16 MiB, a factor of four each.
    let weight = |size: u64| 1u64 << (2 * (size >> 16).max(1).ilog(4).min(4));
    let mut ordered: Vec<(u64, Digest, &str)> =
        layers.iter().map(|(layer, size)| (weight(*size), Digest::of(layer.as_bytes()), *layer)).collect();
    // Large ones first, because they fit into few places.
    ordered.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let total: u64 = ordered.iter().map(|(weight, ..)| weight).sum();
    let capacity = (total + total / 4).div_ceil(bins as u64).max(ordered[0].0);
    let mut loads = vec![0u64; bins];
    let mut spread = vec![Vec::new(); bins];
    for (weight, _, layer) in ordered {
        let mut order: Vec<(Digest, usize)> =
            (0..bins).map(|bin| (Digest::of(format!("{bin}/{layer}").as_bytes()), bin)).collect();
        order.sort();
        let fits = order.iter().map(|(_, bin)| *bin).find(|bin| loads[*bin] + weight <= capacity);
        // Where it fits nowhere, the emptiest takes it.
        let bin = fits.unwrap_or_else(|| (0..bins).min_by_key(|bin| loads[*bin]).unwrap_or_default());
        loads[bin] += weight;
        spread[bin].push(layer.to_owned());
    }
    for layers in &mut spread {
        layers.sort();
    }
    spread
}

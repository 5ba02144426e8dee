//! Rules that cut packages into layers.

use std::collections::{BTreeMap, BTreeSet};

use tarsia::digest::Digest;
use tarsia::resolve::{Planned, plan_layers};

/// A package as rules see it.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) source: String,
    /// The source's version today.
    pub(crate) version: String,
    /// Bytes in the image, uncompressed.
    pub(crate) installed: u64,
    /// Bytes in the image, compressed.
    pub(crate) size: u64,
    /// Days and versions of its source, oldest first.
    pub(crate) history: Vec<(i64, String)>,
}

impl Unit {
    /// Returns the version of its source on a day.
    fn version_at(&self, day: i64) -> &str {
        let before = self.history.iter().rev().find(|(when, _)| *when <= day);
        before.map_or(&self.version, |(_, version)| version)
    }
}

/// A rule: packages, the most layers, and the day on which it looks; out comes the layer of each package.
type Rule = fn(&[Unit], usize, i64) -> Vec<usize>;

/// All rules, by name.
pub(crate) const RULES: [(&str, Rule); 9] = [
    ("one layer", |units, _, _| vec![0; units.len()]),
    ("a layer for each package", |units, _, _| (0..units.len()).collect()),
    ("apko's origin and budget", apko),
    ("bins of even size", bins),
    ("chunkah's tiers", chunkah),
    ("ours", |units, max, day| ours(units, max, day)),
    ("ours before: 3 MiB alone", |units, max, day| variant(units, max, day, &Variant::BEFORE)),
    ("ours, by size alone", |units, max, day| variant(units, max, day, &Variant { by_heat: false, ..Variant::OURS })),
    ("ours, one free", |units, max, day| variant(units, max, day, &Variant { reserve: 1, ..Variant::OURS })),
];

/// apko, `pkg/build/layers.go`: by origin, the largest alone, the rest together. `replaces` is left out of account.
fn apko(units: &[Unit], max: usize, _: i64) -> Vec<usize> {
    let mut groups: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for unit in units {
        let group = groups.entry(&unit.source).or_insert((0, &unit.name));
        group.0 += unit.installed;
        group.1 = group.1.max(&unit.name);
    }
    let mut order: Vec<(&str, (u64, &str))> = groups.into_iter().collect();
    order.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(a.1.1.cmp(b.1.1)));
    let alone = if order.len() > max { max.saturating_sub(1) } else { order.len() };
    let place: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(at, (source, _))| (*source, at.min(alone))).collect();
    units.iter().map(|unit| place[unit.source.as_str()]).collect()
}

/// The largest first, each to the lightest bin.
fn bins(units: &[Unit], max: usize, _: i64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by(|a, b| units[*b].installed.cmp(&units[*a].installed).then(units[*a].name.cmp(&units[*b].name)));
    let mut weights = vec![0; max.max(1)];
    let mut groups = vec![0; units.len()];
    for at in order {
        let bin = (0..weights.len()).min_by_key(|bin| weights[*bin]).unwrap_or(0);
        weights[bin] += units[at].installed;
        groups[at] = bin;
    }
    groups
}

/// chunkah 0.6: sources far above the median size alone, the rest in three tiers of stability, each in bins by name.
fn chunkah(units: &[Unit], max: usize, day: i64) -> Vec<usize> {
    let mut sources: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for unit in units {
        let changes = unit.history.iter().filter(|(when, _)| (day - 365..=day).contains(when)).count();
        let stability = (-(changes as f64 / 365.0) * 7.0).exp();
        let source = sources.entry(&unit.source).or_insert((0, stability));
        source.0 += unit.installed;
    }
    let middle = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(0.0)
    };
    let sizes: Vec<f64> = sources.values().map(|(size, _)| *size as f64).collect();
    let median = middle(sizes.clone());
    let spread = middle(sizes.iter().map(|size| (size - median).abs()).collect());
    let mut large: Vec<(&str, u64)> = sources
        .iter()
        .filter(|(_, one)| one.0 as f64 >= median + 1.5 * spread)
        .map(|(name, one)| (*name, one.0))
        .collect();
    large.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    large.truncate(max * 8 / 10);
    let alone: BTreeMap<&str, usize> = large.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let rest: Vec<f64> = sources.iter().filter(|(name, _)| !alone.contains_key(*name)).map(|(_, one)| one.1).collect();
    let mean = rest.iter().sum::<f64>() / rest.len().max(1) as f64;
    let deviation = (rest.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / rest.len().max(1) as f64).sqrt();
    let each = (max.saturating_sub(alone.len()) / 3).max(1);
    let place = |source: &str| {
        if let Some(at) = alone.get(source) {
            return *at;
        }
        let stability = sources[source].1;
        let tier = if stability < mean - deviation { 2 } else { usize::from(stability <= mean + deviation) };
        let hash = source
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        alone.len() + tier * each + (hash % each as u64) as usize
    };
    units.iter().map(|unit| place(&unit.source)).collect()
}

/// tarsia's own, as a first lock of that day has it.
fn ours(units: &[Unit], max: usize, day: i64) -> Vec<usize> {
    let planned: Vec<Planned<'_>> = units
        .iter()
        .map(|unit| Planned {
            name: &unit.name,
            source: &unit.source,
            source_version: unit.version_at(day),
            installed_kib: unit.installed / 1024,
            script_only: false,
        })
        .collect();
    let plan = plan_layers(&planned, u32::try_from(max).unwrap_or(u32::MAX), None);
    let place = |layer: &String| plan.layers.iter().position(|one| one == layer).unwrap_or(0);
    units.iter().map(|unit| plan.layer_of.get(&unit.name).map_or(0, place)).collect()
}

/// The numbers of tarsia's rule.
struct Variant {
    /// Bytes from which on a source stands alone.
    large: u64,
    /// Updates from which on a source is hot.
    hot: u64,
    /// Layers that small sources share.
    small: usize,
    /// Layers that hot sources share.
    hots: usize,
    /// Layers that a first plan leaves free.
    reserve: usize,
    /// Who shares is told by size, and not by the hash of the name.
    by_size: bool,
    /// What stands alone is told by size times updates, and not by size.
    by_heat: bool,
}

/// From how many bytes on sources share a layer with those of their size: the rest, the middle, the large.
const CLASSES: [u64; 2] = [96 << 10, 384 << 10];

impl Variant {
    const OURS: Self = Self { large: 256 << 10, by_size: true, hot: 1, by_heat: true, reserve: 0, small: 3, hots: 1 };
    const BEFORE: Self = Self { large: 3 << 20, hot: 2, small: 2, hots: 2, reserve: 1, by_size: false, by_heat: false };
}

/// tarsia's rule with other numbers.
fn variant(units: &[Unit], max: usize, day: i64, variant: &Variant) -> Vec<usize> {
    let mut sources: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for unit in units {
        let source = sources.entry(&unit.source).or_default();
        source.0 += unit.installed;
        source.1 = source.1.max(updates(unit.version_at(day)));
        if ["ca-certificates", "distro-info-data", "tzdata"].contains(&unit.source.as_str()) {
            source.1 = source.1.max(variant.hot);
        }
    }
    let shared = variant.small + variant.hots;
    let mut large: Vec<(&str, u64)> =
        sources.iter().filter(|(_, one)| one.0 >= variant.large).map(|(name, one)| (*name, one.0)).collect();
    let rank = |name: &str, size: u64| if variant.by_heat { size * (1 + sources[name].1) } else { size };
    large.sort_by(|a, b| rank(b.0, b.1).cmp(&rank(a.0, a.1)).then(a.0.cmp(b.0)));
    large.truncate(max.saturating_sub(shared + variant.reserve));
    let alone: BTreeSet<&str> = large.iter().map(|(name, _)| *name).collect();
    let place = |source: &str| {
        if let Some(at) = large.iter().position(|(name, _)| *name == source) {
            return at;
        }
        let hash = usize::from(Digest::of(source.as_bytes()).as_bytes()[0]);
        let class = CLASSES.iter().filter(|least| sources[source].0 >= **least).count();
        let bin = |count: usize| {
            if variant.by_size {
                (class + count).saturating_sub(CLASSES.len() + 1).min(count - 1)
            } else {
                hash % count
            }
        };
        match sources[source].1 >= variant.hot {
            true => alone.len() + variant.small + bin(variant.hots),
            false => alone.len() + bin(variant.small),
        }
    };
    units.iter().map(|unit| place(&unit.source)).collect()
}

/// Returns the number of stable updates that a version tells.
fn updates(version: &str) -> u64 {
    let tail = version.rsplit_once("deb").and_then(|(_, tail)| tail.split_once('u'));
    tail.and_then(|(_, count)| count.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).unwrap_or(0)
}

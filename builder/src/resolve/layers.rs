//! Decides which layer a package goes to, from index metadata alone.
//!
//! Packages of one source move together, so a source is the unit. Its size is the sum of `Installed-Size` of those of
//! its packages that are not script-only; its heat is the number of stable updates that the version tells
//! (`+deb13u4` is 4).
//!
//! - A source of at least [`LARGE_KIB`] stands alone, in a layer of its own name, while there is room; first those of
//!   which most is to be pulled again, by size times updates.
//! - The rest share: sources with [`HOT`] updates or more (and the few that move by calendar) in `hot-N`, the others in
//!   `small-N`, where N is told by their size: what is small is not pulled again for the sake of what is larger. How many
//!   of either there are depends on `layers.max` alone, so adding a package never moves a small one.
//! - Where there is a lock already, every source stays where it was, and layers keep their order; newcomers take the
//!   room that is left, and a first plan leaves some.
//!
//! The order of a first plan is: sources that stand alone, least updated first, then large before small; `small-N`;
//! `hot-N`. What changes often thus lies on top.

use std::collections::{BTreeMap, BTreeSet};

use crate::lock::PlatformLock;

// The numbers are those that pulled the least again when the updates of Debian 12's ten example images were replayed
// from their packages' changelogs (`replay` in `benches`).

/// From which size on a source stands alone.
const LARGE_KIB: u64 = 256;

/// From which sizes on small sources share a layer with those of their size.
const CLASSES_KIB: [u64; 2] = [96, 384];

/// From how many stable updates on a source is hot.
const HOT: u64 = 1;

/// Sources that are updated by calendar, whatever their version says.
const CALENDAR: &[&str] = &["ca-certificates", "distro-info-data", "tzdata"];

/// What planning knows of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its source.
    pub source: &'a str,
    /// The version of its source.
    pub source_version: &'a str,
    /// `Installed-Size`, in KiB.
    pub installed_kib: u64,
    /// It exists only for maintainer scripts.
    pub script_only: bool,
}

/// The layers, lowest first, and each package's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Names of the layers, lowest first.
    pub layers: Vec<String>,
    /// The layer of each package, by the package's name.
    pub layer_of: BTreeMap<String, String>,
}

#[derive(Default)]
struct Group<'a> {
    packages: Vec<&'a str>,
    kib: u64,
    heat: u64,
}

/// Returns the plan for `packages` in at most `max` layers; what `previous` says stays as it is.
pub fn plan(packages: &[Planned<'_>], max: u32, previous: Option<&PlatformLock>) -> Plan {
    let max = usize::try_from(max.max(1)).unwrap_or(1);
    if let Some(previous) = previous.filter(|lock| lock.layers.len() <= max && !lock.layers.is_empty()) {
        let plan = plan_beside(packages, max, Some(previous));
        // A lock made for another `max` can share in more layers than this one has room for.
        if plan.layers.len() <= max {
            return plan;
        }
    }
    plan_beside(packages, max, None)
}

fn plan_beside(packages: &[Planned<'_>], max: usize, previous: Option<&PlatformLock>) -> Plan {
    let mut layer_of: BTreeMap<String, String> = BTreeMap::new();
    let mut newcomers: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    let (by_package, by_source) = previous.map(assignments).unwrap_or_default();
    for package in packages {
        match by_package.get(package.name).or_else(|| by_source.get(package.source)) {
            Some(layer) => {
                layer_of.insert(package.name.to_owned(), (*layer).to_owned());
            }
            None => {
                let group = newcomers.entry(package.source).or_default();
                group.packages.push(package.name);
                group.heat = group.heat.max(updates(package.source_version));
                if !package.script_only {
                    group.kib = group.kib.saturating_add(package.installed_kib);
                }
            }
        }
    }
    for (source, group) in &mut newcomers {
        if CALENDAR.contains(source) {
            group.heat = group.heat.max(HOT);
        }
    }

    let shared = Shared::of(max);
    let taken: BTreeSet<&str> = layer_of.values().map(String::as_str).filter(|layer| !is_shared(layer)).collect();
    let taken_shared = layer_of.values().filter(|layer| is_shared(layer)).collect::<BTreeSet<_>>().len();
    let reserve = if previous.is_some() { 0 } else { shared.reserve };
    let used = taken.len() + taken_shared.max(shared.small + shared.hot);
    let mut alone: Vec<(&str, &Group<'_>)> =
        newcomers.iter().filter(|(_, group)| group.kib >= LARGE_KIB).map(|(source, group)| (*source, group)).collect();
    let cost = |group: &Group<'_>| group.kib.saturating_mul(group.heat.saturating_add(1));
    alone.sort_by(|a, b| cost(b.1).cmp(&cost(a.1)).then(a.0.cmp(b.0)));
    alone.truncate(max.saturating_sub(used + reserve));
    alone.sort_by(|a, b| a.1.heat.cmp(&b.1.heat).then(b.1.kib.cmp(&a.1.kib)).then(a.0.cmp(b.0)));
    let singles: Vec<(String, &str)> = alone.iter().map(|(source, _)| (single_name(source), *source)).collect();
    let alone: BTreeMap<&str, &str> = singles.iter().map(|(layer, source)| (*source, layer.as_str())).collect();

    for (source, group) in &newcomers {
        let layer = match alone.get(source) {
            Some(layer) => (*layer).to_owned(),
            None => shared.bin(group.kib, group.heat >= HOT),
        };
        for package in &group.packages {
            layer_of.insert((*package).to_owned(), layer.clone());
        }
    }

    let used: BTreeSet<&str> = layer_of.values().map(String::as_str).collect();
    let mut layers: Vec<String> = previous
        .map(|lock| lock.layers.clone())
        .unwrap_or_default()
        .into_iter()
        .filter(|l| used.contains(l.as_str()))
        .collect();
    let order = singles.iter().map(|(layer, _)| layer.clone()).chain(shared.names());
    for layer in order {
        if used.contains(layer.as_str()) && !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    Plan { layers, layer_of }
}

fn assignments(lock: &PlatformLock) -> (BTreeMap<&str, &str>, BTreeMap<&str, &str>) {
    let by_package = lock.packages.iter().map(|p| (p.name.as_str(), p.layer.as_str())).collect();
    // The first package of a source decides, in name order.
    let by_source = lock.packages.iter().rev().map(|p| (p.source.as_str(), p.layer.as_str())).collect();
    (by_package, by_source)
}

/// How many layers are shared, and how many a first plan leaves free; of `layers.max` alone.
struct Shared {
    small: usize,
    hot: usize,
    reserve: usize,
}

impl Shared {
    fn of(max: usize) -> Self {
        match max {
            1 => Self { small: 1, hot: 0, reserve: 0 },
            2..=5 => Self { small: 1, hot: 1, reserve: 0 },
            6..=11 => Self { small: 2, hot: 1, reserve: 0 },
            12..=19 => Self { small: 3, hot: 1, reserve: 0 },
            _ => Self { small: 3, hot: 1, reserve: 3 },
        }
    }

    fn bin(&self, kib: u64, hot: bool) -> String {
        let (word, count) = if hot && self.hot > 0 { ("hot", self.hot) } else { ("small", self.small) };
        let class = CLASSES_KIB.iter().filter(|least| kib >= **least).count();
        // Where there are fewer layers than classes, the smallest share one.
        let bin = (class + count).saturating_sub(CLASSES_KIB.len() + 1).min(count - 1);
        format!("{word}-{}", bin + 1)
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let hot = self.hot;
        (1..=self.small.max(1)).map(|n| format!("small-{n}")).chain((1..=hot).map(|n| format!("hot-{n}")))
    }
}

fn is_shared(layer: &str) -> bool {
    layer.starts_with("small-") || layer.starts_with("hot-")
}

/// A source's name, kept apart from the names that mean something else.
fn single_name(source: &str) -> String {
    if is_shared(source) || source == "state" || source == "files" {
        format!("source-{source}")
    } else {
        source.to_owned()
    }
}

/// Returns the number of stable updates that a version tells: the last `debNuM`'s M.
fn updates(version: &str) -> u64 {
    version
        .match_indices("deb")
        .filter_map(|(at, _)| {
            let rest = version[at + 3..].trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = rest.strip_prefix('u')?;
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            digits[..end].parse().ok()
        })
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::lock::{LockedPackage, Why};

    fn parse(text: &str) -> Vec<Planned<'_>> {
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| {
                let mut words = line.split_whitespace();
                let mut next = || words.next().unwrap_or("");
                Planned {
                    name: next(),
                    source: next(),
                    source_version: next(),
                    installed_kib: next().parse().unwrap(),
                    script_only: next() == "script-only",
                }
            })
            .collect()
    }

    fn lock(plan: &Plan, packages: &[Planned<'_>]) -> PlatformLock {
        PlatformLock {
            layers: plan.layers.clone(),
            packages: packages
                .iter()
                .map(|package| LockedPackage {
                    name: package.name.to_owned(),
                    version: package.source_version.to_owned(),
                    architecture: "amd64".to_owned(),
                    source: package.source.to_owned(),
                    source_version: None,
                    archive: "debian".to_owned(),
                    in_release: Some(Digest::of(b"")),
                    path: "pool/x".to_owned(),
                    size: 1,
                    digest: Digest::of(b""),
                    why: Why::Requested,
                    script_only: false,
                    keep: None,
                    layer: plan.layer_of[package.name].clone(),
                })
                .collect(),
        }
    }

    const PACKAGES: &str = "
        libc6 glibc 2.41-12 13000
        libc-bin glibc 2.41-12 2000
        libssl3t64 openssl 3.5.1-1+deb13u1 6000
        libpython3.13-stdlib python3.13 3.13.5-2 9000
        zlib1g zlib 1:1.3.1 170
        tzdata tzdata 2025b 1400
        libexpat1 expat 2.7.1-2+deb13u4 400
        libgcc-s1 gcc-14 14.2.0-19+deb13u1 140
        libuuid1 util-linux 2.41-5 80
        perl-base perl 5.40.1-6 8000 script-only
    ";

    fn show(plan: &Plan) -> String {
        let mut text = format!("{}\n", plan.layers.join(" "));
        for (package, layer) in &plan.layer_of {
            text.push_str(&format!("{package}: {layer}\n"));
        }
        text
    }

    #[test]
    fn large_sources_stand_alone_and_small_ones_share() {
        let plan = plan(&parse(PACKAGES), 12, None);
        assert_eq!(plan.layers[..3], ["glibc", "python3.13", "openssl"]);
        let shown = show(&plan);
        assert!(plan.layer_of["libssl3t64"] == "openssl" && plan.layer_of["libexpat1"] == "expat", "{shown}");
        assert_eq!(plan.layer_of["libc-bin"], "glibc");
        assert!(plan.layer_of["zlib1g"].starts_with("small-"), "{}", show(&plan));
        assert!(plan.layer_of["perl-base"].starts_with("small-"), "nothing of it is kept");
        assert!(plan.layer_of["libgcc-s1"].starts_with("hot-"), "{shown}");
        assert!(plan.layer_of["zlib1g"] > plan.layer_of["libuuid1"], "each with those of its size: {shown}");
        let tiers: Vec<bool> = plan.layers.iter().map(|layer| layer.starts_with("hot-")).collect();
        assert!(tiers.is_sorted(), "what moves often lies on top");
    }

    #[test]
    fn no_more_layers_than_asked_for() {
        let many: String = (0..60).map(|n| format!("p{n} s{n} 1+deb13u{} {}\n", n % 4, 1000 * n)).collect();
        for max in 1..=30 {
            let plan = plan(&parse(&many), max, None);
            assert!(plan.layers.len() <= max as usize, "{max}: {}", plan.layers.len());
            assert!(plan.layer_of.values().all(|layer| plan.layers.contains(layer)));
            let again = super::plan(&parse(&many), max, Some(&lock(&plan, &parse(&many))));
            assert_eq!(again, plan);
        }
    }

    #[test]
    fn a_newcomer_moves_nobody() {
        let old = parse(PACKAGES);
        let before = plan(&old, 12, None);
        let text = format!("{PACKAGES}\nlibbig1 big 1-1 90000\nlibtiny1 tiny 1-1 12\n");
        let new = parse(&text);
        let after = plan(&new, 12, Some(&lock(&before, &old)));
        for (package, layer) in &before.layer_of {
            assert_eq!(&after.layer_of[package], layer, "{package}");
        }
        assert_eq!(after.layers[..before.layers.len()], before.layers);
        assert_eq!(after.layer_of["libbig1"], "big", "room is kept for newcomers");
        let fresh = plan(&new, 12, None);
        for (package, layer) in before.layer_of.iter().filter(|(_, layer)| is_shared(layer)) {
            assert_eq!(&fresh.layer_of[package], layer, "{package}");
        }
    }

    #[test]
    fn an_update_moves_nobody_even_where_it_heats_a_source() {
        let old = parse(PACKAGES);
        let before = plan(&old, 12, None);
        let text = PACKAGES.replace("1:1.3.1 170", "1:1.3.1+deb13u9 9999");
        let after = plan(&parse(&text), 12, Some(&lock(&before, &old)));
        assert_eq!(after, before);
    }

    #[test]
    fn versions_tell_their_updates() {
        for (version, count) in [
            ("1.0-1", 0),
            ("1.0-1+deb13u4", 4),
            ("2:1.0~deb12u1", 1),
            ("1.0+deb12u3+deb13u12", 12),
            ("deb", 0),
            ("1deb13u", 0),
            ("1deb13u99999999999999999999999", 0),
        ] {
            assert_eq!(updates(version), count, "{version}");
        }
    }
}

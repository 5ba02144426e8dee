//! How two locks differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::lock::{Lock, LockedPackage, PlatformLock, moved};

/// How two locks differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LockComparison {
    /// The first lock as it was named.
    pub a: String,
    /// The second lock as it was named.
    pub b: String,
    /// Whether they do not differ at all.
    pub same: bool,
    /// What differs, by kind.
    pub differences: Vec<LockDifference>,
}

/// One thing in which two locks differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockDifference {
    /// The variant of the spec that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `field`, `variant`, `platform`, `archive`, `input`, `package`, `layer` or `reason`.
    pub kind: &'static str,
    /// Which one.
    pub name: String,
    /// The first lock's value.
    pub a: Option<String>,
    /// The second lock's value.
    pub b: Option<String>,
    /// Where a package's new version comes from beside the main suite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The platforms that it is about; empty for all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub platforms: BTreeSet<String>,
}

/// Compares two locks, their variants included; `names` are what they are called.
pub fn locks(names: (&str, &str), a: &Lock, b: &Lock) -> LockComparison {
    let mut found = Found { variant: None, all: Vec::new() };
    found.value("field", "revision", &a.revision.to_string(), &b.revision.to_string());
    found.value("field", "tarsia", &a.tarsia, &b.tarsia);
    found.archives(a, b);
    found.section(a, b);
    let variants: BTreeSet<&String> = a.variants.keys().chain(b.variants.keys()).collect();
    for name in variants {
        match (a.section(Some(name)), b.section(Some(name))) {
            (Some(one), Some(other)) => {
                found.variant = Some(name.clone());
                found.section(&one, &other);
                found.variant = None;
            }
            (one, other) => {
                let has = |section: Option<Lock>| section.map(|_| "there".to_owned());
                found.push("variant", name, has(one), has(other));
            }
        }
    }
    LockComparison { a: names.0.to_owned(), b: names.1.to_owned(), same: found.all.is_empty(), differences: found.all }
}

struct Found {
    variant: Option<String>,
    all: Vec<LockDifference>,
}

impl Found {
    fn push(&mut self, kind: &'static str, name: &str, a: Option<String>, b: Option<String>) {
        self.all.push(LockDifference {
            variant: self.variant.clone(),
            kind,
            name: name.to_owned(),
            a,
            b,
            origin: None,
            platforms: BTreeSet::new(),
        });
    }

    fn value(&mut self, kind: &'static str, name: &str, a: &str, b: &str) {
        if a != b {
            self.push(kind, name, Some(a.to_owned()), Some(b.to_owned()));
        }
    }

    /// Compares maps of texts.
    fn maps(&mut self, kind: &'static str, a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) {
        let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in names.into_iter().filter(|name| a.get(*name) != b.get(*name)) {
            self.push(kind, name, a.get(name).cloned(), b.get(name).cloned());
        }
    }

    fn archives(&mut self, a: &Lock, b: &Lock) {
        // A suite may stand in several states.
        let sets = |lock: &Lock| {
            let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for set in &lock.archives {
                let state = format!("{} {}", date(set.date), set.in_release);
                sets.entry(format!("{} {}", set.name, set.suite)).or_default().push(state);
            }
            sets.into_iter().map(|(name, states)| (name, states.join(", "))).collect::<BTreeMap<_, _>>()
        };
        self.maps("archive", &sets(a), &sets(b));
    }

    /// Compares what two locks say of the spec itself.
    fn section(&mut self, a: &Lock, b: &Lock) {
        self.value("field", "spec", &a.spec.to_string(), &b.spec.to_string());
        self.value("field", "keep", &a.keep, &b.keep);
        self.value("field", "source-date", &date(a.source_date), &date(b.source_date));
        let given = |lock: &Lock| if lock.source_date_given { "given" } else { "of the archives" };
        self.value("field", "source-date is", given(a), given(b));
        let inputs = |lock: &Lock| {
            let all = lock.inputs.iter();
            all.map(|one| (format!("{} {}", one.kind, one.name), format!("{} of {} bytes", one.digest, one.size)))
                .collect()
        };
        self.maps("input", &inputs(a), &inputs(b));
        for one in moved(a, b) {
            self.all.push(LockDifference {
                variant: self.variant.clone(),
                kind: "package",
                name: one.name,
                a: one.from,
                b: one.to,
                origin: one.origin,
                platforms: one.platforms,
            });
        }
        let platforms: BTreeSet<&String> = a.platform.keys().chain(b.platform.keys()).collect();
        for platform in platforms {
            match (a.platform.get(platform), b.platform.get(platform)) {
                (Some(one), Some(other)) => {
                    let before = self.all.len();
                    self.platform(one, other);
                    for difference in &mut self.all[before..] {
                        difference.platforms = BTreeSet::from([platform.clone()]);
                    }
                }
                (one, other) => {
                    let count =
                        |share: Option<&PlatformLock>| share.map(|one| format!("{} packages", one.packages.len()));
                    self.push("platform", platform, count(one), count(other));
                }
            }
        }
    }

    fn platform(&mut self, a: &PlatformLock, b: &PlatformLock) {
        self.value("layer", "layers", &a.layers.join(" "), &b.layers.join(" "));
        let by = |share: &PlatformLock, value: &dyn Fn(&LockedPackage) -> String| {
            share.packages.iter().map(|one| (one.name.clone(), value(one))).collect::<BTreeMap<_, _>>()
        };
        for (kind, value) in [
            ("layer", &(|one: &LockedPackage| one.layer.clone()) as &dyn Fn(&LockedPackage) -> String),
            ("reason", &|one| one.why.to_string()),
            ("keep", &|one| one.keep.clone().unwrap_or_default()),
        ] {
            let (mut one, mut other) = (by(a, value), by(b, value));
            // What came or went is told as such.
            one.retain(|name, _| b.packages.iter().any(|package| package.name == *name));
            other.retain(|name, _| one.contains_key(name));
            self.maps(kind, &one, &other);
        }
    }
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

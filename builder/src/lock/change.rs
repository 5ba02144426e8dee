//! What moved between two locks, as a person reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Lock, LockedPackage};
use crate::digest::Digest;

/// One package that differs between two locks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// Package name.
    pub name: String,
    /// Version before; `None` where it was added.
    pub from: Option<String>,
    /// Version now; `None` where it was removed.
    pub to: Option<String>,
    /// Where the new version comes from beside the main suite: `security`, `updates`, or the archive's name.
    pub origin: Option<String>,
    /// Platforms on which it moved so.
    pub platforms: BTreeSet<String>,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes = |word: Option<&str>| {
            let notes: Vec<&str> = word.into_iter().chain(self.origin.as_deref()).collect();
            if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) }
        };
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from == to => {
                write!(f, "{} {to}{}", self.name, notes(Some("same version, other bytes")))
            }
            (Some(from), Some(to)) => write!(f, "{} {from} -> {to}{}", self.name, notes(None)),
            (None, Some(to)) => write!(f, "{} {to}{}", self.name, notes(Some("added"))),
            (Some(from), None) => write!(f, "{} {from} (removed)", self.name),
            (None, None) => f.write_str(&self.name),
        }
    }
}

/// Returns the packages that were added, removed or changed, by name; equal moves of several platforms are one.
pub fn moved(old: &Lock, new: &Lock) -> Vec<Move> {
    let platforms: BTreeSet<&String> = old.platform.keys().chain(new.platform.keys()).collect();
    let mut moves: BTreeMap<Move, BTreeSet<String>> = BTreeMap::new();
    for platform in platforms {
        let (before, after) = (by_name(old, platform), by_name(new, platform));
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (from, to) = (before.get(name).copied(), after.get(name).copied());
            if from.map(identity) == to.map(identity) {
                continue;
            }
            let key = Move {
                name: name.to_owned(),
                from: from.map(|package| package.version.clone()),
                to: to.map(|package| package.version.clone()),
                origin: to.and_then(|package| origin(new, package)),
                platforms: BTreeSet::new(),
            };
            moves.entry(key).or_default().insert(platform.clone());
        }
    }
    moves.into_iter().map(|(same, platforms)| Move { platforms, ..same }).collect()
}

fn by_name<'a>(lock: &'a Lock, platform: &str) -> BTreeMap<&'a str, &'a LockedPackage> {
    let share = lock.platform.get(platform);
    share.into_iter().flat_map(|share| &share.packages).map(|package| (package.name.as_str(), package)).collect()
}

fn identity(package: &LockedPackage) -> (&str, &str, Digest) {
    (&package.version, &package.architecture, package.digest)
}

fn origin(lock: &Lock, package: &LockedPackage) -> Option<String> {
    let suite = lock.set_of(package).map_or("", |set| set.suite.as_str());
    for word in ["security", "updates", "backports"] {
        if suite.ends_with(word) || package.archive.ends_with(word) {
            return Some(word.to_owned());
        }
    }
    (package.archive != "debian").then(|| package.archive.clone())
}

#[cfg(test)]
mod tests {
    use super::super::read::tests::{package, sample};
    use super::*;

    #[test]
    fn moves_read_as_sentences() {
        let old = sample();
        let mut new = sample();
        let mut set = new.archives[0].clone();
        set.name = "debian-security".to_owned();
        set.suite = "trixie-security".to_owned();
        set.in_release = Digest::of(b"security");
        new.archives.push(set);
        let share = new.platform.get_mut("linux/amd64").unwrap();
        share.packages[0].version = "2.10-4".to_owned();
        share.packages[0].archive = "debian-security".to_owned();
        share.packages[0].in_release = Some(Digest::of(b"security"));
        share.packages.remove(1);
        share.packages.push(package("zlib1g", "1:1.3"));
        let moves: Vec<String> = moved(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(moves, ["hello 2.10-3 -> 2.10-4 (security)", "libc-bin 2.41-12 (removed)", "zlib1g 1:1.3 (added)"]);
        assert!(moved(&old, &old).is_empty());
    }
}

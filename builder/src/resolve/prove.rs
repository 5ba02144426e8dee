//! A lock is a claim; here it is compared with the signed stanzas that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::archive::{Candidate, Index};
use crate::digest::Digest;
use crate::lock::{Lock, LockedPackage, MetadataSet};

/// A value that a lock claims and its signed metadata set denies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contradiction {
    /// Platform, or empty where the set itself is concerned.
    pub platform: String,
    /// Package name, or the archive's name where the set itself is concerned.
    pub subject: String,
    /// Which field.
    pub field: &'static str,
    /// What the lock says.
    pub locked: String,
    /// What the signed metadata say.
    pub signed: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { platform, subject, field, locked, signed } = self;
        let on = if platform.is_empty() { String::new() } else { format!(" ({platform})") };
        write!(f, "`{subject}`{on} has {field} `{locked}` in the lock, and `{signed}` in its signed metadata")
    }
}

/// Returns every locked value that the metadata set it names contradicts; packages of sets that `indexes` lacks are
/// not judged (see [`unproved`]).
pub fn prove(lock: &Lock, indexes: &[Index]) -> Vec<Contradiction> {
    let mut found = BTreeSet::new();
    for set in &lock.archives {
        for index in indexes.iter().filter(|index| is_of(index, set)) {
            compare_sets(set, &index.set, &mut found);
        }
    }
    let wanted: BTreeSet<&str> =
        lock.platform.values().flat_map(|share| &share.packages).map(|package| package.name.as_str()).collect();
    let mut stanzas: BTreeMap<(&str, Digest, &str), Vec<&Candidate>> = BTreeMap::new();
    for index in indexes {
        for candidate in index.candidates.iter().filter(|candidate| wanted.contains(candidate.name.as_str())) {
            let key = (index.set.name.as_str(), index.set.in_release, candidate.name.as_str());
            stanzas.entry(key).or_default().push(candidate);
        }
    }
    let unproved = unproved(lock, indexes);
    for (platform, share) in &lock.platform {
        for package in &share.packages {
            let in_unproved =
                |set: &&MetadataSet| set.name == package.archive && Some(set.in_release) == package.in_release;
            // Nobody signed a local package: its file is held against its digest wherever it is read.
            let Some(in_release) = package.in_release.filter(|_| !unproved.iter().any(in_unproved)) else { continue };
            let key = (package.archive.as_str(), in_release, package.name.as_str());
            let architecture = platform.strip_prefix("linux/").unwrap_or(platform);
            let none = Vec::new();
            let stanzas = stanzas.get(&key).unwrap_or(&none);
            compare(platform, architecture, package, stanzas, &mut found);
        }
    }
    found.into_iter().collect()
}

/// Returns the locked metadata sets of which `indexes` lacks a Packages file: what stands in them is not proved.
pub fn unproved<'a>(lock: &'a Lock, indexes: &[Index]) -> Vec<&'a MetadataSet> {
    lock.archives
        .iter()
        .filter(|set| {
            let read: BTreeSet<&str> = indexes
                .iter()
                .filter(|index| is_of(index, set))
                .flat_map(|index| index.set.packages.iter().map(|file| file.path.as_str()))
                .collect();
            !indexes.iter().any(|index| is_of(index, set))
                || !set.packages.iter().all(|file| read.contains(file.path.as_str()))
        })
        .collect()
}

fn is_of(index: &Index, set: &MetadataSet) -> bool {
    index.set.name == set.name && index.set.in_release == set.in_release
}

fn compare_sets(locked: &MetadataSet, signed: &MetadataSet, found: &mut BTreeSet<Contradiction>) {
    let mut differ = |field, a: String, b: String| {
        if a != b {
            let (platform, subject) = (String::new(), locked.name.clone());
            found.insert(Contradiction { platform, subject, field, locked: a, signed: b });
        }
    };
    let time = |time: Option<i64>| time.map_or_else(|| "none".to_owned(), |time| time.to_string());
    differ("suite", locked.suite.clone(), signed.suite.clone());
    differ("date", locked.date.to_string(), signed.date.to_string());
    differ("valid-until", time(locked.valid_until), time(signed.valid_until));
    differ("signers", locked.signers.join(" "), signed.signers.join(" "));
    for file in &signed.packages {
        if let Some(claimed) = locked.packages.iter().find(|claimed| claimed.path == file.path) {
            let text = |digest: Digest, size: u64| format!("{} {digest} ({size} bytes)", file.path);
            differ("packages", text(claimed.digest, claimed.size), text(file.digest, file.size));
        }
    }
}

fn compare(
    platform: &str,
    architecture: &str,
    package: &LockedPackage,
    stanzas: &[&Candidate],
    found: &mut BTreeSet<Contradiction>,
) {
    let mut differ = |field, locked: String, signed: String| {
        if locked != signed {
            let (platform, subject) = (platform.to_owned(), package.name.clone());
            found.insert(Contradiction { platform, subject, field, locked, signed });
        }
    };
    let fits = |stanza: &&&Candidate| stanza.architecture == architecture || stanza.architecture == "all";
    let same_version = |stanza: &&&Candidate| stanza.version.as_str() == package.version;
    let same = |stanza: &&&Candidate| same_version(stanza) && stanza.architecture == package.architecture;
    // The stanza meant: the exact one, else the nearest, so that the difference has a name.
    let stanza = stanzas
        .iter()
        .find(|stanza| fits(stanza) && same(stanza) && stanza.digest == package.digest)
        .or_else(|| stanzas.iter().find(|stanza| fits(stanza) && same(stanza)))
        .or_else(|| stanzas.iter().find(|stanza| fits(stanza) && same_version(stanza)))
        .or_else(|| stanzas.iter().filter(|stanza| fits(stanza)).max_by(|a, b| a.version.cmp(&b.version)));
    let Some(stanza) = stanza else {
        differ("name", package.name.clone(), "no such package".to_owned());
        return;
    };
    differ("version", package.version.clone(), stanza.version.to_string());
    differ("architecture", package.architecture.clone(), stanza.architecture.clone());
    differ("source", package.source.clone(), stanza.source.clone());
    let source_version = package.source_version.as_ref().unwrap_or(&package.version);
    differ("source-version", source_version.clone(), stanza.source_version.clone());
    differ("path", package.path.clone(), stanza.path.clone());
    differ("size", package.size.to_string(), stanza.size.to_string());
    differ("digest", package.digest.to_string(), stanza.digest.to_string());
}

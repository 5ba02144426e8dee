//! Every candidate of one platform, in order, and who provides what: read once, shared by many resolutions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use super::universe::Id;
use crate::archive::{Candidate, Index};
use crate::deb822::{Dependency, Op, Version};
use crate::spec::Platform;

/// Who provides a name, each with the version of the provide.
type Providers<'a> = Vec<(Id, Option<&'a Version>)>;

/// All candidates that the indexes hold for one platform.
///
/// Nothing in it depends on a spec or a lock, so that one catalogue serves any number of resolutions.
pub struct Catalogue<'a> {
    pub(super) platform: Platform,
    pub(super) indexes: &'a [Index],
    /// By name; of one name first one of each version, the highest first, then the other copies of those versions.
    candidates: Vec<&'a Candidate>,
    /// The numbers of `candidates`, so that a range of them can be borrowed.
    ids: Vec<Id>,
    names: Vec<&'a str>,
    /// Per name: its candidates, and how many of them are there once per version.
    ranges: Vec<(Range<Id>, usize)>,
    name_of: Vec<usize>,
    providers: BTreeMap<&'a str, Providers<'a>>,
    mentions: OnceLock<Vec<usize>>,
}

impl<'a> Catalogue<'a> {
    /// Returns the candidates of `indexes` for `platform`; the order of `indexes` does not matter.
    ///
    /// One version that stands in several places is taken from the newest set, else by archive and suite name.
    pub fn new(indexes: &'a [Index], platform: Platform) -> Self {
        Self::beside(&[], &[], indexes, platform)
    }

    /// As [`Catalogue::new`], beside the packages that a base has, of whose names there is nothing else to choose, and
    /// those of the spec's own directory.
    pub fn beside(
        installed: &'a [Candidate],
        local: &'a [Candidate],
        indexes: &'a [Index],
        platform: Platform,
    ) -> Self {
        let architecture = platform.architecture();
        let held: BTreeSet<&str> = installed.iter().map(|candidate| candidate.name.as_str()).collect();
        let mut all: Vec<(&'a Candidate, i64)> = installed.iter().map(|candidate| (candidate, 0)).collect();
        let indexed = indexes.iter().map(|index| (index.candidates.as_slice(), index.set.date));
        for (candidates, date) in indexed.chain([(local, i64::MAX)]) {
            let fits = |candidate: &&Candidate| {
                (candidate.architecture == "all" || candidate.architecture == architecture)
                    && !held.contains(candidate.name.as_str())
            };
            all.extend(candidates.iter().filter(fits).map(|candidate| (candidate, date)));
        }
        Self::of(indexes, platform, all)
    }

    /// Returns the catalogue of these candidates alone, each with the date of its set.
    pub(super) fn of(indexes: &'a [Index], platform: Platform, mut all: Vec<(&'a Candidate, i64)>) -> Self {
        all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let mut candidates: Vec<&'a Candidate> = Vec::with_capacity(all.len());
        let (mut names, mut ranges, mut name_of) = (Vec::new(), Vec::new(), Vec::with_capacity(all.len()));
        for same in all.chunk_by_mut(|(a, _), (b, _)| a.name == b.name) {
            let Some(name) = same.first().map(|(first, _)| first.name.as_str()) else { continue };
            same.sort_by(|(a, a_date), (b, b_date)| {
                b.version
                    .cmp(&a.version)
                    .then_with(|| b_date.cmp(a_date))
                    .then_with(|| (&a.archive, &a.suite, &a.path).cmp(&(&b.archive, &b.suite, &b.path)))
            });
            let start = candidates.len();
            let is_copy = |at: usize| at > 0 && same[at - 1].0.version == same[at].0.version;
            candidates.extend((0..same.len()).filter(|at| !is_copy(*at)).map(|at| same[at].0));
            let versions = candidates.len() - start;
            candidates.extend((0..same.len()).filter(|at| is_copy(*at)).map(|at| same[at].0));
            name_of.resize(candidates.len(), names.len());
            names.push(name);
            ranges.push((start..candidates.len(), versions));
        }
        let mut providers: BTreeMap<&str, Providers<'a>> = BTreeMap::new();
        for (id, candidate) in candidates.iter().enumerate() {
            for relation in candidate.provides.iter().flat_map(|provide| &provide.0) {
                // Debian policy 7.5: only `=` makes a versioned provide.
                let version = relation.version.as_ref().filter(|(op, _)| *op == Op::Equal).map(|(_, version)| version);
                providers.entry(relation.name.as_str()).or_default().push((id, version));
            }
        }
        let ids = (0..candidates.len()).collect();
        Self { platform, indexes, candidates, ids, names, ranges, name_of, providers, mentions: OnceLock::new() }
    }

    /// Returns the names of all packages, sorted.
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    pub(super) fn candidate(&self, id: Id) -> &'a Candidate {
        self.candidates[id]
    }

    pub(super) fn name_of(&self, id: Id) -> usize {
        self.name_of[id]
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.binary_search(&name).ok()
    }

    /// Returns one candidate of each version of a name, the highest first.
    pub(super) fn versions_of(&self, name: usize) -> &[Id] {
        self.ranges.get(name).map_or(&[], |(range, versions)| &self.ids[range.start..range.start + versions])
    }

    /// Returns all candidates of a name.
    pub(super) fn all_of(&self, name: usize) -> &[Id] {
        self.ranges.get(name).map_or(&[], |(range, _)| &self.ids[range.clone()])
    }

    pub(super) fn providers_of(&self, name: &str) -> &[(Id, Option<&'a Version>)] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has_providers(&self, name: &str) -> bool {
        self.providers.contains_key(name)
    }

    /// Returns when a name is first mentioned, by a stanza of its own or by a field of another's, where the suites are
    /// read in the order of their names.
    ///
    /// apt numbers packages so, and settles by the number what nothing else decides (apt 2.6, `CompareProviders`).
    pub(super) fn mention(&self, name: usize) -> usize {
        self.mentions.get_or_init(|| self.first_mentions()).get(name).copied().unwrap_or(usize::MAX)
    }

    fn first_mentions(&self) -> Vec<usize> {
        let architecture = self.platform.architecture();
        let mut order: Vec<&Index> = self.indexes.iter().collect();
        order.sort_by_key(|index| (&index.set.name, &index.set.suite, index.set.date));
        let mut first = vec![usize::MAX; self.names.len()];
        let mut count = 0;
        let mut mention = |name: &str| {
            if let Some(at) = self.find(name)
                && first[at] == usize::MAX
            {
                first[at] = count;
                count += 1;
            }
        };
        for candidate in order.into_iter().flat_map(|index| &index.candidates) {
            if candidate.architecture != architecture && candidate.architecture != "all" {
                continue;
            }
            mention(&candidate.name);
            // The order in which apt reads the fields.
            for fields in [&candidate.depends, &candidate.conflicts, &candidate.breaks] {
                names_of(fields, &mut mention);
            }
            names_in(&candidate.recommends, &mut mention);
            names_in(&candidate.suggests, &mut mention);
            names_of(&candidate.replaces, &mut mention);
            names_in(&candidate.enhances, &mut mention);
            names_of(&candidate.provides, &mut mention);
        }
        first
    }
}

fn names_of(fields: &[Dependency], mention: &mut impl FnMut(&str)) {
    for relation in fields.iter().flat_map(|dependency| &dependency.0).filter(|relation| relation.qualifier.is_none()) {
        mention(&relation.name);
    }
}

/// Tells the names of relations as they are written; what is none is passed over.
fn names_in(text: &str, mention: &mut impl FnMut(&str)) {
    for relation in text.split([',', '|']) {
        let relation = relation.trim_start();
        let end = relation.find(|c: char| c.is_whitespace() || "(:[<".contains(c)).unwrap_or(relation.len());
        if !relation[end..].starts_with(':') {
            mention(&relation[..end]);
        }
    }
}

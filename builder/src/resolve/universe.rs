//! What can be chosen from: candidates by name in order of preference, and who provides what.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::archive::{Candidate, Index, MultiArch};
use crate::deb822::{Dependency, Op, Relation, Version};
use crate::lock::PlatformLock;
use crate::rules::implicit::IMPLICIT;

/// Who is taken first among the providers of a virtual name, where nothing else decides.
///
/// The archive's own choice, which apt reads off `Priority`.
const PREFERRED_PROVIDERS: &[(&str, &str)] = &[
    ("awk", "mawk"),
    ("debconf-2.0", "debconf"),
    ("default-dbus-session-bus", "dbus-user-session"),
    ("default-dbus-system-bus", "dbus"),
    ("default-logind", "libpam-systemd"),
    ("default-mta", "exim4-daemon-light"),
    ("editor", "nano"),
    ("logind", "libpam-systemd"),
    ("mail-transport-agent", "exim4-daemon-light"),
    ("pager", "less"),
    ("systemd-sysusers", "systemd-standalone-sysusers"),
];

/// A candidate's place in [`Universe`].
pub(super) type Id = usize;

/// One way to meet a dependency: some candidates of one name, most preferred first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) name: usize,
    pub(super) ids: Vec<Id>,
}

/// What narrows a universe down.
pub(super) struct Bounds<'a> {
    pub(super) architecture: &'a str,
    /// Names never installed.
    pub(super) excluded: &'a BTreeSet<&'a str>,
    /// The archive that a name must come from.
    pub(super) pins: &'a BTreeMap<&'a str, &'a str>,
    /// Packages that stay where they are, if they can.
    pub(super) kept: Option<&'a PlatformLock>,
    /// Names that move even so; `None` for none.
    pub(super) moving: Option<&'a BTreeSet<String>>,
    /// Packages that a base has; of their names there is nothing else to choose.
    pub(super) installed: &'a [Candidate],
}

/// All candidates of one platform.
pub(super) struct Universe<'a> {
    candidates: Vec<&'a Candidate>,
    names: Vec<&'a str>,
    ranges: Vec<Range<Id>>,
    providers: BTreeMap<&'a str, Vec<(Id, Option<&'a Version>)>>,
    kept: BTreeSet<&'a str>,
    architecture: &'a str,
}

impl<'a> Universe<'a> {
    /// Returns the candidates of `indexes`, and of the spec's own directory, that `bounds` let in.
    ///
    /// Of one name the version that is kept comes first, then the highest. One version that stands in several places
    /// is taken from the locked metadata set, else from the newest set, else by archive and suite name.
    pub(super) fn new(indexes: &'a [Index], local: &'a [Candidate], bounds: &Bounds<'a>) -> Self {
        let locked: BTreeMap<&str, &crate::lock::LockedPackage> =
            bounds.kept.into_iter().flat_map(|lock| &lock.packages).map(|p| (p.name.as_str(), p)).collect();
        let installed: BTreeSet<&str> = bounds.installed.iter().map(|candidate| candidate.name.as_str()).collect();
        let mut all: Vec<(&'a Candidate, i64)> = bounds.installed.iter().map(|candidate| (candidate, 0)).collect();
        let indexed = indexes.iter().map(|index| (index.candidates.as_slice(), index.set.date));
        for (candidates, date) in indexed.chain([(local, i64::MAX)]) {
            for candidate in candidates {
                let name = candidate.name.as_str();
                if (candidate.architecture == bounds.architecture || candidate.architecture == "all")
                    && !bounds.excluded.contains(name)
                    && !installed.contains(name)
                    && bounds.pins.get(name).is_none_or(|archive| *archive == candidate.archive)
                {
                    all.push((candidate, date));
                }
            }
        }
        all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let mut candidates: Vec<&'a Candidate> = Vec::with_capacity(all.len());
        let (mut names, mut ranges) = (Vec::new(), Vec::new());
        for same in all.chunk_by_mut(|(a, _), (b, _)| a.name == b.name) {
            let Some(name) = same.first().map(|(first, _)| first.name.as_str()) else { continue };
            if same.len() > 1 {
                let locked = locked.get(name).copied();
                let stays = locked.is_some() && !bounds.moving.is_some_and(|moving| moving.contains(name));
                let version = locked.filter(|_| stays).map(|package| package.version.as_str());
                let set = locked.and_then(|package| package.in_release);
                same.sort_by(|(a, a_date), (b, b_date)| {
                    let kept = |c: &Candidate| version == Some(c.version.as_str());
                    kept(b)
                        .cmp(&kept(a))
                        .then_with(|| b.version.cmp(&a.version))
                        .then_with(|| {
                            (set.is_some() && set == b.in_release).cmp(&(set.is_some() && set == a.in_release))
                        })
                        .then_with(|| Reverse(a_date).cmp(&Reverse(b_date)))
                        .then_with(|| (&a.archive, &a.suite, &a.path).cmp(&(&b.archive, &b.suite, &b.path)))
                });
            }
            let start = candidates.len();
            for (candidate, _) in same.iter() {
                let seen = &candidates[start..];
                if !seen.iter().any(|other| other.version == candidate.version) {
                    candidates.push(candidate);
                }
            }
            names.push(name);
            ranges.push(start..candidates.len());
        }
        let mut providers: BTreeMap<&str, Vec<(Id, Option<&Version>)>> = BTreeMap::new();
        for (id, candidate) in candidates.iter().enumerate() {
            for relation in candidate.provides.iter().flat_map(|provide| &provide.0) {
                // Debian policy 7.5: only `=` makes a versioned provide.
                let version = relation.version.as_ref().filter(|(op, _)| *op == Op::Equal).map(|(_, version)| version);
                providers.entry(relation.name.as_str()).or_default().push((id, version));
            }
        }
        let kept = locked.keys().copied().collect();
        Self { candidates, names, ranges, providers, kept, architecture: bounds.architecture }
    }

    pub(super) fn candidate(&self, id: Id) -> &'a Candidate {
        self.candidates[id]
    }

    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }

    pub(super) fn name_of(&self, id: Id) -> usize {
        self.ranges.partition_point(|range| range.end <= id)
    }

    pub(super) fn candidates_of(&self, name: usize) -> Range<Id> {
        self.ranges.get(name).cloned().unwrap_or(0..0)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.binary_search(&name).ok()
    }

    pub(super) fn has_providers(&self, name: &str) -> bool {
        self.providers.contains_key(name)
    }

    /// Returns every way to meet `dependency`, most preferred first: its alternatives in order, each by the real
    /// package, then by providers. `None` where it does not concern this architecture.
    pub(super) fn choices(&self, dependency: &Dependency) -> Option<Vec<Choice>> {
        let mut applies = false;
        let mut choices = Vec::new();
        for relation in dependency.0.iter().filter(|relation| relation.applies_to(self.architecture)) {
            applies = true;
            self.matches(relation, &mut choices);
        }
        (applies || dependency.0.is_empty()).then_some(choices)
    }

    /// Adds what meets one relation.
    ///
    /// Among providers: what is locked already, then the archive's own choice, Essential, the highest version, the
    /// lowest name.
    pub(super) fn matches(&self, relation: &Relation, choices: &mut Vec<Choice>) {
        if let Some(name) = self.find(&relation.name) {
            let ids: Vec<Id> = self
                .candidates_of(name)
                .filter(|id| {
                    let candidate = self.candidates[*id];
                    let bound = relation.version.as_ref();
                    bound.is_none_or(|(op, bound)| op.holds(&candidate.version, bound))
                        && self.is_of_architecture(candidate, relation.qualifier.as_deref())
                })
                .collect();
            if !ids.is_empty() {
                choices.push(Choice { name, ids });
            }
        }
        let Some(providers) = self.providers.get(relation.name.as_str()) else { return };
        let mut by_name: BTreeMap<usize, Vec<Id>> = BTreeMap::new();
        for (id, version) in providers {
            let candidate = self.candidates[*id];
            let fits = match (&relation.version, version) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some((op, bound)), Some(version)) => op.holds(version, bound),
            };
            if fits
                && candidate.name != relation.name
                && self.is_of_architecture(candidate, relation.qualifier.as_deref())
            {
                let ids = by_name.entry(self.name_of(*id)).or_default();
                if ids.last() != Some(id) {
                    ids.push(*id);
                }
            }
        }
        let mut ordered: Vec<Choice> = by_name.into_iter().map(|(name, ids)| Choice { name, ids }).collect();
        ordered.sort_by(|a, b| {
            let rank = |choice: &Choice| {
                let best = self.candidates[choice.ids[0]];
                let preferred = PREFERRED_PROVIDERS.contains(&(relation.name.as_str(), best.name.as_str()));
                (
                    !self.kept.contains(best.name.as_str()),
                    !preferred,
                    !best.essential,
                    Reverse(&best.version),
                    &best.name,
                )
            };
            rank(a).cmp(&rank(b))
        });
        choices.append(&mut ordered);
    }

    /// Returns whether a qualifier (`python3:any`) lets the candidate in (Debian policy 7.1, multi-arch spec).
    fn is_of_architecture(&self, candidate: &Candidate, qualifier: Option<&str>) -> bool {
        match qualifier {
            None | Some("native") => true,
            Some("any") => candidate.multi_arch == MultiArch::Allowed,
            Some(other) => other == self.architecture || other == candidate.architecture,
        }
    }

    /// Returns the candidates that may not be installed beside `id`, by name; never its own name.
    pub(super) fn conflicts(&self, id: Id) -> BTreeMap<usize, BTreeSet<Id>> {
        let candidate = self.candidates[id];
        let own = self.name_of(id);
        let mut hits: BTreeMap<usize, BTreeSet<Id>> = BTreeMap::new();
        let mut choices = Vec::new();
        let relations = candidate.conflicts.iter().chain(&candidate.breaks).flat_map(|dependency| &dependency.0);
        for relation in relations.filter(|relation| relation.applies_to(self.architecture)) {
            choices.clear();
            self.matches(relation, &mut choices);
            for choice in choices.iter().filter(|choice| choice.name != own) {
                hits.entry(choice.name).or_default().extend(&choice.ids);
            }
        }
        hits
    }

    /// Returns the implicit packages that `id` brings, as names with their rules.
    pub(super) fn brings(&self, id: Id) -> impl Iterator<Item = (usize, &'static str)> {
        let name = self.candidates[id].name.as_str();
        IMPLICIT
            .iter()
            .filter(move |rule| rule.is_brought_by(name))
            .filter_map(|rule| Some((self.find(rule.package)?, rule.rule())))
    }

    /// Returns the packages that come with any other, as names with their rules.
    pub(super) fn always(&self) -> impl Iterator<Item = (usize, &'static str)> {
        IMPLICIT.iter().filter(|rule| rule.is_always()).filter_map(|rule| Some((self.find(rule.package)?, rule.rule())))
    }
}

//! What can be chosen from: candidates by name in order of preference, and who provides what.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Copied;
use std::slice::Iter;

use super::catalogue::Catalogue;
use super::installed::is_installed;
use crate::archive::{Candidate, MultiArch};
use crate::deb822::{Dependency, Relation, Version};
use crate::lock::{LockedPackage, PlatformLock};
use crate::rules::implicit::implicit;

/// A candidate's place in its [`Catalogue`].
pub(super) type Id = usize;

/// One way to meet a dependency: some candidates of one name, most preferred first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) name: usize,
    pub(super) ids: Vec<Id>,
}

/// What narrows a catalogue down.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// Names never installed.
    pub(super) excluded: &'a BTreeSet<&'a str>,
    /// What is asked for.
    pub(super) requests: &'a [Request<'a>],
    /// Packages that stay where they are, if they can.
    pub(super) kept: Option<&'a PlatformLock>,
    /// Names that move even so; `None` for none.
    pub(super) moving: Option<&'a BTreeSet<String>>,
    /// Every version is offered, not the highest alone.
    pub(super) older: bool,
}

/// A package of the spec, as relation and archive.
pub(super) struct Request<'a> {
    pub(super) relation: Relation,
    pub(super) from: Option<&'a str>,
}

/// What can be chosen of a catalogue: of each name the highest version, as apt has one candidate a package. What the
/// spec asks for by version or archive is the highest of what is asked for; what a lock holds stands beside it.
pub(super) struct Universe<'c, 'a> {
    catalogue: &'c Catalogue<'a>,
    /// Names with candidates of their own choice, the preferred first; empty for what is excluded.
    special: BTreeMap<usize, Vec<Id>>,
    kept: BTreeSet<&'c str>,
    older: bool,
}

impl<'c, 'a> Universe<'c, 'a> {
    /// Returns the candidates that `bounds` let in.
    ///
    /// Of one name the version that is kept comes first, then the highest; one version is taken from its locked
    /// metadata set, if that has it.
    pub(super) fn new(catalogue: &'c Catalogue<'a>, bounds: &Bounds<'c>) -> Self {
        let mut special: BTreeMap<usize, Vec<Id>> = BTreeMap::new();
        let locked: BTreeMap<&str, &LockedPackage> =
            bounds.kept.into_iter().flat_map(|lock| &lock.packages).map(|p| (p.name.as_str(), p)).collect();
        let requested =
            bounds.requests.iter().filter(|request| request.from.is_some() || request.relation.version.is_some());
        let requests: BTreeMap<&str, &Request<'_>> =
            requested.map(|request| (request.relation.name.as_str(), request)).collect();
        for name in locked.keys().chain(requests.keys()) {
            let Some(at) = catalogue.find(name) else { continue };
            let locked = locked.get(name).copied();
            let request = requests.get(name);
            let stays = !bounds.moving.is_some_and(|moving| moving.contains(*name));
            let mut ids: Vec<Id> = catalogue.all_of(at).to_vec();
            ids.retain(|id| {
                let candidate = catalogue.candidate(*id);
                is_installed(candidate)
                    || request.is_none_or(|request| {
                        request.from.is_none_or(|archive| archive == candidate.archive)
                            && holds(&request.relation, &candidate.version)
                    })
            });
            let kept =
                |id: &Id| stays && locked.is_some_and(|p| p.version == catalogue.candidate(*id).version.as_str());
            let in_set = |id: &Id| {
                locked.is_some_and(|p| {
                    let candidate = catalogue.candidate(*id);
                    p.in_release.is_some() && p.in_release == candidate.in_release && p.archive == candidate.archive
                })
            };
            ids.sort_by(|a, b| {
                let version = |id: &Id| &catalogue.candidate(*id).version;
                (!kept(a))
                    .cmp(&!kept(b))
                    .then_with(|| version(b).cmp(version(a)))
                    .then_with(|| in_set(b).cmp(&in_set(a)))
            });
            ids.dedup_by(|later, earlier| catalogue.candidate(*later).version == catalogue.candidate(*earlier).version);
            if !bounds.older {
                let highest = ids.iter().copied().find(|id| !kept(id));
                let held = |id: &Id| locked.is_some_and(|p| p.version == catalogue.candidate(*id).version.as_str());
                ids.retain(|id| Some(*id) == highest || held(id));
            }
            special.insert(at, ids);
        }
        for name in bounds.excluded {
            let held = |at: &usize| catalogue.all_of(*at).iter().any(|id| is_installed(catalogue.candidate(*id)));
            special.extend(catalogue.find(name).filter(|at| !held(at)).map(|at| (at, Vec::new())));
        }
        let kept = locked.keys().copied().collect();
        Self { catalogue, special, kept, older: bounds.older }
    }

    pub(super) fn candidate(&self, id: Id) -> &'a Candidate {
        self.catalogue.candidate(id)
    }

    pub(super) fn names(&self) -> &[&'a str] {
        self.catalogue.names()
    }

    pub(super) fn name_of(&self, id: Id) -> usize {
        self.catalogue.name_of(id)
    }

    /// Returns what can be chosen of a name, the preferred first.
    pub(super) fn candidates_of(&self, name: usize) -> Copied<Iter<'_, Id>> {
        let ids = match self.special.get(&name) {
            Some(ids) => ids,
            None => {
                let versions = self.catalogue.versions_of(name);
                if self.older { versions } else { &versions[..versions.len().min(1)] }
            }
        };
        ids.iter().copied()
    }

    /// Returns the name's number, where something of it can be chosen.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.catalogue.find(name).filter(|at| self.candidates_of(*at).len() > 0)
    }

    /// Returns every candidate of a name that the archives have, whatever can be chosen of it.
    pub(super) fn everywhere(&self, name: &str) -> impl Iterator<Item = &'a Candidate> {
        let ids = self.catalogue.find(name).map(|at| self.catalogue.all_of(at)).unwrap_or_default();
        ids.iter().map(|id| self.candidate(*id))
    }

    pub(super) fn has_providers(&self, name: &str) -> bool {
        self.catalogue.has_providers(name)
    }

    /// Returns when apt would have met a candidate's name first.
    pub(super) fn mention(&self, id: Id) -> usize {
        self.catalogue.mention(self.name_of(id))
    }

    /// Returns every way to meet `dependency`, most preferred first: its alternatives in order, each by the real
    /// package, then by providers. `None` where it does not concern this architecture.
    pub(super) fn choices(&self, dependency: &Dependency) -> Option<Vec<Choice>> {
        let mut applies = false;
        let mut choices = Vec::new();
        for relation in dependency.0.iter().filter(|relation| relation.applies_to(self.architecture())) {
            applies = true;
            self.matches(relation, &mut choices);
        }
        (applies || dependency.0.is_empty()).then_some(choices)
    }

    /// Returns whether one of `taken` meets `dependency`, or it does not concern this architecture.
    pub(super) fn is_met(&self, dependency: &Dependency, taken: &BTreeSet<Id>) -> bool {
        let mut applies = false;
        let mut met = false;
        for relation in dependency.0.iter().filter(|relation| relation.applies_to(self.architecture())) {
            applies = true;
            self.each(relation, |id| met |= taken.contains(&id));
            if met {
                return true;
            }
        }
        !applies && !dependency.0.is_empty()
    }

    /// Adds what meets one relation: the package of that name, then those that provide it.
    ///
    /// Among providers what is locked already comes first, then apt's order: Essential, protected, the priority that
    /// the archive gives, and last the name that was mentioned latest (apt 2.6, `CompareProviders`).
    pub(super) fn matches(&self, relation: &Relation, choices: &mut Vec<Choice>) {
        let mut by_name: BTreeMap<usize, Vec<Id>> = BTreeMap::new();
        self.each(relation, |id| {
            let ids = by_name.entry(self.name_of(id)).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        });
        if let Some(ids) = self.find(&relation.name).and_then(|own| Some((own, by_name.remove(&own)?))) {
            choices.push(Choice { name: ids.0, ids: ids.1 });
        }
        let mut ordered: Vec<Choice> = by_name.into_iter().map(|(name, ids)| Choice { name, ids }).collect();
        ordered.sort_by(|a, b| {
            let rank = |choice: &Choice| {
                let best = self.candidate(choice.ids[0]);
                (!self.kept.contains(best.name.as_str()), !best.essential, !best.protected, best.priority)
            };
            rank(a).cmp(&rank(b)).then_with(|| self.catalogue.mention(b.name).cmp(&self.catalogue.mention(a.name)))
        });
        choices.append(&mut ordered);
    }

    /// Tells of every candidate that meets a relation, those of its own name first; one may be told of twice.
    fn each(&self, relation: &Relation, mut tell: impl FnMut(Id)) {
        let qualifier = relation.qualifier.as_deref();
        if let Some(name) = self.find(&relation.name) {
            for id in self.candidates_of(name) {
                let candidate = self.candidate(id);
                if holds(relation, &candidate.version) && self.is_of_architecture(candidate, qualifier) {
                    tell(id);
                }
            }
        }
        for (id, version) in self.catalogue.providers_of(&relation.name) {
            let candidate = self.candidate(*id);
            let fits = match (&relation.version, version) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some((op, bound)), Some(version)) => op.holds(version, bound),
            };
            if fits
                && candidate.name != relation.name
                && self.is_of_architecture(candidate, qualifier)
                && self.candidates_of(self.name_of(*id)).any(|offered| offered == *id)
            {
                tell(*id);
            }
        }
    }

    fn architecture(&self) -> &'static str {
        self.catalogue.platform.architecture()
    }

    /// Returns whether a qualifier (`python3:any`) lets the candidate in (Debian policy 7.1, multi-arch spec).
    fn is_of_architecture(&self, candidate: &Candidate, qualifier: Option<&str>) -> bool {
        match qualifier {
            None | Some("native") => true,
            Some("any") => candidate.multi_arch == MultiArch::Allowed,
            Some(other) => other == self.architecture(),
        }
    }

    /// Returns the candidates that may not be installed beside `id`, by name; never its own name.
    pub(super) fn conflicts(&self, id: Id) -> BTreeMap<usize, BTreeSet<Id>> {
        let candidate = self.candidate(id);
        let own = self.name_of(id);
        let mut hits: BTreeMap<usize, BTreeSet<Id>> = BTreeMap::new();
        let relations = candidate.conflicts.iter().chain(&candidate.breaks).flat_map(|dependency| &dependency.0);
        for relation in relations.filter(|relation| relation.applies_to(self.architecture())) {
            self.each(relation, |hit| {
                let name = self.name_of(hit);
                if name != own {
                    hits.entry(name).or_default().insert(hit);
                }
            });
        }
        hits
    }

    /// Returns the implicit packages that `id` brings, as names with their rules.
    pub(super) fn brings(&self, id: Id) -> impl Iterator<Item = (usize, &'static str)> {
        let name = self.candidate(id).name.as_str();
        implicit()
            .filter(move |rule| rule.is_brought_by(name))
            .filter_map(|rule| Some((self.find(rule.package)?, rule.rule())))
    }

    /// Returns the packages that come with any other, as names with their rules.
    pub(super) fn always(&self) -> impl Iterator<Item = (usize, &'static str)> {
        implicit().filter(|rule| rule.is_always()).filter_map(|rule| Some((self.find(rule.package)?, rule.rule())))
    }
}

fn holds(relation: &Relation, version: &Version) -> bool {
    relation.version.as_ref().is_none_or(|(op, bound)| op.holds(version, bound))
}

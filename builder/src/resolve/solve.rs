//! The search: `resolvo`'s conflict-driven solver over a [`Universe`].
//!
//! Every relation is handed over as explicit lists of candidates, so alternatives, versioned provides and conflicts
//! with provided names need nothing that the solver would have to know of Debian. pubgrub was weighed and left: its
//! incompatibilities speak of one package at a time, so alternatives would need an invented package each.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, DenseIndex, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver,
    SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use super::universe::{Choice, Id, Universe};

/// What the search starts from.
#[derive(Debug, Clone, Default)]
pub(super) struct Roots {
    /// Each must be met.
    pub(super) required: Vec<Vec<Choice>>,
    /// How many of them, from the first, are requests; the others come with every image.
    pub(super) requests: usize,
    /// Where one of these names is chosen, it is chosen from these.
    pub(super) limits: Vec<Choice>,
}

/// Returns the chosen candidates, or `None` where there is no solution.
pub(super) fn solve(universe: &Universe<'_, '_>, roots: &Roots) -> Option<BTreeSet<Id>> {
    let provider = Provider { universe, sets: RefCell::default(), unions: RefCell::default() };
    let mut requirements = Vec::new();
    for choices in &roots.required {
        requirements.push(provider.requirement(choices)?);
    }
    let constraints = roots.limits.iter().map(|limit| provider.set(limit.name, limit.ids.iter().copied())).collect();
    let problem = Problem::new().requirements(requirements).constraints(constraints);
    match Solver::new(provider).solve(problem) {
        Ok(chosen) => Some(chosen.into_iter().map(DenseIndex::to_index).collect()),
        Err(UnsolvableOrCancelled::Unsolvable(_) | UnsolvableOrCancelled::Cancelled(_)) => None,
    }
}

struct Provider<'u, 'a> {
    universe: &'u Universe<'u, 'a>,
    sets: RefCell<Vec<(usize, BTreeSet<Id>)>>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
}

impl Provider<'_, '_> {
    fn set(&self, name: usize, ids: impl Iterator<Item = Id>) -> VersionSetId {
        let mut sets = self.sets.borrow_mut();
        sets.push((name, ids.collect()));
        VersionSetId::from_index(sets.len() - 1)
    }

    /// Returns `None` where nothing can meet it.
    fn requirement(&self, choices: &[Choice]) -> Option<ConditionalRequirement> {
        let mut sets = Vec::new();
        for choice in choices {
            sets.push(self.set(choice.name, choice.ids.iter().copied()));
        }
        let requirement = match sets[..] {
            [] => return None,
            [single] => Requirement::Single(single),
            _ => {
                let mut unions = self.unions.borrow_mut();
                unions.push(sets);
                Requirement::Union(VersionSetUnionId::from_index(unions.len() - 1))
            }
        };
        Some(ConditionalRequirement { condition: None, requirement })
    }

    fn dependencies(&self, id: Id) -> Dependencies {
        let mut known = KnownDependencies::default();
        for dependency in &self.universe.candidate(id).depends {
            let Some(choices) = self.universe.choices(dependency) else { continue };
            // A package may provide what it depends on.
            if choices.iter().any(|choice| choice.ids.contains(&id)) {
                continue;
            }
            match self.requirement(&choices) {
                Some(requirement) => known.requirements.push(requirement),
                None => return Dependencies::Unknown(StringId(0)),
            }
        }
        for (name, _) in self.universe.brings(id) {
            let set = self.set(name, self.universe.candidates_of(name));
            known.requirements.push(set.into());
        }
        for (name, hits) in self.universe.conflicts(id) {
            let rest = self.universe.candidates_of(name).filter(|other| !hits.contains(other));
            known.constrains.push(self.set(name, rest));
        }
        Dependencies::Known(known)
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let candidate = self.universe.candidate(solvable.to_index());
        format!("{} {}", candidate.name, candidate.version)
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.universe.names()[name.to_index()]
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        format!("{} candidates", self.sets.borrow()[version_set.to_index()].1.len())
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        "a dependency cannot be met"
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        NameId::from_index(self.sets.borrow()[version_set.to_index()].0)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_index(self.universe.name_of(solvable.to_index()))
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow()[union.to_index()].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement has a condition")
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let sets = self.sets.borrow();
        let (_, ids) = &sets[version_set.to_index()];
        candidates.iter().copied().filter(|candidate| ids.contains(&candidate.to_index()) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let candidates = self.universe.candidates_of(name.to_index()).map(SolvableId::from_index).collect();
        Some(Candidates {
            candidates,
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // All of one name, which its universe holds in order of preference.
        let place = |solvable: &SolvableId| {
            let id = solvable.to_index();
            self.universe.candidates_of(self.universe.name_of(id)).position(|other| other == id)
        };
        solvables.sort_by_key(place);
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        self.dependencies(solvable.to_index())
    }
}

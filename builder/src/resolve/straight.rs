//! The straight way: dependencies in the order of their fields, depth first, the first alternative that works.
//!
//! This is how apt walks (apt 2.6, `pkgDepCache::MarkInstall`), so the answer is apt's wherever apt needs no second
//! thought: an alternative whose own dependencies cannot be met is given up, for this walk, and the next one is tried.
//! What is asked for is never given up: where that is blocked there is no answer from here, and the search of `solve`
//! is asked.

use std::collections::{BTreeMap, BTreeSet};

use super::solve::Roots;
use super::universe::{Choice, Id, Universe};

/// The longest chain of dependencies that is followed; `solve` has no such bound.
const DEPTH: usize = 400;

/// Returns the chosen candidates, or `None` where the straight way is blocked.
pub(super) fn walk(universe: &Universe<'_, '_>, roots: &Roots) -> Option<BTreeSet<Id>> {
    let limits = roots.limits.iter().map(|limit| (limit.name, limit.ids.iter().copied().collect())).collect();
    let mut way = Way {
        universe,
        limits,
        chosen: BTreeMap::new(),
        taken: BTreeSet::new(),
        forbidden: BTreeMap::new(),
        given_up: BTreeSet::new(),
        brought: Vec::new(),
    };
    // All roots first, as apt does: a request meets the others' alternatives. Then their dependencies, in the order of
    // apt's own numbers, so that the order of the requests does not matter.
    let (mut requests, mut always) = (Vec::new(), Vec::new());
    for (at, choices) in roots.required.iter().enumerate() {
        let mut ids = choices.iter().flat_map(|choice| &choice.ids).copied();
        if !choices.iter().any(|choice| choice.ids.iter().any(|id| way.taken.contains(id))) {
            let of = if at < roots.requests { &mut requests } else { &mut always };
            of.push(ids.find(|id| way.take(*id))?);
        }
    }
    if requests.len() > 1 {
        requests.sort_by_key(|id| universe.mention(*id));
    }
    for id in requests.iter().chain(&always) {
        way.follow(*id, 0).then_some(())?;
    }
    while let Some(name) = way.brought.pop() {
        let choice = Choice { name, ids: universe.candidates_of(name).collect() };
        if !choice.ids.iter().any(|id| way.taken.contains(id)) {
            choice.ids.iter().any(|id| way.install(*id, 0)).then_some(())?;
        }
    }
    Some(way.taken)
}

struct Way<'u, 'c, 'a> {
    universe: &'u Universe<'c, 'a>,
    limits: BTreeMap<usize, BTreeSet<Id>>,
    /// What is taken of each name.
    chosen: BTreeMap<usize, Id>,
    taken: BTreeSet<Id>,
    /// What something taken excludes, with how many do.
    forbidden: BTreeMap<Id, usize>,
    /// What was tried and has dependencies that cannot be met.
    given_up: BTreeSet<Id>,
    /// Implicit packages to come; last, so that they change nobody's alternatives.
    brought: Vec<usize>,
}

impl Way<'_, '_, '_> {
    /// Takes a candidate with all that follows from it; gives it up where that cannot be.
    fn install(&mut self, id: Id, depth: usize) -> bool {
        if self.taken.contains(&id) {
            return true;
        }
        if !self.take(id) {
            return false;
        }
        if self.follow(id, depth + 1) {
            return true;
        }
        self.give_up(id);
        false
    }

    /// Meets the dependencies of what is taken, one after the other.
    fn follow(&mut self, id: Id, depth: usize) -> bool {
        let universe = self.universe;
        depth < DEPTH
            && universe.candidate(id).depends.iter().all(|dependency| {
                universe.is_met(dependency, &self.taken)
                    || universe.choices(dependency).is_none_or(|choices| {
                        choices.iter().flat_map(|choice| &choice.ids).any(|id| self.install(*id, depth))
                    })
            })
    }

    fn take(&mut self, id: Id) -> bool {
        let name = self.universe.name_of(id);
        if self.chosen.contains_key(&name)
            || self.given_up.contains(&id)
            || self.forbidden.contains_key(&id)
            || self.limits.get(&name).is_some_and(|allowed| !allowed.contains(&id))
        {
            return false;
        }
        let hits = self.universe.conflicts(id);
        if hits.values().flatten().any(|other| self.taken.contains(other)) {
            return false;
        }
        for hit in hits.values().flatten() {
            *self.forbidden.entry(*hit).or_default() += 1;
        }
        self.chosen.insert(name, id);
        self.taken.insert(id);
        self.brought.extend(self.universe.brings(id).map(|(name, _)| name));
        true
    }

    fn give_up(&mut self, id: Id) {
        for hit in self.universe.conflicts(id).values().flatten() {
            if let Some(count) = self.forbidden.get_mut(hit) {
                *count -= 1;
                if *count == 0 {
                    self.forbidden.remove(hit);
                }
            }
        }
        self.chosen.remove(&self.universe.name_of(id));
        self.taken.remove(&id);
        self.given_up.insert(id);
    }
}

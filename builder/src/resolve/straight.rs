//! The straight way: dependencies in the order of their fields, depth first, the first alternative that fits.
//!
//! This is how apt walks, so the answer is apt's wherever apt needs no second thought. Nothing is ever taken back: where
//! the way is blocked there is no answer from here, and the search of `solve` is asked.

use std::collections::{BTreeMap, BTreeSet};

use super::solve::Roots;
use super::universe::{Choice, Id, Universe};

/// Returns the chosen candidates, or `None` where the straight way is blocked.
pub(super) fn walk(universe: &Universe<'_>, roots: &Roots) -> Option<BTreeSet<Id>> {
    let limits = roots.limits.iter().map(|limit| (limit.name, limit.ids.iter().copied().collect())).collect();
    let mut way = Way {
        universe,
        limits,
        chosen: BTreeMap::new(),
        taken: BTreeSet::new(),
        forbidden: BTreeSet::new(),
        brought: Vec::new(),
    };
    // All roots first, as apt does: a request meets the others' alternatives.
    let mut open = Vec::new();
    for choices in &roots.required {
        way.meet(choices, &mut open)?;
    }
    open.reverse();
    way.follow(&mut open)?;
    while let Some(name) = way.brought.pop() {
        way.meet(&[Choice { name, ids: universe.candidates_of(name).collect() }], &mut open)?;
        way.follow(&mut open)?;
    }
    Some(way.taken)
}

struct Way<'u, 'a> {
    universe: &'u Universe<'a>,
    limits: BTreeMap<usize, BTreeSet<Id>>,
    /// What is taken of each name.
    chosen: BTreeMap<usize, Id>,
    taken: BTreeSet<Id>,
    /// What something taken excludes.
    forbidden: BTreeSet<Id>,
    /// Implicit packages to come; last, so that they change nobody's alternatives.
    brought: Vec<usize>,
}

impl Way<'_, '_> {
    /// Meets the open dependencies, the last first, and everything that follows from them.
    fn follow(&mut self, open: &mut Vec<(Id, usize)>) -> Option<()> {
        while let Some((id, next)) = open.pop() {
            let Some(dependency) = self.universe.candidate(id).depends.get(next) else { continue };
            open.push((id, next + 1));
            if let Some(choices) = self.universe.choices(dependency) {
                self.meet(&choices, open)?;
            }
        }
        Some(())
    }

    /// Takes the first alternative that fits, where none is taken already.
    fn meet(&mut self, choices: &[Choice], open: &mut Vec<(Id, usize)>) -> Option<()> {
        if choices.iter().any(|choice| choice.ids.iter().any(|id| self.taken.contains(id))) {
            return Some(());
        }
        let id = choices.iter().flat_map(|choice| &choice.ids).copied().find(|id| self.take(*id))?;
        open.push((id, 0));
        Some(())
    }

    fn take(&mut self, id: Id) -> bool {
        let name = self.universe.name_of(id);
        if self.chosen.contains_key(&name)
            || self.forbidden.contains(&id)
            || self.limits.get(&name).is_some_and(|allowed| !allowed.contains(&id))
        {
            return false;
        }
        let hits = self.universe.conflicts(id);
        if hits.values().flatten().any(|other| self.taken.contains(other)) {
            return false;
        }
        self.forbidden.extend(hits.values().flatten());
        self.chosen.insert(name, id);
        self.taken.insert(id);
        self.brought.extend(self.universe.brings(id).map(|(name, _)| name));
        true
    }
}

//! Why each chosen package is in, and which exist for maintainer scripts alone.
//!
//! A package is script-only where every way to it, from a request or an implicit package, leads through a package or a
//! dependency of [`rules::script_only`](crate::rules::script_only). So perl-base falls away where only debconf wants
//! it, and stays where a kept program does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::universe::{Choice, Id, Universe};
use crate::lock::Why;
use crate::rules::script_only::is_script_only_dependency;

/// What a lock says of a package beside its stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) why: Why,
    pub(super) script_only: bool,
}

/// Returns the reason of every chosen package that something leads to; what nothing leads to is left out.
pub(super) fn reasons(
    universe: &Universe<'_, '_>,
    chosen: &BTreeSet<Id>,
    requests: &[&[Choice]],
) -> BTreeMap<Id, Reason> {
    let requested: BTreeSet<Id> = requests.iter().filter_map(|choices| first_chosen(choices, chosen)).collect();
    let mut walk = Walk { universe, chosen, came_from: BTreeMap::new(), rules: BTreeMap::new() };
    let always: Vec<(Id, &str)> =
        universe.always().filter_map(|(name, rule)| Some((walk.chosen_of(name)?, rule))).collect();

    // What is kept, then what only scripts want; requests before implicit packages, so that chains start at requests.
    walk.from(&requested, false);
    for (id, rule) in &always {
        walk.rules.entry(*id).or_insert(rule);
    }
    walk.implicit(false);
    let kept: BTreeSet<Id> = walk.came_from.keys().copied().collect();
    walk.from(&requested, true);
    walk.implicit(true);

    walk.came_from
        .keys()
        .map(|id| {
            let why = if requested.contains(id) {
                Why::Requested
            } else if let Some(rule) = walk.rules.get(id) {
                Why::Implicit((*rule).to_owned())
            } else {
                Why::Dependency(walk.chain(*id))
            };
            (*id, Reason { why, script_only: !kept.contains(id) })
        })
        .collect()
}

/// Returns the first of these choices that is chosen.
pub(super) fn first_chosen(choices: &[Choice], chosen: &BTreeSet<Id>) -> Option<Id> {
    choices.iter().flat_map(|choice| &choice.ids).copied().find(|id| chosen.contains(id))
}

struct Walk<'u, 'a> {
    universe: &'u Universe<'u, 'a>,
    chosen: &'u BTreeSet<Id>,
    /// Reached packages, each with the one before it on the shortest chain; `None` for a root.
    came_from: BTreeMap<Id, Option<Id>>,
    /// Implicit packages with their rule.
    rules: BTreeMap<Id, &'static str>,
}

impl Walk<'_, '_> {
    fn chosen_of(&self, name: usize) -> Option<Id> {
        self.universe.candidates_of(name).find(|id| self.chosen.contains(id))
    }

    /// Walks breadth first from `roots`, neighbours in name order.
    fn from(&mut self, roots: &BTreeSet<Id>, for_scripts: bool) {
        let mut queue: VecDeque<Id> = roots.iter().copied().collect();
        let mut seen = roots.clone();
        for root in roots {
            self.came_from.entry(*root).or_insert(None);
        }
        while let Some(id) = queue.pop_front() {
            for next in self.neighbours(id, for_scripts) {
                self.came_from.entry(next).or_insert(Some(id));
                if seen.insert(next) {
                    queue.push_back(next);
                }
            }
        }
    }

    /// Walks from the implicit packages that what is reached brings, until nothing new comes.
    fn implicit(&mut self, for_scripts: bool) {
        loop {
            let reached: Vec<Id> = self.came_from.keys().copied().collect();
            for id in reached {
                for (name, rule) in self.universe.brings(id) {
                    if let Some(brought) = self.chosen_of(name) {
                        self.rules.entry(brought).or_insert(rule);
                    }
                }
            }
            let count = self.came_from.len();
            let roots: BTreeSet<Id> = self.rules.keys().copied().collect();
            self.from(&roots, for_scripts);
            if self.came_from.len() == count {
                return;
            }
        }
    }

    /// Returns what meets the dependencies of `id`: of each, the first alternative that is chosen.
    fn neighbours(&self, id: Id, for_scripts: bool) -> BTreeSet<Id> {
        let candidate = self.universe.candidate(id);
        let mut next = BTreeSet::new();
        for dependency in &candidate.depends {
            let Some(choices) = self.universe.choices(dependency) else { continue };
            if choices.iter().any(|choice| choice.ids.contains(&id)) {
                continue;
            }
            if let Some(met) = first_chosen(&choices, self.chosen) {
                let name = &self.universe.candidate(met).name;
                if for_scripts || !is_script_only_dependency(&candidate.name, name) {
                    next.insert(met);
                }
            }
        }
        next
    }

    /// Returns the names that lead to `id`, root first.
    fn chain(&self, id: Id) -> Vec<String> {
        let mut chain = Vec::new();
        let mut at = id;
        // Each step leads to a package reached earlier, so this ends; the bound says so to the reader.
        while let Some(before) = self.came_from.get(&at).copied().flatten() {
            chain.push(self.universe.candidate(before).name.clone());
            at = before;
            if chain.len() > self.came_from.len() {
                break;
            }
        }
        chain.reverse();
        chain
    }
}

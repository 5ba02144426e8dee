//! Why there is no answer, derived in words: from a request, step by step, to what cannot be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::Unsatisfiable;
use super::installed::is_installed;
use super::near::near;
use super::solve::{Roots, solve};
use super::universe::{Choice, Id, Universe};
use crate::deb822::Dependency;
use crate::spec::{Platform, Spec};

/// How many steps a derivation shows.
const STEPS: usize = 24;

/// Returns the derivation for roots that `solve` found no answer to.
pub(super) fn explain(
    spec: &Spec,
    platform: Platform,
    universe: &Universe<'_, '_>,
    excluded: &BTreeSet<&str>,
    roots: &Roots,
) -> Unsatisfiable {
    let core = core(universe, roots);
    let dead = Dead::of(universe, &core, roots);
    let mut told = Told { universe, excluded, lines: Vec::new(), hints: Vec::new() };
    let hopeless = core.iter().copied().find(|n| {
        let mut ids = roots.required[*n].iter().flat_map(|choice| &choice.ids);
        ids.all(|id| dead.reason.contains_key(id))
    });
    match hopeless.and_then(|n| Some((n, *roots.required[n].first()?.ids.first()?))) {
        Some((n, id)) => {
            told.lines.push(format!("{} cannot be installed", root_name(spec, universe, roots, n)));
            told.dead(id, &dead);
        }
        None => told.clash(spec, roots, &core, &dead),
    }
    let requests = core
        .iter()
        .filter_map(|n| spec.packages.get(*n))
        .map(|request| (request.span, "asked for here".to_owned()))
        .collect();
    Unsatisfiable {
        spec: spec.name.clone(),
        platform: platform.oci().to_owned(),
        source_text: Arc::clone(&spec.source),
        requests,
        derivation: told.lines,
        hints: told.hints,
    }
}

fn root_name(spec: &Spec, universe: &Universe<'_, '_>, roots: &Roots, n: usize) -> String {
    match spec.packages.get(n) {
        Some(request) => match &request.value.version {
            Some((op, version)) => format!("`{} {op} {version}`", request.value.name),
            None => format!("`{}`", request.value.name),
        },
        None => {
            let choice = roots.required[n].first();
            let name = choice.and_then(|choice| universe.names().get(choice.name)).unwrap_or(&"?");
            let first = choice.and_then(|choice| choice.ids.first());
            if first.is_some_and(|id| is_installed(universe.candidate(*id))) {
                format!("`{name}`, which the base has,")
            } else {
                format!("`{name}`, which every image has,")
            }
        }
    }
}

/// Returns the fewest roots found that already have no answer together.
fn core(universe: &Universe<'_, '_>, roots: &Roots) -> Vec<usize> {
    let mut core: Vec<usize> = (0..roots.required.len()).collect();
    for n in (0..roots.required.len()).rev() {
        let fewer: Vec<usize> = core.iter().copied().filter(|other| *other != n).collect();
        let required = fewer.iter().map(|n| roots.required[*n].clone()).collect();
        if solve(universe, &Roots { required, ..roots.clone() }).is_none() {
            core = fewer;
        }
    }
    core
}

/// Candidates that can never be installed, whatever else is, each with the dependency that says so.
struct Dead {
    reason: BTreeMap<Id, usize>,
}

impl Dead {
    fn of(universe: &Universe<'_, '_>, core: &[usize], roots: &Roots) -> Self {
        let mut needs: BTreeMap<Id, Vec<(usize, BTreeSet<Id>)>> = BTreeMap::new();
        let mut queue: Vec<Id> =
            core.iter().flat_map(|n| &roots.required[*n]).flat_map(|choice| choice.ids.clone()).collect();
        while let Some(id) = queue.pop() {
            if needs.contains_key(&id) {
                continue;
            }
            let mut own = Vec::new();
            for (n, dependency) in universe.candidate(id).depends.iter().enumerate() {
                let Some(choices) = universe.choices(dependency) else { continue };
                let ids: BTreeSet<Id> = choices.iter().flat_map(|choice| choice.ids.clone()).collect();
                if ids.contains(&id) {
                    continue;
                }
                queue.extend(&ids);
                own.push((n, ids));
            }
            needs.insert(id, own);
        }
        let mut reason: BTreeMap<Id, usize> = BTreeMap::new();
        loop {
            let mut found = Vec::new();
            for (id, own) in needs.iter().filter(|(id, _)| !reason.contains_key(id)) {
                let hopeless = own.iter().find(|(_, ids)| ids.iter().all(|other| reason.contains_key(other)));
                if let Some((n, _)) = hopeless {
                    found.push((*id, *n));
                }
            }
            if found.is_empty() {
                return Self { reason };
            }
            reason.extend(found);
        }
    }
}

struct Told<'u, 'a> {
    universe: &'u Universe<'u, 'a>,
    excluded: &'u BTreeSet<&'u str>,
    lines: Vec<String>,
    hints: Vec<String>,
}

impl Told<'_, '_> {
    fn show(&self, id: Id) -> String {
        let candidate = self.universe.candidate(id);
        format!("`{}` {}", candidate.name, candidate.version)
    }

    /// Follows a dead candidate down to the dependency that nothing meets.
    fn dead(&mut self, id: Id, dead: &Dead) {
        let mut at = id;
        while let Some(n) = dead.reason.get(&at) {
            if self.lines.len() >= STEPS {
                self.lines.push("and so on".to_owned());
                return;
            }
            let Some(dependency) = self.universe.candidate(at).depends.get(*n) else { return };
            let choices = self.universe.choices(dependency).unwrap_or_default();
            let line = format!("{} depends on `{dependency}`", self.show(at));
            let Some(first) = choices.first().and_then(|choice| choice.ids.first()) else {
                let why = self.unmet(dependency);
                self.lines.push(format!("{line}, and {why}"));
                return;
            };
            let others = choices.iter().map(|choice| choice.ids.len()).sum::<usize>() - 1;
            self.lines.push(match others {
                0 => line,
                _ => format!("{line}; none of the {} that could meet it can be installed", others + 1),
            });
            at = *first;
        }
    }

    /// Says why nothing meets a dependency, and adds hints.
    fn unmet(&mut self, dependency: &Dependency) -> String {
        let mut why = Vec::new();
        for relation in &dependency.0 {
            let name = relation.name.as_str();
            if self.excluded.contains(name) {
                why.push(format!("`{name}` is excluded"));
                self.hints.push(format!("remove `!{name}`"));
            } else if let Some(found) = self.universe.find(name) {
                let versions: Vec<String> = self
                    .universe
                    .candidates_of(found)
                    .map(|id| self.universe.candidate(id).version.to_string())
                    .collect();
                why.push(format!("`{name}` is there in {} only", versions.join(", ")));
            } else if self.universe.has_providers(name) {
                why.push(format!("nothing that provides `{name}` fits"));
            } else {
                why.push(format!("no package is or provides `{name}`"));
                self.hints.extend(near(name, self.universe));
            }
        }
        why.join(", and ")
    }

    /// Tells of two packages that the roots lead to and that exclude each other.
    fn clash(&mut self, spec: &Spec, roots: &Roots, core: &[usize], dead: &Dead) {
        let names: Vec<String> = core.iter().map(|n| root_name(spec, self.universe, roots, *n)).collect();
        self.lines.push(match names.len() {
            1 => format!("no choice of packages meets {}", names[0]),
            _ => format!("no choice of packages meets {} together", names.join(" and ")),
        });
        let greedy = self.greedy(roots, core, dead);
        for id in greedy.keys() {
            let hits = self.universe.conflicts(*id);
            for other in greedy.keys().filter(|other| *other != id) {
                if !hits.get(&self.universe.name_of(*other)).is_some_and(|hits| hits.contains(other)) {
                    continue;
                }
                self.chain(&greedy, *id);
                self.chain(&greedy, *other);
                self.lines.push(format!("{} and {} exclude each other", self.show(*id), self.show(*other)));
                return;
            }
        }
        let mut by_name: BTreeMap<usize, Id> = BTreeMap::new();
        for id in greedy.keys() {
            if let Some(other) = by_name.insert(self.universe.name_of(*id), *id) {
                self.chain(&greedy, other);
                self.chain(&greedy, *id);
                self.lines.push(format!("only one of {} and {} can be there", self.show(other), self.show(*id)));
                return;
            }
        }
    }

    /// Returns the first choice of everything that the roots lead to, each with where it was asked for.
    fn greedy(&self, roots: &Roots, core: &[usize], dead: &Dead) -> BTreeMap<Id, Option<Id>> {
        let first = |choices: &[Choice]| {
            choices.iter().flat_map(|choice| &choice.ids).copied().find(|id| !dead.reason.contains_key(id))
        };
        let mut reached: BTreeMap<Id, Option<Id>> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::new();
        for n in core {
            if let Some(id) = first(&roots.required[*n]) {
                reached.entry(id).or_insert(None);
                queue.push_back(id);
            }
        }
        while let Some(id) = queue.pop_front() {
            for dependency in &self.universe.candidate(id).depends {
                let choices = self.universe.choices(dependency).unwrap_or_default();
                if choices.iter().any(|choice| choice.ids.iter().any(|id| reached.contains_key(id))) {
                    continue;
                }
                if let Some(next) = first(&choices) {
                    reached.insert(next, Some(id));
                    queue.push_back(next);
                }
            }
        }
        reached
    }

    /// Adds the steps that lead to `id`.
    fn chain(&mut self, greedy: &BTreeMap<Id, Option<Id>>, id: Id) {
        let mut steps = Vec::new();
        let mut at = id;
        while let Some(Some(before)) = greedy.get(&at) {
            steps.push(format!("{} leads to {}", self.show(*before), self.show(at)));
            at = *before;
            if steps.len() >= STEPS {
                break;
            }
        }
        self.lines.extend(steps.into_iter().rev());
    }
}

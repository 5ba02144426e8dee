//! Why something that a package ships is not kept, and what a person may want to hear of it.

use std::collections::BTreeSet;

use super::role::Role;
use super::universe::{Body, Item, Universe};
use super::{Closure, Keep, Level, State};
use crate::lock::Why as Locked;
use crate::select::Report;

/// The most files that a report suggests.
const MAX_SUGGESTIONS: usize = 200;

impl Closure<'_> {
    /// Returns why each package that ships something at this path (no leading slash) does not bring it.
    pub(crate) fn absent(&self, path: &str) -> Vec<(String, String)> {
        let Some(place) = self.universe.find(path) else { return Vec::new() };
        let items = self.universe.places[place as usize].items.iter();
        let of = items.filter_map(|item| {
            let package = self.universe.pack(*item)?;
            let name = self.universe.packages[package as usize].name.to_owned();
            Some((name, self.state.why_not(&self.universe, *item, package)))
        });
        of.collect()
    }

    /// Returns whether a package ships something where this path leads, and nothing of it is kept.
    pub(crate) fn is_lost(&self, path: &str) -> bool {
        let place = self.universe.follow(super::universe::ROOT, &format!("/{path}"), &mut |_| {});
        let winner = place.and_then(|place| self.universe.places[place as usize].winner);
        winner.is_some_and(|item| {
            let directory = matches!(self.universe.things[item as usize].body, Body::Directory(_));
            !directory && !self.state.kept[item as usize]
        })
    }
}

impl State<'_> {
    fn why_not(&self, universe: &Universe<'_>, item: Item, package: u32) -> String {
        let at = package as usize;
        let pack = &universe.packages[at];
        let thing = &universe.things[item as usize];
        if self.kept[item as usize] {
            return "it is kept".to_owned();
        }
        if matches!(thing.body, Body::Directory(false)) {
            return "a directory is kept where something below it is".to_owned();
        }
        if pack.falls_away {
            return "only maintainer scripts use that package, and none is ever run (script-only)".to_owned();
        }
        if universe.places[thing.place as usize].winner != Some(item) {
            return "another entry stands in its place".to_owned();
        }
        match thing.role {
            Role::Doc | Role::DocLink | Role::Admin => {
                let class = if thing.role == Role::Admin { "admin" } else { "doc" };
                return format!("it is of class `{class}`, which `keep: {}` drops", self.keep[at].as_str());
            }
            Role::Copyright => return "it is a licence text, and nothing else of that package is kept".to_owned(),
            _ => {}
        }
        if let Some(rule) = self.rules.off(item) {
            let feature = rule.unless.as_deref().or(rule.feature.as_deref());
            let hint = feature.map(|name| format!("; the feature `{name}` keeps it")).unwrap_or_default();
            return format!(
                "nothing kept needs it, and rule `{}` keeps it by need alone: {}{hint}",
                rule.name, rule.why
            );
        }
        if let Locked::Implicit(rule) = &pack.locked.why {
            return format!("rule `implicit: {rule}` keeps little of that package, and nothing kept needs this");
        }
        match (thing.role, self.level[at]) {
            (_, Level::None) => return "nothing kept needs it, or any other file of that package".to_owned(),
            (Role::Program, Level::Reached) => {
                return "nothing kept runs it, and the spec does not name its package".to_owned();
            }
            (Role::Library, Level::Reached | Level::Passed) => return "nothing kept is linked to it".to_owned(),
            _ => {}
        }
        if let Some(tree) = self.rules.tree(item)
            && !self.trees[tree as usize].0
        {
            return format!("{}, and none is kept", self.rules.all[tree as usize].why);
        }
        if let Some(shebang) = universe.facts(item).and_then(|facts| facts.shebang.as_deref()) {
            return format!("it is a script, and what runs it is not kept: `{shebang}`");
        }
        if self.plugins.iter().any(|waiting| waiting.contains(&item)) {
            return "it is a plugin, and no library that would load it is kept".to_owned();
        }
        match thing.role {
            Role::Plugin => "it is a plugin, and something that it needs is not there".to_owned(),
            _ => "nothing kept needs it".to_owned(),
        }
    }

    /// Adds to a report what was dropped, and what suggests that something is missing.
    pub(super) fn report(&self, universe: &Universe<'_>, report: &mut Report) {
        for (package, pack) in universe.packages.iter().enumerate() {
            if self.level[package] < Level::Passed {
                continue;
            }
            for item in pack.first..pack.first + pack.index.entries.len() as Item {
                let thing = &universe.things[item as usize];
                if thing.role != Role::Program || self.kept[item as usize] || self.never.contains_key(&item) {
                    continue;
                }
                if let Some(shebang) = universe.facts(item).and_then(|facts| facts.shebang.as_deref()) {
                    let path = universe.path(thing.place);
                    report.scripts.push((format!("/{path}"), pack.name.to_owned(), shebang.to_owned()));
                }
            }
        }
        report.scripts.sort();
        report.idle.extend(self.rules.idle().map(|rule| rule.name.clone()));
        self.suggest(universe, report);
    }

    /// Adds what kept files name, packages ship, and nothing keeps: a person knows whether it is missed.
    fn suggest(&self, universe: &Universe<'_>, report: &mut Report) {
        let mut told: BTreeSet<(String, String)> = BTreeSet::new();
        for item in (0..self.kept.len() as Item).filter(|item| self.kept[*item as usize]) {
            let by_need = universe.pack(item).is_some_and(|package| self.keep[package as usize] == Keep::Needed);
            let Some(scan) = universe.scan(item).filter(|_| by_need) else { continue };
            let elf = universe.facts(item).and_then(|facts| facts.elf.as_deref());
            let mut add = |named: &str, found: Item| {
                let Some(owner) = universe.pack(found).filter(|_| !self.kept[found as usize]) else { return };
                let never = self.never.contains_key(&found) || self.rules.is_off(found);
                if !never && told.len() < MAX_SUGGESTIONS && universe.things[found as usize].role.is_payload() {
                    let owner = universe.packages[owner as usize].name;
                    let path = universe.path_of(found);
                    told.insert((path, format!("/{} names `{named}` of `{owner}`", universe.path_of(item))));
                }
            };
            for name in elf.iter().flat_map(|_| &scan.sonames) {
                if let Some(found) = self.search.public(universe, name) {
                    add(name, found);
                }
            }
            for path in elf.is_none().then_some(&scan.paths).into_iter().flatten() {
                if let Some(found) = universe.file(super::universe::ROOT, path) {
                    add(path, found);
                }
            }
        }
        report.suggestions.extend(told.into_iter().map(|(path, who)| (format!("/{path}"), who)));
    }
}

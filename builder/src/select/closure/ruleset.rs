//! The rules that hold for one image, against its universe.

use std::collections::BTreeMap;

use super::graph::{Root, Why};
use super::universe::{Body, Item, Universe};
use super::{Closer, Error, Place, SelectInput, Waiting};
use crate::lock::Why as Locked;
use crate::rules::closure::{Rule, built_in, features};

/// Rules by number, and what their patterns fit.
pub(super) struct Rules<'a> {
    pub(super) all: Vec<&'a Rule>,
    /// How many of them are built in; the others are the spec's.
    built_in: usize,
    /// By item: kept by need alone, by this rule.
    off: BTreeMap<Item, u32>,
    /// By item: waits for a reader, by this rule.
    trees: BTreeMap<Item, u32>,
    readers: BTreeMap<u32, Vec<Item>>,
    /// By rule: `when` holds, `with` holds.
    met: Vec<(bool, bool)>,
    /// By package, the rules that name it.
    with: BTreeMap<u32, Vec<u32>>,
    /// Rules whose patterns have fitted something.
    fitted: Vec<bool>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(universe: &Universe<'a>, input: &SelectInput<'a>) -> Result<Self, Error> {
        let mut all: Vec<&'a Rule> = built_in().collect();
        let built_in = all.len();
        all.extend(&input.local.rules);
        let asked = |name: &str| input.spec.features.iter().find(|feature| feature.value.name == name);
        let mut rules = Self {
            built_in,
            off: BTreeMap::new(),
            trees: BTreeMap::new(),
            readers: BTreeMap::new(),
            met: vec![(false, false); all.len()],
            with: BTreeMap::new(),
            fitted: vec![false; all.len()],
            all,
        };
        for (number, rule) in rules.all.clone().into_iter().enumerate() {
            let at = number as u32;
            let lifted = rule.unless.as_deref().and_then(asked);
            // A feature with a value lifts no more than its value says.
            let lifted = lifted.is_some_and(|feature| feature.value.value.is_none());
            let items = |patterns: &[crate::rules::glob::Pattern]| -> Vec<Item> {
                let places = patterns.iter().flat_map(|pattern| universe.expand(pattern));
                places.flat_map(|place| universe.places[place as usize].items.clone()).collect()
            };
            let mut narrowed = Vec::new();
            if let Some(feature) = rule.feature.as_deref().filter(|_| !rule.narrows.is_empty())
                && asked(feature).is_some_and(|feature| feature.value.value.is_some())
            {
                narrowed = items(&rule.narrows);
            }
            let off = if lifted { Vec::new() } else { items(&rule.off) };
            for item in off.into_iter().chain(narrowed) {
                rules.fitted[number] = true;
                rules.off.entry(item).or_insert(at);
            }
            for item in items(&rule.wait) {
                rules.fitted[number] = true;
                rules.trees.entry(item).or_insert(at);
            }
            if !rule.wait_for.is_empty() {
                let mut readers = items(&rule.wait_for);
                readers.retain(|item| !matches!(universe.things[*item as usize].body, Body::Directory(_)));
                readers.sort_unstable();
                rules.readers.insert(at, readers);
            }
            for (package, pack) in universe.packages.iter().enumerate() {
                if rule.implicit.is_none() && rule.is_with(pack.name) {
                    rules.with.entry(package as u32).or_default().push(at);
                }
            }
        }
        Ok(rules)
    }

    pub(super) fn is_off(&self, item: Item) -> bool {
        self.off.contains_key(&item)
    }

    /// Returns the rule that keeps an item by need alone.
    pub(super) fn off(&self, item: Item) -> Option<&'a Rule> {
        self.off.get(&item).map(|rule| self.all[*rule as usize])
    }

    /// Returns the rule by which an item waits for a reader.
    pub(super) fn tree(&self, item: Item) -> Option<u32> {
        self.trees.get(&item).copied()
    }

    pub(super) fn readers(&self, tree: u32) -> &[Item] {
        self.readers.get(&tree).map_or(&[], Vec::as_slice)
    }

    pub(super) fn with(&self, package: u32) -> Vec<u32> {
        self.with.get(&package).cloned().unwrap_or_default()
    }

    /// Returns whether a package is implicit for what is read of it, not for what may be needed.
    pub(super) fn lists(&self, package: &str) -> bool {
        let of = |rule: &&&Rule| rule.implicit.as_deref() == Some(package);
        self.all.iter().filter(of).any(|rule| rule.always || !rule.files.is_empty())
    }

    /// Returns the spec's own rules that have fitted nothing.
    pub(super) fn idle(&self) -> impl Iterator<Item = &'a Rule> {
        let own = self.all.iter().zip(&self.fitted).skip(self.built_in);
        own.filter(|(_, fitted)| !**fitted).map(|(rule, _)| *rule)
    }
}

impl Closer<'_, '_> {
    /// Arms every rule, and keeps what features alone ask for.
    pub(super) fn ask_features(&mut self) -> Result<(), Error> {
        let universe = self.universe;
        for feature in &self.input.spec.features {
            let name = Some(&feature.value.name);
            if !self.state.rules.all.iter().any(|rule| rule.feature.as_ref() == name || rule.unless.as_ref() == name) {
                return Err(Error::Feature {
                    name: feature.value.name.clone(),
                    known: features(&self.state.rules.all),
                    place: Some(Place { source: self.input.spec.source.clone(), span: feature.span }),
                });
            }
        }
        for number in 0..self.state.rules.all.len() {
            let rule = self.state.rules.all[number];
            let at = number as u32;
            for reader in self.state.rules.readers(at).to_vec() {
                self.wait(reader, Waiting::Tree(at));
            }
            if rule.keep.is_empty() {
                continue;
            }
            let asked = self.input.spec.features.iter().any(|f| rule.feature.as_deref() == Some(&f.value.name));
            if rule.feature.is_some() && !asked {
                continue;
            }
            for pattern in &rule.when {
                for place in universe.expand(pattern) {
                    for item in universe.at(place).collect::<Vec<_>>() {
                        self.state.rules.fitted[number] = true;
                        self.wait(item, Waiting::Rule(at));
                    }
                }
            }
            if rule.when.is_empty() && rule.with.is_empty() {
                self.fire(at, None);
            }
        }
        self.gconv()
    }

    /// Notes that a condition of a rule holds, and keeps what it keeps once all do.
    pub(super) fn rule_met(&mut self, rule: u32, when: Option<Item>, with: Option<Item>) {
        let (text, met) = (self.state.rules.all[rule as usize], &mut self.state.rules.met[rule as usize]);
        met.0 |= when.is_some();
        met.1 |= with.is_some();
        let holds = (met.0 || text.when.is_empty()) && (met.1 || text.with.is_empty());
        let asked = text
            .feature
            .as_deref()
            .is_none_or(|name| self.input.spec.features.iter().any(|feature| feature.value.name == name));
        if with.is_some() {
            self.state.rules.fitted[rule as usize] = true;
        }
        if holds && asked {
            self.fire(rule, when.or(with));
        }
    }

    fn fire(&mut self, number: u32, by: Option<Item>) {
        let universe = self.universe;
        let rule = self.state.rules.all[number as usize];
        let features = self.input.spec.features.iter().enumerate();
        let values: Vec<(Option<u32>, Option<String>)> = match &rule.feature {
            None => vec![(None, None)],
            Some(name) => features
                .filter(|(_, feature)| feature.value.name == *name)
                .map(|(at, feature)| (Some(at as u32), feature.value.value.clone()))
                .collect(),
        };
        for (feature, value) in values {
            for pattern in rule.keeps(value.as_deref()) {
                for place in universe.expand(&pattern) {
                    for item in universe.at(place).collect::<Vec<_>>() {
                        if matches!(universe.things[item as usize].body, Body::Directory(false)) {
                            continue;
                        }
                        self.state.rules.fitted[number as usize] = true;
                        match feature {
                            Some(feature) => self.keep(item, Why::Root(Root::Feature(feature))),
                            None => self.keep(item, Why::Rule(number, by)),
                        }
                    }
                }
            }
        }
    }

    /// Keeps what an implicit package's rules list.
    pub(super) fn implicit(&mut self, package: u32, brought_by: &str) {
        let universe = self.universe;
        let name = universe.packages[package as usize].name;
        debug_assert!(matches!(universe.packages[package as usize].locked.why, Locked::Implicit(_)), "{brought_by}");
        for number in 0..self.state.rules.all.len() {
            let rule = self.state.rules.all[number];
            if rule.implicit.as_deref() != Some(name) {
                continue;
            }
            for pattern in &rule.files {
                for place in universe.expand(pattern) {
                    let items = universe.places[place as usize].items.clone();
                    for item in items.into_iter().filter(|item| universe.pack(*item) == Some(package)) {
                        if !matches!(universe.things[item as usize].body, Body::Directory(false)) {
                            self.keep(item, Why::Rule(number as u32, None));
                        }
                    }
                }
            }
        }
    }
}

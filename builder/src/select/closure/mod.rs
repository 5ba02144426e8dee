//! Which files are needed: a fixpoint over everything that packages ship, independent of order.
//!
//! In: the pack indexes, the spec, the base, and what maintainer scripts would do. Out: of every entry whether it is
//! kept, and the whole graph of reasons. Every step only ever adds, and whether it is taken depends on what is kept
//! alone; so the result is the least set that holds, whatever the order of steps.

mod absent;
mod elf;
mod gconv;
mod graph;
mod links;
mod role;
mod ruleset;
mod scripts;
mod universe;

use std::collections::{BTreeMap, BTreeSet};

use super::choice::Choice;
use super::error::{Error, Place};
use super::merge::Diversions;
use super::scripted::Scripted;
use super::slices::Sliced;
use super::{RUNS, Report, SelectInput};
use crate::deb822::parse_dependencies;
use crate::lock::Why as Locked;
use crate::rules::script_only::is_script_only_dependency;
use crate::spec::Keep;

pub use graph::{Cause, Reason, Reasons};
use graph::{PackageWhy, Root, Why};
use role::Role;
use ruleset::Rules;
use universe::{Body, Holder, Item, Universe};

/// How much of a package is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// What is needed.
    None,
    /// Plugins and data, for something needs it.
    Reached,
    /// Programs as well, for it belongs to something that the spec names.
    Passed,
    /// Libraries as well, for the spec names it.
    Named,
}

/// What becomes of an entry of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Kept,
    /// Would be kept but for this `never`.
    Refused(usize),
    Dropped,
}

/// What waits for an item to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Waiting {
    /// A script for its interpreter.
    Script(Item),
    /// A rule.
    Rule(u32),
    /// A tree of modules, by rule.
    Tree(u32),
}

enum Work {
    Item(Item),
    Package(u32),
}

/// The closure, finished.
pub(super) struct Closure<'a> {
    pub(super) universe: Universe<'a>,
    /// By package, of each entry what becomes of it.
    pub(super) verdicts: Vec<Vec<Verdict>>,
    /// By package, whether anything of it is kept.
    pub(super) keeps: Vec<bool>,
    pub(super) reasons: Reasons,
    state: State<'a>,
}

/// What is known so far.
struct State<'a> {
    rules: Rules<'a>,
    /// By package: what it depends on directly, what only scripts use left out; sorted.
    depends: Vec<Vec<u32>>,
    /// By package, the number of its source.
    group: Vec<u32>,
    /// By source: ships a public library; ships an ELF program; a library or program of it is kept.
    group_library: Vec<bool>,
    group_program: Vec<bool>,
    group_loaded: Vec<bool>,
    /// By package.
    ships_library: Vec<bool>,
    ships_payload: Vec<bool>,
    keep: Vec<Keep>,
    implicit: Vec<bool>,
    /// Slices say what of it is kept.
    sliced: Vec<bool>,
    level: Vec<Level>,
    /// Something but a licence text is kept.
    used: Vec<bool>,
    package_why: Vec<(u32, PackageWhy)>,
    /// By item.
    kept: Vec<bool>,
    never: BTreeMap<Item, usize>,
    why: Vec<(Item, Why)>,
    words: graph::Words,
    waiting: BTreeMap<Item, Vec<Waiting>>,
    /// By tree rule: released, and what waits.
    trees: Vec<(bool, Vec<Item>)>,
    /// By source, plugins that wait.
    plugins: Vec<Vec<Item>>,
    search: elf::Search,
    libpam: Option<Item>,
    libc: Option<Item>,
    errors: BTreeMap<(String, String), Error>,
    notes: BTreeSet<String>,
    /// What the image runs, where nothing puts it into it.
    runs_nothing: Option<String>,
}

struct Closer<'u, 'a> {
    universe: &'u Universe<'a>,
    input: &'u SelectInput<'a>,
    state: State<'a>,
    queue: Vec<Work>,
}

impl<'a> Closure<'a> {
    /// Computes what is kept.
    pub(super) fn of(
        input: &SelectInput<'a>,
        keep: Keep,
        scripted: &Scripted,
        diversions: &Diversions,
        choice: &mut Choice,
        sliced: &Sliced,
        report: &mut Report,
    ) -> Result<Self, Error> {
        let universe = Universe::new(input, scripted, diversions)?;
        let state = State::new(&universe, input, keep)?;
        let mut closer = Closer { universe: &universe, input, state, queue: Vec::new() };
        closer.roots(choice, sliced)?;
        while let Some(work) = closer.queue.pop() {
            match work {
                Work::Item(item) => closer.kept(item),
                Work::Package(package) => closer.raised(package),
            }
        }
        closer.check_never();
        let mut state = closer.state;
        if let Some(error) = std::mem::take(&mut state.errors).into_values().next() {
            return Err(error);
        }
        report.notes.extend(std::mem::take(&mut state.notes));
        report.unmatched.extend(state.runs_nothing.take().map(|command| (RUNS.to_owned(), command)));
        state.report(&universe, report);
        for (number, feature) in input.spec.features.iter().enumerate() {
            let asked = Why::Root(Root::Feature(number as u32));
            if feature.value.value.is_some() && !state.why.iter().any(|(_, why)| *why == asked) {
                let (name, value) = (&feature.value.name, feature.value.value.as_deref().unwrap_or_default());
                report.unmatched.push((format!("features[{number}]"), format!("{name}:{value}")));
            }
        }
        let verdicts: Vec<Vec<Verdict>> = universe.packages.iter().map(|pack| state.verdicts(pack)).collect();
        let keeps = verdicts.iter().map(|entries| entries.contains(&Verdict::Kept)).collect();
        let reasons =
            graph::reasons(&universe, &state.why, &state.package_why, &state.words, &state.rules, &state.kept);
        Ok(Self { universe, verdicts, keeps, reasons, state })
    }
}

impl Closure<'_> {
    /// Returns whether a package is in the image: something of it is kept, or derivations read what it ships.
    pub(super) fn takes_part(&self, name: &str) -> bool {
        let Ok(number) = self.universe.packages.binary_search_by(|pack| pack.name.cmp(name)) else { return false };
        let pack = &self.universe.packages[number];
        let read = || self.state.implicit[number] && self.state.rules.lists(name);
        let whole = self.state.keep[number] != Keep::Needed && !pack.falls_away && !self.state.implicit[number];
        self.keeps[number] || whole || pack.locked.why == Locked::Requested || read()
    }
}

impl<'a> State<'a> {
    fn new(universe: &Universe<'a>, input: &SelectInput<'a>, keep: Keep) -> Result<Self, Error> {
        let count = universe.packages.len();
        let mut sources: Vec<&str> = universe.packages.iter().map(|pack| pack.locked.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        let of = |source: &str| sources.binary_search(&source).unwrap_or(0);
        let group: Vec<u32> =
            universe.packages.iter().map(|pack| u32::try_from(of(&pack.locked.source)).unwrap_or(0)).collect();
        let mut state = Self {
            rules: Rules::new(universe, input)?,
            depends: depends(universe),
            group_library: vec![false; sources.len()],
            group_program: vec![false; sources.len()],
            group_loaded: vec![false; sources.len()],
            ships_library: vec![false; count],
            ships_payload: vec![false; count],
            keep: Vec::with_capacity(count),
            implicit: universe.packages.iter().map(|pack| matches!(pack.locked.why, Locked::Implicit(_))).collect(),
            sliced: vec![false; count],
            level: vec![Level::None; count],
            used: vec![false; count],
            package_why: Vec::new(),
            kept: vec![false; universe.things.len()],
            never: BTreeMap::new(),
            why: Vec::new(),
            words: graph::Words::default(),
            waiting: BTreeMap::new(),
            trees: Vec::new(),
            plugins: vec![Vec::new(); sources.len()],
            search: elf::Search::new(universe, input),
            libpam: None,
            libc: None,
            errors: BTreeMap::new(),
            notes: BTreeSet::new(),
            runs_nothing: None,
            group,
        };
        state.trees = vec![(false, Vec::new()); state.rules.all.len()];
        for pack in &universe.packages {
            state.keep.push(match pack.locked.keep.as_deref() {
                None => keep,
                Some(word) => Keep::from_word(word).ok_or_else(|| Error::Keep(word.to_owned()))?,
            });
        }
        for (item, thing) in universe.things.iter().enumerate() {
            let Holder::Package(package) = thing.holder else { continue };
            let (package, group) = (package as usize, state.group[package as usize] as usize);
            let is_elf = universe.facts(item as Item).is_some_and(|facts| facts.elf.is_some());
            if is_elf && thing.role == Role::Library {
                state.ships_library[package] = true;
                state.group_library[group] = true;
            }
            if is_elf && thing.role == Role::Program {
                state.group_program[group] = true;
            }
            if thing.role.is_payload() && !matches!(thing.body, Body::Directory(_)) {
                state.ships_payload[package] = true;
            }
        }
        Ok(state)
    }

    fn verdicts(&self, pack: &universe::Pack<'_>) -> Vec<Verdict> {
        let items = pack.first..pack.first + u32::try_from(pack.index.entries.len()).unwrap_or(0);
        let verdict = |item: Item| match self.never.get(&item) {
            _ if self.kept[item as usize] => Verdict::Kept,
            Some(never) if self.why.binary_search_by(|(known, _)| known.cmp(&item)).is_ok() => Verdict::Refused(*never),
            _ => Verdict::Dropped,
        };
        items.map(verdict).collect()
    }
}

/// Returns what each package depends on directly: of alternatives the first that is there.
fn depends(universe: &Universe<'_>) -> Vec<Vec<u32>> {
    let names: Vec<&str> = universe.packages.iter().map(|pack| pack.name).collect();
    let mut provided: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, pack) in universe.packages.iter().enumerate() {
        let relations = pack.index.field("Provides").and_then(|text| parse_dependencies(text).ok()).unwrap_or_default();
        for relation in relations.into_iter().flat_map(|any| any.0) {
            provided.entry(relation.name).or_default().push(number);
        }
    }
    let meets = |name: &str| {
        names.binary_search(&name).ok().or_else(|| provided.get(name).and_then(|all| all.first().copied()))
    };
    let mut all = Vec::with_capacity(names.len());
    for (number, pack) in universe.packages.iter().enumerate() {
        let mut found: BTreeSet<u32> = BTreeSet::new();
        for field in ["Pre-Depends", "Depends"] {
            let relations = pack.index.field(field).and_then(|text| parse_dependencies(text).ok()).unwrap_or_default();
            for any in relations {
                let met = any.0.iter().find_map(|relation| meets(&relation.name));
                let met = met.filter(|met| *met != number && !is_script_only_dependency(pack.name, names[*met]));
                found.extend(met.and_then(|met| u32::try_from(met).ok()));
            }
        }
        all.push(found.into_iter().collect());
    }
    all
}

impl<'a> Closer<'_, 'a> {
    /// Keeps what nobody needs to ask for.
    fn roots(&mut self, choice: &mut Choice, sliced: &Sliced) -> Result<(), Error> {
        self.choose(choice);
        // The base is there, whatever is laid over it.
        for item in 0..self.state.kept.len() as Item {
            if self.universe.things[item as usize].holder == Holder::Base {
                self.state.kept[item as usize] = true;
                self.queue.push(Work::Item(item));
            }
        }
        self.ask_features()?;
        for (number, pack) in self.universe.packages.iter().enumerate() {
            let number = number as u32;
            if sliced.has(pack.name) {
                self.slice(number, sliced);
                continue;
            }
            let (implicit, keep) = (self.state.implicit[number as usize], self.state.keep[number as usize]);
            if let Locked::Implicit(rule) = &pack.locked.why {
                self.implicit(number, rule);
            }
            if pack.falls_away || implicit {
                continue;
            }
            if pack.locked.why == Locked::Requested || keep != Keep::Needed {
                let why = match &pack.locked.why {
                    Locked::Requested => PackageWhy::Requested,
                    _ => PackageWhy::Whole,
                };
                self.raise(number, Level::Named, why);
            }
        }
        for item in self.universe.local_items() {
            let thing = &self.universe.things[item as usize];
            if let Holder::File(number) = thing.holder
                && !matches!(thing.body, Body::Directory(_))
            {
                self.keep(item, Why::Root(Root::File(number)));
                if self.is_meant(item, number) {
                    self.pull(item);
                }
            }
        }
        self.entrypoint();
        Ok(())
    }

    /// Keeps what slices list of a package.
    fn slice(&mut self, package: u32, sliced: &Sliced) {
        self.state.sliced[package as usize] = true;
        let pack = &self.universe.packages[package as usize];
        for item in pack.first..pack.first + pack.index.entries.len() as u32 {
            let thing = &self.universe.things[item as usize];
            if matches!(thing.body, Body::Directory(false)) {
                continue;
            }
            let path = self.universe.path(thing.place);
            if let Some(name) = sliced.slice_of(pack.name, &path, matches!(thing.body, Body::Directory(_))) {
                let word = self.state.words.number(&name.to_string());
                self.keep(item, Why::Root(Root::Slice(word)));
            }
        }
    }

    /// Returns whether a file of the spec is a program by its place, or was copied by its own name.
    fn is_meant(&self, item: Item, number: u32) -> bool {
        let path = self.universe.path_of(item);
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let by_name = self.input.spec.files.get(number as usize).is_some_and(|file| file.value.to.as_str() == path);
        role::PATH.contains(&parent) || by_name
    }

    /// Finds what `also` and `never` say of each path.
    fn choose(&mut self, choice: &mut Choice) {
        if choice.is_empty() {
            return;
        }
        for (item, thing) in self.universe.things.iter().enumerate() {
            let item = item as Item;
            if !matches!(thing.holder, Holder::Package(_)) || matches!(thing.body, Body::Directory(false)) {
                continue;
            }
            let path = self.universe.path(thing.place);
            let also = choice.also(&path);
            if let Some(never) = choice.never(&path) {
                self.state.never.insert(item, never);
            }
            if let Some(also) = also {
                self.keep(item, Why::Root(Root::Also(also as u32)));
                self.pull(item);
            }
        }
    }

    /// Keeps an item, unless a `never` drops it; each reason is noted.
    fn keep(&mut self, item: Item, why: Why) {
        self.state.why.push((item, why));
        let package = self.universe.pack(item);
        if why.is_need(self.universe.things[item as usize].role)
            && let Some(package) = package
            && self.state.level[package as usize] == Level::None
        {
            self.raise(package, Level::Reached, PackageWhy::File(item));
        }
        if self.state.kept[item as usize] || self.state.never.contains_key(&item) {
            return;
        }
        self.state.kept[item as usize] = true;
        self.queue.push(Work::Item(item));
    }

    /// Keeps what stands at a place.
    fn keep_at(&mut self, place: universe::Place, why: Why) {
        let universe = self.universe;
        for item in universe.at(place) {
            if !matches!(universe.things[item as usize].body, Body::Directory(false)) {
                self.keep(item, why);
            }
        }
    }

    fn raise(&mut self, package: u32, level: Level, why: PackageWhy) {
        let at = package as usize;
        let pack = &self.universe.packages[at];
        if pack.falls_away || self.state.implicit[at] || self.state.sliced[at] {
            return;
        }
        self.state.package_why.push((package, why));
        if self.state.level[at] < level {
            self.state.level[at] = level;
            self.queue.push(Work::Package(package));
        }
    }

    /// Keeps what a package's level keeps, and passes it on.
    fn raised(&mut self, package: u32) {
        let at = package as usize;
        let pack = &self.universe.packages[at];
        let (level, keep) = (self.state.level[at], self.state.keep[at]);
        if level == Level::Named && !self.state.ships_payload[at] {
            self.licences(package);
        }
        let end = pack.first + pack.index.entries.len() as u32;
        let alone = level == Level::Named && pack.locked.why == Locked::Requested && self.is_only_modules(package);
        for item in pack.first..end {
            let thing = &self.universe.things[item as usize];
            if matches!(thing.body, Body::Directory(false)) {
                continue;
            }
            match (keep, thing.role) {
                (Keep::All, _) => self.keep(item, Why::Whole(package)),
                (Keep::Runtime, role) if role.is_payload() => self.keep(item, Why::Whole(package)),
                (Keep::Needed, Role::Data | Role::Plugin) => self.offer(item, package, level),
                (Keep::Needed, Role::Program) if level >= Level::Passed => self.offer(item, package, level),
                (Keep::Needed, Role::Library) if level == Level::Named => self.offer(item, package, level),
                _ => {}
            }
        }
        if alone {
            self.pull_reader(package);
        }
        self.scripted_links(package);
        if let Some(libpam) = self.state.libpam {
            self.pam_configs(package, libpam);
        }
        for next in self.state.depends[at].clone() {
            let to = next as usize;
            if self.state.group[to] == self.state.group[at] {
                let passed = if level >= Level::Passed { Level::Passed } else { Level::Reached };
                self.raise(next, passed, PackageWhy::Source(package));
            } else if !self.state.ships_payload[at] {
                self.raise(next, level.min(Level::Passed), PackageWhy::Meta(package));
            } else if !self.state.ships_library[to] {
                self.raise(next, Level::Reached, PackageWhy::Dependency(package));
            }
        }
    }

    /// Keeps an item because of its package's level, unless it has to wait.
    fn offer(&mut self, item: Item, package: u32, level: Level) {
        if self.state.kept[item as usize] || self.state.rules.is_off(item) {
            return;
        }
        if let Some(tree) = self.state.rules.tree(item)
            && !self.state.trees[tree as usize].0
        {
            self.state.trees[tree as usize].1.push(item);
            return;
        }
        // A link that leads to a plugin of its own package is as good as that.
        let universe = self.universe;
        let thing = &universe.things[item as usize];
        let end = match &thing.body {
            Body::Link(target) if thing.role == Role::Data => universe.file(universe.parent(thing.place), target),
            _ => None,
        };
        let end = end.filter(|end| universe.pack(*end) == Some(package)).unwrap_or(item);
        match universe.things[end as usize].role {
            Role::Program if end != item => {}
            Role::Program => {
                if let Some(script) = self.script(item) {
                    self.decide(item, script, package);
                    return;
                }
            }
            Role::Plugin => {
                let group = self.state.group[package as usize] as usize;
                if level == Level::Reached && self.state.group_library[group] && !self.state.group_loaded[group] {
                    self.state.plugins[group].push(item);
                    return;
                }
                if let Some(missing) = self.unloadable(end) {
                    let path = self.universe.path_of(item);
                    self.state.notes.insert(format!("/{path} is left out: {missing}"));
                    return;
                }
            }
            _ => {}
        }
        self.keep(item, Why::Level(package));
    }

    /// Does what a kept item brings.
    fn kept(&mut self, item: Item) {
        let universe = self.universe;
        let thing = &universe.things[item as usize];
        let base = thing.holder == Holder::Base;
        if let Holder::Package(package) = thing.holder {
            if thing.role.is_payload() || self.state.keep[package as usize] == Keep::All {
                self.use_package(package, item);
            }
            let group = self.state.group[package as usize] as usize;
            let loaded = matches!(thing.role, Role::Program | Role::Library);
            if loaded && !self.state.group_loaded[group] && universe.facts(item).is_some_and(|f| f.elf.is_some()) {
                self.state.group_loaded[group] = true;
                for plugin in std::mem::take(&mut self.state.plugins[group]) {
                    let package = universe.pack(plugin).unwrap_or(package);
                    self.offer(plugin, package, self.state.level[package as usize]);
                }
            }
        }
        match &thing.body {
            Body::Link(target) if !base => self.link(item, target),
            Body::File(facts) => {
                if let Some(elf) = facts.elf.as_deref().filter(|_| !base) {
                    self.elf(item, elf);
                }
                self.read_by_name(item);
            }
            _ => {}
        }
        for waiting in self.state.waiting.remove(&item).unwrap_or_default() {
            match waiting {
                Waiting::Script(script) => self.offer_script(script, item),
                Waiting::Rule(rule) => self.rule_met(rule, Some(item), None),
                Waiting::Tree(rule) => {
                    self.state.trees[rule as usize].0 = true;
                    for waiting in std::mem::take(&mut self.state.trees[rule as usize].1) {
                        if let Some(package) = universe.pack(waiting) {
                            self.offer(waiting, package, self.state.level[package as usize]);
                        }
                    }
                }
            }
        }
    }

    /// Notes that something of a package is kept: its licence texts are, and rules on it hold.
    fn use_package(&mut self, package: u32, by: Item) {
        if std::mem::replace(&mut self.state.used[package as usize], true) {
            return;
        }
        self.licences(package);
        for rule in self.state.rules.with(package) {
            self.rule_met(rule, None, Some(by));
        }
    }

    fn licences(&mut self, package: u32) {
        let pack = &self.universe.packages[package as usize];
        for item in pack.first..pack.first + pack.index.entries.len() as u32 {
            if matches!(self.universe.things[item as usize].role, Role::Copyright | Role::DocLink) {
                self.keep(item, Why::Licence(package));
            }
        }
    }

    /// Tells what a `never` drops and something kept needs.
    fn check_never(&mut self) {
        self.state.why.sort_unstable();
        self.state.why.dedup();
        for (item, why) in &self.state.why {
            let Some(never) = self.state.never.get(item).filter(|_| why.is_hard()) else { continue };
            let spec = &self.input.spec;
            if spec.never.get(*never).is_none_or(|never| never.value.force) {
                continue;
            }
            let Ok(path) = crate::tree::ImagePath::parse(&self.universe.path_of(*item)) else { continue };
            let owner = self.universe.pack(*item).map_or("", |package| self.universe.packages[package as usize].name);
            let needed = graph::needed(self.universe, why, &self.state.words, &self.input.spec.run);
            let place = spec.never.get(*never).map(|never| Place { source: spec.source.clone(), span: never.span });
            let error = Error::Never { never: format!("never[{never}]"), owner: owner.to_owned(), path, needed, place };
            let key = (why.by().map_or_else(String::new, |by| self.universe.path_of(by)), error.to_string());
            self.state.errors.insert(key, error);
        }
    }
}

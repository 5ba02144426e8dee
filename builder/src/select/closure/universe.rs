//! Everything that could be in an image, as a tree of names: what packages ship, the spec's own files, the base, and the
//! links that scripts would make. It stands before the closure runs and does not change.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::merge::Diversions;
use super::super::replaces::replaces;
use super::super::scripted::Scripted;
use super::super::scripts::Effect;
use super::super::{Error, SelectInput, paths};
use super::role::{Role, Roles};
use crate::digest::Digest;
use crate::lock::{LockedPackage, Why};
use crate::package::{EntryKind, FileFacts, PackIndex, Scan};
use crate::rules::glob::{Part, Pattern, fits};

/// A number of [`Universe::things`].
pub(in crate::select) type Item = u32;
/// A number of [`Universe::places`].
pub(super) type Place = u32;

/// The root of the tree of names.
pub(super) const ROOT: Place = 0;
/// The most symbolic links followed in one path.
const MAX_LINKS: usize = 40;

/// A package of the lock.
pub(in crate::select) struct Pack<'a> {
    pub(in crate::select) name: &'a str,
    pub(in crate::select) locked: &'a LockedPackage,
    pub(in crate::select) index: &'a PackIndex,
    pub(in crate::select) key: Digest,
    /// The item of its first entry; the others follow in their order.
    pub(in crate::select) first: Item,
    /// Only maintainer scripts use it.
    pub(in crate::select) falls_away: bool,
}

/// Who brings an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A number of [`Universe::packages`].
    Package(u32),
    /// A number of the spec's `files`.
    File(u32),
    /// A script of this package makes it.
    Script(u32),
    Base,
}

/// What an item is.
#[derive(Debug, Clone)]
pub(super) enum Body<'a> {
    /// A directory; `true` where the package that ships it ships nothing below.
    Directory(bool),
    Link(Cow<'a, str>),
    File(&'a FileFacts),
}

pub(super) struct Thing<'a> {
    pub(super) place: Place,
    pub(super) holder: Holder,
    pub(super) body: Body<'a>,
    pub(super) role: Role,
}

/// A name in the tree.
pub(super) struct Name<'a> {
    parent: Place,
    name: Cow<'a, str>,
    pub(super) below: BTreeMap<Cow<'a, str>, Place>,
    /// What stands there, in the order of packages.
    pub(super) items: Vec<Item>,
    /// What wins of them; a directory where nothing else stands.
    pub(super) winner: Option<Item>,
    /// Two packages ship different things, and none replaces the other.
    conflict: bool,
}

pub(in crate::select) struct Universe<'a> {
    pub(in crate::select) packages: Vec<Pack<'a>>,
    pub(super) things: Vec<Thing<'a>>,
    pub(super) places: Vec<Name<'a>>,
    base: Option<&'a PackIndex>,
    local: &'a PackIndex,
    /// Item of the first local entry, and of the first of the base.
    first_local: Item,
    first_base: Item,
    first_script: Item,
    merged: bool,
}

impl<'a> Universe<'a> {
    pub(super) fn new(input: &SelectInput<'a>, scripted: &Scripted, diversions: &Diversions) -> Result<Self, Error> {
        let platform = input.platform_lock()?;
        let roles = Roles::new(input.platform);
        let mut locked: Vec<&LockedPackage> = platform.packages.iter().collect();
        locked.sort_by(|a, b| a.name.cmp(&b.name));
        let mut universe = Self {
            packages: Vec::with_capacity(locked.len()),
            things: Vec::new(),
            places: Vec::new(),
            base: input.base,
            local: &input.local.index,
            first_local: 0,
            first_base: 0,
            first_script: 0,
            merged: !locked.is_empty(),
        };
        universe.name(ROOT, Cow::Borrowed(""));
        for locked in locked {
            let missing = || Error::Missing(locked.name.clone());
            let index = input.packs.get(&locked.name).ok_or_else(missing)?;
            let key = *input.pack_keys.get(&locked.name).ok_or_else(missing)?;
            let falls_away = locked.script_only && locked.why != Why::Requested;
            let first = universe.next();
            universe.packages.push(Pack { name: &locked.name, locked, index, key, first, falls_away });
            universe.add_package(&roles, diversions);
        }
        universe.first_local = universe.next();
        for (number, entry) in input.local.index.entries.iter().enumerate() {
            let of = input.local.entry_of.get(number).copied().unwrap_or(u32::MAX);
            let place = universe.place_of(&entry.path, entry.kind == EntryKind::Directory);
            universe.add(place, Holder::File(of), body(entry, &input.local.index), Role::Data);
        }
        universe.first_base = universe.next();
        for entry in input.base.iter().flat_map(|base| &base.entries) {
            let place = universe.add_path(&entry.path);
            universe.add(place, Holder::Base, body(entry, &input.local.index), Role::Data);
        }
        universe.first_script = universe.next();
        universe.add_links(scripted, &roles);
        universe.settle();
        Ok(universe)
    }

    fn next(&self) -> Item {
        u32::try_from(self.things.len()).unwrap_or(u32::MAX)
    }

    fn name(&mut self, parent: Place, name: Cow<'a, str>) -> Place {
        let place = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let (below, items) = (BTreeMap::new(), Vec::new());
        self.places.push(Name { parent, name, below, items, winner: None, conflict: false });
        place
    }

    /// Returns the place of a path, made where it is not there yet.
    fn add_path(&mut self, path: &'a str) -> Place {
        path.split('/').filter(|part| !part.is_empty()).fold(ROOT, |at, part| self.add_name(at, Cow::Borrowed(part)))
    }

    fn add_name(&mut self, parent: Place, name: Cow<'a, str>) -> Place {
        if let Some(place) = self.places[parent as usize].below.get(name.as_ref()) {
            return *place;
        }
        let place = self.name(parent, name.clone());
        self.places[parent as usize].below.insert(name, place);
        place
    }

    /// As [`Self::add_path`], where /usr is merged.
    fn place_of(&mut self, path: &'a str, directory: bool) -> Place {
        match paths::alias(path, directory).filter(|_| self.merged) {
            Some((target, rest)) => {
                let above = self.add_path(target);
                rest.split('/')
                    .filter(|part| !part.is_empty())
                    .fold(above, |at, part| self.add_name(at, Cow::Borrowed(part)))
            }
            None => self.add_path(path),
        }
    }

    fn add_package(&mut self, roles: &Roles, diversions: &Diversions) {
        let number = u32::try_from(self.packages.len() - 1).unwrap_or(u32::MAX);
        let Pack { name, index, first, .. } = self.packages[number as usize];
        // Most entries stand beside the one before them.
        let mut last: (&str, Place) = ("", ROOT);
        for entry in &index.entries {
            let directory = entry.kind == EntryKind::Directory;
            let (parent, file) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            let diverted = if diversions.is_empty() {
                None
            } else {
                let path = paths::rewrite(&entry.path, directory);
                let diverted = diversions.get(path.as_deref().unwrap_or(&entry.path));
                diverted.filter(|(_, by)| by.as_deref() != Some(name)).map(|(to, _)| to.clone())
            };
            let place = if let Some(to) = diverted {
                to.split('/')
                    .filter(|part| !part.is_empty())
                    .fold(ROOT, |at, part| self.add_name(at, Cow::Owned(part.to_owned())))
            } else if directory || parent.is_empty() {
                self.place_of(&entry.path, directory)
            } else {
                if last.0 != parent {
                    last = (parent, self.place_of(parent, true));
                }
                self.add_name(last.1, Cow::Borrowed(file))
            };
            self.add(place, Holder::Package(number), body(entry, index), Role::Data);
        }
        // A directory that holds something of its own package is not bare.
        for item in first..self.next() {
            let place = self.things[item as usize].place;
            if place == ROOT {
                continue;
            }
            let parent = self.places[place as usize].parent;
            for above in self.places[parent as usize].items.iter().rev().take_while(|above| **above >= first) {
                if let Body::Directory(bare) = &mut self.things[*above as usize].body {
                    *bare = false;
                }
            }
        }
        for item in first..self.next() {
            self.set_role(item, roles);
        }
    }

    fn set_role(&mut self, item: Item, roles: &Roles) {
        let thing = &self.things[item as usize];
        let path = self.path(thing.place);
        self.things[item as usize].role = roles.of(&path, &thing.body);
    }

    fn add(&mut self, place: Place, holder: Holder, body: Body<'a>, role: Role) {
        let item = self.next();
        self.places[place as usize].items.push(item);
        self.things.push(Thing { place, holder, body, role });
    }

    /// Adds the links that scripts would make; alternatives once all of their candidates are known.
    fn add_links(&mut self, scripted: &Scripted, roles: &Roles) {
        type Candidate<'s> = (&'s super::super::scripts::Alternative, u32);
        let mut alternatives: BTreeMap<&str, Vec<Candidate<'_>>> = BTreeMap::new();
        for (reading, _, effect) in scripted.effects() {
            let Ok(number) = self.packages.binary_search_by(|pack| pack.name.cmp(&reading.package)) else { continue };
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            match effect {
                Effect::Alternative(alternative) => {
                    alternatives.entry(&alternative.name).or_default().push((alternative, number));
                }
                Effect::Link { path, target } => self.add_link(path, target, number, roles),
                _ => {}
            }
        }
        self.settle();
        for (name, candidates) in alternatives {
            // As `apply` chooses among what is kept.
            let mut known: Vec<Candidate<'_>> = Vec::new();
            for candidate in candidates {
                if self.follow(ROOT, &candidate.0.path, &mut |_| {}).is_none() {
                    continue;
                }
                known.retain(|(other, _)| other.path != candidate.0.path);
                known.sort_by(|a, b| a.0.path.cmp(&b.0.path));
                known.push(candidate);
            }
            let highest = known.iter().map(|(candidate, _)| candidate.priority).max();
            let Some((best, number)) = known.into_iter().find(|(one, _)| Some(one.priority) == highest) else {
                continue;
            };
            let slaves = best.slaves.iter().map(|(link, name, path)| (link, name.as_str(), path));
            for (link, name, path) in [(&best.link, name, &best.path)].into_iter().chain(slaves) {
                if self.find(link).is_some_and(|place| !self.places[place as usize].items.is_empty()) {
                    continue;
                }
                self.add_link(&format!("/etc/alternatives/{name}"), path, number, roles);
                self.add_link(link, &format!("/etc/alternatives/{name}"), number, roles);
            }
        }
    }

    fn add_link(&mut self, path: &str, target: &str, number: u32, roles: &Roles) {
        let path = path.trim_start_matches('/');
        let path = paths::rewrite(path, false).unwrap_or_else(|| path.to_owned());
        let place = path
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(ROOT, |at, part| self.add_name(at, Cow::Owned(part.to_owned())));
        // The last one that makes it wins, and nothing that is shipped gives way.
        if self.places[place as usize].items.iter().any(|item| !self.is_script(*item)) {
            return;
        }
        self.places[place as usize].items.clear();
        self.add(place, Holder::Script(number), Body::Link(Cow::Owned(target.to_owned())), Role::Data);
        self.set_role(self.next() - 1, roles);
    }

    fn is_script(&self, item: Item) -> bool {
        matches!(self.things[item as usize].holder, Holder::Script(_))
    }

    /// Decides what stands at every place.
    fn settle(&mut self) {
        for at in 0..self.places.len() {
            let mut winner: Option<Item> = None;
            let mut conflict = false;
            for item in &self.places[at].items {
                let Some(known) = winner else {
                    winner = Some(*item);
                    continue;
                };
                match self.wins(known, *item) {
                    Some(true) => {}
                    Some(false) => winner = Some(*item),
                    None => conflict = true,
                }
            }
            let place = &mut self.places[at];
            (place.winner, place.conflict) = (winner, conflict);
        }
    }

    /// Returns whether `known` stays where `new` would stand as well; `None` where nobody can tell.
    fn wins(&self, known: Item, new: Item) -> Option<bool> {
        let (a, b) = (&self.things[known as usize], &self.things[new as usize]);
        let directory = |thing: &Thing<'_>| matches!(thing.body, Body::Directory(_));
        match (a.holder, b.holder) {
            (Holder::File(_), Holder::File(_)) => Some(false),
            (Holder::File(_), _) => Some(!directory(a) || directory(b)),
            (_, Holder::File(_)) => Some(directory(b) && !directory(a)),
            _ if directory(a) != directory(b) => Some(directory(b)),
            _ if directory(a) => Some(true),
            // What is the same stays in the base; what differs is refused when it is put into the tree.
            (_, Holder::Base) => Some(!same(a, b)),
            (Holder::Package(first), Holder::Package(second)) => {
                let (first, second) = (&self.packages[first as usize], &self.packages[second as usize]);
                if first.falls_away != second.falls_away {
                    Some(second.falls_away)
                } else if same(a, b) || replaces(first.index, second.name, &second.locked.version) {
                    Some(true)
                } else if replaces(second.index, first.name, &first.locked.version) {
                    Some(false)
                } else {
                    None
                }
            }
            _ => Some(true),
        }
    }

    /// Returns the items that are kept where a place is: one, but for a conflict that is to be told.
    pub(super) fn at(&self, place: Place) -> impl Iterator<Item = Item> {
        let place = &self.places[place as usize];
        let all: &[Item] = if place.conflict { &place.items } else { &[] };
        let winner = place.winner.filter(|_| !place.conflict);
        winner.into_iter().chain(all.iter().copied())
    }

    /// Returns the path of a place, without leading slash.
    pub(super) fn path(&self, mut place: Place) -> String {
        let mut parts: Vec<&str> = Vec::new();
        while place != ROOT {
            let name = &self.places[place as usize];
            parts.push(&name.name);
            place = name.parent;
        }
        parts.reverse();
        parts.join("/")
    }

    pub(super) fn path_of(&self, item: Item) -> String {
        self.path(self.things[item as usize].place)
    }

    pub(super) fn file_name(&self, item: Item) -> &str {
        &self.places[self.things[item as usize].place as usize].name
    }

    pub(super) fn parent(&self, place: Place) -> Place {
        self.places[place as usize].parent
    }

    /// Returns the place of a path whose components are names and no links.
    pub(super) fn find(&self, path: &str) -> Option<Place> {
        let rewritten = if self.merged { paths::rewrite(path.trim_start_matches('/'), true) } else { None };
        let path = rewritten.as_deref().unwrap_or(path);
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(ROOT, |at, part| self.places[at as usize].below.get(part).copied())
    }

    /// Follows a path from a directory through every link, and hears of each on the way; `None` where it leads nowhere.
    pub(super) fn follow(&self, from: Place, path: &str, via: &mut dyn FnMut(Item)) -> Option<Place> {
        let mut at = if path.starts_with('/') { ROOT } else { from };
        let mut rest: Vec<Cow<'_, str>> = path.rsplit('/').map(Cow::Borrowed).collect();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_ref() {
                "" | "." => continue,
                ".." => {
                    at = self.places[at as usize].parent;
                    continue;
                }
                _ => {}
            }
            if at == ROOT
                && self.merged
                && let Some(target) = paths::alias_directory(&part)
            {
                rest.extend(target.rsplit('/').map(Cow::Borrowed));
                continue;
            }
            let next = *self.places[at as usize].below.get(part.as_ref())?;
            let winner = self.places[next as usize].winner;
            if let Some(item) = winner
                && let Body::Link(target) = &self.things[item as usize].body
            {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                via(item);
                if target.starts_with('/') {
                    at = ROOT;
                }
                rest.extend(target.rsplit('/').map(|part| Cow::Owned(part.to_owned())));
                continue;
            }
            at = next;
        }
        Some(at)
    }

    /// Returns the file that stands where a path leads.
    pub(super) fn file(&self, from: Place, path: &str) -> Option<Item> {
        let place = self.follow(from, path, &mut |_| {})?;
        self.places[place as usize].winner.filter(|item| matches!(self.things[*item as usize].body, Body::File(_)))
    }

    /// Returns the places that a pattern fits, sorted.
    pub(super) fn expand(&self, pattern: &Pattern) -> Vec<Place> {
        let mut found = Vec::new();
        for parts in &pattern.alternatives {
            self.walk(ROOT, parts, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn walk(&self, at: Place, parts: &[Part], found: &mut Vec<Place>) {
        let Some((part, rest)) = parts.split_first() else {
            found.push(at);
            return;
        };
        let below = &self.places[at as usize].below;
        match part {
            Part::Literal(name) => {
                if let Some(next) = below.get(name.as_str()) {
                    self.walk(*next, rest, found);
                }
            }
            Part::Wild(_) => {
                for next in below.iter().filter(|(name, _)| fits(part, name)).map(|(_, next)| *next) {
                    self.walk(next, rest, found);
                }
            }
            Part::Any => {
                self.walk(at, rest, found);
                for next in below.values() {
                    self.walk(*next, parts, found);
                }
            }
        }
    }

    pub(super) fn pack(&self, item: Item) -> Option<u32> {
        match self.things[item as usize].holder {
            Holder::Package(number) => Some(number),
            _ => None,
        }
    }

    /// Returns the index that an item stands in, and its entry there.
    fn entry(&self, item: Item) -> Option<(&'a PackIndex, u32)> {
        match self.things[item as usize].holder {
            Holder::Package(number) => {
                let pack = &self.packages[number as usize];
                Some((pack.index, item - pack.first))
            }
            Holder::File(_) => Some((self.local, item - self.first_local)),
            Holder::Base => Some((self.base?, item - self.first_base)),
            Holder::Script(_) => None,
        }
    }

    /// Returns what is known of a regular file.
    pub(super) fn facts(&self, item: Item) -> Option<&'a FileFacts> {
        match self.things[item as usize].body {
            Body::File(facts) => Some(facts),
            _ => None,
        }
    }

    /// Returns a small file's content, where its pack holds it.
    pub(super) fn text(&self, item: Item) -> Option<&'a [u8]> {
        let (index, entry) = self.entry(item)?;
        let at = index.texts.binary_search_by_key(&entry, |(number, _)| *number).ok()?;
        Some(&index.texts[at].1)
    }

    pub(super) fn scan(&self, item: Item) -> Option<&'a Scan> {
        let (index, entry) = self.entry(item)?;
        let at = index.scans.binary_search_by_key(&entry, |(number, _)| *number).ok()?;
        Some(&index.scans[at].1)
    }

    /// Returns the links that scripts would make.
    pub(super) fn script_items(&self) -> impl Iterator<Item = Item> + use<> {
        self.first_script..self.next()
    }

    /// Returns the local entries, each with which of the spec's `files` it is of.
    pub(super) fn local_items(&self) -> impl Iterator<Item = Item> + use<> {
        self.first_local..self.first_base
    }
}

fn same(a: &Thing<'_>, b: &Thing<'_>) -> bool {
    match (&a.body, &b.body) {
        (Body::Link(a), Body::Link(b)) => a == b,
        (Body::File(a), Body::File(b)) => a.digest == b.digest,
        _ => false,
    }
}

fn body<'a>(entry: &'a crate::package::Entry, index: &'a PackIndex) -> Body<'a> {
    match &entry.kind {
        EntryKind::Directory => Body::Directory(true),
        EntryKind::Symlink(target) => Body::Link(Cow::Borrowed(target)),
        EntryKind::File(facts) => Body::File(facts),
        EntryKind::Hardlink(target) => {
            let original = index.entries.iter().find(|entry| entry.path == *target);
            match original.map(|entry| &entry.kind) {
                Some(EntryKind::File(facts)) => Body::File(facts),
                // Putting it into the tree says what is wrong.
                _ => Body::Link(Cow::Borrowed(target)),
            }
        }
    }
}

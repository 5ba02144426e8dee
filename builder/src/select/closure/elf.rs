//! What an ELF file needs, found as the loader finds it (ld.so(8)).

use std::collections::BTreeMap;

use super::graph::{How, Why};
use super::role::Role;
use super::universe::{Body, Holder, Item, Place, ROOT, Universe};
use super::{Closer, Error, Keep, SelectInput};
use crate::elf::Facts;
use crate::spec::Platform;
use crate::tree::ImagePath;

/// The most inherited search paths that one library is looked at with.
const MAX_CONTEXTS: usize = 8;

/// Where the loader looks, and what it found there.
pub(super) struct Search {
    /// Directories after those that a file names itself: configuration, then the defaults.
    directories: Vec<Place>,
    /// `LD_LIBRARY_PATH` of the spec.
    environment: Vec<Place>,
    /// The configuration that names a directory.
    configured: BTreeMap<Place, Vec<Item>>,
    /// Libraries by name, class and machine.
    known: BTreeMap<(String, u8, u16), Vec<Item>>,
    /// Search paths that an item has inherited.
    contexts: BTreeMap<Item, Vec<Vec<Place>>>,
    machine: u16,
    library: &'static str,
    platform: &'static str,
}

impl Search {
    pub(super) fn new(universe: &Universe<'_>, input: &SelectInput<'_>) -> Self {
        let (triplet, machine, platform) = match input.platform {
            Platform::Amd64 => ("x86_64-linux-gnu", 62, "x86_64"),
            Platform::Arm64 => ("aarch64-linux-gnu", 183, "aarch64"),
        };
        let library = match input.platform {
            Platform::Amd64 => "lib/x86_64-linux-gnu",
            Platform::Arm64 => "lib/aarch64-linux-gnu",
        };
        let mut named: Vec<(String, Option<Item>)> = Vec::new();
        if let Some(place) = universe.find("etc/ld.so.conf.d") {
            for below in universe.places[place as usize].below.values() {
                for item in universe.at(*below) {
                    let text = String::from_utf8_lossy(universe.text(item).unwrap_or_default());
                    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
                    named.extend(lines.filter(|line| line.starts_with('/')).map(|line| (line.to_owned(), Some(item))));
                }
            }
        }
        for default in [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()] {
            named.push((default, None));
        }
        let mut directories: Vec<Place> = Vec::new();
        let mut configured: BTreeMap<Place, Vec<Item>> = BTreeMap::new();
        for (path, item) in named {
            let Some(place) = universe.follow(ROOT, &path, &mut |_| {}) else { continue };
            if !directories.contains(&place) {
                directories.push(place);
                configured.entry(place).or_default().extend(item);
            }
        }
        let environment = input.spec.run.env.get("LD_LIBRARY_PATH");
        let environment = environment.map(|paths| paths.split(':').filter(|path| !path.is_empty()).collect());
        let environment: Vec<&str> = environment.unwrap_or_default();
        let environment = environment.into_iter().filter_map(|path| universe.follow(ROOT, path, &mut |_| {})).collect();
        let (known, contexts) = (BTreeMap::new(), BTreeMap::new());
        Self { directories, environment, configured, known, contexts, machine, library, platform }
    }
}

impl Search {
    /// Returns the file of a public library by its name.
    pub(super) fn public(&self, universe: &Universe<'_>, name: &str) -> Option<Item> {
        let mut directories = self.directories.iter();
        directories.find_map(|directory| {
            universe.places[*directory as usize].below.get(name)?;
            universe.file(*directory, name)
        })
    }
}

/// What was found for one name.
enum Found {
    /// Links and files that lead to it and its variants.
    Here(Vec<Item>),
    /// Only for another machine, there.
    Other(Item),
    Nowhere,
}

impl Closer<'_, '_> {
    /// Keeps what an ELF file needs.
    pub(super) fn elf(&mut self, item: Item, elf: &Facts) {
        let universe = self.universe;
        if elf.machine == self.state.search.machine
            && let Some(interpreter) = &elf.interpreter
        {
            let mut via = Vec::new();
            match universe.follow(ROOT, interpreter, &mut |link| via.push(link)) {
                Some(place) if universe.places[place as usize].winner.is_some() => {
                    let why = Why::Need(How::Interpreter, item);
                    via.into_iter().for_each(|link| self.keep(link, why));
                    self.keep_at(place, why);
                }
                _ => self.missing(item, interpreter, None),
            }
        }
        self.needed(item, elf, &[]);
        let directories = self.own(item, elf, &[]);
        for (names, priority) in &elf.dlopen {
            let found = names.iter().find_map(|name| match self.library(item, elf, name, &directories) {
                Found::Here(items) => Some((name, items)),
                _ => None,
            });
            match found {
                Some((name, items)) if priority != "suggested" => {
                    let word = self.state.words.number(name);
                    let why = Why::Need(How::Dlopen(word, priority == "required"), item);
                    items.into_iter().for_each(|item| self.keep(item, why));
                }
                None if priority == "required" => self.missing(item, &names.join("` or `"), None),
                _ => {}
            }
        }
        self.sonames(item, elf);
    }

    /// Keeps what is linked to, also as one of those that loaded this file would look for it.
    fn needed(&mut self, item: Item, elf: &Facts, inherited: &[Place]) {
        let directories = self.own(item, elf, inherited);
        let handed_on: Vec<Place> = if elf.runpath.is_empty() && (!elf.rpath.is_empty() || !inherited.is_empty()) {
            let own = self.expand(item, &elf.rpath);
            own.into_iter().chain(inherited.iter().copied()).collect()
        } else {
            inherited.to_vec()
        };
        for name in &elf.needed {
            match self.library(item, elf, name, &directories) {
                Found::Here(items) => {
                    let word = self.state.words.number(name);
                    for (number, found) in items.into_iter().enumerate() {
                        let variant = number > 0 && self.is_variant(found);
                        let how = if variant { How::Variant(word) } else { How::Needed(word) };
                        self.keep(found, Why::Need(how, item));
                        self.keep_configuration(found);
                        if !handed_on.is_empty() {
                            self.hand_on(found, &handed_on);
                        }
                    }
                }
                Found::Other(other) => self.missing(item, name, Some(other)),
                Found::Nowhere => self.missing(item, name, None),
            }
        }
    }

    /// Looks at a library again with the search path that its loader hands on.
    fn hand_on(&mut self, item: Item, directories: &[Place]) {
        let Some(elf) = self.universe.facts(item).and_then(|facts| facts.elf.as_deref()) else { return };
        let known = self.state.search.contexts.entry(item).or_default();
        if known.len() >= MAX_CONTEXTS || known.iter().any(|known| known == directories) {
            return;
        }
        known.push(directories.to_vec());
        self.needed(item, elf, directories);
    }

    fn is_variant(&self, item: Item) -> bool {
        self.universe.path_of(item).contains("/glibc-hwcaps/")
    }

    /// Keeps the configuration without which the loader would not look where a library stands.
    fn keep_configuration(&mut self, item: Item) {
        let parent = self.universe.parent(self.universe.things[item as usize].place);
        for configuration in self.state.search.configured.get(&parent).cloned().unwrap_or_default() {
            self.keep(configuration, Why::Need(How::Found, item));
        }
    }

    /// Returns the directories that a file names, as places, in the order in which they count before all others.
    fn expand(&self, item: Item, paths: &[String]) -> Vec<Place> {
        let universe = self.universe;
        let here = universe.parent(universe.things[item as usize].place);
        let origin = format!("/{}", universe.path(here));
        let search = &self.state.search;
        let places = paths.iter().filter_map(|path| {
            let path = ["ORIGIN", "LIB", "PLATFORM"]
                .iter()
                .zip([origin.as_str(), search.library, search.platform])
                .fold(path.clone(), |path, (name, value)| {
                    path.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
                });
            universe.follow(ROOT, &path, &mut |_| {})
        });
        places.collect()
    }

    /// Returns all that is looked through for a file, defaults aside.
    fn own(&self, item: Item, elf: &Facts, inherited: &[Place]) -> Vec<Place> {
        let mut directories = Vec::new();
        if elf.runpath.is_empty() {
            directories.extend(self.expand(item, &elf.rpath));
            directories.extend(inherited);
        }
        directories.extend(&self.state.search.environment);
        directories.extend(self.expand(item, &elf.runpath));
        directories
    }

    fn library(&mut self, item: Item, elf: &Facts, name: &str, directories: &[Place]) -> Found {
        let universe = self.universe;
        let mut other = None;
        if name.contains('/') {
            let mut via = Vec::new();
            let here = universe.parent(universe.things[item as usize].place);
            let file = universe.follow(here, name, &mut |link| via.push(link));
            return match file.and_then(|place| universe.places[place as usize].winner) {
                Some(found) => {
                    via.push(found);
                    Found::Here(via)
                }
                None => Found::Nowhere,
            };
        }
        if let Some(found) = look(universe, directories, name, elf, &mut other) {
            return Found::Here(found);
        }
        if !elf.nodefaultlib {
            let key = (name.to_owned(), elf.class, elf.machine);
            let found = match self.state.search.known.get(&key) {
                Some(found) => found.clone(),
                None => {
                    let found = look(universe, &self.state.search.directories, name, elf, &mut other);
                    let found = found.unwrap_or_default();
                    self.state.search.known.insert(key, found.clone());
                    found
                }
            };
            if !found.is_empty() {
                return Found::Here(found);
            }
        }
        // A program that loads libraries of its own by path has loaded them before they are asked for by name.
        let near = self.beside(item, elf, name);
        match near.as_slice() {
            [] => other.map_or(Found::Nowhere, Found::Other),
            [one] => Found::Here(vec![*one]),
            several => {
                let paths: Vec<String> = several.iter().map(|item| format!("/{}", universe.path_of(*item))).collect();
                let who = universe.path_of(item);
                let note =
                    format!("`{name}`, which /{who} needs, is in several places, all kept: {}", paths.join(", "));
                self.state.notes.insert(note);
                Found::Here(near)
            }
        }
    }

    /// Returns libraries of that name in the file's own package, else in those of its source.
    fn beside(&self, item: Item, elf: &Facts, name: &str) -> Vec<Item> {
        let universe = self.universe;
        let fits = |found: Item| {
            universe.facts(found).and_then(|facts| facts.elf.as_deref()).is_some_and(|other| {
                (other.class, other.machine) == (elf.class, elf.machine)
                    && (universe.file_name(found) == name || other.soname.as_deref() == Some(name))
            })
        };
        match universe.things[item as usize].holder {
            Holder::Package(package) => {
                let of = |number: u32| {
                    let pack = &universe.packages[number as usize];
                    (pack.first..pack.first + pack.index.entries.len() as u32).filter(|found| fits(*found))
                };
                let own: Vec<Item> = of(package).collect();
                if !own.is_empty() {
                    return own;
                }
                let group = self.state.group[package as usize];
                let others = (0..universe.packages.len() as u32)
                    .filter(|other| *other != package && self.state.group[*other as usize] == group);
                others.flat_map(of).collect()
            }
            Holder::File(_) => universe.local_items().filter(|found| fits(*found)).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns why the loader would not take a plugin, in words.
    pub(super) fn unloadable(&mut self, item: Item) -> Option<String> {
        let elf = self.universe.facts(item)?.elf.as_deref()?;
        let directories = self.own(item, elf, &[]);
        elf.needed.iter().find_map(|name| match self.library(item, elf, name, &directories) {
            Found::Here(_) => None,
            Found::Other(_) => Some(format!("`{name}`, which it needs, is there for another machine only")),
            Found::Nowhere => Some(format!("it needs `{name}`, which no package of the lock ships")),
        })
    }

    /// Keeps public libraries whose name stands in the file, where its own package or a dependency ships them.
    fn sonames(&mut self, item: Item, elf: &Facts) {
        let (Some(scan), Some(package)) = (self.universe.scan(item), self.universe.pack(item)) else { return };
        for name in &scan.sonames {
            let mut none = None;
            let Some(found) = look(self.universe, &self.state.search.directories, name, elf, &mut none) else {
                continue;
            };
            let near = |found: &Item| {
                self.universe.pack(*found).is_some_and(|owner| {
                    owner == package || self.state.depends[package as usize].binary_search(&owner).is_ok()
                })
            };
            if found.iter().all(near) {
                let word = self.state.words.number(name);
                found.into_iter().for_each(|found| self.keep(found, Why::Need(How::Soname(word), item)));
            }
        }
    }

    /// Keeps a public library for `item` by its name; returns whether it is there.
    pub(super) fn keep_library(&mut self, name: &str, item: Item, how: How) -> bool {
        let Some(elf) = self.universe.facts(item).and_then(|facts| facts.elf.as_deref()) else { return false };
        let mut none = None;
        let found = look(self.universe, &self.state.search.directories, name, elf, &mut none).unwrap_or_default();
        found.iter().for_each(|found| self.keep(*found, Why::Need(how, item)));
        !found.is_empty()
    }

    /// Notes an error, or says nothing where nobody promised that all is there.
    fn missing(&mut self, item: Item, name: &str, other: Option<Item>) {
        let universe = self.universe;
        let thing = &universe.things[item as usize];
        let path = universe.path(thing.place);
        let elf = universe.facts(item).and_then(|facts| facts.elf.as_deref());
        let foreign = elf.is_some_and(|elf| elf.machine != self.state.search.machine);
        let owner = match thing.holder {
            Holder::Package(package) => {
                let pack = &universe.packages[package as usize];
                if self.state.keep[package as usize] != Keep::Needed {
                    return;
                }
                if thing.role == Role::Plugin {
                    let note = format!("/{path} of `{}` needs `{name}`, which nothing in the lock ships", pack.name);
                    self.state.notes.insert(note);
                    return;
                }
                pack.name.to_owned()
            }
            Holder::File(number) => {
                // What is copied in by the tree may hold binaries for many systems.
                let program = elf.is_some_and(|elf| elf.interpreter.is_some());
                if self.input.lock.keep != Keep::Needed.as_str() || foreign || !program {
                    self.state.notes.insert(format!("/{path} of `files[{number}]` needs `{name}`, which is not there"));
                    return;
                }
                format!("files[{number}]")
            }
            _ => return,
        };
        if foreign {
            self.state.notes.insert(format!("/{path} of `{owner}` is for another machine"));
            return;
        }
        let Ok(image_path) = ImagePath::parse(&path) else { return };
        let wrong = other.and_then(|other| ImagePath::parse(&universe.path_of(other)).ok());
        let error = Error::Needed { path: image_path, owner, name: name.to_owned(), wrong };
        self.state.errors.insert((path, name.to_owned()), error);
    }
}

/// Looks for a library through directories: with each one's variants for better processors, before it itself.
fn look(
    universe: &Universe<'_>,
    directories: &[Place],
    name: &str,
    elf: &Facts,
    other: &mut Option<Item>,
) -> Option<Vec<Item>> {
    let mut variants = Vec::new();
    for directory in directories {
        let mut through = Vec::new();
        if let Some(place) = universe.places[*directory as usize].below.get("glibc-hwcaps") {
            through.extend(universe.places[*place as usize].below.values().rev().copied());
        }
        for (number, place) in through.iter().copied().chain([*directory]).enumerate() {
            let mut found = Vec::new();
            let file = if universe.places[place as usize].below.contains_key(name) {
                universe.follow(place, name, &mut |link| found.push(link))
            } else {
                None
            };
            let Some(file) = file.and_then(|place| universe.places[place as usize].winner) else { continue };
            match &universe.things[file as usize].body {
                Body::File(facts) => match facts.elf.as_deref() {
                    Some(found) if (found.class, found.machine) == (elf.class, elf.machine) => {}
                    Some(_) => {
                        *other = other.or(Some(file));
                        continue;
                    }
                    // The linker's scripts have such names too.
                    None => continue,
                },
                _ => continue,
            }
            found.push(file);
            if number < through.len() {
                variants.extend(found);
            } else {
                found.append(&mut variants);
                return Some(found);
            }
        }
    }
    if variants.is_empty() { None } else { Some(variants) }
}

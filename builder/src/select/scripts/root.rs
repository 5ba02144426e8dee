//! The root that scripts would have run in, as far as it is known: what packages ship, and what scripts made so far.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::bounds::Meter;

use crate::rules::scripts::ESSENTIAL;
use crate::tree::{MAX_DEPTH, MAX_PATH};

/// Stands in a text for what is not known.
pub(super) const UNKNOWN: char = '\u{10FFFD}';

/// The most symbolic links followed in one path.
const MAX_LINKS: u32 = 40;

/// Links that every merged root has: path and target.
const ALIASES: [(&str, &str); 6] = [
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("sbin", "usr/sbin"),
    ("var/lock", "/run/lock"),
    ("var/run", "/run"),
];

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::select) enum Thing {
    Directory,
    /// A file, and its content where that is at hand.
    File(Option<Rc<[u8]>>),
    Link(String),
}

/// A path of the root.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) thing: Thing,
    /// Whether a script made it.
    pub(super) made: bool,
    /// Which package ships it; [`SHARED`] where it is not one alone.
    owner: u32,
}

/// The owner of what several packages ship, or every root has, or a script made.
const SHARED: u32 = u32::MAX;

/// The root.
#[derive(Debug, Clone, Default)]
pub(in crate::select) struct Root {
    places: BTreeMap<String, Place>,
    /// What following the running script has cost.
    pub(super) meter: Meter,
    /// Where the running script is: no leading slash, empty for the root, [`UNKNOWN`] where that is not known.
    pub(super) working: String,
    /// Which package's files are being added.
    adding: u32,
    /// The package whose files are not there yet.
    hidden: Option<u32>,
    /// By name of a package, what its files are marked with.
    numbers: BTreeMap<String, u32>,
    /// Names of packages that are installed.
    pub(in crate::select) packages: BTreeSet<String>,
    /// Users that exist, with the home where it is known.
    pub(in crate::select) users: BTreeMap<String, Option<String>>,
    /// Groups that exist.
    pub(in crate::select) groups: BTreeSet<String>,
    /// (user, group) of every membership.
    pub(super) members: BTreeSet<(String, String)>,
    /// Paths with an override of owner and mode.
    pub(super) overrides: BTreeSet<String>,
    /// By name, the alternatives: priority, path and link.
    pub(super) alternatives: BTreeMap<String, Vec<(i64, String, String)>>,
    /// Diverted paths.
    pub(super) diversions: BTreeSet<String>,
    /// Debian's name of the architecture.
    pub(in crate::select) architecture: String,
    /// Its multi-arch tuple.
    pub(in crate::select) tuple: String,
}

impl Root {
    /// Returns a root with what every installation has.
    pub(in crate::select) fn new(architecture: &str, tuple: &str) -> Self {
        let (architecture, tuple) = (architecture.to_owned(), tuple.to_owned());
        let mut root = Self { architecture, tuple, adding: SHARED, ..Self::default() };
        for directory in ["dev", "etc", "home", "proc", "root", "run", "run/lock", "sys", "tmp", "usr/local", "var/tmp"]
        {
            root.add(directory, Thing::Directory);
        }
        for (alias, target) in ALIASES {
            root.add(target.trim_start_matches('/'), Thing::Directory);
            root.add(alias, Thing::Link(target.to_owned()));
        }
        root
    }

    /// Says that what is added from here on is this package's.
    pub(in crate::select) fn begin(&mut self, package: &str) {
        self.adding = u32::try_from(self.numbers.len()).unwrap_or(SHARED);
        self.numbers.insert(package.to_owned(), self.adding);
        self.packages.insert(package.to_owned());
    }

    /// Takes a package's own files out of sight, as they are when its `preinst` runs; `None` brings them back.
    pub(super) fn hide(&mut self, package: Option<&str>) {
        self.hidden = package.and_then(|package| self.numbers.get(package).copied());
    }

    fn get(&self, path: &str) -> Option<&Place> {
        self.places.get(path).filter(|place| self.shows(place))
    }

    fn shows(&self, place: &Place) -> bool {
        self.hidden.is_none_or(|hidden| place.owner != hidden)
    }

    /// Adds what a package ships; its directories with it.
    pub(in crate::select) fn add(&mut self, path: &str, thing: Thing) {
        let path = path.trim_matches('/');
        if !path.is_empty() {
            let alias = ALIASES.iter().any(|(alias, _)| *alias == path);
            if alias && thing == Thing::Directory {
                return;
            }
            self.put(path, thing, false);
        }
    }

    fn put(&mut self, path: &str, thing: Thing, made: bool) {
        let owner = if made { SHARED } else { self.adding };
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            match self.places.get_mut(parent) {
                Some(place) if place.owner != owner => place.owner = SHARED,
                Some(_) => {}
                None => drop(self.places.insert(parent.to_owned(), Place { thing: Thing::Directory, made, owner })),
            }
        }
        match self.places.get_mut(path) {
            Some(place) if place.thing == Thing::Directory && thing == Thing::Directory => {
                if place.owner != owner {
                    place.owner = SHARED;
                }
            }
            Some(place) => *place = Place { thing, made, owner },
            None => drop(self.places.insert(path.to_owned(), Place { thing, made, owner })),
        }
    }

    /// Returns where a path leads: no leading slash, no link on the way, and none at the end where `last`.
    pub(super) fn real(&self, path: &str, last: bool) -> Option<String> {
        self.meter.spend(path.len());
        let mut done = String::new();
        if !path.starts_with('/') {
            done.push_str(&self.working);
        }
        if path.len() > MAX_PATH {
            return None;
        }
        let mut rest: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut depth = 0;
        let mut links = 0;
        while let Some(component) = rest.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let length = done.len();
            depth += 1;
            if depth > MAX_DEPTH * 2 || length > MAX_PATH {
                return None;
            }
            if !done.is_empty() {
                done.push('/');
            }
            done.push_str(&component);
            if !last && rest.iter().all(String::is_empty) {
                break;
            }
            if let Some(Place { thing: Thing::Link(target), .. }) = self.get(&done) {
                links += 1;
                if links > MAX_LINKS || target.len() > MAX_PATH {
                    return None;
                }
                done.truncate(if target.starts_with('/') { 0 } else { length });
                rest.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        Some(done)
    }

    /// Returns what stands where a path leads.
    pub(super) fn find(&self, path: &str) -> Option<&Place> {
        let real = self.real(path, true)?;
        if real.is_empty() { self.get("usr") } else { self.get(&real) }
    }

    /// Returns what stands at a path itself.
    pub(super) fn find_link(&self, path: &str) -> Option<&Place> {
        self.get(&self.real(path, false)?)
    }

    /// Returns a file's text, where it is at hand.
    pub(super) fn text(&self, path: &str) -> Option<Rc<[u8]>> {
        match &self.find(path)?.thing {
            Thing::File(content) => content.clone(),
            _ => None,
        }
    }

    /// Puts what a script makes.
    pub(super) fn make(&mut self, path: &str, thing: Thing) {
        if let Some(real) = self.real(path, matches!(thing, Thing::Directory | Thing::File(_)))
            && !real.is_empty()
            && !real.contains(UNKNOWN)
        {
            // Every directory on the way may be made with it.
            self.meter.keep(real.len() * (1 + real.matches('/').count()));
            self.put(&real, thing, true);
        }
    }

    /// Takes away what a script removes.
    pub(super) fn remove(&mut self, path: &str) {
        if let Some(real) = self.real(path, false) {
            self.places.remove(&real);
            let below: Vec<String> = self.below(&real).map(|(path, _)| path.to_owned()).collect();
            for path in below {
                self.places.remove(&path);
            }
        }
    }

    /// Returns everything below a real path, sorted.
    pub(super) fn below<'s>(&'s self, real: &str) -> impl Iterator<Item = (&'s str, &'s Place)> + use<'s> {
        let prefix = if real.is_empty() { String::new() } else { format!("{real}/") };
        let start = prefix.clone();
        self.places
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter(|(_, place)| self.shows(place))
            .map(|(path, place)| (path.as_str(), place))
    }

    /// Returns the names directly in a directory, sorted.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let Some(real) = self.real(path, true) else { return Vec::new() };
        let prefix = if real.is_empty() { String::new() } else { format!("{real}/") };
        let mut names: Vec<String> = Vec::new();
        let mut start = prefix.clone();
        while let Some((path, place)) = self.places.range(start..).next()
            && let Some(rest) = path.strip_prefix(&prefix)
        {
            self.meter.spend(64);
            match rest.split_once('/') {
                // The character after the slash: past everything in this directory.
                Some((name, _)) => start = format!("{prefix}{name}0"),
                None => {
                    if self.shows(place) {
                        names.push(rest.to_owned());
                    }
                    start = format!("{path}\0");
                }
            }
        }
        names.sort();
        names
    }

    /// Returns the path of a program.
    pub(super) fn program(&self, name: &str) -> Option<String> {
        if name.contains('/') {
            let base = name.rsplit('/').next().unwrap_or(name);
            let in_path =
                ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"].iter().any(|path| name == format!("{path}{base}"));
            let there = self.find(name).is_some_and(|place| matches!(place.thing, Thing::File(_)));
            return (there || in_path && ESSENTIAL.contains(&base)).then(|| name.to_owned());
        }
        for directory in ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"] {
            let path = format!("/{directory}/{name}");
            if self.find(&path).is_some_and(|place| matches!(place.thing, Thing::File(_))) {
                return Some(path);
            }
        }
        ESSENTIAL.contains(&name).then(|| format!("/usr/bin/{name}"))
    }
}

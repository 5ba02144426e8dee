//! Slice definitions in chisel's format: which files of a package go together, and what they need beside them.
//!
//! In: texts of definitions (formats v1 to v3). Out: [`Slices`]; and, for the slices that a spec names, [`Chosen`]: all
//! that they lead to, with what each keeps and makes. What chisel runs or writes for itself (`mutate`, `generate`) is
//! named and not done. Files are matched where packages are known; nothing here knows them.

mod parse;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use parse::{Mistake, parse};

pub use crate::spec::SliceName as Name;

/// The most slices that one request leads to.
const MAX_SLICES: usize = 20_000;

/// All definitions of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slices {
    /// By package.
    pub packages: BTreeMap<String, Package>,
}

/// The slices of one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// The file that says so.
    pub file: String,
    /// What every slice of it needs.
    pub essential: Vec<Essential>,
    /// By name.
    pub slices: BTreeMap<String, Slice>,
}

/// A slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    /// What it needs beside itself.
    pub essential: Vec<Essential>,
    /// By path, as it is written: absolute, perhaps a glob; a directory ends in a slash.
    pub contents: BTreeMap<String, Content>,
    /// A script that chisel runs at the end.
    pub mutate: Option<String>,
}

/// Another slice that one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Essential {
    /// Which.
    pub slice: Name,
    /// On these architectures alone; on all where empty.
    pub arch: Vec<String>,
}

/// What stands at a path of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub kind: ContentKind,
    /// Permission bits, where they are not the package's.
    pub mode: Option<u32>,
    /// On these architectures alone; on all where empty.
    pub arch: Vec<String>,
    /// It is there for the script alone, and is gone afterwards.
    pub until_mutate: bool,
    /// The script changes it.
    pub mutable: bool,
    /// The package that has the path where both are chosen.
    pub prefer: Option<String>,
}

/// Kinds of content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ContentKind {
    /// What the package ships there.
    #[default]
    Shipped,
    /// What the package ships at another path.
    Copy(String),
    /// A text.
    Text(String),
    /// A symbolic link to this target.
    Symlink(String),
    /// A directory that is made.
    Make,
    /// Something that chisel writes about its own work.
    Generate(String),
}

/// What the slices of a spec come to on one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// By slice, what it keeps and makes: those that were asked for and all that they need.
    pub slices: BTreeMap<Name, BTreeMap<String, Content>>,
    /// Scripts that are not run, by slice.
    pub mutations: BTreeMap<Name, String>,
    /// By slice, those that brought it; empty for one that was asked for.
    pub because: BTreeMap<Name, BTreeSet<Name>>,
}

/// A request that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such slice.
    #[error("there is no slice `{name}`{}", because.as_ref().map(|by| format!(", which `{by}` needs")).unwrap_or_default())]
    NoSlice {
        /// Its name.
        name: Name,
        /// The slice that needs it.
        because: Option<Name>,
        /// Slices of that package.
        known: Vec<String>,
    },
    /// What only chisel does.
    #[error("slice `{name}` has `generate: {what}` at `{path}`, which chisel writes about its own work")]
    Generate {
        /// The slice.
        name: Name,
        /// What is generated.
        what: String,
        /// Where.
        path: String,
    },
    /// Two slices that make different things at one path.
    #[error("slices `{first}` and `{second}` make different things at `{path}`")]
    Conflict {
        /// One.
        first: Name,
        /// The other.
        second: Name,
        /// Where.
        path: String,
    },
    /// More slices than any release has.
    #[error("its slices lead to more than {MAX_SLICES} others")]
    TooMany,
}

impl Slices {
    /// Returns all that `wanted` lead to on an architecture (`amd64`), cycles included.
    ///
    /// # Errors
    /// A slice that is not there; what only chisel does; two that contradict each other.
    pub fn choose(&self, wanted: &[Name], arch: &str) -> Result<Chosen, Error> {
        let fits = |list: &[String]| list.is_empty() || list.iter().any(|one| one == arch);
        let mut chosen = Chosen::default();
        let mut waiting: Vec<(Name, Option<Name>)> = wanted.iter().rev().map(|name| (name.clone(), None)).collect();
        while let Some((name, because)) = waiting.pop() {
            let known = chosen.because.contains_key(&name);
            chosen.because.entry(name.clone()).or_default().extend(because.clone());
            if known {
                continue;
            }
            if chosen.because.len() > MAX_SLICES {
                return Err(Error::TooMany);
            }
            let package = self.packages.get(&name.package);
            let Some((package, slice)) = package.and_then(|package| Some((package, package.slices.get(&name.slice)?)))
            else {
                let known = package.map(|package| package.slices.keys().cloned().collect()).unwrap_or_default();
                return Err(Error::NoSlice { name, because, known });
            };
            for essential in package.essential.iter().chain(&slice.essential) {
                if fits(&essential.arch) && essential.slice != name {
                    waiting.push((essential.slice.clone(), Some(name.clone())));
                }
            }
            let contents = slice.contents.iter().filter(|(_, content)| fits(&content.arch));
            let contents: BTreeMap<String, Content> =
                contents.map(|(path, content)| (path.clone(), content.clone())).collect();
            for (path, content) in &contents {
                if let ContentKind::Generate(what) = &content.kind {
                    return Err(Error::Generate { name, what: what.clone(), path: path.clone() });
                }
            }
            chosen.mutations.extend(slice.mutate.clone().map(|script| (name.clone(), script)));
            chosen.slices.insert(name, contents);
        }
        // Those that were asked for are there whatever else needs them.
        for name in wanted {
            chosen.because.insert(name.clone(), BTreeSet::new());
        }
        chosen.settle()?;
        Ok(chosen)
    }
}

impl Chosen {
    /// Lets a preferred package have its paths, takes away what is there for scripts alone, and finds contradictions.
    fn settle(&mut self) -> Result<(), Error> {
        let mut of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, contents) in &self.slices {
            for path in contents.keys() {
                of.entry(path).or_default().insert(&name.package);
            }
        }
        let mut gone: Vec<(Name, String)> = Vec::new();
        let mut made: BTreeMap<&str, (&Name, &Content)> = BTreeMap::new();
        for (name, contents) in &self.slices {
            for (path, content) in contents {
                let other = content.prefer.as_deref().filter(|other| *other != name.package);
                if content.until_mutate || other.is_some_and(|other| of[path.as_str()].contains(other)) {
                    gone.push((name.clone(), path.clone()));
                    continue;
                }
                // What a script would have filled is not made with a text that was never meant.
                if content.mutable && self.mutations.contains_key(name) && content.kind != ContentKind::Shipped {
                    gone.push((name.clone(), path.clone()));
                    continue;
                }
                if content.kind == ContentKind::Shipped {
                    continue;
                }
                match made.get(path.as_str()) {
                    Some((first, known)) if (&known.kind, known.mode) != (&content.kind, content.mode) => {
                        let (first, second) = ((*first).clone(), name.clone());
                        return Err(Error::Conflict { first, second, path: path.clone() });
                    }
                    Some(_) => {}
                    None => drop(made.insert(path, (name, content))),
                }
            }
        }
        for (name, path) in gone {
            if let Some(contents) = self.slices.get_mut(&name) {
                contents.remove(&path);
            }
        }
        Ok(())
    }

    /// Returns the packages whose files are chosen by slices.
    pub fn packages(&self) -> BTreeSet<&str> {
        self.slices.keys().map(|name| name.package.as_str()).collect()
    }
}

/// Returns whether a content's path, without its leading slash, fits a path of the image: `?` and `*` within a
/// component, `**` across them; a slash at the end means a directory.
pub fn fits(pattern: &str, path: &str) -> bool {
    matches(pattern.trim_end_matches('/').as_bytes(), path.as_bytes())
}

/// Returns whether a content's path is a glob.
pub fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// The usual walk with one place to come back to per kind of star, so that time is bounded by the product of lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // reached[i]: the pattern up to here fits the text up to i.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let mut next = vec![false; text.len() + 1];
        let (step, crosses) = match pattern[at..] {
            [b'*', b'*', ..] => (2, Some(true)),
            [b'*', ..] => (1, Some(false)),
            _ => (1, None),
        };
        match crosses {
            Some(crosses) => {
                let mut open = false;
                for i in 0..=text.len() {
                    open |= reached[i];
                    next[i] = open;
                    open &= i < text.len() && (crosses || text[i] != b'/');
                }
            }
            None => {
                for i in 0..text.len() {
                    let one = pattern[at] == text[i] || pattern[at] == b'?' && text[i] != b'/';
                    next[i + 1] = reached[i] && one;
                }
            }
        }
        reached = next;
        at += step;
    }
    reached[text.len()]
}

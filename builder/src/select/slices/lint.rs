//! What slices forget: libraries and interpreters of the files that they list.
//!
//! Each slice is looked at with what it needs itself and nothing else, since whoever names it alone gets no more; that
//! another slice of the same image happens to bring what it forgot is no excuse.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{entry_path, listed, merged};
use crate::package::{EntryKind, PackIndex};
use crate::rules::slices::{ContentKind, Error, Name, Slices, fits};

/// Something that a slice needs and does not bring.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Forgotten {
    /// The slice.
    pub slice: String,
    /// What is missing: the name of a library, or the path of a program.
    pub missing: String,
    /// The first of its files that needs it.
    pub file: String,
    /// The package that ships it, and where, of those that are at hand.
    pub shipped: Option<(String, String)>,
    /// Slices that would bring it.
    pub slices: Vec<String>,
}

impl std::fmt::Display for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "slice `{}` forgets `{}`, which {} needs", self.slice, self.missing, self.file)?;
        match &self.shipped {
            Some((package, path)) if *path != self.missing => write!(f, "; `{package}` ships {path}"),
            Some((package, _)) => write!(f, "; `{package}` ships it"),
            None => write!(f, "; no package here ships it"),
        }
    }
}

/// Returns what the slices that `wanted` lead to forget, as far as their packages are at hand.
///
/// # Errors
/// As of [`Slices::choose`].
pub fn forgotten(
    slices: &Slices,
    wanted: &[Name],
    packs: &BTreeMap<String, PackIndex>,
    arch: &str,
) -> Result<Vec<Forgotten>, Error> {
    let chosen = slices.choose(wanted, arch)?;
    let listed = listed(&chosen, packs);
    let shipped = Shipped::of(packs);
    let mut all = BTreeSet::new();
    for (name, own) in &listed {
        let Some(index) = packs.get(&name.package) else { continue };
        let alone = slices.choose(std::slice::from_ref(*name), arch)?;
        let mut paths: BTreeSet<&str> = BTreeSet::new();
        let mut made: Vec<String> = Vec::new();
        for (other, contents) in &alone.slices {
            paths.extend(listed.get(other).into_iter().flatten().map(|(path, _)| path.as_str()));
            let new = contents.iter().filter(|(_, content)| content.kind != ContentKind::Shipped);
            made.extend(new.map(|(path, _)| merged(path).trim_end_matches('/').to_owned()));
        }
        paths.extend(made.iter().map(String::as_str));
        let names: BTreeSet<&str> = paths.iter().map(|path| last(path)).collect();
        for (path, at) in own {
            let EntryKind::File(facts) = &index.entries[*at].kind else { continue };
            let mut lacks: Vec<String> = Vec::new();
            if let Some(elf) = &facts.elf {
                lacks.extend(elf.needed.iter().filter(|needed| !names.contains(last(needed))).cloned());
                let loader = elf.interpreter.iter().map(|loader| merged(loader));
                // The loader stands at the end of links; its name is the same wherever it stands.
                lacks.extend(loader.filter(|loader| !names.contains(last(loader))).map(|path| format!("/{path}")));
            }
            let programs = facts.shebang.as_deref().map(programs).unwrap_or_default();
            lacks.extend(
                programs.into_iter().filter(|path| !paths.contains(path.as_str())).map(|path| format!("/{path}")),
            );
            for missing in lacks {
                let found = shipped.find(&missing);
                let by = found.iter().flat_map(|(package, path)| bringing(slices, package, path)).collect();
                let shipped = found.map(|(package, path)| (package.to_owned(), format!("/{path}")));
                let (slice, file) = (name.to_string(), format!("/{path}"));
                all.insert((slice.clone(), missing.clone(), Forgotten { slice, missing, file, shipped, slices: by }));
            }
        }
    }
    // Of several files that lack one thing, the first is named.
    let mut seen = BTreeSet::new();
    let first = all.into_iter().filter(|(slice, missing, _)| seen.insert((slice.clone(), missing.clone())));
    Ok(first.map(|(_, _, forgotten)| forgotten).collect())
}

/// Returns what runs a script: its interpreter, and behind `env` the program that this looks for.
fn programs(shebang: &str) -> Vec<String> {
    let mut words = shebang.split_whitespace();
    let Some(first) = words.next() else { return Vec::new() };
    let mut all = vec![merged(first)];
    if last(first) == "env" {
        let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
        all.extend(program.map(|program| format!("usr/bin/{program}")));
    }
    all
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What packages ship, by path and by name.
struct Shipped<'a> {
    paths: BTreeMap<String, &'a str>,
    names: BTreeMap<String, (&'a str, String)>,
}

impl<'a> Shipped<'a> {
    fn of(packs: &'a BTreeMap<String, PackIndex>) -> Self {
        let (mut paths, mut names) = (BTreeMap::new(), BTreeMap::new());
        for (package, index) in packs {
            for (at, entry) in index.entries.iter().enumerate() {
                if entry.kind == EntryKind::Directory {
                    continue;
                }
                let path = entry_path(index, at);
                let name = last(&path).to_owned();
                if name.contains(".so") {
                    names.entry(name).or_insert((package.as_str(), path.clone()));
                }
                paths.entry(path).or_insert(package.as_str());
            }
        }
        Self { paths, names }
    }

    fn find(&self, missing: &str) -> Option<(&'a str, String)> {
        match missing.strip_prefix('/') {
            Some(path) => self.paths.get(path).map(|package| (*package, path.to_owned())),
            None => self.names.get(missing).cloned(),
        }
    }
}

/// Returns the slices of a package that list a path.
fn bringing(slices: &Slices, package: &str, path: &str) -> Vec<String> {
    let Some(defined) = slices.packages.get(package) else { return Vec::new() };
    let lists = defined.slices.iter().filter(|(_, slice)| {
        slice.contents.iter().any(|(pattern, content)| {
            content.kind == ContentKind::Shipped && !pattern.ends_with('/') && fits(&merged(pattern), path)
        })
    });
    lists.map(|(slice, _)| format!("{package}_{slice}")).collect()
}

//! What kept files name and the image does not hold: hints for a person, never files.
//!
//! Names of libraries stand in programs as texts where they are loaded by name, and paths in scripts where those are
//! run or read. Neither tells whether it matters; so they are listed, the likeliest first, and nothing is kept for them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Selection, paths};
use crate::package::{EntryKind, PackIndex};
use crate::rules::probes;
use crate::tree::Origin;

/// The most suggestions for one image.
pub const MAX_SUGGESTIONS: usize = 20;
/// The most files that are named with one.
const MAX_FILES: usize = 3;

/// Something that might be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// What is named: the name of a library, or a path.
    pub named: String,
    /// Where a locked package has it.
    pub path: String,
    /// That package.
    pub package: String,
    /// Kept files that name it, at most three.
    pub by: Vec<String>,
    /// How many kept files name it.
    pub count: usize,
}

impl std::fmt::Display for Suggestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { named, path, package, by, count } = self;
        let more = if *count > by.len() { format!(" and {} more", count - by.len()) } else { String::new() };
        write!(f, "{}{more} name `{named}`, and {path} of `{package}` is not kept", by.join(", "))
    }
}

/// Returns what kept files name, locked packages ship, and the image does not hold; at most [`MAX_SUGGESTIONS`]. First
/// come libraries, then what most files name.
pub fn suggestions(selection: &Selection, packs: &BTreeMap<String, PackIndex>) -> Vec<Suggestion> {
    let kept: BTreeSet<&str> = selection.nodes.keys().map(|path| last(path.as_str())).collect();
    let merged = |path: &str| paths::rewrite(path, false).unwrap_or_else(|| path.to_owned());
    // By name of a library, and by path, where a package has what the image does not.
    let mut libraries: BTreeMap<String, (String, &str)> = BTreeMap::new();
    let mut files: BTreeMap<String, &str> = BTreeMap::new();
    for (package, index) in packs {
        for entry in index.entries.iter().filter(|entry| entry.kind != EntryKind::Directory) {
            let path = merged(&entry.path);
            if selection.nodes.contains_key(path.as_str()) || probes::passing(&path).is_some() {
                continue;
            }
            let name = last(&path).to_owned();
            if name.contains(".so") && !kept.contains(name.as_str()) {
                libraries.entry(name).or_insert((path.clone(), package));
            }
            files.entry(path).or_insert(package);
        }
    }
    let mut found: BTreeMap<(bool, String), (String, String, BTreeSet<String>)> = BTreeMap::new();
    for (package, index) in packs {
        for (at, scan) in &index.scans {
            let Some(entry) = usize::try_from(*at).ok().and_then(|at| index.entries.get(at)) else { continue };
            let path = merged(&entry.path);
            let own = |origin: &Origin| matches!(origin, Origin::Package(name) if name == package);
            if !selection.nodes.get(path.as_str()).is_some_and(|kept| own(&kept.origin)) {
                continue;
            }
            let by = format!("/{path}");
            for soname in &scan.sonames {
                if let Some((path, package)) = libraries.get(soname) {
                    let of = || (format!("/{path}"), (*package).to_owned(), BTreeSet::new());
                    found.entry((false, soname.clone())).or_insert_with(of).2.insert(by.clone());
                }
            }
            for named in &scan.paths {
                let path = merged(named.trim_start_matches('/'));
                if let Some(package) = files.get(&path) {
                    let of = || (format!("/{path}"), (*package).to_owned(), BTreeSet::new());
                    found.entry((true, named.clone())).or_insert_with(of).2.insert(by.clone());
                }
            }
        }
    }
    let mut all: Vec<_> = found.into_iter().collect();
    all.sort_by(|(a, (.., x)), (b, (.., y))| (a.0, y.len(), &a.1).cmp(&(b.0, x.len(), &b.1)));
    let all = all.into_iter().take(MAX_SUGGESTIONS).map(|((_, named), (path, package, by))| Suggestion {
        named,
        path,
        package,
        count: by.len(),
        by: by.into_iter().take(MAX_FILES).collect(),
    });
    all.collect()
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

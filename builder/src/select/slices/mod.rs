//! Slices in place of the closure: what the definitions say of the packages that a spec asks slices of.
//!
//! Files that a slice lists are kept for its sake; what they need in turn is found as for any other file. Other files of
//! such a package are kept where something needs them, and for nothing else. What a slice makes (links, texts,
//! directories, copies) is added where nothing stands.

mod lint;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Place};
use super::merge::{Node, Owner, Tree, What};
use super::{SelectInput, paths};
use crate::package::{EntryKind, FileFacts, PackIndex};
use crate::rules::slices::{self, Chosen, Content, ContentKind, Name};
use crate::tree::{ImagePath, Meta};

pub use lint::{Forgotten, forgotten};

/// What the spec's slices come to.
#[derive(Debug, Default)]
pub(super) struct Sliced {
    chosen: Chosen,
    /// By package, each path that slices list, without its leading slash and as it stands with a merged /usr.
    wanted: BTreeMap<String, Vec<(Name, String, Content)>>,
}

impl Sliced {
    /// Returns what the spec asks for on the platform.
    ///
    /// # Errors
    /// A slice that is not there, or cannot be made here.
    pub(super) fn of(input: &SelectInput<'_>) -> Result<Self, Error> {
        let asked: Vec<Name> = input.spec.sliced.iter().map(|name| name.value.clone()).collect();
        if asked.is_empty() {
            return Ok(Self::default());
        }
        let chosen = input.local.slices.choose(&asked, input.platform.architecture()).map_err(|error| {
            let named = match &error {
                slices::Error::NoSlice { name, because, .. } => because.as_ref().unwrap_or(name),
                slices::Error::Generate { name, .. } | slices::Error::Conflict { first: name, .. } => name,
                slices::Error::TooMany => &asked[0],
            };
            let at = input.spec.sliced.iter().find(|name| name.value == *named).or(input.spec.sliced.first());
            let place = at.map(|name| Place { source: input.spec.source.clone(), span: name.span });
            Error::Slice { error: Box::new(error), place }
        })?;
        let mut wanted: BTreeMap<String, Vec<(Name, String, Content)>> = BTreeMap::new();
        for (name, contents) in &chosen.slices {
            // A slice without contents settles the package all the same.
            let all = wanted.entry(name.package.clone()).or_default();
            all.extend(contents.iter().map(|(path, content)| (name.clone(), merged(path), content.clone())));
        }
        Ok(Self { chosen, wanted })
    }

    /// Returns whether slices say what of a package is kept.
    pub(super) fn has(&self, package: &str) -> bool {
        self.wanted.contains_key(package)
    }

    /// Returns the slice that lists a path of a package.
    pub(super) fn slice_of(&self, package: &str, path: &str, directory: bool) -> Option<&Name> {
        let listed = self.wanted.get(package)?.iter().find(|(_, pattern, content)| {
            let kind = directory || !pattern.ends_with('/');
            kind && content.kind == ContentKind::Shipped && slices::fits(pattern, path)
        });
        listed.map(|(name, ..)| name)
    }

    /// Adds what slices make, and reports what they list in vain and what they would run.
    pub(super) fn derive(&self, tree: &mut Tree<'_>, source_date: i64) -> Result<(), Error> {
        for (package, all) in &self.wanted {
            let Ok(number) = tree.packages.binary_search_by(|known| known.name.cmp(package)) else { continue };
            let index = tree.packages[number].index;
            let shipped: BTreeMap<String, usize> =
                (0..index.entries.len()).rev().map(|at| (entry_path(index, at), at)).collect();
            for (name, path, content) in all {
                let target = path.trim_end_matches('/');
                match &content.kind {
                    ContentKind::Shipped | ContentKind::Generate(_) => {
                        if !slices::is_glob(path) && !shipped.contains_key(target) {
                            tree.report.unmatched.push((format!("slice {name}"), format!("/{path}")));
                        }
                        continue;
                    }
                    ContentKind::Copy(from) => {
                        let from = merged(from);
                        let Some((at, facts)) = file(index, &shipped, &from) else {
                            tree.report.unmatched.push((format!("slice {name}"), format!("/{from}")));
                            continue;
                        };
                        let entry = &index.entries[at];
                        let meta = Meta {
                            mode: content.mode.unwrap_or(entry.mode),
                            uid: entry.uid,
                            gid: entry.gid,
                            mtime: entry.mtime.min(index.date).max(0),
                            xattrs: Vec::new(),
                        };
                        let node =
                            Node { owner: Owner::Package(number), meta, what: What::File { facts, inode: None } };
                        let path = ImagePath::parse(target).map_err(|error| Error::Local(error.to_string()))?;
                        tree.insert(path, node, None)?;
                    }
                    ContentKind::Text(text) => {
                        let meta = Meta::root(content.mode.unwrap_or(0o644), source_date);
                        tree.derive("slice", target, meta, What::Inline(text.clone().into_bytes()))?;
                    }
                    ContentKind::Symlink(to) => {
                        let what = What::Symlink(Cow::Owned(to.clone()));
                        tree.derive("slice", target, Meta::root(0o777, source_date), what)?;
                    }
                    ContentKind::Make => {
                        let meta = Meta::root(content.mode.unwrap_or(0o755), 0);
                        tree.derive("slice", target, meta, What::Directory)?;
                    }
                }
            }
        }
        for (name, script) in &self.chosen.mutations {
            let lines = script.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
            tree.report.unhandled.push((name.package.clone(), format!("slice {}", name.slice), lines));
        }
        Ok(())
    }
}

/// Returns the regular file at a path, through one link or hard link of its package.
fn file<'a>(index: &'a PackIndex, shipped: &BTreeMap<String, usize>, path: &str) -> Option<(usize, &'a FileFacts)> {
    let mut at = *shipped.get(path)?;
    for _ in 0..2 {
        match &index.entries[at].kind {
            EntryKind::File(facts) => return Some((at, facts)),
            EntryKind::Hardlink(target) => at = *shipped.get(&merged(target))?,
            EntryKind::Symlink(_) | EntryKind::Directory => return None,
        }
    }
    None
}

/// Returns where an entry stands with a merged /usr.
fn entry_path(index: &PackIndex, at: usize) -> String {
    let entry = &index.entries[at];
    paths::rewrite(&entry.path, entry.kind == EntryKind::Directory).unwrap_or_else(|| entry.path.clone())
}

/// Returns a path of a definition as it stands with a merged /usr; a slash at its end stays.
fn merged(path: &str) -> String {
    let bare = path.trim_start_matches('/');
    paths::rewrite(bare, false).unwrap_or_else(|| bare.to_owned())
}

/// Returns, by slice, the entries of its package that it lists: path with a merged /usr, and number.
fn listed<'a>(
    chosen: &'a Chosen,
    packs: &BTreeMap<String, PackIndex>,
) -> BTreeMap<&'a Name, BTreeSet<(String, usize)>> {
    let mut all = BTreeMap::new();
    for (name, contents) in &chosen.slices {
        let Some(index) = packs.get(&name.package) else { continue };
        let patterns: Vec<(String, &Content)> =
            contents.iter().map(|(path, content)| (merged(path), content)).collect();
        let mut own = BTreeSet::new();
        for at in 0..index.entries.len() {
            let path = entry_path(index, at);
            let directory = index.entries[at].kind == EntryKind::Directory;
            let fits = |(pattern, content): &(String, &Content)| {
                content.kind == ContentKind::Shipped
                    && (directory || !pattern.ends_with('/'))
                    && slices::fits(pattern, &path)
            };
            if patterns.iter().any(fits) {
                own.insert((path, at));
            }
        }
        all.insert(name, own);
    }
    all
}

//! Cuts the finished tree into one self-contained plan per layer.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::merge::{Owner, Tree, What};
use super::{Body, Kept, LayerPlan, PlanEntry, PlanGroup, Reasons, SelectInput};
use crate::digest::{Digest, Sha1};
use crate::tree::{ImagePath, Meta};

/// Which layer a group of entries belongs to: package layers by number, then `state`, then `files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Packages(usize),
    State,
    Files,
}

/// Returns the plans of the package layers in the lock's order, then `state`, then `files`.
pub(super) fn layers(tree: &Tree<'_>, input: &SelectInput<'_>, names: &[String]) -> Result<Vec<LayerPlan>, Error> {
    // By layer, then by package number (which is name order); the last two layers have one group.
    let mut groups: BTreeMap<Layer, BTreeMap<usize, Vec<PlanEntry>>> = BTreeMap::new();
    let mut directories: BTreeMap<Layer, BTreeMap<ImagePath, (usize, Meta)>> = BTreeMap::new();
    let mut inodes: BTreeMap<(usize, usize), ImagePath> = BTreeMap::new();
    for (path, node) in &tree.nodes {
        let (layer, group) = match node.owner {
            Owner::Package(number) | Owner::Status(number) => (Layer::Packages(tree.packages[number].layer), number),
            Owner::Derived(_) | Owner::Script(_) | Owner::Certificate(_) => (Layer::State, 0),
            Owner::File(_) => (Layer::Files, 0),
            Owner::Base => continue,
        };
        let body = match &node.what {
            What::Directory => {
                if layer == Layer::State || layer == Layer::Files {
                    directories.entry(layer).or_default().insert(path.clone(), (0, node.meta.clone()));
                }
                continue;
            }
            What::Symlink(target) => Body::Symlink(target.clone().into_owned()),
            What::Inline(bytes) => Body::Inline(bytes.clone()),
            What::File { facts, inode } => {
                let first = inode.map(|inode| inodes.entry((group, inode)).or_insert_with(|| path.clone()));
                match first {
                    Some(first) if first != path => Body::Hardlink(first.clone()),
                    _ => Body::Pack { offset: facts.offset, size: facts.size, digest: facts.digest },
                }
            }
        };
        let entry = PlanEntry { path: path.clone(), meta: node.meta.clone(), body };
        groups.entry(layer).or_default().entry(group).or_default().push(entry);
    }
    for (number, package) in tree.packages.iter().enumerate() {
        for path in &package.bare {
            let layer = directories.entry(Layer::Packages(package.layer)).or_default();
            if tree.nodes.get(path.as_str()).is_some_and(|node| node.what == What::Directory)
                && !layer.contains_key(path)
            {
                layer.insert(path.clone(), (number, tree.directory(path)?));
            }
        }
    }

    let all = (0..names.len()).map(Layer::Packages).chain([Layer::State, Layer::Files]);
    all.map(|layer| {
        let name = match layer {
            Layer::Packages(number) => names[number].clone(),
            Layer::State => "state".to_owned(),
            Layer::Files => "files".to_owned(),
        };
        let mut groups = groups.remove(&layer).unwrap_or_default();
        let own = directories.remove(&layer).unwrap_or_default();
        let mut ancestors: BTreeSet<ImagePath> = BTreeSet::new();
        for path in groups.values().flatten().map(|entry| &entry.path).chain(own.keys()) {
            // Where the parent is known, so is everything above it.
            if path.parent().is_some_and(|parent| !ancestors.contains(&parent)) {
                ancestors.extend(path.ancestors());
            }
        }
        let mut above = Vec::with_capacity(ancestors.len());
        for path in &ancestors {
            let meta = match (own.get(path), tree.nodes.get(path.as_str())) {
                (Some((_, meta)), _) => meta.clone(),
                (None, Some(node)) if layer == Layer::Files => Meta { mtime: 0, ..node.meta.clone() },
                (None, Some(node)) if layer == Layer::State && !matches!(node.owner, Owner::File(_)) => {
                    node.meta.clone()
                }
                _ => tree.directory(path)?,
            };
            above.push(PlanEntry { path: path.clone(), meta, body: Body::Directory });
        }
        for (path, (group, meta)) in own {
            if !ancestors.contains(&path) {
                groups.entry(group).or_default().push(PlanEntry { path, meta, body: Body::Directory });
            }
        }
        let groups = groups
            .into_iter()
            .map(|(number, mut entries)| {
                entries.sort_by(|a, b| a.path.cmp(&b.path));
                let has_bytes = entries.iter().any(|entry| matches!(entry.body, Body::Pack { .. }));
                let pack = has_bytes.then(|| match layer {
                    Layer::Packages(_) => tree.packages[number].key,
                    _ => input.local_key,
                });
                PlanGroup { pack, entries }
            })
            .collect();
        Ok(LayerPlan { name, directories: above, groups })
    })
    .collect()
}

/// Returns every node with its origin and reason.
pub(super) fn nodes(tree: &Tree<'_>, reasons: &Reasons) -> BTreeMap<ImagePath, Kept> {
    let kept = tree.nodes.iter().map(|(path, node)| {
        let origin = tree.origin(node.owner);
        let reason = match node.owner {
            Owner::Package(number) if tree.packages[number].by_need => reasons
                .files
                .get(path)
                .and_then(|all| all.first())
                .map_or_else(|| tree.packages[number].reason.clone(), ToString::to_string),
            Owner::Package(number) | Owner::Status(number) => tree.packages[number].reason.clone(),
            Owner::Derived(rule) => format!("rule {rule}"),
            Owner::Script(number) => {
                let deed = &tree.deeds[number];
                format!("rule {}: {} of {}", deed.rule, deed.script, deed.package)
            }
            Owner::File(_) | Owner::Certificate(_) => tree.owner_name(node.owner),
            Owner::Base => "base".to_owned(),
        };
        let (size, digest, sha1) = match &node.what {
            What::File { facts, .. } => (facts.size, Some(facts.digest), Some(facts.sha1)),
            What::Inline(bytes) => (bytes.len() as u64, Some(Digest::of(bytes)), Some(Sha1::of(bytes))),
            _ => (0, None, None),
        };
        let executable = match &node.what {
            What::File { facts, .. } => facts.elf.is_some() || facts.shebang.is_some() || node.meta.mode & 0o111 != 0,
            What::Inline(_) => node.meta.mode & 0o111 != 0,
            _ => false,
        };
        (path.clone(), Kept { origin, reason, size, digest, sha1, executable })
    });
    kept.collect()
}

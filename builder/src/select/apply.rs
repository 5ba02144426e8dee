//! Applies to the tree what maintainer scripts would have done.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::account::{AccountKind, AccountRequest};
use super::closure::Closure;
use super::error::Error;
use super::merge::{Deed, Node, Owner, Tree, What};
use super::pam;
use super::scripted::Scripted;
use super::scripts::{Alternative, Effect, changed_mode};
use super::users::Accounts;
use crate::package::EntryKind;
use crate::rules::classes::{self, Class};
use crate::spec::Keep;
use crate::tree::{ImagePath, Meta};

/// Applies every effect, in the order of the scripts; alternatives last, when all of them are known.
///
/// What a script makes is of a class as what a package ships is, and left out with it.
pub(super) fn apply(
    tree: &mut Tree<'_>,
    scripted: &Scripted,
    accounts: &Accounts,
    keep: Keep,
    closure: &Closure<'_>,
    source_date: i64,
) -> Result<(), Error> {
    let mut alternatives: BTreeMap<&str, Vec<(&Alternative, Deed)>> = BTreeMap::new();
    for (reading, rule, effect) in scripted.effects() {
        let deed = || Deed { rule, package: reading.package.clone(), script: reading.script.to_owned() };
        let path = match effect {
            Effect::Alternative(alternative) => {
                alternatives.entry(&alternative.name).or_default().push((alternative, deed()));
                continue;
            }
            Effect::Account(request) => {
                home(tree, request, accounts, deed())?;
                continue;
            }
            // They were there before the tree.
            Effect::Divert { .. } => continue,
            Effect::Pam => {
                pam(tree, deed(), source_date)?;
                continue;
            }
            Effect::Directory { path, .. }
            | Effect::Link { path, .. }
            | Effect::File { path, .. }
            | Effect::Owner { path, .. }
            | Effect::Mode { path, .. }
            | Effect::Remove { path } => path,
        };
        let Ok(path) = ImagePath::parse(path) else {
            let line = format!("{path} # its path has no place in an image");
            tree.report.unhandled.push((reading.package.clone(), reading.script.to_owned(), vec![line]));
            continue;
        };
        let follows = !matches!(effect, Effect::Link { .. } | Effect::Remove { .. });
        let path = if follows { tree.resolve(&path)? } else { tree.resolve_parent(&path)? };
        if path.is_root() || keep != Keep::All && matches!(classes::class(path.as_str()), Class::Doc | Class::Admin) {
            continue;
        }
        let by = Owner::Script(tree.deeds.len());
        let changed = match effect {
            Effect::Directory { mode, .. } => directory(tree, &path, *mode, by)?,
            // What it leads to is shipped, and not kept.
            Effect::Link { target, .. } if closure.is_lost(&beside(&path, target)) => continue,
            Effect::Link { target, .. } => {
                let what = What::Symlink(target.clone().into());
                put(tree, &path, Node { owner: by, meta: Meta::root(0o777, source_date), what })?
            }
            Effect::File { text, mode, like, .. } => {
                let mode = mode.or_else(|| like.as_deref().and_then(|like| shipped_mode(tree, like))).unwrap_or(0o644);
                let what = What::Inline(text.clone());
                put(tree, &path, Node { owner: by, meta: Meta::root(mode, source_date), what })?
            }
            Effect::Owner { user, group, .. } => {
                let uid = user.as_deref().map(|user| accounts.ids(Some(user), None, None)).transpose();
                let gid = group.as_deref().map(|group| accounts.ids(None, Some(group), None)).transpose();
                let (Ok(user), Ok(group)) = (uid, gid) else {
                    let line = format!("chown {path} # the user or the group does not exist");
                    tree.report.unhandled.push((reading.package.clone(), reading.script.to_owned(), vec![line]));
                    continue;
                };
                change(tree, &path, by, |meta, directory| {
                    meta.uid = user.map_or(meta.uid, |(uid, _)| uid);
                    meta.gid = group.map_or(meta.gid, |(_, gid)| gid);
                    // The kernel takes these bits off a file that is given to somebody, whoever had it (chown(2)).
                    if !directory {
                        meta.mode &= !0o6000;
                    }
                })
            }
            Effect::Mode { change: spec, .. } => change(tree, &path, by, |meta, directory| {
                meta.mode = changed_mode(meta.mode, spec, directory).unwrap_or(meta.mode);
            }),
            _ => remove(tree, &path),
        };
        if changed {
            tree.deeds.push(deed());
        }
    }
    for (name, candidates) in alternatives {
        choose(tree, name, &candidates, keep, source_date)?;
    }
    Ok(())
}

/// Returns where a link's target begins to be looked for, as a path from the root.
fn beside(link: &ImagePath, target: &str) -> String {
    match target.strip_prefix('/') {
        Some(target) => target.to_owned(),
        None => format!("{}/{target}", link.as_str().rsplit_once('/').map_or("", |(parent, _)| parent)),
    }
}

/// Makes the home of a user where it is asked for, so that what comes later finds it.
fn home(tree: &mut Tree<'_>, request: &AccountRequest, accounts: &Accounts, deed: Deed) -> Result<(), Error> {
    let (Some(home), Some(mode)) = (&request.home, request.create_home) else { return Ok(()) };
    let Ok(path) = ImagePath::parse(home) else { return Ok(()) };
    let path = tree.resolve(&path)?;
    if request.kind != AccountKind::User || home == "/nonexistent" || path.is_root() {
        return Ok(());
    }
    let (uid, gid) = accounts.ids(Some(&request.name), None, None)?;
    let by = Owner::Script(tree.deeds.len());
    let meta = Meta { uid, gid, ..Meta::root(mode, 0) };
    if !tree.nodes.contains_key(path.as_str())
        && tree.insert(path, Node { owner: by, meta, what: What::Directory }, None)?
    {
        tree.deeds.push(deed);
    }
    Ok(())
}

/// Makes a directory, or gives one that is there the mode that a script gives it.
fn directory(tree: &mut Tree<'_>, path: &ImagePath, mode: Option<u32>, by: Owner) -> Result<bool, Error> {
    match tree.nodes.get(path.as_str()) {
        None => {
            let meta = Meta::root(mode.unwrap_or(0o755), 0);
            tree.insert(path.clone(), Node { owner: by, meta, what: What::Directory }, None)
        }
        Some(node) if node.what == What::Directory => match mode {
            Some(mode) => Ok(change(tree, path, by, |meta, _| meta.mode = mode)),
            None => Ok(false),
        },
        Some(_) => Ok(false),
    }
}

/// Puts a file or a link where nothing stands, or where another script put one.
fn put<'a>(tree: &mut Tree<'a>, path: &ImagePath, node: Node<'a>) -> Result<bool, Error> {
    match tree.nodes.get(path.as_str()) {
        Some(Node { owner: Owner::Script(_), what, .. }) if *what != What::Directory => {
            tree.nodes.insert(path.clone(), node);
            Ok(true)
        }
        Some(_) => Ok(false),
        None => tree.insert(path.clone(), node, None),
    }
}

/// Changes owner or mode of what stands at a path. A directory's entry goes to the layer of derived state; a file's
/// bytes stay where they are, and its entry says the new owner.
fn change(tree: &mut Tree<'_>, path: &ImagePath, by: Owner, with: impl FnOnce(&mut Meta, bool)) -> bool {
    let Some(node) = tree.nodes.get_mut(path.as_str()) else { return false };
    let directory = node.what == What::Directory;
    if matches!(node.what, What::Symlink(_)) {
        return false;
    }
    let before = node.meta.clone();
    with(&mut node.meta, directory);
    let changed = node.meta != before;
    if changed && directory && matches!(node.owner, Owner::Package(_)) {
        node.owner = by;
        node.meta.mtime = 0;
    }
    changed
}

/// Writes PAM's common files, unless they are there.
fn pam(tree: &mut Tree<'_>, deed: Deed, source_date: i64) -> Result<(), Error> {
    let mut configs: Vec<(String, String)> = Vec::new();
    let mut templates: BTreeMap<String, String> = BTreeMap::new();
    for package in &tree.packages {
        for (at, text) in &package.index.texts {
            let entry = usize::try_from(*at).ok().and_then(|at| package.index.entries.get(at));
            let Some((directory, name)) = entry.and_then(|entry| entry.path.rsplit_once('/')) else { continue };
            let text = || String::from_utf8_lossy(text).into_owned();
            match directory {
                "usr/share/pam-configs" => configs.push((name.to_owned(), text())),
                "usr/share/pam" => drop(templates.insert(name.to_owned(), text())),
                _ => {}
            }
        }
    }
    let profiles = pam::profiles(configs.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let by = Owner::Script(tree.deeds.len());
    let mut made = false;
    for (name, field, word) in pam::TYPES {
        let template = templates.get(&format!("common-{name}"));
        let Some(text) = template.and_then(|template| pam::fill(template, field, word, &profiles)) else { continue };
        let Ok(path) = ImagePath::parse(&format!("etc/pam.d/common-{name}")) else { continue };
        let node = Node { owner: by, meta: Meta::root(0o644, source_date), what: What::Inline(text.into_bytes()) };
        if !tree.nodes.contains_key(path.as_str()) {
            made |= tree.insert(path, node, None)?;
        }
    }
    if made {
        tree.deeds.push(deed);
    }
    Ok(())
}

fn remove(tree: &mut Tree<'_>, path: &ImagePath) -> bool {
    let made = |node: &Node<'_>| matches!(node.owner, Owner::Script(_));
    let Some(node) = tree.nodes.get(path.as_str()) else { return false };
    // A file that a package ships and a script takes away is not in a root that dpkg has made.
    if node.what != What::Directory {
        tree.nodes.remove(path.as_str());
        return true;
    }
    if !made(node) {
        return false;
    }
    let prefix = format!("{}/", path.as_str());
    let below = tree
        .nodes
        .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
        .take_while(|(other, _)| other.as_str().starts_with(&prefix));
    let below: Vec<(ImagePath, bool)> = below.map(|(other, node)| (other.clone(), made(node))).collect();
    if below.iter().any(|(_, made)| !made) {
        return false;
    }
    tree.nodes.remove(path.as_str());
    for (other, _) in below {
        tree.nodes.remove(other.as_str());
    }
    true
}

/// Returns the mode of a file that a package ships, kept or not.
fn shipped_mode(tree: &Tree<'_>, path: &str) -> Option<u32> {
    let path = path.trim_start_matches('/');
    if let Some(node) = tree.nodes.get(path) {
        return Some(node.meta.mode);
    }
    let entries = tree.packages.iter().flat_map(|package| &package.index.entries);
    let mut files = entries.filter(|entry| matches!(entry.kind, EntryKind::File(_)));
    files.find(|entry| entry.path == path).map(|entry| entry.mode & 0o7755)
}

/// Sets one alternative: the candidate of the highest priority, its own link and those of its slaves.
fn choose(
    tree: &mut Tree<'_>,
    name: &str,
    candidates: &[(&Alternative, Deed)],
    keep: Keep,
    source_date: i64,
) -> Result<(), Error> {
    // As update-alternatives keeps them: those it knows by path, the new one behind them; of equal priorities the
    // first one wins (dpkg, utils/update-alternatives.c, alternative_get_best).
    let mut known: Vec<&(&Alternative, Deed)> = Vec::new();
    for candidate in candidates.iter().filter(|(candidate, _)| is_kept(tree, &candidate.path)) {
        known.retain(|(other, _)| other.path != candidate.0.path);
        known.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        known.push(candidate);
    }
    let highest = known.iter().map(|(candidate, _)| candidate.priority).max();
    let Some((best, deed)) = known.iter().find(|(candidate, _)| Some(candidate.priority) == highest) else {
        return Ok(());
    };
    let main = (&best.link, name, &best.path);
    let slaves = best.slaves.iter().map(|(link, name, path)| (link, name.as_str(), path));
    for (place, name, path) in [main].into_iter().chain(slaves) {
        // A manual page's link is documentation, wherever the page lies.
        let class = classes::class(place.trim_start_matches('/'));
        if is_kept(tree, path) && (keep == Keep::All || !matches!(class, Class::Doc | Class::Admin)) {
            link(tree, place, name, path, deed, source_date)?;
        }
    }
    Ok(())
}

pub(super) fn is_kept(tree: &Tree<'_>, path: &str) -> bool {
    ImagePath::parse(path)
        .ok()
        .and_then(|path| tree.resolve(&path).ok())
        .is_some_and(|real| !real.is_root() && tree.nodes.contains_key(real.as_str()))
}

fn link(tree: &mut Tree<'_>, link: &str, name: &str, path: &str, deed: &Deed, source_date: i64) -> Result<(), Error> {
    let Ok(place) = ImagePath::parse(link) else { return Ok(()) };
    let place = tree.resolve_parent(&place)?;
    if let Some(node) = tree.nodes.get(place.as_str()) {
        let owner = tree.owner_name(node.owner);
        tree.report.notes.push(format!("alternative `{name}` is not set: `{owner}` ships {place}"));
        return Ok(());
    }
    let Ok(through) = ImagePath::parse(&format!("etc/alternatives/{name}")) else { return Ok(()) };
    let by = Owner::Script(tree.deeds.len());
    tree.deeds.push(deed.clone());
    let node =
        |target: String| Node { owner: by, meta: Meta::root(0o777, source_date), what: What::Symlink(target.into()) };
    let target = format!("/{}", through.as_str());
    tree.insert(through, node(path.to_owned()), None)?;
    tree.insert(place, node(target), None)?;
    Ok(())
}

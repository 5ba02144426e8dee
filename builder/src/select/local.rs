//! The spec's files laid over the packages' tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{Error, Place};
use super::merge::{Node, Owner, Tree, What};
use super::users::Accounts;
use super::{SelectInput, paths};
use crate::package::{Entry, EntryKind};
use crate::spec::{FileEntry, FileSource, Spanned};
use crate::tree::{ImagePath, Meta};

/// Lays every entry of the local pack over the tree, in the spec's order.
pub(super) fn overlay<'a>(
    tree: &mut Tree<'a>,
    input: &SelectInput<'a>,
    accounts: &Accounts,
    source_date: i64,
) -> Result<(), Error> {
    let local = input.local;
    if local.entry_of.len() != local.index.entries.len() {
        return Err(Error::Local("the pack of local files does not say which entry made what".to_owned()));
    }
    let originals: BTreeMap<(u32, &str), &Entry> = local
        .entry_of
        .iter()
        .zip(&local.index.entries)
        .map(|(of, entry)| ((*of, entry.path.as_str()), entry))
        .collect();
    let mut order: Vec<usize> = (0..local.entry_of.len()).collect();
    order.sort_by_key(|at| local.entry_of[*at]);
    let merged = !tree.packages.is_empty();
    for at in order {
        let entry = &local.index.entries[at];
        let number = usize::try_from(local.entry_of[at]).unwrap_or(usize::MAX);
        let asked =
            input.spec.files.get(number).ok_or_else(|| Error::Local(format!("the spec has no `files[{number}]`")))?;
        let place = Place { source: input.spec.source.clone(), span: asked.span };
        if entry.path.is_empty() {
            continue;
        }
        let written = ImagePath::parse(&entry.path).map_err(|error| Error::Local(error.to_string()))?;
        let directory = entry.kind == EntryKind::Directory;
        let path = match paths::rewrite(written.as_str(), directory).filter(|_| merged) {
            Some(path) => ImagePath::parse(&path).map_err(|error| Error::Local(error.to_string()))?,
            None => written.clone(),
        };
        let path = if directory { tree.resolve(&path)? } else { tree.resolve_parent(&path)? };
        if path.is_root() {
            continue;
        }
        let (what, shape) = match &entry.kind {
            EntryKind::Directory => (What::Directory, entry),
            EntryKind::Symlink(target) => (What::Symlink(Cow::Borrowed(target)), entry),
            EntryKind::File(facts) => (What::File { facts, inode: None }, entry),
            EntryKind::Hardlink(target) => match originals.get(&(local.entry_of[at], target.as_str())) {
                Some(shape @ Entry { kind: EntryKind::File(facts), .. }) => (What::File { facts, inode: None }, *shape),
                _ => return Err(Error::Local(format!("{written} is a hard link to `{target}`, which is no file"))),
            },
        };
        let (uid, gid) = accounts.ids(asked.value.owner.as_deref(), asked.value.group.as_deref(), Some(&place))?;
        let meta = Meta {
            mode: shape.mode,
            uid,
            gid,
            mtime: shape.mtime.clamp(0, source_date.max(0)),
            xattrs: shape.xattrs.clone(),
        };
        put(tree, path, Node { owner: Owner::File(number), meta, what }, asked, &place)?;
    }
    Ok(())
}

/// Puts one node of the spec into the tree, over what packages and derivations have there.
fn put<'a>(
    tree: &mut Tree<'a>,
    path: ImagePath,
    node: Node<'a>,
    asked: &Spanned<FileEntry>,
    place: &Place,
) -> Result<(), Error> {
    let Some(known) = tree.nodes.get(path.as_str()) else {
        tree.insert(path, node, Some(place))?;
        return Ok(());
    };
    let explicit = asked.value.what == FileSource::Directory;
    let by_spec = matches!(known.owner, Owner::File(_));
    let refuse = |problem: String| Err(Error::File { path: path.clone(), problem, place: Some(place.clone()) });
    match (&known.what, &node.what) {
        (What::Directory, What::Directory) => {
            // What a copied tree merely passes through keeps its owner and mode.
            if explicit {
                tree.nodes.insert(path, node);
            }
            Ok(())
        }
        (What::Directory, _) => refuse(format!("it is a directory of `{}`", tree.owner_name(known.owner))),
        (_, What::Directory) => refuse(format!("it is no directory in `{}`", tree.owner_name(known.owner))),
        (old, new) if by_spec => {
            let same = match (old, new) {
                (What::File { facts: a, .. }, What::File { facts: b, .. }) => a.digest == b.digest,
                (a, b) => a == b,
            };
            if same && known.meta == node.meta {
                Ok(())
            } else {
                refuse(format!("`{}` puts something else there", tree.owner_name(known.owner)))
            }
        }
        _ => {
            tree.nodes.insert(path, node);
            Ok(())
        }
    }
}

//! Where a package's `copyright` file is (Debian policy 12.5), and what it says.

use std::collections::BTreeMap;

use super::{Inventory, LicenseText, Licensing, expression};
use crate::package::{EntryKind, PackIndex};

/// The most links that are followed from one package's documentation to another's.
const MAX_LINKS: usize = 8;

/// Returns the text of a package's copyright file: its own, or that of the package whose documentation its own is a
/// link to. `None` where no pack has it.
pub(super) fn text<'a>(package: &str, packs: &'a BTreeMap<String, PackIndex>) -> Option<&'a [u8]> {
    let mut path = format!("usr/share/doc/{package}/copyright");
    for _ in 0..MAX_LINKS {
        let directory = path.rsplit_once('/')?.0.to_owned();
        let owner = directory.rsplit('/').next()?;
        // The package that the directory is named for has it, or the one that the search began at.
        let own = [owner, package].into_iter().filter_map(|name| packs.get(name));
        let mut all = own.chain(packs.values());
        let found = all.find_map(|index| {
            let entry = index
                .entries
                .iter()
                .find(|entry| entry.path == path || entry.path == directory && is_link(&entry.kind))?;
            Some((index, entry))
        });
        let (index, entry) = found?;
        match &entry.kind {
            EntryKind::File(_) => return index.text_at(&path),
            EntryKind::Symlink(target) if entry.path == path => path = joined(&directory, target)?,
            EntryKind::Symlink(target) => {
                let above = directory.rsplit_once('/')?.0;
                path = format!("{}/copyright", joined(above, target)?);
            }
            EntryKind::Hardlink(target) => path = target.clone(),
            EntryKind::Directory => return None,
        }
    }
    None
}

fn is_link(kind: &EntryKind) -> bool {
    matches!(kind, EntryKind::Symlink(_))
}

/// Returns where a link in `directory` leads.
fn joined(directory: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { directory.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The package that a copyright file belongs to.
pub(super) struct Owner<'a> {
    pub(super) name: &'a str,
    pub(super) source: &'a str,
    pub(super) architecture: &'a str,
    /// Paths of its files in the image, without leading slash.
    pub(super) files: &'a [&'a str],
}

/// Returns what a package's copyright file says of its licences, and puts the texts that it refers to into `texts`.
pub(super) fn read(
    _copyright: Option<&[u8]>,
    _owner: &Owner<'_>,
    _texts: &mut BTreeMap<String, LicenseText>,
) -> Licensing {
    Licensing::default()
}

/// Gives the image the licences of all that is in it, where nothing else is said.
pub(super) fn of_the_whole(inventory: &mut Inventory) {
    let parts = &inventory.components[1..];
    let known = |component: &super::Component| component.licensing.concluded.clone();
    let expressions: Vec<String> = parts.iter().filter_map(known).collect();
    let unknown = parts.len() - expressions.len();
    let all = expression::all(expressions.iter().map(String::as_str));
    let licensing = &mut inventory.components[0].licensing;
    let mut comment = "The conjunction of the concluded licences of all that is in the image".to_owned();
    if unknown > 0 {
        comment.push_str(&format!("; {unknown} of its parts have none"));
    }
    licensing.concluded = all.clone();
    licensing.declared = licensing.declared.take().or(all);
    licensing.comment = Some(comment);
    licensing.copyright = Some("Copyright of the authors of what is in the image; each part names its own".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Sha1};
    use crate::package::{Entry, FileFacts, base::base_index};

    #[test]
    fn a_copyright_file_is_found_behind_links() {
        let entry = |path: &str, kind: EntryKind| Entry {
            path: path.to_owned(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: Vec::new(),
        };
        let link = |path: &str, target: &str| entry(path, EntryKind::Symlink(target.to_owned()));
        let facts = FileFacts {
            size: 3,
            offset: 0,
            digest: Digest::of(b"MIT"),
            sha1: Sha1::of(b"MIT"),
            elf: None,
            shebang: None,
        };
        let file = (entry("usr/share/doc/base/copyright", EntryKind::File(facts)), Some(b"MIT"[..].into()));
        let pack = |entries| base_index(Digest::of(b""), entries);
        let packs: BTreeMap<String, PackIndex> = [
            ("base", pack(vec![file])),
            ("whole", pack(vec![(link("usr/share/doc/whole", "base"), None)])),
            ("one", pack(vec![(link("usr/share/doc/one/copyright", "../whole/copyright"), None)])),
            ("ring", pack(vec![(link("usr/share/doc/ring", "ring"), None)])),
        ]
        .map(|(name, pack)| (name.to_owned(), pack))
        .into();
        for name in ["base", "whole", "one"] {
            assert_eq!(text(name, &packs), Some(&b"MIT"[..]), "{name}");
        }
        assert_eq!((text("ring", &packs), text("absent", &packs)), (None, None));
    }
}

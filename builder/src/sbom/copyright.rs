//! What the copyright files of packages say (Debian policy 12.5).

use std::collections::BTreeMap;

use super::{Inventory, LicenseText, Licensing};
use crate::license::{self, At, Expression, Package, Refs, read_spdx};
use crate::package::{EntryKind, PackIndex};

/// What stands below `usr/share/doc` of all packages together: the copyright files, and links that lead to some.
pub(super) struct Copyrights<'a>(BTreeMap<&'a str, At<'a>>);

impl<'a> Copyrights<'a> {
    /// Returns what these packs ship, kept in the image or not.
    pub(super) fn of(packs: impl Iterator<Item = &'a PackIndex>) -> Self {
        let mut all = BTreeMap::new();
        for index in packs {
            let texts: BTreeMap<u32, &[u8]> = index.texts.iter().map(|(at, text)| (*at, text.as_slice())).collect();
            for (number, entry) in index.entries.iter().enumerate() {
                let Some(rest) = entry.path.strip_prefix("usr/share/doc/") else { continue };
                let copyright = rest.split_once('/').is_some_and(|(_, name)| name == "copyright");
                let at = match &entry.kind {
                    EntryKind::Symlink(target) if copyright || !rest.contains('/') => At::Link(target),
                    EntryKind::File(_) if copyright => match u32::try_from(number).ok().and_then(|at| texts.get(&at)) {
                        Some(text) => At::Text(text),
                        None => continue,
                    },
                    _ => continue,
                };
                all.entry(entry.path.as_str()).or_insert(at);
            }
        }
        Self(all)
    }

    /// Returns what the copyright file of `package` says, and puts the texts that it refers to into `refs`.
    pub(super) fn read(&self, package: &Package<'_>, refs: &mut Refs) -> Licensing {
        let text = license::follow(package.name, |path| self.0.get(path).copied());
        let Some(text) = text else { return Licensing::default() };
        let licenses = license::read(text, package);
        refs.extend(&licenses.refs);
        let said = |text: String| (text != license::NOASSERTION && !text.is_empty()).then_some(text);
        Licensing {
            declared: said(licenses.declared),
            concluded: said(licenses.concluded),
            copyright: said(licenses.copyright),
            comment: said(licenses.comment),
        }
    }
}

/// Returns the texts of licences by their ids.
pub(super) fn texts(refs: Refs) -> BTreeMap<String, LicenseText> {
    refs.into_sorted().into_iter().map(|one| (one.id, LicenseText { name: one.name, text: one.text })).collect()
}

/// Gives the image the licences of all that is in it, where nothing else is said.
pub(super) fn of_the_whole(inventory: &mut Inventory) {
    let parts = &inventory.components[1..];
    let known: Vec<&str> = parts.iter().filter_map(|part| part.licensing.concluded.as_deref()).collect();
    let unknown = parts.iter().filter(|part| part.licensing.concluded.is_none()).count();
    let all = Expression::all(known.iter().filter_map(|text| read_spdx(text))).map(|all| all.to_string());
    let mut comment = "The conjunction of the concluded licences of all that is in the image".to_owned();
    if unknown > 0 {
        comment.push_str(&format!("; {unknown} of its parts have none"));
    }
    let licensing = &mut inventory.components[0].licensing;
    licensing.concluded = all.clone();
    licensing.declared = licensing.declared.take().or(all);
    licensing.comment = Some(comment);
    licensing.copyright = Some("Copyright of the authors of what is in the image; each part names its own".to_owned());
}

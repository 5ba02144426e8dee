//! What stands in the image that this one is built on: below all else, in no layer of ours.

use std::borrow::Cow;

use super::error::Error;
use super::merge::{Node, Owner, Tree, What};
use crate::package::EntryKind;
use crate::tree::{ImagePath, Meta};

impl<'a> Tree<'a> {
    /// Adds what stands in the base.
    pub(super) fn add_base(&mut self) -> Result<(), Error> {
        let Some(base) = self.base else { return Ok(()) };
        for entry in &base.entries {
            let path = ImagePath::parse(&entry.path).map_err(|error| Error::Local(error.to_string()))?;
            let what = match &entry.kind {
                EntryKind::Directory => What::Directory,
                EntryKind::Symlink(target) | EntryKind::Hardlink(target) => What::Symlink(Cow::Borrowed(target)),
                EntryKind::File(facts) => What::File { facts, inode: None },
            };
            let xattrs = entry.xattrs.clone();
            let meta = Meta { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, xattrs };
            if what == What::Directory {
                self.below.insert(path.clone(), meta.clone());
            }
            self.nodes.insert(path, Node { owner: Owner::Base, meta, what });
        }
        Ok(())
    }

    /// Returns the version of a package that the base has, by dpkg's database in it.
    pub(super) fn base_version(&self, name: &str) -> Option<String> {
        let stanzas = self.base?.installed_stanzas();
        let field = |stanza: &str, field: &str| {
            let line = stanza.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
            Some(line.trim().to_owned())
        };
        let found = stanzas.iter().find(|stanza| field(stanza, "Package").as_deref() == Some(name))?;
        field(found, "Version")
    }

    /// Adds what a derivation makes, also in the place of a file of the base.
    pub(super) fn derive_over(
        &mut self,
        rule: &'static str,
        path: &str,
        meta: Meta,
        what: What<'a>,
    ) -> Result<bool, Error> {
        let asked = ImagePath::parse(path).map_err(|error| Error::Local(error.to_string()))?;
        let real = self.resolve(&asked)?;
        match self.nodes.get_mut(real.as_str()) {
            Some(node) if node.owner == Owner::Base && node.what != What::Directory => {
                *node = Node { owner: Owner::Derived(rule), meta, what };
                Ok(true)
            }
            _ => self.derive(rule, path, meta, what),
        }
    }
}

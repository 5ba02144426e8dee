//! All packages' kept entries as one tree: classes, the merged-/usr rewrite, one owner for every path.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::choice::Choice;
use super::closure::{Closure, Verdict};
use super::error::{Error, Place};
use super::scripted::Scripted;
use super::{Report, SelectInput, paths, replaces};
use crate::digest::Digest;
use crate::lock::{LockedPackage, Why};
use crate::package::{Entry, EntryKind, FileFacts, PackIndex};
use crate::rules::classes::{self, Class};
use crate::spec::Keep;
use crate::tree::{ImagePath, Meta, Origin};

/// Directories that an image has whatever packages say, where no package says it.
const KNOWN_MODES: &[(&str, u32)] = &[("root", 0o700), ("run/lock", 0o1777), ("tmp", 0o1777), ("var/tmp", 0o1777)];

/// A package that takes part.
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) locked: &'a LockedPackage,
    pub(super) index: &'a PackIndex,
    pub(super) key: Digest,
    pub(super) layer: usize,
    /// Something of it is kept, so its status is.
    pub(super) keeps: bool,
    /// Directories that it ships empty and keeps.
    pub(super) bare: Vec<ImagePath>,
    pub(super) reason: String,
    /// The closure says of each file why it is kept.
    pub(super) by_need: bool,
}

/// Paths (no leading slash, rewritten) that a package moves aside for another: where to, and whose stays.
pub(super) type Diversions = BTreeMap<String, (String, Option<String>)>;

/// Who put a node where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Index into [`Tree::packages`].
    Package(usize),
    /// dpkg's metadata of a package.
    Status(usize),
    /// A derivation, by name.
    Derived(&'static str),
    /// Index into [`Tree::deeds`]: a derivation of what a maintainer script would have done.
    Script(usize),
    /// Index into the spec's `files`.
    File(usize),
    /// Index into the spec's `certificates`.
    Certificate(usize),
    /// The base image; in no layer of ours.
    Base,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What<'a> {
    Directory,
    Symlink(Cow<'a, str>),
    /// A regular file of a pack; `inode` is the entry it shares with hard links of the same package.
    File {
        facts: &'a FileFacts,
        inode: Option<usize>,
    },
    Inline(Vec<u8>),
}

impl What<'_> {
    fn describe(&self) -> String {
        match self {
            Self::Directory => "a directory".to_owned(),
            Self::Symlink(target) => format!("a link to `{target}`"),
            Self::File { facts, .. } => format!("a file ({})", short(&facts.digest)),
            Self::Inline(_) => "a file".to_owned(),
        }
    }
}

fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

/// What a maintainer script would have done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deed {
    pub(super) rule: &'static str,
    pub(super) package: String,
    pub(super) script: String,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) owner: Owner,
    pub(super) meta: Meta,
    pub(super) what: What<'a>,
}

/// What a `never` has taken out.
pub(super) struct Refused<'a> {
    /// Which one.
    pub(super) never: usize,
    pub(super) node: Node<'a>,
}

/// What packages say of a directory.
struct Shipped {
    /// Index of the package whose word counts so far.
    by: usize,
    value: (u32, u32, u32),
    /// base-files says it.
    settled: bool,
    /// A package that says otherwise.
    against: Option<(usize, (u32, u32, u32))>,
}

/// The merged tree.
pub(super) struct Tree<'a> {
    pub(super) packages: Vec<Package<'a>>,
    pub(super) nodes: BTreeMap<ImagePath, Node<'a>>,
    shipped: BTreeMap<ImagePath, Shipped>,
    /// What the base says of its directories.
    pub(super) below: BTreeMap<ImagePath, Meta>,
    pub(super) base: Option<&'a PackIndex>,
    pub(super) local: &'a PackIndex,
    pub(super) report: Report,
    pub(super) choice: Choice,
    /// What would stand in the tree but for a `never`.
    pub(super) refused: BTreeMap<ImagePath, Refused<'a>>,
    /// What [`Owner::Script`] points at.
    pub(super) deeds: Vec<Deed>,
    diversions: Diversions,
}

impl<'a> Tree<'a> {
    /// Merges the kept entries of all packages of the lock.
    pub(super) fn merge(
        input: &SelectInput<'a>,
        keep: Keep,
        scripted: &Scripted,
        closure: &Closure<'a>,
        diversions: Diversions,
        choice: Choice,
        mut report: Report,
    ) -> Result<Self, Error> {
        let platform = input.platform_lock()?;
        let Report { unhandled, handled, .. } = scripted.report();
        (report.unhandled, report.handled) = (unhandled, handled);
        let mut tree = Self {
            packages: Vec::new(),
            nodes: BTreeMap::new(),
            shipped: BTreeMap::new(),
            below: BTreeMap::new(),
            base: input.base,
            local: &input.local.index,
            report,
            choice,
            refused: BTreeMap::new(),
            deeds: Vec::new(),
            diversions,
        };
        tree.add_base()?;
        for (number, pack) in closure.universe.packages.iter().enumerate() {
            let (locked, index) = (pack.locked, pack.index);
            if !closure.takes_part(pack.name) {
                let class = if pack.falls_away { "script-only" } else { "not needed" };
                for entry in &index.entries {
                    tree.drop_entry(class, entry);
                }
                continue;
            }
            let layer = platform
                .layers
                .iter()
                .position(|name| *name == locked.layer)
                .ok_or_else(|| Error::Layer { package: locked.name.clone(), layer: locked.layer.clone() })?;
            let keep = locked.keep.as_deref().and_then(Keep::from_word).unwrap_or(keep);
            let by_need = keep == Keep::Needed || pack.falls_away;
            let reason = match &locked.why {
                Why::Implicit(rule) => format!("implicit: {rule}"),
                _ => format!("keep: {}", keep.as_str()),
            };
            tree.packages.push(Package {
                name: &locked.name,
                locked,
                index,
                key: pack.key,
                layer,
                keeps: false,
                bare: Vec::new(),
                reason,
                by_need,
            });
            tree.add_package(&closure.verdicts[number])?;
        }
        tree.add_ancestors()?;
        Ok(tree)
    }

    /// Adds the entries of the last package of which something becomes.
    fn add_package(&mut self, verdicts: &[Verdict]) -> Result<(), Error> {
        let number = self.packages.len() - 1;
        let package = &self.packages[number];
        let (name, index) = (package.name, package.index);
        let requested = package.locked.why == Why::Requested;
        let implicit = matches!(package.locked.why, Why::Implicit(_));
        let wrong = |problem: String| Error::Path { package: name.to_owned(), problem };
        // A package of which `never` drops everything is not in the image; one that ships nothing is, where it is named.
        let refused = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Refused(_)));
        let keeps = verdicts.contains(&Verdict::Kept) || requested && !refused;
        self.packages[number].keeps = keeps;

        let mut entries = Vec::with_capacity(index.entries.len());
        for ((at, entry), verdict) in index.entries.iter().enumerate().zip(verdicts) {
            if entry.path.is_empty() {
                continue;
            }
            let rewritten = paths::rewrite(&entry.path, entry.kind == EntryKind::Directory);
            let path = rewritten.as_deref().unwrap_or(&entry.path);
            let path = match self.diversions.get(path) {
                Some((to, by)) if by.as_deref() != Some(name) => to.as_str(),
                _ => path,
            };
            let path = ImagePath::parse(path).map_err(|error| wrong(error.to_string()))?;
            if entry.kind == EntryKind::Directory {
                self.ship(number, &path, entry);
            }
            entries.push((path, at, entry, *verdict));
        }

        let originals: BTreeMap<&str, usize> =
            if entries.iter().any(|(.., e, _)| matches!(e.kind, EntryKind::Hardlink(_))) {
                index.entries.iter().enumerate().map(|(at, entry)| (entry.path.as_str(), at)).collect()
            } else {
                BTreeMap::new()
            };
        for (path, at, entry, verdict) in &entries {
            let dropped = match verdict {
                Verdict::Refused(never) => Some(*never),
                _ => None,
            };
            if *verdict != Verdict::Kept {
                if entry.kind != EntryKind::Directory {
                    let class = match classes::class(path.as_str()) {
                        _ if dropped.is_some() => "never",
                        _ if implicit => "implicit",
                        Class::Payload => "not needed",
                        class => class.as_str(),
                    };
                    self.drop_entry(class, entry);
                }
                if dropped.is_none() {
                    continue;
                }
            }
            let entry: &Entry = entry;
            let (what, meta) = match &entry.kind {
                EntryKind::Directory if dropped.is_some() => (What::Directory, entry),
                EntryKind::Directory => {
                    self.packages[number].bare.push(path.clone());
                    continue;
                }
                EntryKind::Symlink(target) => (What::Symlink(Cow::Borrowed(target)), entry),
                EntryKind::File(facts) => (What::File { facts, inode: (!originals.is_empty()).then_some(*at) }, entry),
                EntryKind::Hardlink(target) => {
                    let original = originals.get(target.as_str()).copied();
                    match original.map(|original| (original, &index.entries[original])) {
                        Some((original, entry @ Entry { kind: EntryKind::File(facts), .. })) => {
                            (What::File { facts, inode: Some(original) }, entry)
                        }
                        _ => return Err(wrong(format!("{path} is a hard link to `{target}`, which is no file"))),
                    }
                }
            };
            let meta = Meta {
                mode: meta.mode,
                uid: meta.uid,
                gid: meta.gid,
                mtime: meta.mtime.min(index.date).max(0),
                xattrs: meta.xattrs.clone(),
            };
            let node = Node { owner: Owner::Package(number), meta, what };
            match dropped {
                Some(never) => drop(self.refused.entry(path.clone()).or_insert(Refused { never, node })),
                None => self.add_node(path, node)?,
            }
        }
        Ok(())
    }

    fn replaces(&self, winner: usize, loser: usize) -> bool {
        let loser = &self.packages[loser];
        replaces::replaces(self.packages[winner].index, loser.name, &loser.locked.version)
    }

    fn drop_entry(&mut self, class: &str, entry: &Entry) {
        let size = match &entry.kind {
            EntryKind::File(facts) => facts.size,
            EntryKind::Directory => return,
            _ => 0,
        };
        let count = self.report.dropped.entry(class.to_owned()).or_default();
        count.0 += 1;
        count.1 += size;
    }

    fn ship(&mut self, package: usize, path: &ImagePath, entry: &Entry) {
        let value = (entry.mode, entry.uid, entry.gid);
        let settled = self.packages[package].name == "base-files";
        match self.shipped.get_mut(path.as_str()) {
            None => {
                self.shipped.insert(path.clone(), Shipped { by: package, value, settled, against: None });
            }
            Some(known) if settled => *known = Shipped { by: known.by, value, settled, against: None },
            Some(known) if !known.settled && known.value != value && known.against.is_none() => {
                known.against = Some((package, value));
            }
            Some(_) => {}
        }
    }

    /// Returns what a package layer gives a directory: base-files' word, else what all packages agree on.
    pub(super) fn directory(&self, path: &ImagePath) -> Result<Meta, Error> {
        if let Some(meta) = self.below.get(path.as_str()) {
            return Ok(meta.clone());
        }
        let Some(shipped) = self.shipped.get(path.as_str()) else {
            let mode = KNOWN_MODES.iter().find(|(known, _)| *known == path.as_str()).map_or(0o755, |(_, mode)| *mode);
            return Ok(Meta::root(mode, 0));
        };
        if let Some((second, value)) = shipped.against {
            let say = |(mode, uid, gid): (u32, u32, u32)| format!("a directory {mode:04o} {uid}:{gid}");
            return Err(Error::Conflict {
                path: path.clone(),
                first: self.packages[shipped.by].name.to_owned(),
                first_is: say(shipped.value),
                second: self.packages[second].name.to_owned(),
                second_is: say(value),
            });
        }
        let (mode, uid, gid) = shipped.value;
        Ok(Meta { mode, uid, gid, mtime: 0, xattrs: Vec::new() })
    }

    fn add_node(&mut self, path: &ImagePath, node: Node<'a>) -> Result<(), Error> {
        let Some(known) = self.nodes.get(path.as_str()) else {
            self.nodes.insert(path.clone(), node);
            return Ok(());
        };
        let same_meta = (known.meta.mode, known.meta.uid, known.meta.gid, &known.meta.xattrs)
            == (node.meta.mode, node.meta.uid, node.meta.gid, &node.meta.xattrs);
        let same = match (&known.what, &node.what) {
            (What::Symlink(a), What::Symlink(b)) => a == b,
            (What::File { facts: a, .. }, What::File { facts: b, .. }) => a.digest == b.digest && same_meta,
            _ => false,
        };
        let say = |node: &Node<'_>| match &node.what {
            What::Symlink(_) | What::Directory => node.what.describe(),
            what => format!("{} {:04o} {}:{}", what.describe(), node.meta.mode, node.meta.uid, node.meta.gid),
        };
        if known.owner == Owner::Base {
            // What the base has stays; another thing in its place would leave its bytes hidden below.
            return if same {
                Ok(())
            } else {
                Err(Error::Conflict {
                    path: path.clone(),
                    first: self.owner_name(Owner::Base),
                    first_is: say(known),
                    second: self.owner_name(node.owner),
                    second_is: say(&node),
                })
            };
        }
        let (Owner::Package(first), Owner::Package(second)) = (known.owner, node.owner) else {
            return Ok(());
        };
        if same || self.replaces(first, second) {
            return Ok(());
        }
        if first != second && self.replaces(second, first) {
            self.nodes.insert(path.clone(), node);
            return Ok(());
        }
        Err(Error::Conflict {
            path: path.clone(),
            first: self.packages[first].name.to_owned(),
            first_is: say(known),
            second: self.packages[second].name.to_owned(),
            second_is: say(&node),
        })
    }

    /// Adds directories: those shipped empty, and every ancestor of a node.
    fn add_ancestors(&mut self) -> Result<(), Error> {
        let mut wanted: BTreeMap<ImagePath, usize> = BTreeMap::new();
        for (number, package) in self.packages.iter().enumerate() {
            for path in &package.bare {
                wanted.entry(path.clone()).or_insert(number);
                for ancestor in path.ancestors() {
                    wanted.entry(ancestor).or_insert(number);
                }
            }
        }
        let mut last = String::new();
        for (path, node) in &self.nodes {
            let Owner::Package(number) = node.owner else { continue };
            let parent = path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
            if parent == last {
                continue;
            }
            parent.clone_into(&mut last);
            for ancestor in path.ancestors() {
                wanted.entry(ancestor).or_insert(number);
            }
        }
        for (path, number) in wanted {
            if let Some(node) = self.nodes.get(path.as_str()) {
                if node.what == What::Directory {
                    continue;
                }
                let below = self.nodes.keys().find(|other| *other != &path && other.is_within(&path)).unwrap_or(&path);
                return Err(Error::Below {
                    path: below.clone(),
                    package: self.packages[number].name.to_owned(),
                    ancestor: path.clone(),
                    owner: self.owner_name(node.owner),
                    what: node.what.describe(),
                });
            }
            let meta = self.directory(&path)?;
            let by = self.shipped.get(path.as_str()).map_or(number, |shipped| shipped.by);
            self.nodes.insert(path, Node { owner: Owner::Package(by), meta, what: What::Directory });
        }
        Ok(())
    }

    /// Returns the owner as a person reads it.
    pub(super) fn owner_name(&self, owner: Owner) -> String {
        match self.origin(owner) {
            Origin::Package(name) => name,
            Origin::Derived(rule) => format!("rule {rule}"),
            Origin::Spec(entry) => entry,
            Origin::Base => "the base image".to_owned(),
        }
    }

    /// Returns the owner as it is written down.
    pub(super) fn origin(&self, owner: Owner) -> Origin {
        match owner {
            Owner::Package(number) => Origin::Package(self.packages[number].name.to_owned()),
            Owner::Status(_) => Origin::Derived("dpkg-status".to_owned()),
            Owner::Derived(rule) => Origin::Derived(rule.to_owned()),
            Owner::Script(number) => Origin::Derived(self.deeds[number].rule.to_owned()),
            Owner::File(number) => Origin::Spec(format!("files[{number}]")),
            Owner::Certificate(number) => Origin::Spec(format!("certificates[{number}]")),
            Owner::Base => Origin::Base,
        }
    }

    /// Returns whether the lock brings this package and it was not dropped.
    pub(super) fn package(&self, name: &str) -> Option<&Package<'a>> {
        self.packages.binary_search_by(|package| package.name.cmp(name)).ok().map(|at| &self.packages[at])
    }

    /// Returns a small file's content by its path in the image, kept or not, from the package's texts.
    pub(super) fn text(&self, package: &str, path: &str) -> Option<&'a [u8]> {
        let index = self.package(package)?.index;
        let at = index.entries.iter().position(|entry| entry.path == path)?;
        let at = u32::try_from(at).ok()?;
        index.texts.iter().find(|(number, _)| *number == at).map(|(_, text)| text.as_slice())
    }

    /// Returns a small file's content by its node, where its pack's texts hold it.
    pub(super) fn content<'b>(&self, node: &'b Node<'a>) -> Option<Cow<'b, [u8]>>
    where
        'a: 'b,
    {
        let facts = match &node.what {
            What::File { facts, .. } => *facts,
            What::Inline(bytes) => return Some(Cow::Borrowed(bytes)),
            _ => return None,
        };
        let index = match node.owner {
            Owner::Package(number) => self.packages[number].index,
            Owner::Base => self.base?,
            _ => self.local,
        };
        let holds = |at: u32| {
            let entry = usize::try_from(at).ok().and_then(|at| index.entries.get(at));
            entry.is_some_and(|entry| matches!(&entry.kind, EntryKind::File(other) if other.digest == facts.digest))
        };
        index.texts.iter().find(|(at, _)| holds(*at)).map(|(_, text)| Cow::Borrowed(text.as_slice()))
    }

    /// Adds what a derivation makes, with the directories it needs, unless something stands there already.
    pub(super) fn derive(&mut self, rule: &'static str, path: &str, meta: Meta, what: What<'a>) -> Result<bool, Error> {
        let path = ImagePath::parse(path).map_err(|error| Error::Local(error.to_string()))?;
        let path = self.resolve_parent(&path)?;
        self.insert(path, Node { owner: Owner::Derived(rule), meta, what }, None)
    }

    /// Adds a node and its missing ancestors where nothing stands; `false` where something does.
    pub(super) fn insert(&mut self, path: ImagePath, node: Node<'a>, place: Option<&Place>) -> Result<bool, Error> {
        if path.is_root() || self.nodes.contains_key(path.as_str()) {
            return Ok(false);
        }
        // Unpacked, it would be no file but the removal of another one (OCI image-spec 1.1, layer).
        if path.as_str().split('/').any(|component| component.starts_with(".wh.")) {
            let problem = "its name marks a whiteout".to_owned();
            return Err(Error::File { path, problem, place: place.cloned() });
        }
        for ancestor in path.ancestors().collect::<Vec<_>>() {
            match self.nodes.get(ancestor.as_str()) {
                Some(Node { what: What::Directory, .. }) => {}
                Some(other) => {
                    return Err(Error::File {
                        problem: format!(
                            "{ancestor} is {} of `{}`",
                            other.what.describe(),
                            self.owner_name(other.owner)
                        ),
                        path,
                        place: place.cloned(),
                    });
                }
                None => {
                    let meta = self.directory(&ancestor)?;
                    self.nodes.insert(ancestor, Node { owner: node.owner, meta, what: What::Directory });
                }
            }
        }
        self.nodes.insert(path, node);
        Ok(true)
    }
}

//! What dpkg made, what tarsia made, and every difference between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::process::Command;

use tarsia::lock::{LockedPackage, Why};
use tarsia::rules::classes::{self, Class};
use tarsia::rules::implicit::lists;

use super::tree::{Node, Tree, What};
use crate::container::must;
use crate::program::names;

/// One way in which a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// dpkg makes it, tarsia does not.
    Missing,
    /// Tarsia makes it, dpkg does not.
    Extra,
    /// File, directory or link.
    Type,
    Mode,
    /// Owner or group, by name.
    Owner,
    /// Where a link leads.
    Target,
    Content,
}

impl Kind {
    /// Returns what DEBIAN.md says of it.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Missing => "dpkg's alone",
            Self::Extra => "tarsia's alone",
            Self::Type => "another type",
            Self::Mode => "another mode",
            Self::Owner => "another owner",
            Self::Target => "another target",
            Self::Content => "other content",
        }
    }
}

/// A difference at a path; `etc/passwd:NAME` is one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) kind: Kind,
    /// What either side has.
    pub(super) detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.kind, self.path, self.detail)
    }
}

/// Returns every difference between the image and what dpkg made of the same set.
///
/// Expected are the paths of the set's packages, and the paths that no package owns and that are not in the root of
/// the Essential packages as they are here; less what tarsia drops by its classes where `all` is not asked. What tarsia
/// has beyond that must stand in dpkg's root as well.
pub(super) fn differences(
    essential: &Tree,
    configured: &Tree,
    root: &Path,
    set: &[&LockedPackage],
    all: bool,
    image: &Tree,
) -> Vec<Difference> {
    let owned = Owned::read(configured, root);
    let mut expected: BTreeSet<&str> = BTreeSet::new();
    for package in set {
        let Some(paths) = owned.paths.get(&package.name) else { panic!("dpkg has not installed {}", package.name) };
        expected.extend(kept(package, paths, configured, all));
    }
    for (path, node) in &configured.nodes {
        if !owned.all.contains(path) && !essential.is_untouched(path, node) && (all || !is_dropped(path, node)) {
            expected.insert(path);
        }
    }
    let ancestors: Vec<&str> =
        expected.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at])).collect();
    expected.extend(ancestors);

    let mut found = Vec::new();
    let mut push = |path: &str, kind: Kind, detail: String| {
        found.push(Difference { path: path.to_owned(), kind, detail });
    };
    for path in &expected {
        if !image.nodes.contains_key(*path) {
            push(path, Kind::Missing, describe(configured, &configured.nodes[*path]));
        }
    }
    for (path, ours) in &image.nodes {
        match configured.nodes.get(path) {
            None => push(path, Kind::Extra, describe(image, ours)),
            Some(theirs) => one(path, (image, ours), (configured, theirs), &mut push),
        }
    }
    accounts(essential, configured, image, &mut push);
    library_cache(configured, image, &mut push);
    java_keystore(configured, image, &mut push);
    found.sort();
    found
}

/// Files that are compared by what they say, not by their bytes.
const LOOKED_INTO: [&str; 6] =
    ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/ld.so.cache", "etc/ssl/certs/java/cacerts"];

/// Compares one path that both have.
fn one(path: &str, ours: (&Tree, &Node), theirs: (&Tree, &Node), push: &mut impl FnMut(&str, Kind, String)) {
    let ((image, a), (root, b)) = (ours, theirs);
    if a.what.is_file() != b.what.is_file() || !a.what.is_file() && a.what.word() != b.what.word() {
        push(path, Kind::Type, format!("{} is {}", a.what.word(), b.what.word()));
        return;
    }
    let (owner, their_owner) = (image.owner(a), root.owner(b));
    if owner != their_owner {
        push(path, Kind::Owner, format!("{owner} is {their_owner}"));
    }
    if let (What::Symlink(a), What::Symlink(b)) = (&a.what, &b.what) {
        if a != b {
            push(path, Kind::Target, format!("{a} is {b}"));
        }
        return;
    }
    if a.mode != b.mode {
        push(path, Kind::Mode, format!("{:04o} is {:04o}", a.mode, b.mode));
    }
    let looked_into = LOOKED_INTO.contains(&path);
    if a.what.is_file() && !looked_into && a.what.digest() != b.what.digest() {
        push(path, Kind::Content, String::new());
    }
}

fn describe(tree: &Tree, node: &Node) -> String {
    match &node.what {
        What::Symlink(target) => format!("-> {target}"),
        what => format!("{} {:04o} {}", what.word(), node.mode, tree.owner(node)),
    }
}

/// Which paths of a root packages own.
struct Owned {
    /// By package, each path where it stands.
    paths: BTreeMap<String, Vec<String>>,
    all: BTreeSet<String>,
}

impl Owned {
    /// Reads dpkg's database: the lists of the packages, and where diversions put their files.
    fn read(tree: &Tree, root: &Path) -> Self {
        let info = root.join("var/lib/dpkg/info");
        let diversions = std::fs::read_to_string(root.join("var/lib/dpkg/diversions")).unwrap_or_default();
        let lines: Vec<&str> = diversions.lines().collect();
        let (diversions, _) = lines.as_chunks::<3>();
        let mut owned = Self { paths: BTreeMap::new(), all: BTreeSet::new() };
        for file in names(&info) {
            let Some(package) = file.strip_suffix(".list") else { continue };
            let package = package.split(':').next().unwrap_or(package);
            let mut paths = Vec::new();
            for path in std::fs::read_to_string(info.join(&file)).unwrap().lines().filter(|path| *path != "/.") {
                let moved = diversions.iter().find(|[from, _, by]| *from == path && *by != package);
                let path = tree.real(moved.map_or(path, |[_, to, _]| to));
                // A package's directory may be a link of base-files.
                let through = match tree.nodes.get(&path).map(|node| &node.what) {
                    Some(What::Symlink(_)) if package != "base-files" && !path.contains('/') => {
                        tree.real(&format!("{path}/."))
                    }
                    _ => path,
                };
                owned.all.insert(through.clone());
                paths.push(through);
            }
            owned.paths.entry(package.to_owned()).or_default().extend(paths);
        }
        owned
    }
}

/// Returns which of a package's paths tarsia means to keep; directories with something in them come as ancestors.
fn kept<'a>(package: &LockedPackage, paths: &'a [String], tree: &Tree, all: bool) -> Vec<&'a str> {
    if package.script_only && package.why != Why::Requested {
        return Vec::new();
    }
    let parents: BTreeSet<&str> = paths.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    let implicit = matches!(package.why, Why::Implicit(_));
    let (mut kept, mut licences) = (Vec::new(), Vec::new());
    for path in paths {
        // A conffile that dpkg removed, a pid file: what the scripts took away is not there to be compared.
        let Some(node) = tree.nodes.get(path) else { continue };
        if parents.contains(&**path) && matches!(node.what, What::Directory) {
            continue;
        }
        if implicit {
            if lists(&package.name, path) {
                kept.push(&**path);
            }
        } else if all || !is_dropped(path, node) {
            if !all && is_licence(path, node) {
                licences.push(&**path);
            } else {
                kept.push(path);
            }
        }
    }
    if package.why == Why::Requested || !kept.is_empty() {
        kept.extend(licences);
    }
    kept
}

/// Returns whether `keep: runtime` drops the path by its class.
fn is_dropped(path: &str, node: &Node) -> bool {
    matches!(classes::class(path), Class::Doc | Class::Admin) && !is_licence(path, node)
}

/// Returns whether the path leads to a licence: the file, or a link to another package's documentation.
fn is_licence(path: &str, node: &Node) -> bool {
    classes::class(path) == Class::Copyright
        || matches!(node.what, What::Symlink(_))
            && path.strip_prefix("usr/share/doc/").is_some_and(|rest| !rest.contains('/'))
}

/// Compares users and groups by name: those that dpkg's set brought, and all that tarsia has.
fn accounts(essential: &Tree, configured: &Tree, image: &Tree, push: &mut impl FnMut(&str, Kind, String)) {
    for file in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"] {
        let (before, theirs, ours) = (lines(essential, file), lines(configured, file), lines(image, file));
        if ours.is_empty() {
            continue;
        }
        let at = |name: &str| format!("{file}:{name}");
        for (name, fields) in &theirs {
            if !ours.contains_key(name) && before.get(name) != Some(fields) {
                push(&at(name), Kind::Missing, fields.join(":"));
            }
        }
        for (name, fields) in &ours {
            let Some(other) = theirs.get(name) else {
                push(&at(name), Kind::Extra, fields.join(":"));
                continue;
            };
            let named = |tree: &Tree, fields: &[String]| -> Vec<String> {
                let fixed = |number: &String| number.parse::<u32>().is_ok_and(|number| !(100..60000).contains(&number));
                let mut fields = fields.to_vec();
                // Passwords and dates of change are compared as "there is none".
                if let Some(password) = fields.get_mut(1) {
                    "x".clone_into(password);
                }
                match file {
                    "etc/passwd" => {
                        let group = fields[3].parse().ok().and_then(|gid| tree.group(gid));
                        fields[3] = group.unwrap_or_else(|| fields[3].clone());
                        if !fixed(&fields[2]) {
                            "dynamic".clone_into(&mut fields[2]);
                        }
                    }
                    "etc/group" if !fixed(&fields[2]) => "dynamic".clone_into(&mut fields[2]),
                    _ => {}
                }
                fields
            };
            let (ours, theirs) = (named(image, fields), named(configured, other));
            if ours != theirs {
                push(&at(name), Kind::Content, format!("{} is {}", ours.join(":"), theirs.join(":")));
            }
        }
    }
}

fn lines(tree: &Tree, path: &str) -> BTreeMap<String, Vec<String>> {
    let bytes = tree.nodes.get(path).map(|node| node.what.bytes()).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap();
    let fields = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
    fields.map(|fields| (fields[0].clone(), fields)).collect()
}

/// Compares what the loader finds by its cache, for the libraries that the image has.
fn library_cache(configured: &Tree, image: &Tree, push: &mut impl FnMut(&str, Kind, String)) {
    const CACHE: &str = "etc/ld.so.cache";
    let (Some(ours), Some(theirs)) = (image.nodes.get(CACHE), configured.nodes.get(CACHE)) else { return };
    let list = |node: &Node| -> BTreeSet<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), node.what.bytes()).unwrap();
        let out = must(Command::new("/sbin/ldconfig").arg("-p").arg("-C").arg(file.path()));
        out.lines().filter(|line| line.contains("=>")).map(|line| line.trim().to_owned()).collect()
    };
    let (ours, theirs) = (list(ours), list(theirs));
    let here = |line: &&String| {
        let path = line.rsplit("=> /").next().unwrap_or_default();
        image.nodes.contains_key(&image.real(path))
    };
    for line in ours.difference(&theirs) {
        push(CACHE, Kind::Extra, line.clone());
    }
    for line in theirs.difference(&ours).filter(here) {
        push(CACHE, Kind::Missing, line.clone());
    }
}

/// Compares the certificates of the two keystores by alias; order and dates are each one's own.
fn java_keystore(configured: &Tree, image: &Tree, push: &mut impl FnMut(&str, Kind, String)) {
    const STORE: &str = "etc/ssl/certs/java/cacerts";
    let (Some(ours), Some(theirs)) = (image.nodes.get(STORE), configured.nodes.get(STORE)) else { return };
    let (ours, theirs) = (jks(&ours.what.bytes()), jks(&theirs.what.bytes()));
    assert!(!theirs.is_empty());
    for (alias, certificate) in &theirs {
        match ours.get(alias) {
            None => push(STORE, Kind::Missing, alias.clone()),
            Some(other) if other != certificate => push(STORE, Kind::Content, alias.clone()),
            Some(_) => {}
        }
    }
    for alias in ours.keys().filter(|alias| !theirs.contains_key(*alias)) {
        push(STORE, Kind::Extra, alias.clone());
    }
}

/// Reads the trusted certificates of a JKS keystore by alias.
fn jks(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut rest = bytes;
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at(count);
        rest = tail;
        head
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    assert_eq!(number(take(4)), 0xfeed_feed);
    assert_eq!(number(take(4)), 2);
    let mut found = BTreeMap::new();
    for _ in 0..number(take(4)) {
        assert_eq!(number(take(4)), 2, "an entry that is no certificate");
        let length = number(take(2));
        let alias = String::from_utf8(take(length).to_vec()).unwrap();
        take(8);
        let length = number(take(2));
        assert_eq!(take(length), b"X.509");
        let length = number(take(4));
        found.insert(alias, take(length).to_vec());
    }
    found
}

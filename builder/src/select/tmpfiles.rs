//! What `systemd-tmpfiles --create` would make: directories, files, links, modes and owners out of tmpfiles.d(5).
//!
//! An image is never booted, so what a boot would make stands in it: `/run/haproxy` too, since nobody else would make
//! it. Left out is what lies below directories that are emptied or mounted over wherever an image runs ([`VOLATILE`]),
//! and what only a boot may do (`!`). A line that cannot be done here is reported, never guessed.

use std::collections::BTreeSet;
use std::ops::Bound;

use globset::GlobBuilder;

use super::error::Error;
use super::merge::{Node, Owner, Tree, What};
use super::systemd::{Line, Lines};
use super::users::Accounts;
use crate::spec::Platform;
use crate::tree::{ImagePath, Meta};

/// The name of the derivation.
const RULE: &str = "tmpfiles";

/// Below these nothing of an image can be seen, or nothing lasts.
const VOLATILE: &[&str] = &["dev", "proc", "sys", "tmp", "var/tmp"];

/// What all lines together may go over and copy, in bytes.
const MAX_WORK: usize = 256 << 20;

/// What a line asks of the owner and the mode of its path.
struct Asked {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    /// Each counts only where the path is made (`:` in front).
    new_only: (bool, bool, bool),
}

/// Makes what the packages' tmpfiles.d asks for.
pub(super) fn derive(
    tree: &mut Tree<'_>,
    accounts: &Accounts,
    platform: Platform,
    source_date: i64,
) -> Result<(), Error> {
    let Lines { mut lines, mut unread } = Lines::read(tree, "tmpfiles.d", 7, platform);
    // Parents before children; what names many paths comes last, once they stand.
    let many = |line: &Line| matches!(kind(line).chars().next(), Some('z' | 'Z' | 'e' | 'w'));
    lines.sort_by(|a, b| (many(a), a.words.get(1)).cmp(&(many(b), b.words.get(1))));
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut left = MAX_WORK;
    for line in lines {
        let path = line.words.get(1).cloned().unwrap_or_default();
        if !many(&line) && !matches!(kind(&line).chars().next(), Some('x' | 'X' | 'r' | 'R')) && !seen.insert(path) {
            tree.report.notes.push(format!("`{}` of {} says a path again", line.text, line.place()));
            continue;
        }
        if let Err(problem) = apply(tree, accounts, &line, source_date, &mut left)? {
            unread.push((line, problem));
        }
    }
    tree.report_lines(unread);
    Ok(())
}

fn kind(line: &Line) -> &str {
    line.words.first().map_or("", String::as_str)
}

/// Does what one line asks, or says why it cannot be done.
fn apply(
    tree: &mut Tree<'_>,
    accounts: &Accounts,
    line: &Line,
    source_date: i64,
    left: &mut usize,
) -> Result<Result<(), &'static str>, Error> {
    let field = |at: usize| line.words.get(at).map(String::as_str).filter(|word| !word.is_empty() && *word != "-");
    let Some(kind) = kind(line).chars().next() else { return Ok(Err("it has no type")) };
    let modifiers = &self::kind(line)[kind.len_utf8()..];
    if modifiers.contains('!') || matches!(kind, 'x' | 'X' | 'r' | 'R') {
        // Only a boot may do it; or a clean-up of what an image does not have.
        return Ok(Ok(()));
    }
    if modifiers.contains(['~', '^']) {
        return Ok(Err("its argument is encoded, or a credential of the machine"));
    }
    let Some(path) = field(1).and_then(|path| path.strip_prefix('/')) else { return Ok(Err("it names no path")) };
    let path = path.trim_end_matches('/');
    if VOLATILE.iter().any(|top| path == *top || path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))) {
        return Ok(Ok(()));
    }
    let asked = match asked(accounts, [field(2), field(3), field(4)]) {
        Ok(asked) => asked,
        Err(problem) => return Ok(Err(problem)),
    };
    if matches!(kind, 'z' | 'Z' | 'e') {
        return Ok(many(tree, path, kind == 'Z', kind == 'e', &asked, left));
    }
    let Ok(path) = ImagePath::parse(path) else { return Ok(Err("its path has no place in an image")) };
    let directory = matches!(kind, 'd' | 'D' | 'v' | 'q' | 'Q');
    let path = if directory { tree.resolve(&path)? } else { tree.resolve_parent(&path)? };
    let argument = field(6);
    let what = match kind {
        'd' | 'D' | 'v' | 'q' | 'Q' => What::Directory,
        'f' | 'F' => What::Inline(unescape(argument.unwrap_or_default()).into_bytes()),
        'L' => {
            let factory = || format!("/usr/share/factory/{}", path.as_str());
            What::Symlink(argument.map_or_else(factory, str::to_owned).into())
        }
        'C' => {
            let factory = || format!("/usr/share/factory/{}", path.as_str());
            return copy(tree, &argument.map_or_else(factory, str::to_owned), &path, &asked, left);
        }
        'w' => return Ok(if tree.nodes.contains_key(path.as_str()) { Err("it writes into a file") } else { Ok(()) }),
        'p' | 'c' | 'b' => return Ok(Err("an image holds no pipes and devices")),
        'h' | 'H' => return Ok(Err("attributes are the file system's, not an image's")),
        't' | 'T' | 'a' | 'A' => return Ok(Err("it sets extended attributes")),
        _ => return Ok(Err("its type is not known")),
    };
    let replace = kind == 'F' || modifiers.contains('+') && matches!(kind, 'f' | 'L');
    put(tree, path, what, &asked, replace, source_date)
}

/// Reads mode, user and group.
fn asked(accounts: &Accounts, [mode, user, group]: [Option<&str>; 3]) -> Result<Asked, &'static str> {
    let plain = |word: Option<&'_ str>| {
        let word = word.unwrap_or_default();
        (word.trim_start_matches([':', '~']).to_owned(), word.starts_with(':') || word.starts_with("~:"))
    };
    let ((mode, mode_new), (user, user_new), (group, group_new)) = (plain(mode), plain(user), plain(group));
    let mode = match mode.as_str() {
        "" => None,
        mode => Some(u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777).ok_or("its mode is none")?),
    };
    let some = |word: &String| if word.is_empty() { None } else { Some(word.clone()) };
    let (user, group) = (some(&user), some(&group));
    let ids = accounts.ids(user.as_deref(), group.as_deref(), None);
    let (uid, gid) = ids.map_err(|_| "nobody makes its user or group")?;
    Ok(Asked { mode, uid: user.map(|_| uid), gid: group.map(|_| gid), new_only: (mode_new, user_new, group_new) })
}

/// Makes one path where nothing stands, else gives what stands there the mode and owner that are asked.
fn put(
    tree: &mut Tree<'_>,
    path: ImagePath,
    what: What<'static>,
    asked: &Asked,
    replace: bool,
    source_date: i64,
) -> Result<Result<(), &'static str>, Error> {
    if path.is_root() {
        return Ok(Ok(()));
    }
    if let Some(known) = tree.nodes.get(path.as_str()) {
        let same = match (&known.what, &what) {
            (What::Directory, What::Directory) => true,
            (What::File { .. } | What::Inline(_), What::Inline(_)) | (What::Symlink(_), What::Symlink(_)) => !replace,
            // A link of a package or the spec where a file or directory is asked for: what stands there stays.
            _ => return Ok(if replace { Err("something else stands there") } else { Ok(()) }),
        };
        if !same && known.what != what {
            return Ok(Err("it replaces what a package ships"));
        }
        if !matches!(known.what, What::Symlink(_)) {
            tree.adjust(&path, RULE, |meta| change(meta, asked));
        }
        return Ok(Ok(()));
    }
    let (mode, mtime) = match what {
        What::Directory => (0o755, 0),
        What::Symlink(_) => (0o777, source_date),
        _ => (0o644, source_date),
    };
    let mut meta = Meta::root(mode, mtime);
    if !matches!(what, What::Symlink(_)) {
        meta.mode = asked.mode.unwrap_or(mode);
    }
    (meta.uid, meta.gid) = (asked.uid.unwrap_or(0), asked.gid.unwrap_or(0));
    tree.insert(path, Node { owner: Owner::Derived(RULE), meta, what }, None)?;
    Ok(Ok(()))
}

fn change(meta: &mut Meta, asked: &Asked) {
    let (mode_new, user_new, group_new) = asked.new_only;
    if let Some(mode) = asked.mode.filter(|_| !mode_new) {
        meta.mode = mode;
    }
    if let Some(uid) = asked.uid.filter(|_| !user_new) {
        meta.uid = uid;
    }
    if let Some(gid) = asked.gid.filter(|_| !group_new) {
        meta.gid = gid;
    }
}

/// Copies a directory, file or link of the image, where nothing stands at the path.
fn copy(
    tree: &mut Tree<'_>,
    from: &str,
    to: &ImagePath,
    asked: &Asked,
    left: &mut usize,
) -> Result<Result<(), &'static str>, Error> {
    let Ok(from) = ImagePath::parse(from) else { return Ok(Err("what it copies has no place in an image")) };
    let from = tree.resolve(&from)?;
    if tree.nodes.contains_key(to.as_str()) || !tree.nodes.contains_key(from.as_str()) {
        return Ok(Ok(()));
    }
    let below = from_prefix(tree, from.as_str()).map(|(path, _)| path).filter(|path| path.is_within(&from));
    let below: Vec<ImagePath> = below.cloned().collect();
    let mut copies = Vec::new();
    for path in below {
        let node = &tree.nodes[path.as_str()];
        let what = match &node.what {
            What::Directory => What::Directory,
            What::Symlink(target) => What::Symlink(target.clone()),
            What::Inline(bytes) => {
                *left = left.saturating_sub(bytes.len());
                What::Inline(bytes.clone())
            }
            What::File { .. } => match tree.content(node) {
                Some(bytes) => {
                    *left = left.saturating_sub(bytes.len());
                    What::Inline(bytes.into_owned())
                }
                None => return Ok(Err("what it copies is not at hand")),
            },
        };
        *left = left.saturating_sub(1024);
        if *left == 0 {
            return Ok(Err("it copies too much"));
        }
        let mut meta = node.meta.clone();
        if path == from {
            change(&mut meta, asked);
        }
        let tail = path.as_str()[from.as_str().len()..].trim_start_matches('/');
        let path = if tail.is_empty() {
            to.clone()
        } else {
            to.join(tail).map_err(|error| Error::Local(error.to_string()))?
        };
        copies.push((path, Node { owner: Owner::Derived(RULE), meta, what }));
    }
    for (path, node) in copies {
        tree.insert(path, node, None)?;
    }
    Ok(Ok(()))
}

/// Gives every path that a pattern names, and what lies below where asked, a mode and an owner.
fn many(
    tree: &mut Tree<'_>,
    pattern: &str,
    below: bool,
    directories: bool,
    asked: &Asked,
    left: &mut usize,
) -> Result<(), &'static str> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|_| "its pattern cannot be read")?;
    let matcher = glob.compile_matcher();
    let plain = pattern.split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
    let paths: Vec<ImagePath> = from_prefix(tree, plain)
        .take_while(|_| {
            *left = left.saturating_sub(64);
            *left > 0
        })
        .filter(|(path, node)| {
            let named = matcher.is_match(path.as_str())
                || below && path.ancestors().any(|ancestor| matcher.is_match(ancestor.as_str()));
            named && !matches!(node.what, What::Symlink(_)) && (!directories || node.what == What::Directory)
        })
        .map(|(path, _)| path.clone())
        .collect();
    if *left == 0 {
        return Err("it goes over too much");
    }
    for path in paths {
        let directory = tree.nodes[path.as_str()].what == What::Directory;
        tree.adjust(&path, RULE, |meta| {
            let before = meta.mode;
            change(meta, asked);
            // As with `X` of chmod: a file becomes executable only where it was.
            if below && !directory && before & 0o111 == 0 {
                meta.mode &= !0o111;
            }
        });
    }
    Ok(())
}

/// Returns what stands at paths that begin with a text, sorted.
fn from_prefix<'t>(tree: &'t Tree<'_>, text: &str) -> impl Iterator<Item = (&'t ImagePath, &'t Node<'t>)> + use<'t> {
    let text = text.to_owned();
    let range = tree.nodes.range::<str, _>((Bound::Included(text.as_str()), Bound::Unbounded));
    range.take_while(move |(path, _)| path.as_str().starts_with(&text))
}

/// Resolves C escapes of a file's content.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, if c == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('t')) => plain.push('\t'),
            ('\\', Some(other)) => plain.push(other),
            (c, _) => plain.push(c),
        }
    }
    plain
}

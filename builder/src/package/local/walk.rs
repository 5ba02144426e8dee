//! Reads the disk beneath one directory: never above it, never through a link that leaves it, always sorted.

use std::fs::File;
use std::io;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::super::Error;
use crate::tree::MAX_DEPTH;

/// The most entries that one spec copies.
const MAX_ENTRIES: usize = 1_000_000;

/// The spec's directory.
pub(super) struct Root {
    directory: OwnedFd,
}

/// What stands at a path on the disk.
pub(super) struct Found<'a> {
    /// Path below the one asked for; empty for that itself.
    pub(super) relative: &'a str,
    /// Path as the spec has it, with `relative` below it.
    pub(super) shown: &'a str,
    pub(super) stat: &'a Stat,
    pub(super) kind: Kind,
    parent: BorrowedFd<'a>,
    name: &'a str,
}

/// What a found path is.
pub(super) enum Kind {
    Directory,
    File,
    Symlink(String),
}

impl Found<'_> {
    /// Opens a regular file for reading; it is the one that was found.
    pub(super) fn open(&self) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            fs::openat(self.parent, self.name, flags, Mode::empty()).map_err(|error| local(self.shown, error))?;
        let file = File::from(file);
        self.unchanged(&file)?;
        Ok(file)
    }

    /// Checks that `file` is still what was found.
    pub(super) fn unchanged(&self, file: &File) -> Result<(), Error> {
        let now = fs::fstat(file).map_err(|error| local(self.shown, error))?;
        if identity(&now) == identity(self.stat) {
            Ok(())
        } else {
            Err(refused(self.shown, "it changes while it is read"))
        }
    }
}

/// Returns what tells one state of a file from another: device, inode, size, mtime and ctime in nanoseconds, mode.
pub(super) fn identity(stat: &Stat) -> [i128; 6] {
    let nanoseconds = |seconds: i64, rest: i128| i128::from(seconds) * 1_000_000_000 + rest;
    [
        stat.st_dev.into(),
        stat.st_ino.into(),
        stat.st_size.into(),
        nanoseconds(stat.st_mtime, stat.st_mtime_nsec.into()),
        nanoseconds(stat.st_ctime, stat.st_ctime_nsec.into()),
        stat.st_mode.into(),
    ]
}

pub(super) fn local(path: &str, error: impl Into<io::Error>) -> Error {
    Error::Local { path: path.to_owned(), source: error.into() }
}

pub(super) fn refused(path: &str, problem: &str) -> Error {
    Error::Refused { path: path.to_owned(), problem: problem.to_owned() }
}

/// Which paths below a directory are taken.
pub(super) struct Globs {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Globs {
    /// Returns the set for these patterns; `shown` is the path they are for.
    pub(super) fn new(include: &[String], exclude: &[String], shown: &str) -> Result<Self, Error> {
        let set = |patterns: &[String]| {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns {
                let glob = GlobBuilder::new(pattern).literal_separator(true).build();
                set.add(glob.map_err(|error| refused(shown, &format!("`{pattern}` is no glob: {error}")))?);
            }
            set.build().map_err(|error| refused(shown, &error.to_string()))
        };
        let include = if include.is_empty() { None } else { Some(set(include)?) };
        Ok(Self { include, exclude: set(exclude)? })
    }
}

impl Root {
    /// Opens the spec's directory.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = fs::open(directory, flags, Mode::empty());
        opened.map(|directory| Self { directory }).map_err(|error| local(&directory.display().to_string(), error))
    }

    /// Opens a directory beneath this one; links are followed as long as they stay beneath.
    fn beneath(&self, path: &str) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // The kernel answers AGAIN where a rename elsewhere kept it from being sure.
        let mut attempts = (0..16).map(|_| fs::openat2(&self.directory, path, flags, Mode::empty(), resolve));
        match attempts.find(|answer| !matches!(answer, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN)) {
            Err(Errno::XDEV) => Err(refused(path, "it leaves the spec's directory")),
            // Kernels before 5.6, and sandboxes that do not know the call: go step by step, through no link at all.
            Err(Errno::NOSYS | Errno::PERM) => {
                let mut directory = self.directory.try_clone().map_err(|error| local(path, error))?;
                for component in path.split('/').filter(|component| !matches!(*component, "" | ".")) {
                    if component == ".." {
                        return Err(refused(path, "it leaves the spec's directory"));
                    }
                    directory = fs::openat(&directory, component, flags | OFlags::NOFOLLOW, Mode::empty())
                        .map_err(|error| local(path, error))?;
                }
                Ok(directory)
            }
            other => other.map_err(|error| local(path, error)),
        }
    }

    /// Visits what stands at `path` and below it: a directory before what is in it, names sorted bytewise.
    ///
    /// With an include list, directories are visited only on the way to something that is taken.
    pub(super) fn walk(
        &self,
        path: &str,
        globs: &Globs,
        visit: &mut dyn FnMut(&Found<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let trimmed = path.trim_end_matches('/');
        let (parent, name) = match trimmed.rsplit_once('/') {
            Some((parent, name)) => (parent, name),
            None => (".", trimmed),
        };
        let (parent, name) = if matches!(name, "" | "." | "..") { (trimmed, ".") } else { (parent, name) };
        let parent = self.beneath(if parent.is_empty() { "." } else { parent })?;
        let mut walker = Walker { root: trimmed, globs, visit, count: 0 };
        let nodes = walker.node(parent.as_fd(), name, String::new(), true, 0)?;
        match nodes {
            Some(node) => walker.visit(parent.as_fd(), &node),
            None => Ok(()),
        }
    }

    /// Reads a regular file of at most `limit` bytes.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = None;
        self.walk(path, &Globs::new(&[], &[], path)?, &mut |found| {
            if !matches!(found.kind, Kind::File) {
                return Err(refused(path, "it is no regular file"));
            }
            if found.stat.st_size as u64 > limit {
                return Err(refused(path, &format!("it is larger than {limit} bytes")));
            }
            let file = found.open()?;
            let mut content = vec![0; found.stat.st_size as usize];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut content, 0).map_err(|error| local(path, error))?;
            found.unchanged(&file)?;
            bytes = Some(content);
            Ok(())
        })?;
        bytes.ok_or_else(|| local(path, Errno::NOENT))
    }
}

/// A node that is taken, with what is taken below it.
struct Node {
    name: String,
    relative: String,
    stat: Stat,
    children: Option<Vec<Node>>,
}

struct Walker<'a> {
    root: &'a str,
    globs: &'a Globs,
    visit: &'a mut dyn FnMut(&Found<'_>) -> Result<(), Error>,
    count: usize,
}

impl Walker<'_> {
    fn shown(&self, relative: &str) -> String {
        if relative.is_empty() { self.root.to_owned() } else { format!("{}/{relative}", self.root) }
    }

    /// Returns the node at `name`, or nothing where the globs leave it out.
    fn node(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &str,
        relative: String,
        top: bool,
        depth: usize,
    ) -> Result<Option<Node>, Error> {
        let shown = self.shown(&relative);
        if !top && self.globs.exclude.is_match(&relative) {
            return Ok(None);
        }
        let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| local(&shown, error))?;
        self.count += 1;
        if self.count > MAX_ENTRIES {
            return Err(refused(self.root, "it holds more than 1000000 entries"));
        }
        let included = |relative: &str| {
            let Some(include) = &self.globs.include else {
                return true;
            };
            let ends = relative.match_indices('/').map(|(at, _)| at).chain([relative.len()]);
            ends.into_iter().any(|end| include.is_match(&relative[..end]))
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Symlink => {
                let taken = top || included(&relative);
                Ok(taken.then(|| Node { name: name.to_owned(), relative, stat, children: None }))
            }
            FileType::Directory => {
                if depth > MAX_DEPTH {
                    return Err(refused(&shown, "it is deeper than 256 components"));
                }
                let directory = child(parent, name, &shown)?;
                let mut children = Vec::new();
                for name in names(&directory, &shown)? {
                    let below = if relative.is_empty() { name.clone() } else { format!("{relative}/{name}") };
                    children.extend(self.node(directory.as_fd(), &name, below, false, depth + 1)?);
                }
                let taken = top || !children.is_empty() || included(&relative);
                Ok(taken.then(|| Node { name: name.to_owned(), relative, stat, children: Some(children) }))
            }
            _ => Err(refused(&shown, "it is a socket, fifo or device")),
        }
    }

    fn visit(&mut self, parent: BorrowedFd<'_>, node: &Node) -> Result<(), Error> {
        let shown = self.shown(&node.relative);
        let kind = match (&node.children, FileType::from_raw_mode(node.stat.st_mode)) {
            (Some(_), _) => Kind::Directory,
            (None, FileType::Symlink) => {
                let target =
                    fs::readlinkat(parent, node.name.as_str(), Vec::new()).map_err(|error| local(&shown, error))?;
                let target = target.into_string().map_err(|_| refused(&shown, "its target is not UTF-8"))?;
                if escapes(&node.relative, &target) {
                    return Err(refused(&shown, &format!("its target `{target}` lies outside of what is copied")));
                }
                Kind::Symlink(target)
            }
            (None, _) => Kind::File,
        };
        let (relative, stat) = (node.relative.as_str(), &node.stat);
        (self.visit)(&Found { relative, shown: &shown, stat, kind, parent, name: &node.name })?;
        if let Some(children) = &node.children {
            // Opened again, because a large tree has more directories than a process may hold open.
            let directory = child(parent, &node.name, &shown)?;
            let now = fs::fstat(&directory).map_err(|error| local(&shown, error))?;
            if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
                return Err(refused(&shown, "it changes while it is read"));
            }
            for child in children {
                self.visit(directory.as_fd(), child)?;
            }
        }
        Ok(())
    }
}

/// Opens a directory by its name in another one.
fn child(parent: BorrowedFd<'_>, name: &str, shown: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty()).map_err(|error| local(shown, error))
}

/// Returns the names in a directory, sorted bytewise.
fn names(directory: &OwnedFd, shown: &str) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(|error| local(shown, error))? {
        let entry = entry.map_err(|error| local(shown, error))?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let name = std::str::from_utf8(name).map_err(|_| refused(shown, "it holds a name that is not UTF-8"))?;
        names.push(name.to_owned());
        if names.len() > MAX_ENTRIES {
            return Err(refused(shown, "it holds more than 1000000 entries"));
        }
    }
    names.sort();
    Ok(names)
}

/// Returns whether a link at `relative` with this target points above the tree that is copied, or anywhere absolute.
fn escapes(relative: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = relative.matches('/').count() as i64;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::escapes;

    #[test]
    fn links_stay_inside() {
        for (link, target) in [("a", "b"), ("d/a", "../b"), ("d/e/a", "../../x/../y"), ("a", "d/../b")] {
            assert!(!escapes(link, target), "{link} -> {target}");
        }
        for (link, target) in [("a", "/etc/passwd"), ("a", "../b"), ("d/a", "../../b"), ("a", "x/../../x")] {
            assert!(escapes(link, target), "{link} -> {target}");
        }
    }
}

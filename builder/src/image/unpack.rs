//! Unpacks an image into a directory, for a container that runs there.
//!
//! In: an open image, and a private directory. Out: the root filesystem in it. Hostile images are assumed: the layers
//! are stacked in memory first ([`Rootfs`]), with each file's bytes beside the tree under a number, and only then is
//! the tree made, parent by parent, each opened beneath the root without following any link. What container engines
//! would unpack differently is refused. Extended attributes and setuid bits are left out: nothing that runs without
//! capabilities and new privileges could use them, and outside they would be a danger.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown,
    futimens, linkat, mkdirat, openat2, renameat_with, symlinkat, utimensat,
};

use super::Error;
use super::read::{OpenImage, Opened};
use super::rootfs::{RootNode, Rootfs};
use crate::tar::read::Kind;

/// The most numbers of owners above [`Ids::PLAIN`]: the kernel takes 340 lines of a user namespace's map.
const MAX_EXTRA: usize = 256;

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// The image's numbers, moved up by this one; needs root.
    Shifted(u32),
    /// Whoever runs this, whatever the image says.
    Own,
}

/// How the numbers of an image's owners stand outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    base: u32,
    extra: BTreeMap<u32, u32>,
}

impl Ids {
    /// Numbers below this one are moved up as they are; each higher one gets a number of its own behind them.
    const PLAIN: u32 = 1 << 16;

    fn new(base: u32, used: &BTreeSet<u32>) -> Result<Self, String> {
        let high: Vec<u32> = used.iter().copied().filter(|id| *id >= Self::PLAIN).collect();
        if high.len() > MAX_EXTRA {
            return Err(format!("its files have more than {MAX_EXTRA} owners with numbers above {}", Self::PLAIN - 1));
        }
        Ok(Self { base, extra: high.into_iter().zip(base + Self::PLAIN..).collect() })
    }

    /// Returns the number outside; `None` for one that no file has and that is not plain.
    pub fn outside(&self, id: u32) -> Option<u32> {
        if id < Self::PLAIN { Some(self.base + id) } else { self.extra.get(&id).copied() }
    }

    /// Returns the map of a user namespace: number inside, number outside, how many.
    pub fn map(&self) -> Vec<(u32, u32, u32)> {
        let extra = self.extra.iter().map(|(inside, outside)| (*inside, *outside, 1));
        std::iter::once((0, self.base, Self::PLAIN)).chain(extra).collect()
    }
}

/// An image that has been unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// Its root filesystem.
    pub root: PathBuf,
    /// Numbers of users and of groups outside; `None` where all belongs to whoever unpacked it.
    pub ids: Option<(Ids, Ids)>,
    /// What stands where, for whoever looks up paths.
    pub tree: Rootfs<()>,
}

/// What is held of an entry until its place is known.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    file: Option<u32>,
    mtime: i64,
}

/// Unpacks one image of `open` below `directory`, which is private to the caller and removed by it.
///
/// `also` are numbers of users and groups that the container runs as.
///
/// # Errors
/// A layer that is not what its digests say, malformed, beyond a bound, or one that engines would unpack differently; a
/// file that cannot be written.
pub fn unpack(
    open: &OpenImage,
    one: &Opened,
    directory: &Path,
    owners: Owners,
    also: (u32, u32),
) -> Result<Unpacked, Error> {
    let write = |source: io::Error| Error::Write { path: directory.display().to_string(), source };
    let invalid = |problem: String| Error::Invalid { image: open.name().to_owned(), problem };
    let files = directory.join("files");
    let root = directory.join("rootfs");
    for path in [&files, &root] {
        DirBuilder::new().mode(0o700).create(path).map_err(write)?;
    }
    let mut count = 0;
    let tree = Rootfs::read(open, one, &mut |entry, body| {
        let mut held = Held { file: None, mtime: entry.mtime };
        if entry.kind == Kind::File {
            let path = files.join(u32::to_string(&count));
            let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(write)?;
            copy(body, file, open.name(), directory)?;
            held.file = Some(count);
            count += 1;
        }
        Ok(held)
    })?;
    if let Some(path) = tree.unclear.first() {
        return Err(invalid(format!("`/{path}` lies below something that is no directory in a lower layer")));
    }
    let ids = match owners {
        Owners::Own => None,
        Owners::Shifted(base) => {
            let of = |id: fn(&RootNode<Held>) -> u32, also: u32| {
                let used: BTreeSet<u32> = tree.nodes.values().map(id).chain([also]).collect();
                Ids::new(base, &used).map_err(invalid)
            };
            Some((of(|node| node.uid, also.0)?, of(|node| node.gid, also.1)?))
        }
    };
    let mut maker = Maker {
        top: directory_at(CWD, &root).map_err(|error| write(error.into()))?,
        files: directory_at(CWD, &files).map_err(|error| write(error.into()))?,
        ids: ids.as_ref(),
        placed: BTreeMap::new(),
    };
    maker.make(&tree.nodes).map_err(|(path, problem)| match problem {
        Problem::Io(source) => Error::Write { path: root.join(path).display().to_string(), source },
        Problem::Image(problem) => invalid(format!("`/{path}` {problem}")),
    })?;
    fs::remove_dir_all(&files).map_err(write)?;
    Ok(Unpacked { root, ids, tree: without_contents(tree) })
}

fn copy(body: &mut dyn Read, mut file: File, image: &str, directory: &Path) -> Result<(), Error> {
    let mut piece = vec![0; 128 << 10];
    loop {
        let count = match body.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Read { image: image.to_owned(), source }),
        };
        file.write_all(&piece[..count])
            .map_err(|source| Error::Write { path: directory.display().to_string(), source })?;
    }
}

fn without_contents(tree: Rootfs<Held>) -> Rootfs<()> {
    let nodes = tree.nodes.into_iter().map(|(path, node)| {
        let RootNode { kind, mode, uid, gid, size, xattrs, layer, content: _ } = node;
        (path, RootNode { kind, mode, uid, gid, size, xattrs, layer, content: () })
    });
    Rootfs { nodes: nodes.collect(), hidden: Vec::new(), layers: tree.layers, unclear: tree.unclear }
}

enum Problem {
    Io(io::Error),
    Image(&'static str),
}

impl From<rustix::io::Errno> for Problem {
    fn from(error: rustix::io::Errno) -> Self {
        match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR | rustix::io::Errno::XDEV => {
                Self::Image("lies below something that is no directory")
            }
            error => Self::Io(error.into()),
        }
    }
}

/// Opens a directory by a path of the caller's.
fn directory_at(at: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Makes the tree beneath `top` out of files by number.
struct Maker<'a> {
    top: OwnedFd,
    files: OwnedFd,
    ids: Option<&'a (Ids, Ids)>,
    placed: BTreeMap<u32, &'a str>,
}

impl<'a> Maker<'a> {
    /// Makes all nodes; an error comes with the path it is about.
    fn make(&mut self, nodes: &'a BTreeMap<String, RootNode<Held>>) -> Result<(), (String, Problem)> {
        let mut last: Option<(&str, OwnedFd)> = None;
        for (path, node) in nodes {
            let failed = |problem: Problem| (path.clone(), problem);
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            if last.as_ref().is_none_or(|(known, _)| *known != parent) {
                let opened = self.parent(parent).map_err(|error| failed(error.into()))?;
                last = Some((parent, opened));
            }
            let (_, directory) = last.as_ref().expect("it was opened above");
            self.one(directory, name, path, node).map_err(failed)?;
        }
        // A directory's time and mode last, when nothing is put into it any more.
        for (path, node) in nodes.iter().rev().filter(|(_, node)| node.kind == Kind::Directory) {
            let settled = self.beneath(path).and_then(|directory| {
                self.own(&directory, node)?;
                fchmod(&directory, self.mode(node, 0o700))?;
                futimens(&directory, &times(node.content.mtime))
            });
            settled.map_err(|error| (path.clone(), error.into()))?;
        }
        // The root itself is the image's root user's, and readable by all of the image's.
        let root = RootNode {
            kind: Kind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 0,
            xattrs: Vec::new(),
            layer: 0,
            content: Held::default(),
        };
        let top = self.own(&self.top, &root).and_then(|()| fchmod(&self.top, Mode::from_raw_mode(0o755)));
        top.map_err(|error| (String::new(), error.into()))
    }

    /// Opens a directory beneath the root, without following any link.
    fn beneath(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.top, path, flags, Mode::empty(), resolve)
    }

    /// Opens a directory that holds something; one that no layer names is made, as engines make it.
    fn parent(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        match self.beneath(path) {
            Err(rustix::io::Errno::NOENT) => {}
            opened => return opened,
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.parent(above)?;
        mkdirat(&above, name, Mode::from_raw_mode(0o755))?;
        if let Some((users, groups)) = self.ids {
            let owner = (users.outside(0).map(Uid::from_raw), groups.outside(0).map(Gid::from_raw));
            chownat(&above, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        self.beneath(path)
    }

    fn one(&mut self, at: &OwnedFd, name: &str, path: &'a str, node: &RootNode<Held>) -> Result<(), Problem> {
        match &node.kind {
            Kind::Directory => mkdirat(at, name, Mode::from_raw_mode(0o700))?,
            Kind::Symlink(target) => {
                symlinkat(target.as_str(), at, name)?;
                if let Some((uid, gid)) = self.owner(node) {
                    chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                utimensat(at, name, &times(node.content.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Kind::File | Kind::Hardlink(_) => {
                let Some(number) = node.content.file else {
                    return Err(Problem::Image("is a hard link to what is not there"));
                };
                if let Some(first) = self.placed.get(&number) {
                    linkat(&self.top, *first, at, name, AtFlags::empty())?;
                    return Ok(());
                }
                let own = number.to_string();
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&self.files, own.as_str(), flags, Mode::empty())?;
                self.own(&file, node)?;
                fchmod(&file, self.mode(node, 0o400))?;
                futimens(&file, &times(node.content.mtime))?;
                renameat_with(&self.files, own.as_str(), at, name, RenameFlags::NOREPLACE)?;
                self.placed.insert(number, path);
            }
        }
        Ok(())
    }

    fn owner(&self, node: &RootNode<Held>) -> Option<(Uid, Gid)> {
        let (users, groups) = self.ids?;
        Some((Uid::from_raw(users.outside(node.uid)?), Gid::from_raw(groups.outside(node.gid)?)))
    }

    fn own(&self, file: impl AsFd, node: &RootNode<Held>) -> rustix::io::Result<()> {
        match self.owner(node) {
            Some((uid, gid)) => fchown(file, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Returns the mode without setuid and setgid; where all belongs to one user, with what that one cannot do without.
    fn mode(&self, node: &RootNode<Held>, least: u32) -> Mode {
        Mode::from_raw_mode(node.mode & 0o1777 | if self.ids.is_some() { 0 } else { least })
    }
}

fn times(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_moved_up_and_high_ones_get_their_own() {
        let ids = Ids::new(1000, &[0, 65_535, 65_536, 1_000_620_000].into()).unwrap();
        assert_eq!((ids.outside(0), ids.outside(65_535)), (Some(1000), Some(66_535)));
        assert_eq!(
            (ids.outside(65_536), ids.outside(1_000_620_000), ids.outside(70_000)),
            (Some(66_536), Some(66_537), None)
        );
        assert_eq!(ids.map(), [(0, 1000, 65_536), (65_536, 66_536, 1), (1_000_620_000, 66_537, 1)]);
        assert!(Ids::new(0, &(65_536..65_793).collect()).is_err());
    }
}

//! Unpacks a layer onto a root filesystem, as container engines do (OCI image-spec 1.1, layer).
//!
//! Everything is done beneath the root, by directories that are opened without following a link. Owners, modes, times,
//! extended attributes and hard links are those of the layer; what it whites out, or replaces, goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::layer::{BaseLayer, blob, read_base_layers, read_layer};
use super::{BLOB, Contract, Error};
use crate::digest::{DiffId, Digest};
use crate::image::{self, Descriptor, Entry, OpenLayer};
use crate::tar::read::Kind;

/// The most entries of a layer.
const MAX_ENTRIES: usize = 2_000_000;
/// Bytes copied at once.
const PIECE: usize = 128 << 10;

/// Unpacks the layer that `layer()` wrote to the directory `layer`, or all of a base's where it holds those, onto what
/// stands in the directory `root`. Of a layer that has no record there, `of` is it, and `layer` holds its `blob` alone.
/// Where this fails, `root` is of no use.
///
/// # Errors
/// A layer that is not what its record says, or is malformed; one that leads through a link, or onto what is not there;
/// what this user may not do.
pub fn rootfs(contract: Contract, layer: &Path, of: Option<&BaseLayer>, root: &Path) -> Result<(), Error> {
    contract.check()?;
    let given = |what: &str, one: &BaseLayer, path: &Path| {
        let file = blob(path, what, one.digest, one.size)?;
        unpack(what, (&one.media_type, one.digest, one.size, one.diff_id), file, root)
    };
    if let Some(one) = of {
        return given("the layer", one, &layer.join(BLOB));
    }
    if let Some(layers) = read_base_layers(layer)? {
        for (number, one) in layers.iter().enumerate() {
            given(&format!("layer {number} of the base"), one, &layer.join(one.digest.hex()))?;
        }
        return Ok(());
    }
    let (record, file) = read_layer(layer, "the layer")?;
    match (record.layer, file) {
        (Some(layer), Some(file)) => {
            let what = format!("layer `{}`", record.name);
            unpack(&what, (layer.media_type(), layer.digest, layer.size, layer.diff_id), file, root)
        }
        _ => Ok(()),
    }
}

fn unpack(
    what: &str,
    (media_type, digest, size, diff_id): (&str, Digest, u64, DiffId),
    file: File,
    root: &Path,
) -> Result<(), Error> {
    let layer = OpenLayer { descriptor: Descriptor::new(media_type, digest, size), diff_id };
    let open = image::layer(what, &layer, file);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::openat(CWD, root, flags, Mode::empty());
    let top = top.map_err(|error| Error::Write { path: root.display().to_string(), source: error.into() })?;
    let mut unpacker = Unpacker { top, placed: BTreeSet::new(), directories: BTreeMap::new(), last: None };
    open.entries(&layer, |entry, body| {
        if unpacker.placed.len() >= MAX_ENTRIES {
            return Err(refused(entry.path.as_str(), &format!("a layer has more than {MAX_ENTRIES} entries")));
        }
        unpacker.entry(entry, body)
    })?;
    unpacker.finish()
}

impl From<image::Error> for Error {
    fn from(source: image::Error) -> Self {
        Self::Unpack { source }
    }
}

fn refused(path: &str, problem: &str) -> Error {
    Error::Entry { path: path.to_owned(), problem: problem.to_owned() }
}

/// Returns an error of the kernel's about a path.
fn said(path: &str) -> impl Fn(Errno) -> Error + '_ {
    move |error| match error {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => refused(path, "it lies below something that is no directory"),
        error => refused(path, &io::Error::from(error).to_string()),
    }
}

/// What is set on a directory once nothing is put into it any more.
struct Settled {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    xattrs: Vec<(String, Vec<u8>)>,
}

struct Unpacker {
    top: OwnedFd,
    /// Paths that this layer has placed: its own whiteouts do not reach them.
    placed: BTreeSet<String>,
    directories: BTreeMap<String, Settled>,
    /// The directory of the entry before.
    last: Option<(String, OwnedFd)>,
}

impl Unpacker {
    fn entry(&mut self, entry: &Entry, body: &mut dyn Read) -> Result<(), Error> {
        let path = entry.path.as_str();
        let settled = || Settled {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        };
        if path.is_empty() {
            self.directories.insert(String::new(), settled());
            return Ok(());
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(hidden) = name.strip_prefix(".wh.") {
            return self.white_out(parent, hidden).map_err(said(path));
        }
        self.enter(parent).map_err(said(path))?;
        let (_, at) = self.last.as_ref().expect("it was entered above");
        let found = match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(said(path)(error)),
        };
        let stays = entry.kind == Kind::Directory && found == Some(FileType::Directory);
        // A link's file must stand when the link is made, also where it takes its place.
        if let Kind::Hardlink(target) = &entry.kind {
            if target == &entry.path {
                return Err(refused(path, "it is a hard link to itself"));
            }
            self.beneath_parent(target.as_str()).map_err(said(path))?;
        }
        if let Some(kind) = found.filter(|_| !stays) {
            remove(at, name, kind).map_err(said(path))?;
            self.forget(path);
        }
        let (_, at) = self.last.as_ref().expect("it was entered above");
        match &entry.kind {
            Kind::Directory => {
                if !stays {
                    mkdirat(at, name, Mode::from_raw_mode(0o700)).map_err(said(path))?;
                }
                self.directories.insert(path.to_owned(), settled());
            }
            Kind::Symlink(target) => {
                if !entry.xattrs.is_empty() {
                    return Err(refused(path, "a symbolic link has extended attributes"));
                }
                let link = || {
                    symlinkat(target.as_str(), at, name)?;
                    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
                    chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                    utimensat(at, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
                };
                link().map_err(said(path))?;
            }
            Kind::Hardlink(target) => {
                let (from, file) = self.beneath_parent(target.as_str()).map_err(said(path))?;
                linkat(&from, file, at, name, AtFlags::empty()).map_err(|error| match error {
                    Errno::NOENT => {
                        refused(path, &format!("it is a hard link to `/{}`, which is not there", target.as_str()))
                    }
                    error => said(path)(error),
                })?;
            }
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o600)).map_err(said(path))?;
                let mut file = File::from(file);
                copy(body, &mut file, path)?;
                settle(&file, &settled()).map_err(said(path))?;
            }
        }
        self.placed.insert(path.to_owned());
        Ok(())
    }

    /// Sets what is of the layer's directories, the deepest first.
    fn finish(self) -> Result<(), Error> {
        for (path, settled) in self.directories.iter().rev() {
            let set = self.beneath(path).and_then(|directory| settle(&directory, settled));
            set.map_err(said(path))?;
        }
        Ok(())
    }

    /// Opens a directory beneath the root, without following any link.
    fn beneath(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.top, path, flags, Mode::empty(), resolve)
    }

    /// Opens the directory that a path stands in, and returns it with the path's last component.
    fn beneath_parent<'p>(&self, path: &'p str) -> rustix::io::Result<(OwnedFd, &'p str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.beneath(parent)?, name))
    }

    /// Opens the directory of what comes next.
    fn enter(&mut self, path: &str) -> rustix::io::Result<()> {
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            let opened = self.parent(path)?;
            self.last = Some((path.to_owned(), opened));
        }
        Ok(())
    }

    /// Opens a directory that holds something; one that no layer names is made, as engines make it.
    fn parent(&mut self, path: &str) -> rustix::io::Result<OwnedFd> {
        match self.beneath(path) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = self.parent(above)?;
        mkdirat(&above, name, Mode::from_raw_mode(0o755))?;
        self.directories.insert(path.to_owned(), Settled { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: Vec::new() });
        self.placed.insert(path.to_owned());
        self.beneath(path)
    }

    /// Drops what was noted of a path that is gone, and of what was below it.
    fn forget(&mut self, path: &str) {
        let below = format!("{path}/");
        let is_gone = |known: &String| known == path || known.starts_with(&below);
        self.directories.retain(|known, _| !is_gone(known));
        self.placed.retain(|known| !is_gone(known));
        if self.last.as_ref().is_some_and(|(known, _)| is_gone(known)) {
            self.last = None;
        }
    }

    /// Takes away what a whiteout hides: a path, or all that lower layers have in a directory.
    fn white_out(&mut self, parent: &str, hidden: &str) -> rustix::io::Result<()> {
        if hidden == ".wh..opq" {
            return match self.beneath(parent) {
                Ok(directory) => self.clear(&directory, parent),
                Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(error),
            };
        }
        // What AUFS kept for itself.
        if hidden.starts_with(".wh.") {
            return Ok(());
        }
        let path = if parent.is_empty() { hidden.to_owned() } else { format!("{parent}/{hidden}") };
        let directory = match self.beneath(parent) {
            Err(Errno::NOENT) => return Ok(()),
            opened => opened?,
        };
        match statat(&directory, hidden, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Ok(stat) => self.hide(&directory, hidden, &path, FileType::from_raw_mode(stat.st_mode)),
            Err(error) => Err(error),
        }
    }

    /// Removes what lower layers have in a directory.
    fn clear(&self, directory: &OwnedFd, path: &str) -> rustix::io::Result<()> {
        for (name, kind) in children(directory)? {
            let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            self.hide(directory, &name, &below, kind)?;
        }
        Ok(())
    }

    /// Removes what lower layers have at a path, and below it.
    fn hide(&self, at: &OwnedFd, name: &str, path: &str, kind: FileType) -> rustix::io::Result<()> {
        if !self.placed.contains(path) {
            return remove(at, name, kind);
        }
        if kind != FileType::Directory {
            return Ok(());
        }
        self.clear(&open_directory(at, name)?, path)
    }
}

fn open_directory(at: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Returns what stands in a directory.
fn children(directory: &OwnedFd) -> rustix::io::Result<Vec<(String, FileType)>> {
    let mut all = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        // A name that is no UTF-8 cannot be hidden by a path that is.
        let Ok(name) = entry.file_name().to_str() else { return Err(Errno::ILSEQ) };
        if matches!(name, "." | "..") {
            continue;
        }
        let kind = FileType::from_raw_mode(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        all.push((name.to_owned(), kind));
    }
    Ok(all)
}

/// Removes what stands at a name, and all below it.
fn remove(at: &OwnedFd, name: &str, kind: FileType) -> rustix::io::Result<()> {
    if kind != FileType::Directory {
        return unlinkat(at, name, AtFlags::empty());
    }
    let directory = open_directory(at, name)?;
    for (name, kind) in children(&directory)? {
        remove(&directory, &name, kind)?;
    }
    unlinkat(at, name, AtFlags::REMOVEDIR)
}

/// Sets owner, mode, extended attributes and time, in the order in which none undoes another.
fn settle(file: impl AsFd, settled: &Settled) -> rustix::io::Result<()> {
    fchown(&file, Some(Uid::from_raw(settled.uid)), Some(Gid::from_raw(settled.gid)))?;
    fchmod(&file, Mode::from_raw_mode(settled.mode & 0o7777))?;
    for (name, value) in &settled.xattrs {
        fsetxattr(&file, name.as_str(), value, XattrFlags::empty())?;
    }
    futimens(&file, &times(settled.mtime))
}

fn copy(body: &mut dyn Read, file: &mut File, path: &str) -> Result<(), Error> {
    let mut piece = vec![0; PIECE];
    loop {
        match body.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => file.write_all(&piece[..count]).map_err(|error| refused(path, &error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refused(path, &error.to_string())),
        }
    }
}

fn times(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

//! A root file system that stands in a directory, as the index of what is in it. Somebody else made it: hostile input is
//! assumed.
//!
//! Nothing outside of the directory is read: every name is opened in the directory that it stands in, and no link is
//! followed. Other file systems that are mounted in it are not looked into. What cannot be looked at is told, not passed
//! over.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::base::{InPlace, base_index};
use super::{Entry, EntryKind, Error, PackIndex};
use crate::digest::{Digest, Hasher};
use crate::tree::ImagePath;

/// The most entries of a root file system.
const MAX_ENTRIES: usize = 2_000_000;
/// The most bytes of paths and link targets.
const MAX_NAMES: usize = 256 << 20;
/// The most bytes of all files together; one that is nearly all hole costs nothing to make.
const MAX_BYTES: u64 = 256 << 30;
/// The most places that are told one by one.
const MAX_TOLD: usize = 100;

/// What stands in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDirectory {
    /// Its entries sorted by path, and the texts that selection and documents read; `source` is [`RootDirectory::digest`].
    /// Extended attributes are not read.
    pub index: PackIndex,
    /// The newest time of a regular file, seconds since 1970-01-01 UTC; 0 without any.
    pub newest: i64,
    /// What was not looked at, by path, and why; at most 100 places.
    pub left_out: BTreeMap<String, &'static str>,
    /// How many places that is in all.
    pub left_out_count: usize,
}

impl RootDirectory {
    /// Reads the directory at `path`.
    ///
    /// Sockets, fifos and devices hold nothing and are passed over.
    ///
    /// # Errors
    /// No directory, one that cannot be read, one that is beyond a bound.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: Errno| Error::Local { path: shown.clone(), source: error.into() };
        let directory = fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let device = fs::fstat(&directory).map_err(failed)?.st_dev;
        let mut walk = Walk {
            shown: &shown,
            device,
            reader: InPlace::default(),
            nodes: BTreeMap::new(),
            newest: 0,
            names: 0,
            bytes: 0,
            left_out: BTreeMap::new(),
            left_out_count: 0,
        };
        walk.directory(&directory, "")?;
        let Walk { nodes, newest, left_out, left_out_count, .. } = walk;
        let digest = digest(&nodes);
        let index = base_index(digest, nodes.into_values().collect());
        Ok(Self { index, newest, left_out, left_out_count })
    }

    /// Returns what names the whole: a digest of all paths, kinds, modes, owners, link targets and bytes, and of no time.
    pub fn digest(&self) -> Digest {
        self.index.source
    }
}

/// Returns the names of the directories in `path`, sorted; none where there is no such directory.
///
/// # Errors
/// A directory that cannot be read; a name that is not UTF-8.
pub fn directories(path: &Path) -> Result<Vec<String>, Error> {
    let shown = path.display().to_string();
    let failed = |error: Errno| Error::Local { path: shown.clone(), source: error.into() };
    let directory = match fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in Dir::read_from(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let problem =
                || Error::Refused { path: shown.clone(), problem: "it holds a name that is not UTF-8".into() };
            all.push(name.to_str().map_err(|_| problem())?.to_owned());
        }
    }
    all.sort();
    Ok(all)
}

/// What stands at a path, and its bytes where they are kept.
type Node = (Entry, Option<Arc<[u8]>>);

struct Walk<'a> {
    shown: &'a str,
    device: u64,
    reader: InPlace,
    nodes: BTreeMap<String, Node>,
    newest: i64,
    names: usize,
    bytes: u64,
    left_out: BTreeMap<String, &'static str>,
    left_out_count: usize,
}

impl Walk<'_> {
    fn leave_out(&mut self, path: &str, why: &'static str) {
        self.left_out_count += 1;
        if self.left_out.len() < MAX_TOLD {
            self.left_out.insert(path.to_owned(), why);
        }
    }

    fn beyond(&self, problem: String) -> Error {
        Error::Refused { path: self.shown.to_owned(), problem }
    }

    /// Tells an error at `path`: what others did meanwhile, or do not let us see, is left out; a broken disk is not.
    fn missed(&mut self, path: &str, error: Errno) -> Result<(), Error> {
        let why = match error {
            Errno::ACCESS | Errno::PERM => "it may not be read",
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::STALE => "it changes while it is read",
            error => return Err(self.failed(path, error.into())),
        };
        self.leave_out(path, why);
        Ok(())
    }

    fn failed(&self, path: &str, source: std::io::Error) -> Error {
        Error::Local { path: format!("{}/{path}", self.shown.trim_end_matches('/')), source }
    }

    /// Adds what stands in a directory at `path`.
    fn directory(&mut self, directory: &OwnedFd, path: &str) -> Result<(), Error> {
        let entries = match Dir::read_from(directory) {
            Ok(entries) => entries,
            Err(error) => return self.missed(path, error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.missed(path, error),
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(text) = name.to_str() else {
                let lossy = name.to_string_lossy();
                self.leave_out(
                    &if path.is_empty() { lossy.into_owned() } else { format!("{path}/{lossy}") },
                    "its name is not UTF-8",
                );
                continue;
            };
            let below = if path.is_empty() { text.to_owned() } else { format!("{path}/{text}") };
            self.node(directory.as_fd(), name, below)?;
        }
        Ok(())
    }

    fn node(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: String) -> Result<(), Error> {
        if ImagePath::parse(&path).is_err() {
            self.leave_out(&path, "its path is too long or too deep");
            return Ok(());
        }
        let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => return self.missed(&path, error),
        };
        self.names += path.len();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if stat.st_dev != self.device => {
                self.leave_out(&path, "another file system is mounted there");
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match fs::openat(parent, name, flags, Mode::empty()) {
                    Ok(directory) => {
                        self.put(&path, EntryKind::Directory, &stat, None)?;
                        self.directory(&directory, &path)?;
                    }
                    Err(error) => self.missed(&path, error)?,
                }
            }
            FileType::Symlink => match fs::readlinkat(parent, name, Vec::new()) {
                Ok(target) => {
                    let Ok(target) = target.into_string() else {
                        self.leave_out(&path, "its target is not UTF-8");
                        return Ok(());
                    };
                    self.names += target.len();
                    self.put(&path, EntryKind::Symlink(target), &stat, None)?;
                }
                Err(error) => self.missed(&path, error)?,
            },
            FileType::RegularFile => self.file(parent, name, &path)?,
            _ => {}
        }
        Ok(())
    }

    fn file(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: &str) -> Result<(), Error> {
        // What took the file's place meanwhile must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match fs::openat(parent, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(error) => return self.missed(path, error),
        };
        let stat = fs::fstat(&file).map_err(|error| self.failed(path, error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.leave_out(path, "it changes while it is read");
            return Ok(());
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MAX_BYTES {
            return Err(self.beyond(format!("its files have more than {MAX_BYTES} bytes")));
        }
        match self.reader.file(path, &file, size) {
            Ok(read) => {
                self.newest = self.newest.max(stat.st_mtime);
                self.put(path, EntryKind::File(read.facts), &stat, read.text)
            }
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.leave_out(path, "it changes while it is read");
                Ok(())
            }
            Err(Error::Io(error)) => Err(self.failed(path, error)),
            Err(error) => Err(error),
        }
    }

    fn put(&mut self, path: &str, kind: EntryKind, stat: &Stat, text: Option<Arc<[u8]>>) -> Result<(), Error> {
        if self.nodes.len() >= MAX_ENTRIES {
            return Err(self.beyond(format!("it has more than {MAX_ENTRIES} entries")));
        }
        if self.names > MAX_NAMES {
            return Err(self.beyond(format!("it has more than {MAX_NAMES} bytes of names")));
        }
        let entry = Entry {
            path: path.to_owned(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            xattrs: Vec::new(),
        };
        self.nodes.insert(path.to_owned(), (entry, text));
        Ok(())
    }
}

/// Returns the digest of a directory's nodes.
fn digest(nodes: &BTreeMap<String, Node>) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia root directory 1\n");
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    for (entry, _) in nodes.values() {
        field(entry.path.as_bytes());
        match &entry.kind {
            EntryKind::Directory => field(b"directory"),
            EntryKind::Symlink(target) => {
                field(b"symlink");
                field(target.as_bytes());
            }
            EntryKind::File(facts) => {
                field(b"file");
                field(facts.digest.as_bytes());
            }
            // A directory shows each name of a file as a file.
            EntryKind::Hardlink(target) => {
                field(b"hardlink");
                field(target.as_bytes());
            }
        }
        for number in [entry.mode, entry.uid, entry.gid] {
            field(&number.to_be_bytes());
        }
    }
    hasher.digest()
}

impl InPlace {
    /// Reads the file at `path` (no leading slash) of `size` bytes, as it stands on the disk.
    fn file(&mut self, path: &str, file: &File, size: u64) -> Result<super::base::BaseFile, Error> {
        let mut at = 0;
        self.read(path, file, size, |buffer| {
            // Never more than the size that was seen, so that a file which grows has an end.
            let count = file.read_at(buffer, at).map_err(Error::Io)?;
            if count == 0 {
                return Err(Error::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            at += count as u64;
            Ok(count)
        })
    }
}

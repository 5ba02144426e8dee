//! Keeping a store in size and in order: usage, garbage collection, verification.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::{Error, Kind, Store, TEMPORARY, walk};
use crate::digest::Digest;

/// Temporary files older than this, in seconds, belong to no build that still runs.
const ABANDONED: i64 = 24 * 60 * 60;

/// What was used in these seconds is spared while other builds use the store.
const IN_USE: i64 = 60 * 60;

/// How many files a part of a store has, and how large they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Number of files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Share {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// By directory: `blobs`, `packs`, `frames`, `images`, `checks`; and `temporary`.
    pub rooms: BTreeMap<&'static str, Share>,
}

impl Usage {
    /// Returns the sum over all rooms.
    pub fn total(&self) -> Share {
        self.rooms.values().fold(Share::default(), |sum, share| Share {
            files: sum.files + share.files,
            bytes: sum.bytes + share.bytes,
        })
    }
}

/// What [`Store::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// What was hashed and holds.
    pub sound: Share,
    /// Paths inside the store of what did not hold and was thrown out, sorted.
    pub thrown_out: Vec<String>,
}

/// A file of the store, with what belongs to it.
struct Item {
    path: PathBuf,
    what: What,
    bytes: u64,
    modified: (i64, i64),
}

#[derive(Clone, Copy)]
enum What {
    Blob(Digest),
    Entry(Kind, Digest),
    Large(Kind, Digest),
    Record,
    Temporary,
}

impl What {
    fn room(self) -> &'static str {
        match self {
            Self::Blob(_) => "blobs",
            Self::Entry(kind, _) | Self::Large(kind, _) => kind.room(),
            Self::Record => "checks",
            Self::Temporary => "temporary",
        }
    }
}

impl Store {
    /// Returns how much of what the store holds.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut usage = Usage::default();
        for item in self.items()? {
            usage.rooms.entry(item.what.room()).or_default().add(item.bytes);
        }
        Ok(usage)
    }

    /// Removes what was used longest ago until at most `max_size` bytes are left, and what crashes left behind;
    /// returns what was removed.
    ///
    /// While other processes, or other openings of this one, have the store open, nothing that was used in the last
    /// hour is removed. Clones of this handle do not count: nothing may be building with them.
    pub fn gc(&self, max_size: u64) -> Result<Share, Error> {
        let now = self.now()?;
        let alone = self.alone();
        let result = self.collect(max_size, now, alone);
        if let Some(lock) = &self.0.lock {
            let _ = rustix::fs::flock(lock, FlockOperation::LockShared);
        }
        result
    }

    fn collect(&self, max_size: u64, now: i64, alone: bool) -> Result<Share, Error> {
        let mut removed = Share::default();
        let mut total = 0;
        let mut kept = Vec::new();
        let mut records = BTreeMap::new();
        for item in self.items()? {
            match item.what {
                What::Temporary if item.modified.0 < now.saturating_sub(ABANDONED) => {
                    remove(&item.path, item.bytes, &mut removed)?;
                }
                What::Temporary => total += item.bytes,
                What::Record => {
                    total += item.bytes;
                    records.insert(item.path, (item.modified, item.bytes));
                }
                What::Blob(_) | What::Entry(..) | What::Large(..) => {
                    total += item.bytes;
                    kept.push(item);
                }
            }
        }
        let mut owned = BTreeSet::new();
        let mut by_use: Vec<_> = kept
            .into_iter()
            .map(|item| {
                let record = self.record_of(item.what);
                let seen = record.as_ref().and_then(|path| records.get(path));
                let used = seen.map_or(item.modified, |(time, _)| item.modified.max(*time));
                let record_bytes = seen.map_or(0, |(_, bytes)| *bytes);
                owned.extend(record.clone());
                (used, item, record, record_bytes)
            })
            .collect();
        for (path, (_, bytes)) in &records {
            if !owned.contains(path) {
                total = total.saturating_sub(*bytes);
                remove(path, *bytes, &mut removed)?;
            }
        }
        by_use.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
        for ((used, _), item, record, record_bytes) in by_use {
            if total <= max_size || (!alone && used > now.saturating_sub(IN_USE)) {
                break;
            }
            remove(&item.path, item.bytes, &mut removed)?;
            total = total.saturating_sub(item.bytes);
            if let Some(record) = record {
                remove(&record, record_bytes, &mut removed)?;
                total = total.saturating_sub(record_bytes);
            }
        }
        Ok(removed)
    }

    /// Hashes everything in the store and throws out what does not hold.
    pub fn verify(&self) -> Result<Verification, Error> {
        let mut found = Verification::default();
        for item in self.items()? {
            let holds = match item.what {
                What::Record | What::Temporary => continue,
                What::Blob(digest) => self.hashed(&item, &digest)?,
                What::Entry(kind, key) => self.verify_entry(&item.path, kind, &key).is_some(),
                What::Large(..) => {
                    let record = self.record_of(item.what);
                    match record.and_then(|record| self.recorded_digest(&record)) {
                        Some(digest) => self.hashed(&item, &digest)?,
                        None => {
                            self.remove_unrecorded(&item.path);
                            false
                        }
                    }
                }
            };
            if holds {
                found.sound.add(item.bytes);
            } else {
                let name = item.path.strip_prefix(self.root()).unwrap_or(&item.path);
                found.thrown_out.push(name.display().to_string());
            }
        }
        found.thrown_out.sort();
        Ok(found)
    }

    fn hashed(&self, item: &Item, digest: &Digest) -> Result<bool, Error> {
        let Some(record) = self.record_of(item.what) else { return Ok(false) };
        Ok(self.checked_now(&item.path, &record, digest)?.is_some())
    }

    fn remove_unrecorded(&self, path: &Path) {
        if let Ok(file) = fs::File::open(path) {
            self.throw_out(path, &file, "nothing says what its digest should be");
        }
    }

    fn record_of(&self, what: What) -> Option<PathBuf> {
        match what {
            What::Blob(digest) => Some(self.record_path("blobs", &digest)),
            What::Large(kind, key) => Some(self.record_path(kind.room(), &key)),
            What::Entry(..) | What::Record | What::Temporary => None,
        }
    }

    /// Returns whether no other build has the store open; nobody can open it until the lock is shared again.
    fn alone(&self) -> bool {
        self.0
            .lock
            .as_ref()
            .is_some_and(|lock| rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok())
    }

    fn now(&self) -> Result<i64, Error> {
        Ok((self.moment()? / 1_000_000_000) as i64)
    }

    /// Returns the file system's idea of the time, in nanoseconds since 1970-01-01 UTC: what a file that changes now is
    /// stamped with.
    pub fn moment(&self) -> Result<i128, Error> {
        if !self.is_writable() {
            return Err(Error::ReadOnly { root: self.root().to_owned() });
        }
        let failed = |source| Error::write("a temporary file", self.root(), source);
        let file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(self.root()).map_err(failed)?;
        let meta = file.as_file().metadata().map_err(failed)?;
        Ok(i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()))
    }

    /// Returns the files of the store, sorted by path; files that are none of its own are left alone.
    fn items(&self) -> Result<Vec<Item>, Error> {
        let failed = |source| Error::Read { path: self.root().to_owned(), source };
        let mut items = Vec::new();
        for (path, meta) in walk::below(self.root()).map_err(failed)? {
            if meta.is_file()
                && let Some(what) = self.what(&path)
            {
                items.push(Item { path, what, bytes: meta.size(), modified: (meta.mtime(), meta.mtime_nsec()) });
            }
        }
        items.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(items)
    }

    /// Returns what a path inside the store is.
    fn what(&self, path: &Path) -> Option<What> {
        let parts: Vec<&str> =
            path.strip_prefix(self.root()).ok()?.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        if parts.iter().any(|part| part.starts_with(TEMPORARY)) {
            return Some(What::Temporary);
        }
        let kind = |room: &str| Kind::ALL.into_iter().find(|kind| kind.room() == room);
        match parts[..] {
            ["blobs", "sha256", _, name] => Some(What::Blob(Digest::from_hex(name).ok()?)),
            ["checks", "seen", _, _, name] => Digest::from_hex(name).ok().map(|_| What::Record),
            [room, _, name] => match name.strip_suffix(".data") {
                Some(name) => Some(What::Large(kind(room)?, Digest::from_hex(name).ok()?)),
                None => Some(What::Entry(kind(room)?, Digest::from_hex(name).ok()?)),
            },
            _ => None,
        }
    }
}

/// Removes a file; one that is already gone counts for nothing.
fn remove(path: &Path, bytes: u64, removed: &mut Share) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => {
            removed.add(bytes);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Remove { path: path.to_owned(), source }),
    }
}

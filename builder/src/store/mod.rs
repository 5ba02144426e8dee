//! A content-addressed directory that is never trusted.
//!
//! Bytes and keys come in; files and entries that have been checked go out. A blob is checked against its name, a
//! derived entry (pack, frame, image, record) against a digest of its own; what does not hold is thrown out and reads
//! as absent, so that it is made again. Every file is written under a temporary name in the store and renamed; nothing
//! is synced to disk, because a file that a crash cut short is found by its digest. The store does not know what its
//! entries mean, and does not protect from who can write to it: it is made 0700, and refused where another user may
//! write.
//!
//! ```text
//! blobs/sha256/aa/HEX        stored bytes by their SHA-256
//! packs/aa/HEX               derived entries by the digest of all that they are made from
//! packs/aa/HEX.data          a large file beside an entry; likewise in frames/, images/, checks/
//! checks/seen/ROOM/aa/HEX    the stat of a file when it was last hashed; its mtime is the file's last use
//! ```

mod check;
mod clean;
mod entry;
mod error;
pub mod output;
pub mod temporary;
mod walk;
mod write;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use clean::{Share, Usage, Verification};
pub use error::Error;
pub use output::export;
pub use temporary::TemporaryDirectory;
pub(crate) use walk::names as names_in;
pub use write::{BlobWriter, LargeWriter};

use crate::diag::Warning;
use crate::digest::{Digest, Hasher};

/// The size in bytes that automatic [`Store::gc`] keeps to where nobody says otherwise: 10 GiB.
pub const DEFAULT_MAX_SIZE: u64 = 10 << 30;

/// Prefix of every temporary name in a store.
const TEMPORARY: &str = ".tmp-";

/// How a store is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Hash everything on every read, whatever the records of earlier checks say.
    pub paranoid: bool,
    /// Never write, even where it could be done.
    pub read_only: bool,
    /// Whose word counts in what is made: all that is derived is kept apart under this, found by who names the same, and
    /// by nobody else. What stands in the store without a name is found by all.
    pub party: Option<Digest>,
}

/// What a derived entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Opened packages.
    Packs,
    /// Encoded pieces of layers.
    Frames,
    /// Whole results of builds.
    Images,
    /// Records that something was checked, such as a lock's proof.
    Checks,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Packs, Self::Frames, Self::Images, Self::Checks];

    /// Returns the directory of this kind.
    pub fn room(self) -> &'static str {
        match self {
            Self::Packs => "packs",
            Self::Frames => "frames",
            Self::Images => "images",
            Self::Checks => "checks",
        }
    }
}

/// A handle on a store; clones share it. All methods may be called from many threads and processes at once.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    options: StoreOptions,
    writable: bool,
    /// Names this run of the machine. Without it records live in memory only.
    boot: Option<String>,
    /// Records of this process, by the path of the record.
    seen: Mutex<BTreeMap<PathBuf, String>>,
    warnings: Mutex<Vec<Warning>>,
    /// Held shared for as long as the store is open, so that `gc` knows of others.
    lock: Option<File>,
    /// Read where this store lacks something.
    below: Option<Store>,
    /// Nothing but blobs is read from there.
    blobs_only: bool,
    /// Removes a private store at the end; after every other field.
    _private: Option<TemporaryDirectory>,
}

impl Store {
    /// Opens the store at `root`, and makes it with mode 0700 where it is absent.
    ///
    /// A store that exists and cannot be written to is opened for reading. One that another user may write to is
    /// refused, and so is one that is absent and cannot be made.
    pub fn open(root: &Path, options: StoreOptions) -> Result<Self, Error> {
        if !options.read_only
            && let Err(source) = fs::DirBuilder::new().recursive(true).mode(0o700).create(root)
            && !root.is_dir()
        {
            return Err(Error::Open { path: root.to_owned(), source });
        }
        Self::with(root.to_owned(), options, None, None)
    }

    /// Makes a store of its own in a new directory inside `directory`, which is removed with the last handle.
    pub fn private(directory: &Path) -> Result<Self, Error> {
        Self::private_store(directory, StoreOptions::default(), None)
    }

    /// Makes a private store that reads from `below` what it lacks; for a store that can only be read.
    pub fn private_over(directory: &Path, below: Self) -> Result<Self, Error> {
        let options = StoreOptions { read_only: false, ..below.0.options.clone() };
        Self::private_store(directory, options, Some(below))
    }

    /// Opens the store at `root`; where it cannot be written to, or not be made, a private one inside `beside` stands
    /// in, which reads from it what it can.
    ///
    /// A store that another user may write to is refused all the same.
    pub fn open_or_private(root: &Path, options: StoreOptions, beside: &Path) -> Result<Self, Error> {
        match Self::open(root, options.clone()) {
            Ok(store) if store.is_writable() => Ok(store),
            Ok(below) => Self::private_store(beside, StoreOptions { read_only: false, ..options }, Some(below)),
            Err(Error::Open { .. }) => Self::private_store(beside, StoreOptions { read_only: false, ..options }, None),
            Err(error) => Err(error),
        }
    }

    /// Makes a store of its own, removed with the last handle, that knows nothing but the blobs of `below`, each of which
    /// is hashed on every read: what is made in it is made anew.
    pub fn fresh_over(below: &Self) -> Result<Self, Error> {
        let made = below.temporary_directory()?;
        let blobs = below.suspected()?;
        let root = made.path().to_owned();
        let fresh =
            Self::with(root, StoreOptions { paranoid: true, ..StoreOptions::default() }, Some(blobs), Some(made))?;
        let mut inner = Arc::into_inner(fresh.0).expect("nobody else has it yet");
        inner.blobs_only = true;
        Ok(Self(Arc::new(inner)))
    }

    /// Returns a handle on this store, and on what it reads from, that hashes everything on every read.
    fn suspected(&self) -> Result<Self, Error> {
        let below = self.0.below.as_ref().map(Self::suspected).transpose()?;
        let options = StoreOptions { paranoid: true, read_only: true, party: None };
        Self::with(self.root().to_owned(), options, below, None)
    }

    /// Returns the store that derived entries are read from where this one lacks them.
    fn entries_below(&self) -> Option<&Self> {
        self.0.below.as_ref().filter(|_| !self.0.blobs_only)
    }

    fn private_store(directory: &Path, options: StoreOptions, below: Option<Self>) -> Result<Self, Error> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tarsia-store-").permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let made = TemporaryDirectory::new(&builder, directory)
            .map_err(|source| Error::Open { path: directory.to_owned(), source })?;
        Self::with(made.path().to_owned(), options, below, Some(made))
    }

    fn with(
        root: PathBuf,
        options: StoreOptions,
        below: Option<Self>,
        private: Option<TemporaryDirectory>,
    ) -> Result<Self, Error> {
        let meta = fs::metadata(&root).map_err(|source| Error::Open { path: root.clone(), source })?;
        if !meta.is_dir() {
            return Err(Error::Open { path: root, source: io::ErrorKind::NotADirectory.into() });
        }
        let user = rustix::process::geteuid().as_raw();
        if meta.uid() != user && meta.uid() != 0 {
            return Err(Error::Owner { path: root, owner: meta.uid(), user });
        }
        if meta.mode() & 0o022 != 0 {
            return Err(Error::Mode { path: root, mode: meta.mode() & 0o7777 });
        }
        let lock = if options.read_only { None } else { lock(&root) };
        let writable = lock.is_some();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned());
        Ok(Self(Arc::new(Inner {
            root,
            options,
            writable,
            boot: boot.filter(|text| !text.is_empty() && !text.contains(char::is_whitespace)),
            seen: Mutex::default(),
            warnings: Mutex::default(),
            lock,
            below,
            blobs_only: false,
            _private: private,
        })))
    }

    /// Returns the store's directory.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns whether the store can be written to.
    pub fn is_writable(&self) -> bool {
        self.0.writable
    }

    /// Returns where a blob of this name stands, or would stand; nothing is checked.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        shard(self.0.root.join("blobs/sha256"), digest, "")
    }

    /// Returns the blob of this name, at its first byte; `None` where it is absent or does not hold.
    ///
    /// Its bytes have been hashed, now or earlier in the same, unchanged file.
    pub fn blob(&self, digest: &Digest) -> Result<Option<File>, Error> {
        let record = self.record_path("blobs", digest);
        match self.checked(&self.blob_path(digest), &record, digest)? {
            Some(file) => Ok(Some(file)),
            None => self.0.below.as_ref().map_or(Ok(None), |below| below.blob(digest)),
        }
    }

    /// Returns the whole of a blob of at most `limit` bytes, hashed now; `None` where it is absent or does not hold.
    pub fn blob_bytes(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        use io::Read as _;
        let Some(file) = self.blob(digest)? else { return Ok(None) };
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        if bytes.len() as u64 > limit {
            return Err(Error::Large { path, limit });
        }
        Ok((Digest::of(&bytes) == *digest).then_some(bytes))
    }

    /// Starts a blob; its name is known when it is committed.
    pub fn write_blob(&self) -> Result<BlobWriter, Error> {
        BlobWriter::new(self.clone())
    }

    /// Stores `bytes` as a blob and returns its name.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        use io::Write as _;
        let mut writer = self.write_blob()?;
        writer.write_all(bytes).map_err(|source| Error::write("a blob", self.root(), source))?;
        writer.commit(None).map(|(digest, _)| digest)
    }

    /// Returns the body of an entry; `None` where it is absent or does not hold.
    pub fn entry(&self, kind: Kind, key: &Digest) -> Option<Vec<u8>> {
        let own = || self.read_entry(kind, &self.party_key(key)?);
        self.read_entry(kind, key).or_else(own).or_else(|| self.entries_below()?.entry(kind, key))
    }

    /// Stores an entry, in place of one that stood there.
    pub fn put_entry(&self, kind: Kind, key: &Digest, body: &[u8]) -> Result<(), Error> {
        self.write_entry(kind, &self.party_key(key).unwrap_or(*key), body)
    }

    /// Returns the key under which something of a party is kept, where there is one.
    fn party_key(&self, key: &Digest) -> Option<Digest> {
        let party = self.0.options.party?;
        let mut hasher = Hasher::new();
        hasher.update(b"tarsia party\n");
        hasher.update(party.as_bytes());
        hasher.update(key.as_bytes());
        Some(hasher.digest())
    }

    /// Returns the large file of a key, at its first byte, if its SHA-256 is `expected`; `None` where it is absent or
    /// does not hold.
    pub fn large(&self, kind: Kind, key: &Digest, expected: &Digest) -> Option<File> {
        let own = |key: &Digest| {
            let record = self.record_path(kind.room(), key);
            self.checked(&self.large_path(kind, key), &record, expected).ok().flatten()
        };
        own(key).or_else(|| own(&self.party_key(key)?)).or_else(|| self.entries_below()?.large(kind, key, expected))
    }

    /// Starts the large file of a key, in place of one that stood there.
    pub fn write_large(&self, kind: Kind, key: &Digest) -> Result<LargeWriter, Error> {
        LargeWriter::new(self.clone(), kind, &self.party_key(key).unwrap_or(*key))
    }

    /// Makes an empty directory in the store that is removed when dropped, for files that other programs are to read.
    pub fn temporary_directory(&self) -> Result<TemporaryDirectory, Error> {
        if !self.0.writable {
            return Err(Error::ReadOnly { root: self.0.root.clone() });
        }
        TemporaryDirectory::new(tempfile::Builder::new().prefix(TEMPORARY), self.root())
            .map_err(|source| Error::write("a temporary directory", self.root(), source))
    }

    /// Takes what was found wrong in the store since the last call.
    pub fn take_warnings(&self) -> Vec<Warning> {
        let mut all = std::mem::take(&mut *guard(&self.0.warnings));
        if let Some(below) = &self.0.below {
            all.extend(below.take_warnings());
        }
        all
    }

    fn entry_path(&self, kind: Kind, key: &Digest) -> PathBuf {
        shard(self.0.root.join(kind.room()), key, "")
    }

    fn large_path(&self, kind: Kind, key: &Digest) -> PathBuf {
        shard(self.0.root.join(kind.room()), key, ".data")
    }

    fn record_path(&self, room: &str, key: &Digest) -> PathBuf {
        shard(self.0.root.join("checks/seen").join(room), key, "")
    }

    /// Notes that the file at `path` does not hold and removes it, unless another build has replaced it since.
    fn throw_out(&self, path: &Path, file: &File, why: &str) {
        let same = match (file.metadata(), fs::symlink_metadata(path)) {
            (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
            _ => false,
        };
        if same && self.0.writable {
            // Where it cannot be removed it is found again, and written over.
            let _ = fs::remove_file(path);
        }
        let name = path.strip_prefix(&self.0.root).unwrap_or(path).display();
        guard(&self.0.warnings).push(Warning {
            code: "store::corrupt",
            message: format!("threw out `{name}` of the store: {why}"),
            hints: Vec::new(),
        });
    }

    /// Makes the directory that will hold `path`.
    fn make_parent(&self, path: &Path) -> Result<(), Error> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if !self.0.writable {
            return Err(Error::ReadOnly { root: self.0.root.clone() });
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|source| Error::write("a directory", parent, source))
    }
}

/// Returns `directory/aa/HEX` with a suffix.
fn shard(directory: PathBuf, digest: &Digest, suffix: &str) -> PathBuf {
    let hex = digest.hex();
    let mut path = directory;
    path.push(&hex[..2]);
    path.push(hex + suffix);
    path
}

/// Opens the lock file and holds it shared; `None` where the store cannot be written to.
///
/// A file system without locks still makes a store: `gc` then spares what was used lately.
fn lock(root: &Path) -> Option<File> {
    let file =
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(root.join("lock")).ok()?;
    let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockShared);
    Some(file)
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

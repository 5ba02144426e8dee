//! Records of what has been hashed, so that an unchanged file is not hashed twice.
//!
//! A record names the run of the machine it was made in: what the kernel had not yet written when the power went is
//! hashed again after the next start, whatever its stat says.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::Path;

use super::{Error, Store, entry, guard};
use crate::digest::{Digest, Hasher};

impl Store {
    /// Opens `path` and returns it at its first byte if its SHA-256 is `expected`; else throws it out.
    pub(super) fn checked(&self, path: &Path, record: &Path, expected: &Digest) -> Result<Option<File>, Error> {
        self.check(path, record, expected, self.0.options.paranoid)
    }

    /// As [`Store::checked`], whatever a record says.
    pub(super) fn checked_now(&self, path: &Path, record: &Path, expected: &Digest) -> Result<Option<File>, Error> {
        self.check(path, record, expected, true)
    }

    fn check(&self, path: &Path, record: &Path, expected: &Digest, always: bool) -> Result<Option<File>, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let mut file = match open(path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            self.throw_out(path, &file, "it is no regular file");
            return Ok(None);
        }
        let identity = self.identity(expected, &meta);
        if !always && self.recorded(record, &identity) {
            return Ok(Some(file));
        }
        match hash(&mut file) {
            Ok(actual) if actual == *expected => {
                file.rewind().map_err(failed)?;
                if file.metadata().is_ok_and(|after| self.identity(expected, &after) == identity) {
                    self.remember(record, identity);
                }
                Ok(Some(file))
            }
            Ok(actual) => {
                self.throw_out(path, &file, &format!("its bytes are {actual}, expected {expected}"));
                Ok(None)
            }
            Err(error) => {
                self.throw_out(path, &file, &format!("it cannot be read: {error}"));
                Ok(None)
            }
        }
    }

    /// Records that `file`, which stands at its final path, has this digest.
    pub(super) fn remember_file(&self, record: &Path, file: &File, digest: &Digest) {
        if let Ok(meta) = file.metadata() {
            self.remember(record, self.identity(digest, &meta));
        }
    }

    /// Returns the digest that a record names, whichever file it was made for.
    pub(super) fn recorded_digest(&self, record: &Path) -> Option<Digest> {
        let text = self.read_record(record)?;
        text.split(' ').nth(1)?.parse().ok()
    }

    fn identity(&self, digest: &Digest, meta: &Metadata) -> String {
        format!(
            "{} {digest} {} {} {} {}.{:09} {}.{:09}",
            self.0.boot.as_deref().unwrap_or("-"),
            meta.dev(),
            meta.ino(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        )
    }

    fn recorded(&self, record: &Path, identity: &str) -> bool {
        let held = guard(&self.0.seen).get(record).is_some_and(|text| text == identity);
        if held {
            return true;
        }
        if self.0.boot.is_none() || self.read_record(record).as_deref() != Some(identity) {
            return false;
        }
        if self.0.writable {
            touch(record);
        }
        guard(&self.0.seen).insert(record.to_owned(), identity.to_owned());
        true
    }

    fn read_record(&self, record: &Path) -> Option<String> {
        let mut file = open(record).ok()?;
        let body = entry::read_sealed(&mut file, record_name(record)?.as_bytes(), 4096).ok()?;
        String::from_utf8(body).ok()
    }

    fn remember(&self, record: &Path, identity: String) {
        if self.0.writable
            && self.0.boot.is_some()
            && let Some(name) = record_name(record)
        {
            // A record that cannot be written costs another hash, nothing else.
            let _ = self.write_sealed(record, name.as_bytes(), identity.as_bytes(), "a record");
        }
        guard(&self.0.seen).insert(record.to_owned(), identity);
    }
}

/// Opens a file for reading; what is no regular file does not make it wait.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
}

fn record_name(record: &Path) -> Option<&str> {
    record.file_name()?.to_str()
}

/// Marks a file as used now; the time is the kernel's.
pub(super) fn touch(path: &Path) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    // A file that cannot be marked leaves the store a little earlier.
    let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn hash(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.digest()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

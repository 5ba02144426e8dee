//! Derived entries: a header with the format's name, the digest of key and body, and the body.
//!
//! The header's version is raised with the form of the header alone; an entry of another version reads as absent.
//! What is in a body, and its version, is part of the key.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::check::{open, touch};
use super::temporary::TemporaryFile;
use super::{Error, Kind, Store, TEMPORARY};
use crate::digest::{Digest, Hasher};

const MAGIC: &[u8; 16] = b"tarsia entry 1\n\n";

/// The most bytes of an entry that are read: more than any entry has, less than fills a machine.
const MAX_ENTRY: u64 = 1 << 30;

impl Store {
    /// Reads an entry, and marks it as used; throws it out where it does not hold.
    pub(super) fn read_entry(&self, kind: Kind, key: &Digest) -> Option<Vec<u8>> {
        let path = self.entry_path(kind, key);
        let body = self.verify_entry(&path, kind, key)?;
        if self.0.writable {
            touch(&path);
        }
        Some(body)
    }

    pub(super) fn write_entry(&self, kind: Kind, key: &Digest, body: &[u8]) -> Result<(), Error> {
        let what = format!("an entry of {} bytes", body.len());
        self.write_sealed(&self.entry_path(kind, key), &context(kind, key), body, &what)
    }

    /// Returns the body of the entry at `path`; throws it out where it does not hold.
    pub(super) fn verify_entry(&self, path: &Path, kind: Kind, key: &Digest) -> Option<Vec<u8>> {
        let mut file = open(path).ok()?;
        match read_sealed(&mut file, &context(kind, key), MAX_ENTRY) {
            Ok(body) => Some(body),
            Err(error) => {
                self.throw_out(path, &file, &error.to_string());
                None
            }
        }
    }

    pub(super) fn write_sealed(&self, path: &Path, context: &[u8], body: &[u8], what: &str) -> Result<(), Error> {
        self.make_parent(path)?;
        let failed = |source| Error::write(what, path, source);
        let directory = path.parent().unwrap_or(&self.0.root);
        let mut file = TemporaryFile::new(tempfile::Builder::new().prefix(TEMPORARY), directory).map_err(failed)?;
        let mut header = [0; 48];
        header[..16].copy_from_slice(MAGIC);
        header[16..].copy_from_slice(seal(context, body).as_bytes());
        file.write_all(&header).map_err(failed)?;
        file.write_all(body).map_err(failed)?;
        file.persist(path).map_err(failed)?;
        Ok(())
    }
}

/// Reads a sealed file of at most `limit` bytes and returns its body.
pub(super) fn read_sealed(file: &mut File, context: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > limit {
        return Err(io::Error::other(format!("it is longer than {limit} bytes")));
    }
    let mut header = [0; 48];
    file.read_exact(&mut header).map_err(|_| io::Error::other("it is cut short"))?;
    if header[..16] != MAGIC[..] {
        return Err(io::Error::other("it has no header of this version"));
    }
    let mut body = Vec::with_capacity(usize::try_from(length.saturating_sub(48)).unwrap_or(0));
    file.take(limit).read_to_end(&mut body)?;
    if seal(context, &body).as_bytes()[..] != header[16..] {
        return Err(io::Error::other("its bytes do not have the digest in its header"));
    }
    Ok(body)
}

/// Returns the digest over context and body; with the context, an entry under another key does not hold.
fn seal(context: &[u8], body: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&(context.len() as u64).to_le_bytes());
    hasher.update(context);
    hasher.update(body);
    hasher.digest()
}

fn context(kind: Kind, key: &Digest) -> Vec<u8> {
    [kind.room().as_bytes(), b"/", key.as_bytes()].concat()
}

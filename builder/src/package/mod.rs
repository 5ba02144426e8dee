//! A package opened once. Hostile input is assumed.
//!
//! In: the bytes of a `.deb` ([`open_deb`]), the spec's own files ([`local::open`]), or a directory that others made
//! ([`rootfs`]). Out: a [`PackIndex`], and the
//! pack's data written to a file that the caller gives. What is in a pack depends on the package alone. Nothing is
//! unpacked to disk, and no maintainer script is ever run.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher, Sha1, Sha512};
use crate::elf;

mod ar;
pub mod base;
mod content;
mod control;
mod error;
pub mod local;
mod named;
mod open;
mod received;
pub mod rootfs;
mod scan;
mod texts;

pub use error::Error;
pub use open::{Limits, control_fields, decoder_memory, open_deb};
pub use received::MAX_INDEX;

/// Version of packs: of [`PackIndex`] as stored, of what is read into it, and of the data's layout.
///
/// It is part of a pack's key, so a reader of another version never finds the pack.
pub const PACK_FORMAT: u32 = 5;

/// Returns the key under which the pack of the `.deb` with this digest is stored.
pub fn pack_key(deb: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"tarsia pack\n");
    hasher.update(&PACK_FORMAT.to_be_bytes());
    hasher.update(deb.as_bytes());
    hasher.digest()
}

/// What selection reads of a package; its bytes stay in the pack's data.
///
/// Stored with `postcard`; `PACK_FORMAT` is part of its key, so no reader ever sees another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackIndex {
    /// SHA-256 of the `.deb` (or of the plan of local files).
    pub source: Digest,
    /// SHA-512 of the `.deb`; `None` where there is no such file: of a spec's own files, and of a base.
    pub sha512: Option<Sha512>,
    /// SHA-256 and size of `data`.
    pub data: (Digest, u64),
    /// Date of the `data.tar` ar member, seconds since 1970-01-01 UTC: the latest mtime an entry may have.
    pub date: i64,
    /// Control fields in file order.
    pub control: Vec<(String, String)>,
    /// Lines of `md5sums`, as (md5 hex, path without leading slash).
    pub md5sums: Vec<(String, String)>,
    /// Paths of `conffiles`, without leading slash.
    pub conffiles: Vec<String>,
    /// `triggers`, whole.
    pub triggers: String,
    /// Maintainer scripts by name (`postinst`), whole text, at most 4 MiB each.
    pub scripts: Vec<(String, String)>,
    /// debconf's questions and their default answers, in the order of `templates`.
    pub questions: Vec<(String, String)>,
    /// Entries in the order of `data`, paths as shipped (before the merged-/usr rewrite).
    pub entries: Vec<Entry>,
    /// Contents of small files that selection reads, by index into `entries`.
    pub texts: Vec<(u32, Vec<u8>)>,
    /// Findings in file contents, by index into `entries`.
    pub scans: Vec<(u32, Scan)>,
}

impl PackIndex {
    /// Returns the stored form; equal indexes have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("an index holds nothing that postcard cannot write")
    }

    /// Reads the stored form of this [`PACK_FORMAT`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        match postcard::take_from_bytes::<Self>(bytes) {
            Ok((index, [])) if index.holds() => Ok(index),
            _ => Err(Error::Index),
        }
    }

    /// Returns whether texts and findings are of entries that there are, and every file has an end.
    pub(crate) fn holds(&self) -> bool {
        let count = self.entries.len();
        let is_entry = |number: u32| (number as usize) < count;
        let ends = |entry: &Entry| match &entry.kind {
            EntryKind::File(facts) => facts.offset.checked_add(facts.size).is_some(),
            _ => true,
        };
        self.texts.iter().all(|(number, _)| is_entry(*number))
            && self.scans.iter().all(|(number, _)| is_entry(*number))
            && self.entries.iter().all(ends)
    }

    /// Returns the value of a control field; names match without regard to case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, value) = self.control.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// One entry of a package's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path without leading slash; the root is empty.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid, sticky.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since 1970-01-01 UTC.
    pub mtime: i64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(FileFacts),
    /// A symbolic link and its target, as written.
    Symlink(String),
    /// A hard link to the path of an earlier regular file of this package.
    Hardlink(String),
}

/// What is known of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Size in bytes.
    pub size: u64,
    /// Where its bytes start in the pack's data.
    pub offset: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// SHA-1 of its bytes, for documents alone.
    pub sha1: Sha1,
    /// Where it is ELF.
    pub elf: Option<Box<elf::Facts>>,
    /// First line after `#!`, at most 256 bytes, where it starts so.
    pub shebang: Option<String>,
}

/// Findings in one file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scan {
    /// Whole C strings that look like `lib….so…` (ELF), sorted.
    pub sonames: Vec<String>,
    /// Command words of a script, sorted.
    pub commands: Vec<String>,
    /// Absolute paths named in a script, sorted.
    pub paths: Vec<String>,
}

#[cfg(test)]
mod tests;

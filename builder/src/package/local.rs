//! The spec's own files as a pack: what `files` copies, writes and unpacks, and the certificates.
//!
//! In: a spec, the directory it stands in, and files fetched by digest. Out: a [`LocalPack`]. Of a copied file only its
//! content and its owner's execute bit are taken; so umask, checkout time and user never reach a byte. Who owns what is
//! the spec's words and selection's work: every entry here has uid and gid 0.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::content::{Budget, Reading};
use super::open::Whole;
use super::{Entry, EntryKind, Error, PACK_FORMAT, PackIndex, texts};
use crate::codec::decode::{self, Format};
use crate::digest::{Digest, Hasher, Sha512, Sha512Hasher};
use crate::elf::FileRange;
use crate::rules::closure::Rule;
use crate::rules::slices::Slices;
use crate::spec::{FileEntry, FileSource, Spec};
use crate::tar::read as tar;
use crate::tree::{ImagePath, PathError};

mod rules;
mod slices;
mod stored;
mod unpack;
mod walk;

pub use rules::rule_files;
pub use slices::{slice_files, slices};
use walk::{Found, Globs, Kind, Root, local, refused};

/// The largest certificate file.
const MAX_CERTIFICATE: u64 = 4 << 20;

/// Bytes copied at once.
const CHUNK: usize = 128 << 10;

/// The most bytes of texts and findings that the index holds.
const MAX_FACTS: u64 = 256 << 20;

/// The spec's own files, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPack {
    /// Their index: paths are final image paths, uid and gid 0, `source` the digest of all that it holds. Its entries
    /// stand in the order of `files`, those of one entry sorted bytewise; nothing is merged, so a path can come twice.
    pub index: PackIndex,
    /// For each entry of the index, which of the spec's `files` it comes from.
    pub entry_of: Vec<u32>,
    /// SHA-512 of each file that the spec calls a component of its own, by its place in the index.
    pub sha512: BTreeMap<u32, Sha512>,
    /// The bytes of the spec's certificates, in its order.
    pub certificates: Vec<Vec<u8>>,
    /// The spec's own rules, file by file in the order of their names.
    pub rules: Vec<Rule>,
    /// Definitions of slices.
    pub slices: Slices,
    /// Digest of the texts that the definitions were parsed from.
    pub slices_digest: Digest,
    /// Those texts, each with its path.
    pub slice_texts: Vec<(String, String)>,
    /// Digest of the texts that the rules were parsed from.
    pub rules_digest: Digest,
    /// Those texts, each with its path.
    pub rule_texts: Vec<(String, String)>,
    /// What `copy` entries took, each path once, sorted.
    pub sources: Vec<LocalSource>,
}

/// Something beneath the spec's directory that `copy` takes, as it stood when it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LocalSource {
    /// Path from the spec's directory.
    pub path: String,
    /// What stands there.
    pub kind: SourceKind,
}

/// What a [`LocalSource`] is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceKind {
    /// A directory; what is taken of its content is listed.
    Directory,
    /// A regular file.
    File {
        /// SHA-256 of its bytes.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link with this target.
    Symlink(String),
}

impl LocalPack {
    /// Returns the digest of all that was read from the disk and fetched.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(self.index.source.as_bytes());
        for certificate in &self.certificates {
            hasher.update(Digest::of(certificate).as_bytes());
        }
        hasher.update(self.rules_digest.as_bytes());
        hasher.update(self.slices_digest.as_bytes());
        hasher.digest()
    }
}

/// One local input in the state in which it was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// Path as the spec has it, with what lies below it.
    pub path: String,
    /// Device, inode, size, mtime and ctime in nanoseconds, mode; for a directory only its mode counts, because what
    /// it holds is listed.
    pub identity: [i128; 6],
    /// Target of a symbolic link.
    pub target: Option<String>,
}

impl Input {
    /// Returns whether the file may have changed at `moment`, a time in nanoseconds since 1970-01-01 UTC, or later,
    /// without showing it: a change leaves no trace where the clock that stamps files has not moved on since the last.
    ///
    /// A time without a fraction is taken for one of a file system that counts in two seconds.
    pub fn is_racy(&self, moment: i128) -> bool {
        const SECOND: i128 = 1_000_000_000;
        let [.., modified, changed, _] = self.identity;
        [modified, changed].iter().any(|time| {
            let tick = if time % SECOND == 0 { 2 * SECOND } else { 1 };
            *time != 0 && *time > moment - tick
        })
    }
}

/// Opens the spec's own files: writes their bytes, one after the other, to `sink`, an empty file open for reading and
/// writing, and returns what they are.
///
/// Reads beneath `directory` only, and `fetched` for what `fetch` entries name. Times are `latest` at most; what has no time of its own has
/// this one.
pub fn open(
    spec: &Spec,
    directory: &Path,
    fetched: &dyn Fn(&Digest) -> io::Result<File>,
    sink: &File,
    latest: i64,
) -> Result<LocalPack, Error> {
    let root = Root::open(directory)?;
    let mut pack = Packer {
        sink,
        data: Hasher::new(),
        reading: Reading::new(CHUNK),
        budget: Budget::new(MAX_FACTS),
        latest,
        entries: Vec::new(),
        entry_of: Vec::new(),
        sha512: BTreeMap::new(),
        is_component: false,
        texts: Vec::new(),
        scans: Vec::new(),
        sources: BTreeMap::new(),
        current: 0,
    };
    for (number, entry) in spec.files.iter().enumerate() {
        pack.current = u32::try_from(number).expect("a spec's text is bounded");
        let first = pack.entries.len();
        pack.is_component = entry.value.component.is_some();
        pack.entry(&root, &entry.value, fetched)?;
        pack.sort(first);
    }
    let certificates =
        spec.certificates.iter().map(|path| root.read(&path.value, MAX_CERTIFICATE)).collect::<Result<_, _>>()?;
    let rule_texts = rules::texts(spec, directory)?;
    let (rules, rules_digest) = rules::parse(&rule_texts)?;
    let slice_texts = slices::texts(spec, directory)?;
    let (slices, slices_digest) = slices::parse(&slice_texts)?;
    let length = pack.data.length();
    let mut index = PackIndex {
        questions: Vec::new(),
        source: Digest::of(b""),
        sha512: None,
        data: (pack.data.digest(), length),
        date: latest,
        control: Vec::new(),
        md5sums: Vec::new(),
        conffiles: Vec::new(),
        triggers: String::new(),
        scripts: Vec::new(),
        entries: pack.entries,
        texts: pack.texts,
        scans: pack.scans,
    };
    index.source = source_of(&index);
    let sources = pack.sources.into_iter().map(|(path, kind)| LocalSource { path, kind }).collect();
    Ok(LocalPack {
        index,
        entry_of: pack.entry_of,
        sha512: pack.sha512,
        certificates,
        rules,
        rules_digest,
        rule_texts,
        slices,
        slices_digest,
        slice_texts,
        sources,
    })
}

/// Returns the digest of all that a local index holds whose own `source` is still that of nothing.
fn source_of(index: &PackIndex) -> Digest {
    let mut source = Hasher::new();
    source.update(b"tarsia local\n");
    source.update(&PACK_FORMAT.to_be_bytes());
    source.update(&index.to_bytes());
    source.digest()
}

/// Returns the files that [`open`] would read from the disk, without reading them, in the order of the spec.
///
/// As long as the answer is equal, so is the pack (except where a file was changed and made to look unchanged).
pub fn inputs(spec: &Spec, directory: &Path) -> Result<Vec<Input>, Error> {
    let root = Root::open(directory)?;
    let mut inputs = Vec::new();
    let mut push = |found: &Found<'_>| {
        let mut identity = walk::identity(found.stat);
        let mut target = None;
        match &found.kind {
            Kind::Directory => identity[..5].fill(0),
            Kind::Symlink(text) => target = Some(text.clone()),
            Kind::File => {}
        }
        inputs.push(Input { path: found.shown.to_owned(), identity, target });
        Ok(())
    };
    for entry in &spec.files {
        if let FileSource::Copy { path, include, exclude } = &entry.value.what {
            root.walk(path, &Globs::new(include, exclude, path)?, &mut push)?;
        }
    }
    if let Some(path) = &spec.rules {
        root.walk(&path.value, &rules::globs(&path.value)?, &mut push)?;
    }
    if let Some(path) = &spec.slices {
        root.walk(&path.value, &slices::globs(&path.value)?, &mut push)?;
    }
    for path in &spec.certificates {
        root.walk(&path.value, &Globs::new(&[], &[], &path.value)?, &mut push)?;
    }
    Ok(inputs)
}

/// Reads one regular file of at most `limit` bytes beneath `directory`: a key or a certificate.
pub fn read(directory: &Path, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
    Root::open(directory)?.read(path, limit)
}

/// Opens one regular file beneath `directory`: a package.
pub fn file(directory: &Path, path: &str) -> Result<File, Error> {
    let mut opened = None;
    Root::open(directory)?.walk(path, &Globs::new(&[], &[], path)?, &mut |found| {
        if !matches!(found.kind, Kind::File) {
            return Err(refused(path, "it is no regular file"));
        }
        opened = Some(found.open()?);
        Ok(())
    })?;
    opened.ok_or_else(|| local(path, io::Error::from(io::ErrorKind::NotFound)))
}

struct Packer<'a> {
    sink: &'a File,
    data: Hasher,
    reading: Reading,
    budget: Budget,
    latest: i64,
    entries: Vec<Entry>,
    entry_of: Vec<u32>,
    sha512: BTreeMap<u32, Sha512>,
    /// The entry that is being opened is a component of the spec's.
    is_component: bool,
    texts: Vec<(u32, Vec<u8>)>,
    scans: Vec<(u32, super::Scan)>,
    sources: BTreeMap<String, SourceKind>,
    current: u32,
}

impl Packer<'_> {
    fn entry(
        &mut self,
        root: &Root,
        entry: &FileEntry,
        fetched: &dyn Fn(&Digest) -> io::Result<File>,
    ) -> Result<(), Error> {
        let (to, mode) = (&entry.to, entry.mode);
        match &entry.what {
            FileSource::Text(text) => {
                self.file(to, mode.unwrap_or(0o644), text.len() as u64, text.as_bytes(), to.as_str())
            }
            FileSource::Directory => self.push(to, EntryKind::Directory, mode.unwrap_or(0o755)),
            FileSource::Symlink(target) => self.push(to, EntryKind::Symlink(target.clone()), 0o777),
            FileSource::Copy { path, include, exclude } => {
                let globs = Globs::new(include, exclude, path)?;
                root.walk(path, &globs, &mut |found| self.copy(found, to, mode))
            }
            FileSource::Fetch { url, digest, unpack, strip } => {
                let file = fetched(digest).map_err(|error| local(url, error))?;
                if *unpack {
                    return self.unpack(file, url, *strip, to, mode);
                }
                let size = file.metadata().map_err(|error| local(url, error))?.len();
                self.file(to, mode.unwrap_or(0o644), size, Whole { file: &file, at: 0 }, url)?;
                match self.entries.last().map(|entry| &entry.kind) {
                    Some(EntryKind::File(facts)) if facts.digest == *digest => Ok(()),
                    _ => Err(refused(url, &format!("what was fetched is not {digest}"))),
                }
            }
        }
    }

    fn copy(&mut self, found: &Found<'_>, to: &ImagePath, mode: Option<u32>) -> Result<(), Error> {
        let path = below(to, found.relative).map_err(|error| refused(found.shown, &error.to_string()))?;
        let kind = match &found.kind {
            Kind::Directory => Some(SourceKind::Directory),
            Kind::Symlink(target) => Some(SourceKind::Symlink(target.clone())),
            Kind::File => None,
        };
        if let Some(kind) = kind {
            self.sources.insert(found.shown.to_owned(), kind);
        }
        match &found.kind {
            Kind::Directory if path.is_root() => Ok(()),
            Kind::Directory => self.push(&path, EntryKind::Directory, 0o755),
            Kind::Symlink(target) => self.push(&path, EntryKind::Symlink(target.clone()), 0o777),
            Kind::File => {
                let file = found.open()?;
                let size = u64::try_from(found.stat.st_size).unwrap_or(0);
                let own = if found.stat.st_mode & 0o100 != 0 { 0o755 } else { 0o644 };
                self.file(&path, mode.unwrap_or(own), size, Whole { file: &file, at: 0 }, found.shown)?;
                if let Some(EntryKind::File(facts)) = self.entries.last().map(|entry| &entry.kind) {
                    let kind = SourceKind::File { digest: facts.digest, size, executable: own == 0o755 };
                    self.sources.insert(found.shown.to_owned(), kind);
                }
                found.unchanged(&file)
            }
        }
    }

    fn push(&mut self, path: &ImagePath, kind: EntryKind, mode: u32) -> Result<(), Error> {
        self.push_dated(path, kind, mode, self.latest)
    }

    fn push_dated(&mut self, path: &ImagePath, kind: EntryKind, mode: u32, mtime: i64) -> Result<(), Error> {
        let path = path.as_str().to_owned();
        self.entries.push(Entry { path, kind, mode, uid: 0, gid: 0, mtime, xattrs: Vec::new() });
        self.entry_of.push(self.current);
        Ok(())
    }

    /// Adds a regular file of exactly `size` bytes from `source`, known to the user as `shown`.
    fn file(
        &mut self,
        path: &ImagePath,
        mode: u32,
        size: u64,
        mut source: impl Read,
        shown: &str,
    ) -> Result<(), Error> {
        let read = move |buffer: &mut [u8]| match source.read(buffer) {
            Ok(0) => Err(refused(shown, "it changes while it is read")),
            other => other.map_err(|error| local(shown, error)),
        };
        self.file_dated(path, mode, size, self.latest, read)
    }

    fn file_dated(
        &mut self,
        path: &ImagePath,
        mode: u32,
        size: u64,
        mtime: i64,
        mut source: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        let range = FileRange { file: self.sink, offset: self.data.length(), size };
        let keep = texts::wanted(path.as_str(), size);
        let (sink, data) = (self.sink, &mut self.data);
        let mut sha512 = self.is_component.then(Sha512Hasher::default);
        let content = self.reading.read(range, keep, |buffer| {
            let count = source(buffer)?;
            sink.write_all_at(&buffer[..count], data.length()).map_err(Error::Io)?;
            data.update(&buffer[..count]);
            if let Some(sha512) = &mut sha512 {
                sha512.update(&buffer[..count]);
            }
            Ok(count)
        })?;
        let number = u32::try_from(self.entries.len()).map_err(|_| refused(path.as_str(), "too many files"))?;
        let facts = content.put(number, &mut self.budget, &mut self.texts, &mut self.scans)?;
        self.sha512.extend(sha512.map(|sha512| (number, sha512.checksum())));
        self.push_dated(path, EntryKind::File(facts), mode, mtime)
    }

    /// Sorts the entries from `first` on by path; what points at them follows.
    fn sort(&mut self, first: usize) {
        let mut order: Vec<usize> = (first..self.entries.len()).collect();
        order.sort_by(|a, b| self.entries[*a].path.cmp(&self.entries[*b].path));
        let mut moved = vec![0u32; order.len()];
        for (new, old) in order.iter().enumerate() {
            moved[old - first] = (first + new) as u32;
        }
        self.entries[first..].sort_by(|a, b| a.path.cmp(&b.path));
        let follow = |number: &mut u32| {
            if let Some(old) = (*number as usize).checked_sub(first) {
                *number = moved[old];
            }
        };
        self.texts.iter_mut().for_each(|(number, _)| follow(number));
        self.scans.iter_mut().for_each(|(number, _)| follow(number));
        self.sha512 = std::mem::take(&mut self.sha512)
            .into_iter()
            .map(|(mut number, sum)| {
                follow(&mut number);
                (number, sum)
            })
            .collect();
        self.texts.sort_by_key(|(number, _)| *number);
        self.scans.sort_by_key(|(number, _)| *number);
    }
}

/// Returns `to`, or the path `relative` below it.
fn below(to: &ImagePath, relative: &str) -> Result<ImagePath, PathError> {
    if relative.is_empty() { Ok(to.clone()) } else { to.join(relative) }
}

#[cfg(test)]
mod tests;

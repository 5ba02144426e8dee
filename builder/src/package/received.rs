//! Takes an index that somebody else made.

use std::collections::BTreeMap;

use super::{Entry, EntryKind, Error, PackIndex};
use crate::digest::Digest;
use crate::tree::ImagePath;

/// The most bytes of an index as stored: twice what [`Limits`](super::Limits) lets texts and findings have. In memory it
/// may have many times that, since what is empty has a byte here.
pub const MAX_INDEX: u64 = 128 << 20;

/// The most entries of an index.
const MAX_ENTRIES: usize = 1_000_000;

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Something stands below it.
    Above,
    Directory,
    File,
    Symlink,
}

impl PackIndex {
    /// Reads an index that somebody else made of the package with digest `source`, and holds it against what every index
    /// of [`open_deb`](super::open_deb) keeps to: selection relies on it. That it tells the truth about the package is not
    /// known.
    ///
    /// # Errors
    /// Bytes that are no index of this format, an index of another package, one that does not hold together.
    pub fn received(bytes: &[u8], source: &Digest) -> Result<Self, Error> {
        let index = Self::from_bytes(bytes).map_err(|_| wrong("it is not of this format"))?;
        if index.source != *source {
            return Err(Error::Received { problem: format!("it is of {}, not of {source}", index.source) });
        }
        if index.sha512.is_none() {
            return Err(wrong("it does not say the package's SHA-512"));
        }
        index.check()?;
        Ok(index)
    }

    fn check(&self) -> Result<(), Error> {
        if self.entries.len() > MAX_ENTRIES {
            return Err(Error::Received { problem: format!("it has more than {MAX_ENTRIES} entries") });
        }
        let mut known: BTreeMap<&str, Known> = BTreeMap::new();
        for entry in &self.entries {
            let refused = |problem: &str| Error::Received { problem: format!("its entry `{}` {problem}", entry.path) };
            let path = canonical(&entry.path).ok_or_else(|| refused("has no place in an image"))?;
            if path.as_str().split('/').any(|component| component.starts_with(".wh.")) {
                return Err(refused("marks a whiteout"));
            }
            for (end, _) in entry.path.match_indices('/') {
                let above = known.entry(&entry.path[..end]).or_insert(Known::Above);
                if !matches!(above, Known::Above | Known::Directory) {
                    return Err(refused("lies below what is no directory"));
                }
            }
            let kind = self.kind(entry, &known).map_err(refused)?;
            if entry.mode > 0o7777 {
                return Err(refused("has a mode that is none"));
            }
            if !entry.xattrs.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(refused("has attributes out of order"));
            }
            match (known.insert(&entry.path, kind), kind) {
                (None, _) | (Some(Known::Above), Known::Directory) => {}
                (Some(Known::Above), _) => return Err(refused("is no directory, and something stands below it")),
                (Some(_), _) => return Err(refused("comes twice")),
            }
        }
        let texts = self.texts.iter().map(|(number, _)| *number);
        let scans = self.scans.iter().map(|(number, _)| *number);
        if !(self.is_of_files(texts) && self.is_of_files(scans)) {
            return Err(wrong("its texts or findings are of no files"));
        }
        Ok(())
    }

    /// Returns what an entry is, where it can be that after what is known.
    fn kind(&self, entry: &Entry, known: &BTreeMap<&str, Known>) -> Result<Known, &'static str> {
        match &entry.kind {
            EntryKind::Directory => Ok(Known::Directory),
            _ if entry.path.is_empty() => Err("is the root and no directory"),
            EntryKind::Symlink(target) if target.is_empty() || target.contains('\0') => Err("leads nowhere"),
            EntryKind::Symlink(_) => Ok(Known::Symlink),
            EntryKind::Hardlink(target) => match known.get(target.as_str()) {
                Some(Known::File) => Ok(Known::File),
                _ => Err("is a hard link to no file before it"),
            },
            EntryKind::File(facts) => match facts.offset.checked_add(facts.size) {
                Some(end) if end <= self.data.1 => Ok(Known::File),
                _ => Err("lies outside of the data"),
            },
        }
    }

    /// Returns whether these numbers rise and are each that of a regular file.
    fn is_of_files(&self, mut numbers: impl Iterator<Item = u32>) -> bool {
        let mut least = 0;
        numbers.all(|number| {
            let rises = u64::from(number) >= least;
            least = u64::from(number) + 1;
            let entry = usize::try_from(number).ok().and_then(|number| self.entries.get(number));
            rises && entry.is_some_and(|entry| matches!(entry.kind, EntryKind::File(_)))
        })
    }
}

/// Returns a path that is written as an index has it.
fn canonical(text: &str) -> Option<ImagePath> {
    if text.is_empty() {
        return Some(ImagePath::root());
    }
    ImagePath::parse(text).ok().filter(|path| path.as_str() == text)
}

fn wrong(problem: &str) -> Error {
    Error::Received { problem: problem.to_owned() }
}

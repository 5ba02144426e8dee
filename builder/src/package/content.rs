//! What is learnt from a regular file's bytes while they pass.

use memchr::memmem;

use super::{Error, FileFacts, Scan, scan};
use crate::digest::{Hasher, Sha1Hasher};
use crate::elf;

/// The longest first line of a script that is kept.
const MAX_SHEBANG: usize = 256;

/// Bytes that an index may still grow by.
pub(super) struct Budget {
    left: u64,
    limit: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { left: limit, limit }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let wrong = Error::Limit { what: "texts and findings", limit: self.limit };
        self.left = self.left.checked_sub(bytes as u64).ok_or(wrong)?;
        Ok(())
    }
}

/// What one file's bytes say.
pub(super) struct Content {
    facts: FileFacts,
    text: Option<Vec<u8>>,
    scan: Scan,
}

impl Content {
    /// Puts texts and findings where they belong, within `budget`, and returns the facts.
    pub(super) fn put(
        self,
        number: u32,
        budget: &mut Budget,
        texts: &mut Vec<(u32, Vec<u8>)>,
        scans: &mut Vec<(u32, Scan)>,
    ) -> Result<FileFacts, Error> {
        if let Some(text) = self.text {
            budget.take(text.len())?;
            texts.push((number, text));
        }
        if let Some(elf) = &self.facts.elf {
            budget.take(weight(elf))?;
        }
        if self.scan != Scan::default() {
            let all = self.scan.sonames.iter().chain(&self.scan.commands).chain(&self.scan.paths);
            budget.take(all.map(|text| text.len() + 24).sum())?;
            scans.push((number, self.scan));
        }
        Ok(self.facts)
    }
}

/// Buffers that serve one file after the other.
pub(super) struct Reading {
    finder: memmem::Finder<'static>,
    chunk: Vec<u8>,
}

impl Reading {
    pub(super) fn new(chunk: usize) -> Self {
        Self { finder: scan::soname_finder(), chunk: vec![0; chunk] }
    }

    /// Reads a file's bytes once from `source`, which never gives 0 before their end; what is needed out of order is
    /// read back from `range`, where each byte stands once `source` has given it. `keep` keeps the whole text.
    pub(super) fn read(
        &mut self,
        range: elf::FileRange<'_>,
        keep: bool,
        mut source: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<Content, Error> {
        let (mut hasher, mut sha1) = (Hasher::new(), Sha1Hasher::default());
        let mut kept = Vec::new();
        let mut shebang = None;
        let mut sonames = None;
        let mut keep_all = keep;
        let mut left = range.size;
        while left > 0 {
            let wanted = self.chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let mut filled = 0;
            while filled < wanted {
                filled += source(&mut self.chunk[filled..wanted])?;
            }
            let piece = &self.chunk[..filled];
            if hasher.length() == 0 {
                if piece.starts_with(b"\x7fELF") {
                    sonames = Some(scan::Sonames::new(&self.finder));
                }
                shebang = first_line(piece);
                keep_all |= shebang.is_some() && range.size <= scan::MAX_SCRIPT;
            }
            hasher.update(piece);
            sha1.update(piece);
            if keep_all {
                kept.extend_from_slice(piece);
            }
            if let Some(sonames) = &mut sonames {
                sonames.feed(piece);
            }
            left -= filled as u64;
        }
        let mut scan = match &shebang {
            Some(shebang) if keep_all => scan::script(&kept, shebang),
            _ => Scan::default(),
        };
        let elf = if sonames.is_some() { elf::facts(&range).map_err(Error::Io)?.map(Box::new) } else { None };
        if let Some(sonames) = sonames {
            scan.sonames = sonames.finish(elf.as_deref());
        }
        let facts = FileFacts {
            size: range.size,
            offset: range.offset,
            digest: hasher.digest(),
            sha1: sha1.checksum(),
            elf,
            shebang,
        };
        Ok(Content { facts, text: keep.then_some(kept), scan })
    }
}

/// Returns the first line after `#!`, cut at 256 bytes.
fn first_line(bytes: &[u8]) -> Option<String> {
    let rest = bytes.strip_prefix(b"#!")?;
    let rest = &rest[..rest.len().min(MAX_SHEBANG)];
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

/// Returns about how many bytes the strings of these facts take.
fn weight(facts: &elf::Facts) -> usize {
    let lists = facts.needed.iter().chain(&facts.runpath).chain(&facts.rpath);
    let wishes = facts.dlopen.iter().flat_map(|(names, priority)| names.iter().chain([priority]));
    lists.chain(wishes).chain(&facts.interpreter).chain(&facts.soname).map(|text| text.len() + 24).sum::<usize>() + 256
}

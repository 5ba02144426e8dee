//! What selection reads of a base image's files. The image is no package; what is known of it has the same form.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::content::{Budget, Reading};
use super::texts;
use super::{Entry, Error, FileFacts, PackIndex};
use crate::digest::Digest;
use crate::elf::FileRange;

/// The largest text that is kept.
const MAX_TEXT: u64 = 16 << 20;
/// The most bytes of texts and findings.
const MAX_INDEX: u64 = 256 << 20;
/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// What is known of one file of a base.
#[derive(Debug, Clone)]
pub struct BaseFile {
    /// Its facts; `offset` means nothing.
    pub facts: FileFacts,
    /// Its bytes, where selection reads them.
    pub text: Option<Arc<[u8]>>,
}

/// Reads the files of a base, one after the other.
pub struct BaseReader<'a> {
    /// Holds one file at a time, from its start.
    scratch: &'a File,
    files: InPlace,
}

impl<'a> BaseReader<'a> {
    /// Returns a reader that uses `scratch`, a temporary file, for one file after the other.
    pub fn new(scratch: &'a File) -> Self {
        Self { scratch, files: InPlace::default() }
    }

    /// Reads the file at `path` (no leading slash) of `size` bytes.
    ///
    /// # Errors
    /// Bytes that end early, a scratch file that cannot be written, findings beyond the bound.
    pub fn file(&mut self, path: &str, size: u64, body: &mut dyn Read) -> Result<BaseFile, Error> {
        let mut at = 0;
        let scratch = self.scratch;
        self.files.read(path, scratch, size, |buffer| {
            let count = body.read(buffer).map_err(Error::Io)?;
            if count == 0 {
                return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            scratch.write_all_at(&buffer[..count], at).map_err(Error::Io)?;
            at += count as u64;
            Ok(count)
        })
    }
}

/// Reads files one after the other, and holds what is kept of them all to one bound.
pub(super) struct InPlace {
    reading: Reading,
    budget: Budget,
}

impl Default for InPlace {
    fn default() -> Self {
        Self { reading: Reading::new(CHUNK), budget: Budget::new(MAX_INDEX) }
    }
}

impl InPlace {
    /// Reads the file at `path` of `size` bytes from `source`, which never gives 0 before their end; each byte stands at
    /// its place in `file` once `source` has given it.
    pub(super) fn read(
        &mut self,
        path: &str,
        file: &File,
        size: u64,
        source: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<BaseFile, Error> {
        let keep = size <= MAX_TEXT && is_read(path) || texts::wanted(path, size);
        let content = self.reading.read(FileRange { file, offset: 0, size }, keep, source)?;
        let mut texts = Vec::new();
        let facts = content.put(0, &mut self.budget, &mut texts, &mut Vec::new())?;
        Ok(BaseFile { facts, text: texts.pop().map(|(_, text)| text.into()) })
    }
}

/// Returns whether selection reads this file of a base, beside those that it reads of packages.
fn is_read(path: &str) -> bool {
    matches!(path, "etc/group" | "etc/passwd" | "etc/ssl/certs/ca-certificates.crt" | "var/lib/dpkg/status")
        || path.strip_prefix("var/lib/dpkg/status.d/").is_some_and(|name| !name.contains('/'))
        || path.strip_prefix("var/lib/dpkg/info/").is_some_and(|name| name.ends_with(".list"))
}

/// Returns the index of a base with this manifest: its nodes by path, each regular file with what was read of it.
pub fn base_index(manifest: Digest, nodes: Vec<(Entry, Option<Arc<[u8]>>)>) -> PackIndex {
    let mut index = PackIndex {
        source: manifest,
        sha512: None,
        data: (manifest, 0),
        date: 0,
        control: Vec::new(),
        md5sums: Vec::new(),
        conffiles: Vec::new(),
        triggers: String::new(),
        scripts: Vec::new(),
        questions: Default::default(),
        entries: Vec::new(),
        texts: Vec::new(),
        scans: Vec::new(),
    };
    for (entry, text) in nodes {
        if let (Some(text), Ok(number)) = (text, u32::try_from(index.entries.len())) {
            index.texts.push((number, text.to_vec()));
        }
        index.entries.push(entry);
    }
    index
}

impl PackIndex {
    /// Returns the text of the file at exactly this path (no leading slash), where it was kept.
    pub fn text_at(&self, path: &str) -> Option<&[u8]> {
        let at = self.entries.iter().position(|entry| entry.path == path)?;
        self.texts.iter().find(|(number, _)| *number as usize == at).map(|(_, text)| text.as_slice())
    }

    /// Returns the control stanzas of the packages that dpkg's database in these files says are installed: `status`,
    /// and `status.d` as distroless images have it.
    pub fn installed_stanzas(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (number, text) in &self.texts {
            let Some(entry) = self.entries.get(*number as usize) else { continue };
            let Ok(text) = std::str::from_utf8(text) else { continue };
            if entry.path == "var/lib/dpkg/status" {
                let installed = |stanza: &&str| {
                    stanza.lines().any(|line| line.starts_with("Status:") && line.trim_end().ends_with(" installed"))
                };
                all.extend(text.split("\n\n").filter(installed).map(|stanza| format!("{}\n", stanza.trim())));
            } else if entry.path.starts_with("var/lib/dpkg/status.d/") && !entry.path.ends_with(".md5sums") {
                all.push(text.to_owned());
            }
        }
        all
    }
}

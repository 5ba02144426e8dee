//! Opens a `.deb` in one pass.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::ar::{self, Content, Member};
use super::control::Control;
use super::{Entry, EntryKind, Error, FileFacts, PackIndex, Scan, scan, texts};
use crate::codec::decode::{self, Format};
use crate::digest::{Digest, Hasher};
use crate::elf;
use crate::tar::read as tar;

/// Bytes read, hashed and written at once.
const CHUNK: usize = 128 << 10;

/// What [`open_deb`] holds beside the decoder and the index.
const BUFFERS: u64 = 1 << 20;

/// The longest first line of a script that is kept.
const MAX_SHEBANG: usize = 256;

/// What a package may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the `.deb`.
    pub max_packed: u64,
    /// Limits of the decompressors; the output is bounded for `data.tar`.
    pub decode: decode::Limits,
    /// Limits of the tar reader.
    pub tar: tar::Options,
    /// The most bytes of the decompressed control archive.
    pub max_control: u64,
    /// The most bytes of texts, scripts, findings and ELF facts that an index holds.
    pub max_facts: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packed: 2 << 30,
            decode: decode::Limits::default(),
            tar: tar::Options::default(),
            max_control: 64 << 20,
            max_facts: 64 << 20,
        }
    }
}

/// Opens a package: returns its index and writes its decompressed `data.tar` to `sink`, an empty file open for reading
/// and writing.
///
/// `source` is the digest under which the caller got `deb` and has verified it; it goes into the index unread. The
/// result is a function of the package's bytes alone. On an error `sink` holds nothing of use.
pub fn open_deb(deb: &File, source: Digest, sink: &File, limits: &Limits) -> Result<PackIndex, Error> {
    let members = ar::members(deb, limits.max_packed)?;
    let control = {
        let decode = decode::Limits { max_output: limits.max_control, ..limits.decode };
        let tar = tar::Options { max_size: limits.max_control, ..limits.tar };
        let decoder = decoder(deb, &members.control, &decode)?;
        Control::read(BufReader::with_capacity(CHUNK, decoder), &members.control.name, tar)?
    };
    let mut budget = Budget { left: limits.max_facts, limit: limits.max_facts };
    budget.take(control.scripts.iter().map(|(_, text)| text.len()).sum::<usize>() + control.triggers.len())?;
    let member = &members.data.name;
    let mut tee = Tee { inner: decoder(deb, &members.data, &limits.decode)?, sink, hasher: Hasher::new() };
    let mut data = Data::default();
    {
        let mut reader = tar::Reader::new(BufReader::with_capacity(CHUNK, &mut tee), limits.tar);
        data.read(&mut reader, sink, &mut budget).map_err(|error| match error {
            Error::Tar { source, .. } => Error::of_tar(member, source),
            other => other,
        })?;
    }
    let length = tee.hasher.length();
    Ok(PackIndex {
        source,
        data: (tee.hasher.digest(), length),
        date: members.data.mtime,
        control: control.fields,
        md5sums: control.md5sums,
        conffiles: control.conffiles,
        triggers: control.triggers,
        scripts: control.scripts,
        entries: data.entries,
        texts: data.texts,
        scans: data.scans,
    })
}

/// Returns how many bytes [`open_deb`] will hold for `deb`, its index aside; the most that the limits allow where the
/// headers do not tell.
pub fn decoder_memory(deb: &File, limits: &Limits) -> u64 {
    let most = limits.decode.max_window + BUFFERS;
    let Ok(members) = ar::members(deb, limits.max_packed) else {
        return most;
    };
    let need = |member: &Member| {
        let mut head = [0; 64];
        let length = member.size.min(64) as usize;
        match deb.read_exact_at(&mut head[..length], member.offset) {
            Ok(()) => decode::memory(member.format, &head[..length], &limits.decode) + BUFFERS,
            Err(_) => most,
        }
    };
    need(&members.control).max(need(&members.data))
}

fn decoder<'a>(deb: &'a File, member: &Member, limits: &decode::Limits) -> Result<Box<dyn Read + Send + 'a>, Error> {
    let content = Content::new(deb, member);
    if member.format != Format::Stored {
        let mut head = [0; 6];
        let length = member.size.min(6) as usize;
        deb.read_exact_at(&mut head[..length], member.offset).map_err(Error::Io)?;
        if Format::sniff(&head[..length]) != member.format {
            return Err(Error::Ar { problem: format!("`{}` is not what its name says", member.name) });
        }
    }
    decode::decoder(member.format, content, limits)
        .map_err(|source| Error::Codec { member: member.name.clone(), source })
}

/// Bytes that the index may still grow by.
struct Budget {
    left: u64,
    limit: u64,
}

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let wrong = Error::Limit { what: "texts and findings", limit: self.limit };
        self.left = self.left.checked_sub(bytes as u64).ok_or(wrong)?;
        Ok(())
    }
}

/// Hashes what passes through and writes it to the sink.
struct Tee<'a> {
    inner: Box<dyn Read + Send + 'a>,
    sink: &'a File,
    hasher: Hasher,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sink.write_all_at(&buffer[..count], self.hasher.length())?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[derive(Default)]
struct Data {
    entries: Vec<Entry>,
    texts: Vec<(u32, Vec<u8>)>,
    scans: Vec<(u32, Scan)>,
}

impl Data {
    fn read<R: Read>(&mut self, reader: &mut tar::Reader<R>, sink: &File, budget: &mut Budget) -> Result<(), Error> {
        let tar_error = |source| Error::Tar { member: String::new(), source };
        let finder = scan::soname_finder();
        let mut chunk = vec![0; CHUNK];
        while let Some(entry) = reader.next().map_err(tar_error)? {
            let number = u32::try_from(self.entries.len()).expect("the tar reader bounds the entries");
            let path = String::from(entry.path);
            let kind = match entry.kind {
                tar::Kind::Directory => EntryKind::Directory,
                tar::Kind::Symlink(target) => EntryKind::Symlink(target),
                tar::Kind::Hardlink(target) => EntryKind::Hardlink(target.into()),
                tar::Kind::File => {
                    let text = entry.size <= texts::MAX_TEXT && texts::wanted(&path);
                    let range = elf::FileRange { file: sink, offset: entry.offset, size: entry.size };
                    let (facts, text, scan) = file(reader, range, text, &finder, &mut chunk)?;
                    if let Some(text) = text {
                        budget.take(text.len())?;
                        self.texts.push((number, text));
                    }
                    if let Some(elf) = &facts.elf {
                        budget.take(weight(elf))?;
                    }
                    if scan != Scan::default() {
                        let all = scan.sonames.iter().chain(&scan.commands).chain(&scan.paths);
                        budget.take(all.map(|text| text.len() + 24).sum())?;
                        self.scans.push((number, scan));
                    }
                    EntryKind::File(facts)
                }
            };
            self.entries.push(Entry {
                path,
                kind,
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime,
                xattrs: entry.xattrs,
            });
        }
        Ok(())
    }
}

/// Reads a regular file's bytes once; what needs them out of order is read back from the sink.
fn file<R: Read>(
    reader: &mut tar::Reader<R>,
    range: elf::FileRange<'_>,
    keep: bool,
    finder: &memchr::memmem::Finder<'static>,
    chunk: &mut [u8],
) -> Result<(FileFacts, Option<Vec<u8>>, Scan), Error> {
    let tar_error = |source| Error::Tar { member: String::new(), source };
    let mut hasher = Hasher::new();
    let mut kept = Vec::new();
    let mut shebang = None;
    let mut sonames = None;
    let mut keep_all = keep;
    let mut left = range.size;
    while left > 0 {
        let wanted = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut filled = 0;
        while filled < wanted {
            filled += reader.read_data(&mut chunk[filled..wanted]).map_err(tar_error)?;
        }
        let piece = &chunk[..filled];
        if hasher.length() == 0 {
            if piece.starts_with(b"\x7fELF") {
                sonames = Some(scan::Sonames::new(finder));
            }
            shebang = first_line(piece);
            keep_all |= shebang.is_some() && range.size <= scan::MAX_SCRIPT;
        }
        hasher.update(piece);
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
    // The reader is buffered in front of the sink, never behind it: all of this file has been written by now.
    let elf = if sonames.is_some() { elf::facts(&range).map_err(Error::Io)?.map(Box::new) } else { None };
    if let Some(sonames) = sonames {
        scan.sonames = sonames.finish(elf.as_deref());
    }
    let facts = FileFacts { size: range.size, offset: range.offset, digest: hasher.digest(), elf, shebang };
    Ok((facts, keep.then_some(kept), scan))
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

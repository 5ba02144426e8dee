//! Opens a `.deb` in one pass.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::ar::{self, Content, Member};
use super::content::{Budget, Reading};
use super::control::Control;
use super::named::Named;
use super::{Entry, EntryKind, Error, PackIndex, Scan, texts};
use crate::codec::decode::{self, Format};
use crate::digest::{Digest, Hasher, Sha512};
use crate::elf;
use crate::tar::read as tar;

/// Bytes read, hashed and written at once.
const CHUNK: usize = 128 << 10;

/// What [`open_deb`] holds beside the decoder and the index.
const BUFFERS: u64 = 1 << 20;

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
    // Read from its start to its end, which brings it into memory for what follows.
    let sha512 = Sha512::of_reader(Whole { file: deb, at: 0 }).map_err(Error::Io)?;
    let control = control(deb, &members, limits)?;
    let mut budget = Budget::new(limits.max_facts);
    budget.take(control.scripts.iter().map(|(_, text)| text.len()).sum::<usize>() + control.triggers.len())?;
    budget.take(control.questions.iter().map(|(name, default)| name.len() + default.len()).sum())?;
    let mut named = Named::by(&control.scripts);
    let member = &members.data.name;
    let mut tee = Tee { inner: decoder(deb, &members.data, &limits.decode)?, sink, hasher: Hasher::new() };
    let mut data = Data::default();
    {
        let mut reader = tar::Reader::new(BufReader::with_capacity(CHUNK, &mut tee), limits.tar);
        data.read(&mut reader, sink, &mut budget, &mut named).map_err(|error| match error {
            Error::Tar { source, .. } => Error::of_tar(member, source),
            other => other,
        })?;
    }
    let length = tee.hasher.length();
    Ok(PackIndex {
        source,
        sha512: Some(sha512),
        data: (tee.hasher.digest(), length),
        date: members.data.mtime,
        control: control.fields,
        md5sums: control.md5sums,
        conffiles: control.conffiles,
        triggers: control.triggers,
        scripts: control.scripts,
        questions: control.questions,
        entries: data.entries,
        texts: data.texts,
        scans: data.scans,
    })
}

/// Returns the control fields of a package, in file order, without opening its data.
pub fn control_fields(deb: &File, limits: &Limits) -> Result<Vec<(String, String)>, Error> {
    Ok(control(deb, &ar::members(deb, limits.max_packed)?, limits)?.fields)
}

fn control(deb: &File, members: &ar::Members, limits: &Limits) -> Result<Control, Error> {
    let decode = decode::Limits { max_output: limits.max_control, ..limits.decode };
    let tar = tar::Options { max_size: limits.max_control, ..limits.tar };
    let decoder = decoder(deb, &members.control, &decode)?;
    Control::read(BufReader::with_capacity(CHUNK, decoder), &members.control.name, tar)
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

/// A whole file from its start, wherever its cursor stands.
pub(super) struct Whole<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
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
    fn read<R: Read>(
        &mut self,
        reader: &mut tar::Reader<R>,
        sink: &File,
        budget: &mut Budget,
        named: &mut Named,
    ) -> Result<(), Error> {
        let tar_error = |source| Error::Tar { member: String::new(), source };
        let mut reading = Reading::new(CHUNK);
        while let Some(entry) = reader.next().map_err(tar_error)? {
            let number = u32::try_from(self.entries.len()).expect("the tar reader bounds the entries");
            let path = String::from(entry.path);
            let kind = match entry.kind {
                tar::Kind::Directory => EntryKind::Directory,
                tar::Kind::Symlink(target) => EntryKind::Symlink(target),
                tar::Kind::Hardlink(target) => EntryKind::Hardlink(target.into()),
                tar::Kind::File => {
                    let text = texts::wanted(&path, entry.size) || named.takes(&path, entry.size);
                    let range = elf::FileRange { file: sink, offset: entry.offset, size: entry.size };
                    // The reader is buffered behind the sink, never before it: what it gives has been written.
                    let content = reading.read(range, text, |buffer| reader.read_data(buffer).map_err(tar_error))?;
                    content.put(number, budget, &mut self.texts, &mut self.scans).map(EntryKind::File)?
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

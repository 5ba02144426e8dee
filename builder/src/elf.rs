//! Facts of one ELF file (System V gABI; LSB; the dlopen metadata note of systemd.io/ELF_DLOPEN_METADATA).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

mod sections;

pub use sections::{Layout, Section, layout};

/// What the loader and the closure need to know of an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// 32 or 64.
    pub class: u8,
    /// `e_machine`.
    pub machine: u16,
    /// `e_type` (2 executable, 3 shared object, 1 relocatable).
    pub kind: u16,
    /// `e_flags`.
    pub flags: u32,
    /// PT_INTERP.
    pub interpreter: Option<String>,
    /// DT_SONAME.
    pub soname: Option<String>,
    /// DT_NEEDED in order.
    pub needed: Vec<String>,
    /// DT_RUNPATH split at `:`.
    pub runpath: Vec<String>,
    /// DT_RPATH split at `:`.
    pub rpath: Vec<String>,
    /// DF_1_NODEFLIB is set.
    pub nodefaultlib: bool,
    /// `.note.gnu.property` x86 ISA level needed, as a bit set (0 where absent).
    pub isa_needed: u32,
    /// Minimum kernel of `.note.ABI-tag` as (os, major, minor, patch).
    pub abi_tag: Option<(u32, u32, u32, u32)>,
    /// `.note.dlopen`: (soname alternatives, priority).
    pub dlopen: Vec<(Vec<String>, String)>,
    /// Has a dynamic section.
    pub dynamic: bool,
}

/// Bytes that are read at a place.
pub trait ReadAt {
    /// Fills `buffer` from `offset`; an error of kind `UnexpectedEof` where the bytes end before that.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset).ok().and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileRange<'a> {
    /// The file.
    pub file: &'a File,
    /// Where the part starts.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl ReadAt for FileRange<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.file.read_exact_at(buffer, self.offset + offset)
    }
}

/// The most program headers, dynamic entries and bytes of a string or of notes that are looked at.
const MAX_HEADERS: u16 = 4096;
const MAX_DYNAMIC: u64 = 16384;
const MAX_STRING: usize = 4096;
const MAX_NOTES: u64 = 1 << 20;
/// The most bytes of all strings of a file; dynamic entries may share them, so the file's size bounds nothing.
const MAX_STRINGS: usize = 64 << 10;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_NODEFLIB: u64 = 0x800;

const NT_GNU_ABI_TAG: u32 = 1;
const NT_GNU_PROPERTY: u32 = 5;
const NT_FDO_DLOPEN: u32 = 0x407c_0c0a;
const GNU_PROPERTY_X86_ISA_1_NEEDED: u32 = 0xc000_8002;

/// Returns the facts of an ELF file, or `None` for what is no ELF file or a malformed one.
///
/// An error is one of reading alone. Holds at most a few megabytes, whatever the file says of itself.
pub fn facts(data: &(impl ReadAt + ?Sized)) -> io::Result<Option<Facts>> {
    match Elf::open(data).and_then(|elf| elf.facts()) {
        Ok(facts) => Ok(Some(facts)),
        Err(Stop::Malformed) => Ok(None),
        Err(Stop::Read(error)) => Err(error),
    }
}

enum Stop {
    Malformed,
    Read(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Malformed } else { Self::Read(error) }
    }
}

#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
    align: u64,
}

struct Elf<'a, D: ?Sized> {
    data: &'a D,
    wide: bool,
    big_endian: bool,
    facts: Facts,
    segments: Vec<Segment>,
    /// Bytes of strings that may still be taken.
    strings: Cell<usize>,
}

impl<'a, D: ReadAt + ?Sized> Elf<'a, D> {
    fn open(data: &'a D) -> Result<Self, Stop> {
        let mut ident = [0; 16];
        data.read_at(0, &mut ident)?;
        let wide = match ident[4] {
            1 => false,
            2 => true,
            _ => return Err(Stop::Malformed),
        };
        if !ident.starts_with(b"\x7fELF") || !matches!(ident[5], 1 | 2) {
            return Err(Stop::Malformed);
        }
        let mut elf = Self {
            data,
            wide,
            big_endian: ident[5] == 2,
            facts: Facts::default(),
            segments: Vec::new(),
            strings: Cell::new(MAX_STRINGS),
        };
        let mut header = vec![0; if wide { 64 } else { 52 }];
        data.read_at(0, &mut header)?;
        let half = |at: usize| elf.number(&header[at..at + 2]);
        let (flags, entry_size, count) = if wide { (48, 54, 56) } else { (36, 42, 44) };
        let start = if wide { elf.number(&header[32..40]) } else { elf.number(&header[28..32]) };
        let (entry_size, count) = (half(entry_size), half(count));
        elf.facts = Facts {
            class: if wide { 64 } else { 32 },
            kind: half(16) as u16,
            machine: half(18) as u16,
            flags: elf.number(&header[flags..flags + 4]) as u32,
            ..Facts::default()
        };
        if count == 0 {
            return Ok(elf);
        }
        let size = if wide { 56 } else { 32 };
        if count > u64::from(MAX_HEADERS) || entry_size != size {
            return Err(Stop::Malformed);
        }
        let mut table = vec![0; (count * size) as usize];
        data.read_at(start, &mut table)?;
        elf.segments = table
            .chunks_exact(size as usize)
            .map(|entry| {
                let word = |at: usize| elf.number(&entry[at..at + if wide { 8 } else { 4 }]);
                let [offset, address, size, align] = if wide { [8, 16, 32, 48] } else { [4, 8, 16, 28] };
                Segment {
                    kind: elf.number(&entry[..4]) as u32,
                    offset: word(offset),
                    address: word(address),
                    size: word(size),
                    align: word(align),
                }
            })
            .collect();
        Ok(elf)
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    fn facts(mut self) -> Result<Facts, Stop> {
        let segments = std::mem::take(&mut self.segments);
        let first = |kind| segments.iter().find(|segment| segment.kind == kind);
        if let Some(interpreter) = first(PT_INTERP) {
            self.facts.interpreter = Some(self.string(interpreter.offset, interpreter.size)?);
        }
        if let Some(dynamic) = first(PT_DYNAMIC) {
            self.dynamic(&segments, dynamic)?;
        }
        let mut budget = MAX_NOTES;
        for notes in segments.iter().filter(|segment| segment.kind == PT_NOTE) {
            budget = budget.checked_sub(notes.size).ok_or(Stop::Malformed)?;
            let mut bytes = vec![0; notes.size as usize];
            self.data.read_at(notes.offset, &mut bytes)?;
            self.notes(&bytes, if notes.align == 8 { 8 } else { 4 });
        }
        Ok(self.facts)
    }

    /// Reads a NUL-terminated UTF-8 string of at most `limit` bytes with its NUL.
    fn string(&self, mut offset: u64, limit: u64) -> Result<String, Stop> {
        let limit = limit.min(MAX_STRING as u64) as usize;
        let mut text = Vec::new();
        while text.len() < limit {
            // In small steps, because the file may end right after the string; a page of the cache serves them all.
            let mut byte = [0; 64];
            let step = match self.data.read_at(offset, &mut byte) {
                Ok(()) => &byte[..],
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.data.read_at(offset, &mut byte[..1])?;
                    &byte[..1]
                }
                Err(error) => return Err(error.into()),
            };
            match step.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend_from_slice(&step[..end]);
                    self.strings.set(self.strings.get().checked_sub(text.len() + 1).ok_or(Stop::Malformed)?);
                    return String::from_utf8(text).map_err(|_| Stop::Malformed);
                }
                None => text.extend_from_slice(step),
            }
            offset += step.len() as u64;
        }
        Err(Stop::Malformed)
    }

    fn dynamic(&mut self, segments: &[Segment], dynamic: &Segment) -> Result<(), Stop> {
        let word = if self.wide { 8 } else { 4 };
        if dynamic.size / (2 * word as u64) > MAX_DYNAMIC {
            return Err(Stop::Malformed);
        }
        let mut table = vec![0; dynamic.size as usize];
        match self.data.read_at(dynamic.offset, &mut table) {
            // A detached debug file keeps its headers and drops the bytes they speak of.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let entries: Vec<(u64, u64)> = table
            .chunks_exact(2 * word)
            .map(|entry| (self.number(&entry[..word]), self.number(&entry[word..])))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        self.facts.dynamic = true;
        let Some((_, strings)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else {
            return Ok(());
        };
        let strings = segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD)
            .find_map(|load| {
                let within = strings.checked_sub(load.address).filter(|within| *within < load.size)?;
                load.offset.checked_add(within)
            })
            .ok_or(Stop::Malformed)?;
        for (tag, value) in entries {
            let string = || {
                let offset = strings.checked_add(value).ok_or(Stop::Malformed)?;
                self.string(offset, MAX_STRING as u64)
            };
            let split = |text: String| text.split(':').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            match tag {
                DT_NEEDED => {
                    let name = string()?;
                    self.facts.needed.push(name);
                }
                DT_SONAME => self.facts.soname = Some(string()?),
                DT_RPATH => self.facts.rpath = split(string()?),
                DT_RUNPATH => self.facts.runpath = split(string()?),
                DT_FLAGS_1 => self.facts.nodefaultlib = value & DF_1_NODEFLIB != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes what is known from notes; stops at the first that is malformed.
    fn notes(&mut self, mut bytes: &[u8], align: usize) {
        while bytes.len() >= 12 {
            let field = |at: usize| self.number(&bytes[at..at + 4]) as usize;
            let (name_size, size, kind) = (field(0), field(4), field(8) as u32);
            let Some(start) = 12usize.checked_add(name_size).and_then(|end| end.checked_next_multiple_of(align)) else {
                return;
            };
            let Some(end) = start.checked_add(size).filter(|end| *end <= bytes.len()) else {
                return;
            };
            let (name, content) = (&bytes[12..12 + name_size], &bytes[start..end]);
            match (name, kind) {
                (b"GNU\0", NT_GNU_ABI_TAG) if content.len() >= 16 => {
                    let word = |n: usize| self.number(&content[n * 4..n * 4 + 4]) as u32;
                    self.facts.abi_tag = Some((word(0), word(1), word(2), word(3)));
                }
                (b"GNU\0", NT_GNU_PROPERTY) => self.properties(content),
                (b"FDO\0", NT_FDO_DLOPEN) => self.dlopen(content),
                _ => {}
            }
            bytes = bytes.get(end.next_multiple_of(align)..).unwrap_or(&[]);
        }
    }

    fn properties(&mut self, mut bytes: &[u8]) {
        let align = if self.wide { 8 } else { 4 };
        while bytes.len() >= 8 {
            let (kind, size) = (self.number(&bytes[..4]) as u32, self.number(&bytes[4..8]) as usize);
            let Some(value) = bytes.get(8..).and_then(|rest| rest.get(..size)) else {
                return;
            };
            if kind == GNU_PROPERTY_X86_ISA_1_NEEDED && size == 4 {
                self.facts.isa_needed = self.number(value) as u32;
            }
            bytes = bytes.get((8 + size).next_multiple_of(align)..).unwrap_or(&[]);
        }
    }

    fn dlopen(&mut self, content: &[u8]) {
        #[derive(Deserialize)]
        struct Wish {
            soname: Vec<String>,
            #[serde(default)]
            priority: Option<String>,
        }
        let text = content.split(|byte| *byte == 0).next().unwrap_or_default();
        // Absent means recommended, as the specification has it.
        let priority = |wish: &Wish| wish.priority.clone().unwrap_or_else(|| "recommended".to_owned());
        if let Ok(wishes) = serde_json::from_slice::<Vec<Wish>>(text) {
            self.facts.dlopen.extend(wishes.into_iter().map(|wish| {
                let priority = priority(&wish);
                (wish.soname, priority)
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 64-bit little-endian shared object: one PT_LOAD over everything, PT_INTERP, PT_DYNAMIC, PT_NOTE.
    fn shared_object() -> Vec<u8> {
        let strings = b"\0libc.so.6\0libx.so.1\0$ORIGIN/../lib:/opt/lib\0";
        let json = br#"[{"soname":["liby.so.2"],"priority":"suggested"},{"soname":["libz.so.1"]}]"#;
        let mut notes = Vec::new();
        for (name, kind, content) in [
            (b"GNU\0", NT_GNU_ABI_TAG, [0u32, 3, 2, 0].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>()),
            (b"FDO\0", NT_FDO_DLOPEN, json.to_vec()),
        ] {
            notes.extend(4u32.to_le_bytes());
            notes.extend((content.len() as u32).to_le_bytes());
            notes.extend(kind.to_le_bytes());
            notes.extend(name);
            notes.extend(&content);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        let interpreter = b"/lib64/ld.so\0";
        let dynamic: Vec<u8> = [
            (DT_NEEDED, 1),
            (DT_SONAME, 11),
            (DT_RUNPATH, 21),
            (DT_STRTAB, 0x1000 + 512),
            (DT_FLAGS_1, DF_1_NODEFLIB),
            (0, 0),
        ]
        .iter()
        .flat_map(|(tag, value): &(u64, u64)| [tag.to_le_bytes(), value.to_le_bytes()].concat())
        .collect();
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(3u16.to_le_bytes());
        file.extend(62u16.to_le_bytes());
        file.resize(32, 0);
        file.extend(64u64.to_le_bytes());
        file.resize(54, 0);
        file.extend(56u16.to_le_bytes());
        file.extend(4u16.to_le_bytes());
        file.resize(64, 0);
        let parts: [(u32, u64, u64); 4] = [
            (PT_LOAD, 0, 2048),
            (PT_INTERP, 600, interpreter.len() as u64),
            (PT_DYNAMIC, 700, dynamic.len() as u64),
            (PT_NOTE, 1024, notes.len() as u64),
        ];
        for (kind, offset, size) in parts {
            file.extend(kind.to_le_bytes());
            file.extend(0u32.to_le_bytes());
            for value in [offset, 0x1000 + offset, 0, size, size, 4] {
                file.extend(value.to_le_bytes());
            }
        }
        file.resize(2048, 0);
        for (offset, bytes) in [(512, &strings[..]), (600, interpreter), (700, &dynamic), (1024, &notes)] {
            file[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    #[test]
    fn the_facts_of_a_shared_object() {
        let facts = facts(&shared_object()[..]).unwrap().unwrap();
        assert_eq!(
            facts,
            Facts {
                class: 64,
                machine: 62,
                kind: 3,
                interpreter: Some("/lib64/ld.so".to_owned()),
                soname: Some("libx.so.1".to_owned()),
                needed: vec!["libc.so.6".to_owned()],
                runpath: vec!["$ORIGIN/../lib".to_owned(), "/opt/lib".to_owned()],
                nodefaultlib: true,
                abi_tag: Some((0, 3, 2, 0)),
                dlopen: vec![
                    (vec!["liby.so.2".to_owned()], "suggested".to_owned()),
                    (vec!["libz.so.1".to_owned()], "recommended".to_owned()),
                ],
                dynamic: true,
                ..Facts::default()
            }
        );
    }

    #[test]
    fn a_malformed_file_is_none_and_never_a_panic() {
        let whole = shared_object();
        for length in 0..whole.len() {
            let _ = facts(&whole[..length]).unwrap();
        }
        for at in 0..1400 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = facts(&broken[..]).unwrap();
                if at + 8 <= 1400 {
                    broken[at..at + 8].fill(value);
                    let _ = facts(&broken[..]).unwrap();
                }
            }
        }
        assert_eq!(facts(&b"\x7fELF"[..]).unwrap(), None);
        assert_eq!(facts(&b"#!/bin/sh\n"[..]).unwrap(), None);
    }
}

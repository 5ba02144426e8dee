//! The sections of one ELF file (System V gABI, chapter 4, "Sections").

use std::io;

use super::{Elf, ReadAt, Stop};

/// The most sections, and the most bytes of their names, that are looked at.
const MAX_SECTIONS: u64 = 4096;
const MAX_NAMES: u64 = 1 << 20;
/// The longest name of a section that is kept.
const MAX_NAME: usize = 256;

const SHT_NULL: u32 = 0;
const SHT_NOBITS: u32 = 8;

/// Where things are in an ELF file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Size of the file's header, which stands at its start.
    pub header: u64,
    /// Offset and size of the program headers.
    pub segments: (u64, u64),
    /// Offset and size of the section headers.
    pub table: (u64, u64),
    /// The sections that have bytes in the file, in the table's order.
    pub sections: Vec<Section>,
}

/// A section that has bytes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Where its bytes start in the file.
    pub offset: u64,
    /// How many they are.
    pub size: u64,
}

/// Returns where things are in an ELF file, or `None` for what is no ELF file, has no sections, or is malformed.
///
/// An error is one of reading alone.
pub fn layout(data: &(impl ReadAt + ?Sized)) -> io::Result<Option<Layout>> {
    match Elf::open(data).and_then(|elf| elf.layout()) {
        Ok(layout) => Ok(Some(layout)),
        Err(Stop::Malformed) => Ok(None),
        Err(Stop::Read(error)) => Err(error),
    }
}

impl<D: ReadAt + ?Sized> Elf<'_, D> {
    fn layout(&self) -> Result<Layout, Stop> {
        let length = if self.wide { 64 } else { 52 };
        let mut header = vec![0; length];
        self.data.read_at(0, &mut header)?;
        let word = if self.wide { 8 } else { 4 };
        let at = if self.wide { [32, 40, 52] } else { [28, 32, 40] };
        let (segments, table) = (self.number(&header[at[0]..at[0] + word]), self.number(&header[at[1]..at[1] + word]));
        let half = |n: usize| self.number(&header[at[2] + 2 * n..at[2] + 2 * n + 2]);
        let [header_size, segment_size, segment_count, entry_size, count, names] = [0, 1, 2, 3, 4, 5].map(half);
        let expected = if self.wide { 64 } else { 40 };
        if table == 0 || count == 0 || count > MAX_SECTIONS || entry_size != expected || names >= count {
            return Err(Stop::Malformed);
        }
        let mut bytes = vec![0; (count * entry_size) as usize];
        self.data.read_at(table, &mut bytes)?;
        let entries: Vec<(u64, u32, u64, u64)> = bytes
            .chunks_exact(entry_size as usize)
            .map(|entry| {
                let start = if self.wide { 24 } else { 16 };
                let value = |at: usize| self.number(&entry[at..at + word]);
                let kind = self.number(&entry[4..8]) as u32;
                (self.number(&entry[..4]), kind, value(start), value(start + word))
            })
            .collect();
        let (_, _, offset, size) = entries[names as usize];
        let mut strings = vec![0; size.min(MAX_NAMES) as usize];
        self.data.read_at(offset, &mut strings)?;
        let name = |at: u64| {
            let rest = usize::try_from(at).ok().and_then(|at| strings.get(at..)).unwrap_or_default();
            let end = rest.iter().take(MAX_NAME).position(|byte| *byte == 0).unwrap_or(rest.len().min(MAX_NAME));
            String::from_utf8_lossy(&rest[..end]).into_owned()
        };
        let held = entries.iter().filter(|(_, kind, _, size)| !matches!(*kind, SHT_NULL | SHT_NOBITS) && *size > 0);
        Ok(Layout {
            header: header_size,
            segments: (segments, segment_size * segment_count),
            table: (table, entry_size * count),
            sections: held
                .map(|(at, _, offset, size)| Section { name: name(*at), offset: *offset, size: *size })
                .collect(),
        })
    }
}
